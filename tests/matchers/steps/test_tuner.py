"""A tuner, whatever it tunes: in which mode and in which precision the network is asked."""

import torch
from torch import Tensor, nn

from ncaudit import objectives
from ncaudit.matchers.steps.batch import Batch
from ncaudit.matchers.steps.optimisation import Recipe
from ncaudit.matchers.steps.tuner import Tuner

RECIPE = Recipe(learning_rate=0.01, weight_decay=0.0, warmup_share=0.0, clip_norm=1.0, total_steps=4)


class Network:
    """Notes how it was asked."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.module, self.device = nn.Linear(4, 3), torch.device("cpu")
        self.module.logit_scale = nn.Parameter(torch.tensor(1.0))
        self.asked: list[tuple[bool, torch.dtype]] = []

    def set_training(self) -> None:
        self.module.train()

    def image(self, x: Tensor) -> Tensor:
        rows = self.module(x)
        self.asked.append((self.module.training, rows.dtype))
        return nn.functional.normalize(rows.float(), dim=1)

    text = image


def pairs() -> Batch:
    generator = torch.Generator().manual_seed(1)
    rows, ids = torch.randn(2, 6, 4, generator=generator), torch.arange(6)
    return Batch(rows[0], rows[1], torch.ones(6), ids, ids)


def tuner(network: Network, *, chunk_pairs: int | None = None) -> Tuner:
    loss = objectives.get("infonce").batch_loss
    return Tuner(
        network, loss, RECIPE, learns_in=torch.bfloat16, validates_in=torch.float32, chunk_pairs=chunk_pairs
    )  # fmt: skip


def test_it_learns_in_training_mode_and_validates_in_eval_mode_each_in_its_precision():
    network = Network()
    fine = tuner(network)
    fine.encode_images(pairs().image)
    fine.step(pairs(), 0)
    fine.encode_captions(pairs().text)
    learnt, validated = (True, torch.bfloat16), (False, torch.float32)
    assert network.asked == [validated, learnt, learnt, validated]


def test_what_is_validated_has_no_gradient():
    fine = tuner(Network())
    assert not fine.encode_images(pairs().image).requires_grad
    assert not fine.encode_captions(pairs().text).requires_grad


def test_a_step_forgets_the_gradients_of_the_step_before():
    network = Network()
    fine = tuner(network)
    fine.step(pairs(), 0)
    alone = Network()
    alone.module.load_state_dict(network.module.state_dict())
    fine.step(pairs(), 1)
    tuner(alone).step(pairs(), 0)
    for ours, theirs in zip(network.module.parameters(), alone.module.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad)


def test_chunks_reach_the_backward_pass():
    network = Network()
    tuner(network, chunk_pairs=2).step(pairs(), 0)
    assert len(network.asked) == 2 * 3 * 2  # both sides of three chunks, each encoded without graph and with it
