"""Networks that learn in turn, and the heads that speak for all of them."""

import json
from io import BytesIO

import pytest
import torch
from torch.testing import assert_close

from ncaudit.matchers.heads.in_turn import InTurn
from ncaudit.matchers.heads.projection import Heads, Side, StackedHeads, load_heads
from ncaudit.matchers.heads.tuning import head_tuner
from ncaudit.matchers.steps.batch import Batch
from ncaudit.matchers.steps.optimisation import Recipe
from ncaudit.objectives import get
from tests.worlds.heads import save_heads

CPU = torch.device("cpu")
RECIPE = Recipe(learning_rate=0.01, weight_decay=0.0, warmup_share=0.5, clip_norm=1.0, total_steps=4)


def heads(seed: int) -> Heads:
    torch.manual_seed(seed)
    return Heads(Side(4), Side(3), dims=2 + seed)


def batch() -> Batch:
    ids = torch.arange(6)
    torch.manual_seed(9)
    return Batch(torch.randn(6, 4), torch.randn(6, 3), torch.ones(6), ids, ids)


def in_turn() -> tuple[InTurn, list[Heads]]:
    both = [heads(0), heads(1)]
    tuners = [head_tuner(each, get("infonce").batch_loss, RECIPE, CPU, torch.float32) for each in both]
    return InTurn(tuners, StackedHeads(both), CPU), both


def test_the_cosine_of_stacked_heads_is_the_mean_of_theirs():
    both, given = [heads(0), heads(1)], batch()
    stack = StackedHeads(both)
    each = [head.image(given.image) @ head.text(given.text).T for head in both]
    assert_close(stack.image(given.image) @ stack.text(given.text).T, (each[0] + each[1]) / 2)
    assert_close(stack.text(given.text).norm(dim=1), torch.ones(6))
    assert (stack.dims, stack.image_width, stack.text_width) == (5, 4, 3)


def test_stacked_heads_come_back_from_their_folder(tmp_path):
    stack, given = StackedHeads([heads(0), heads(1)]), batch()
    save_heads(stack, str(tmp_path), {"model": None})
    saved = load_heads(str(tmp_path), CPU)
    assert torch.equal(saved.heads.image(given.image), stack.image(given.image))
    assert torch.equal(saved.heads.text(given.text), stack.text(given.text))
    assert len(json.loads((tmp_path / "heads.json").read_text())["shape"]["members"]) == 2


def test_each_step_moves_the_network_whose_turn_it_is():
    learner, both = in_turn()
    for number in range(4):
        before = [head.image_side.linear.weight.detach().clone() for head in both]
        learner.step(batch(), number)
        moved = [not torch.equal(was, head.image_side.linear.weight) for was, head in zip(before, both, strict=True)]
        assert moved == [number % 2 == 0, number % 2 == 1]


def test_a_network_learns_at_the_rate_of_its_own_steps():
    learner, _ = in_turn()
    assert [learner.learning_rate(number) for number in range(6)] == pytest.approx(
        [0.005] * 2 + [0.01] * 2 + [0.01] * 2
    )


def test_it_goes_on_from_its_state_bit_for_bit():
    straight, both = in_turn()
    for number in range(3):
        straight.step(batch(), number)
    state = straight.state_dict()
    saved = {name: tensor.clone() for name, tensor in state["model"].items()}
    torch.save(state, stored := BytesIO())
    straight.step(batch(), 3)
    again, others = in_turn()
    stored.seek(0)
    again.load_state_dict(torch.load(stored, weights_only=True))
    assert all(torch.equal(tensor, saved[name]) for name, tensor in again.state_dict()["model"].items())
    again.step(batch(), 3)
    for ours, theirs in zip(both, others, strict=True):
        assert torch.equal(ours.image_side.linear.weight, theirs.image_side.linear.weight)
