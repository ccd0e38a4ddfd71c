from math import acos, cos, log, pi, sqrt

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from ncaudit.core.losses.additions import (
    NULL_PAIRS,
    chance_loss,
    null_quantile,
    self_paced_weight,
    structure_loss,
    unlike_matches,
)


def test_self_paced_weights_worked_by_hand():
    limit = 3.0
    loss = torch.tensor([0.0, limit / 2, 2 * limit / 3, limit])
    assert_close(self_paced_weight(loss, limit=limit), torch.tensor([1.0, sqrt(0.5), 0.5, 0.0]))


@settings(deadline=None)
@given(losses=st.lists(st.floats(0, 1e3), min_size=2, max_size=20), limit=st.floats(1e-3, 1e3))
def test_a_weight_never_rises_with_the_loss(losses, limit):
    weight = self_paced_weight(torch.tensor(sorted(losses), dtype=torch.float64), limit=limit)
    assert (weight.diff() <= 0).all()
    assert ((weight >= 0) & (weight <= 1)).all()


@pytest.mark.parametrize("loss", [0.1, 1.0, 1.9])
def test_the_weight_is_the_least_of_its_closed_form(loss):
    limit = 2.0

    def cost(w: float) -> float:
        return w * loss - 2 / pi * limit * (w * acos(w) - sqrt(1 - w**2))

    assert cost(sqrt(0.5)) - sqrt(0.5) * loss == pytest.approx(0.1932, abs=1e-4)
    best = float(self_paced_weight(torch.tensor(loss), limit=limit))
    assert best == pytest.approx(cos(pi * loss / (2 * limit)))
    assert all(cost(best) <= cost(best + step) + 1e-9 for step in (-0.05, -0.01, 0.01, 0.05) if 0 <= best + step <= 1)


def test_a_pair_at_chance_in_a_batch_of_n_costs_log_n():
    assert_close(chance_loss(torch.zeros(8, 8)), torch.full((8,), log(8)))


def test_chance_counts_true_negatives_alone_and_a_pair_without_any_weighs_nothing():
    allowed = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    assert_close(chance_loss(torch.zeros(3, 3), allowed), torch.tensor([log(2), log(2), 0.0]))
    assert self_paced_weight(torch.zeros(1), limit=torch.zeros(1)) == 0


def unit(*rows: list[float]) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.tensor(rows, dtype=torch.float64), dim=1)


def test_two_pairs_of_unlike_geometry_worked_by_hand():
    image, text = unit([1.0, 0.0], [0.8, 0.6]), unit([1.0, 0.0], [0.2, 0.96**0.5])
    assert float(structure_loss(image, text)) == pytest.approx(2 * 0.36 / 4)


def test_equal_geometries_cost_nothing_however_one_side_is_turned():
    rows = unit(*torch.randn(6, 4, generator=torch.Generator().manual_seed(0)).tolist())
    turn, _ = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))
    assert float(structure_loss(rows, rows @ turn)) == pytest.approx(0, abs=1e-12)


def test_the_gradient_of_the_structure_loss_is_right():
    image, text = (torch.randn(4, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(structure_loss, (image, text))


def test_the_null_of_five_random_pairs_worked_by_hand():
    bound = null_quantile(torch.tensor([0.0, 0.1, 0.2, 0.3, 0.4]), 0.2)
    assert_close(bound, torch.tensor(0.32))
    assert [value <= bound for value in (0.31, 0.33)] == [True, False]


def test_the_pair_itself_is_no_negative_and_what_was_none_stays_none():
    similarity = torch.tensor([[9.0, 0.1, 0.2], [0.3, 9.0, 0.4], [0.5, 0.6, 9.0]])
    allowed = torch.ones(3, 3, dtype=torch.bool)
    allowed[0, 1] = False
    found = unlike_matches(similarity, share=0.3, allowed=allowed)
    assert not found.diagonal().any()
    assert not found[0, 1]
    assert found.tolist()[1] == [True, False, True]
    assert found.tolist()[2] == [False, False, False]  # of .2 .3 .4 .5 .6 the quantile at .7 is .48


def test_a_large_batch_is_told_by_some_of_its_random_pairs():
    similarity = torch.rand(400, 400, generator=torch.Generator().manual_seed(0))
    found = unlike_matches(similarity, share=0.01)
    assert 400 * 399 > 2 * NULL_PAIRS
    assert 1 - found.sum() / (400 * 399) == pytest.approx(0.01, abs=0.005)


@pytest.mark.parametrize("n", [1, 3])
def test_where_nothing_tells_random_pairs_apart_none_is_left_out(n):
    alike = torch.full((n, n), 0.5)
    assert (unlike_matches(alike, share=0.1) == ~torch.eye(n, dtype=torch.bool)).all()


@pytest.mark.parametrize("excluded", [0.0, 0.3, 0.95, 1.0])
def test_the_random_pairs_that_tell_are_every_so_manyth_of_all_that_are_negatives(excluded):
    draw = torch.Generator().manual_seed(3)
    similarity = torch.rand(300, 300, generator=draw)
    allowed = torch.rand(300, 300, generator=draw) >= excluded
    negatives = allowed & ~torch.eye(300, dtype=torch.bool)
    bound = null_quantile(similarity[negatives], 0.1)  # takes every so manyth itself
    assert (unlike_matches(similarity, share=0.1, allowed=allowed) == (negatives & (similarity <= bound))).all()


@pytest.mark.parametrize("pairs", [1, 2, 5, 97])
def test_what_is_multiplied_once_is_the_same_on_both_sides_of_the_diagonal(pairs):
    image, text = (torch.randn(pairs, width, dtype=torch.float64, requires_grad=True) for width in (6, 4))
    plain = (image @ image.T - text @ text.T).square().mean()
    found = structure_loss(image, text)
    assert_close(found, plain)
    slopes = [torch.autograd.grad(loss, (image, text)) for loss in (found, plain)]
    assert_close(slopes[0], slopes[1])
