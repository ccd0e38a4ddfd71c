from math import log

import pytest
import torch
from torch.testing import assert_close

from ncaudit.objectives import infonce, rcl

UNUSED = torch.zeros(3)


def test_every_negative_counts_worked_by_hand():
    # p of the rows, both ways: 1/4, 1/4, 1/2 (the pair second, first, second)
    similarity = torch.tensor([[0.0, 0.0, log(2)], [0.0, log(2), 0.0], [log(2), 0.0, 0.0]], dtype=torch.float64)
    pair_0 = -log(1 - 1 / 4) - log(1 - 1 / 2)
    pair_1 = -log(1 - 1 / 4) - log(1 - 1 / 4)
    pair_2 = -log(1 - 1 / 2) - log(1 - 1 / 4)
    assert float(rcl.batch_loss(similarity, UNUSED, scale=1.0)) == pytest.approx((pair_0 + pair_1 + pair_2) / 3)


def test_the_label_is_not_looked_at():
    similarity = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
    assert rcl.batch_loss(similarity, torch.ones(3), scale=9.0) == rcl.batch_loss(similarity, UNUSED, scale=9.0)


def test_with_one_negative_each_it_is_infonce():
    similarity = torch.tensor([[1.0, 0.0], [2.0, 3.0]], dtype=torch.float64)
    assert_close(rcl.batch_loss(similarity, UNUSED, scale=1.0), infonce.batch_loss(similarity, UNUSED, scale=1.0))


def test_no_pair_is_pulled_harder_than_by_infonce():
    similarity = torch.randn(8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    (complementary,) = torch.autograd.grad(rcl.batch_loss(similarity, UNUSED, scale=4.0), similarity)
    (asserted,) = torch.autograd.grad(infonce.batch_loss(similarity, UNUSED, scale=4.0), similarity)
    assert (complementary.diagonal() <= 0).all()
    assert (asserted.diagonal() < complementary.diagonal()).all()


def test_a_pair_that_the_model_finds_hopeless_is_left_alone_where_infonce_pulls_hardest():
    similarity = torch.full((4, 4), 0.5, dtype=torch.float64)
    similarity[0, 0] = -0.5
    similarity.requires_grad_()
    (complementary,) = torch.autograd.grad(rcl.batch_loss(similarity, UNUSED, scale=20.0), similarity)
    (asserted,) = torch.autograd.grad(infonce.batch_loss(similarity, UNUSED, scale=20.0), similarity)
    # p_00 = e^-20 / 3; at most scale (1 - p) / 4 pairs = 5
    assert asserted[0, 0] == pytest.approx(-5)
    assert -1e-7 < complementary[0, 0] < 0


def test_pushing_doubted_pairs_worked_by_hand():
    # pair 0 is trusted, pair 1 is not; each p is 1/2. "Not this one" is said three times each way: twice of negatives,
    # once of pair 1 itself. DCL's own sums: first part 2 log 2, second (3 + 3) log 2 / (2 + 1)
    similarity, label = torch.zeros(2, 2, dtype=torch.float64), torch.tensor([1.0, 0.0], dtype=torch.float64)
    found = float(rcl.batch_loss(similarity, label, scale=1.0, doubted="push"))
    first, second = (found - 1.5 * log(2)) / rcl.TRUSTED_WEIGHT, found - rcl.TRUSTED_WEIGHT * log(2)
    assert 2 * first == pytest.approx(1.3863, abs=1e-4)  # of both directions, not their mean
    assert 2 * second * 2 / 3 == pytest.approx(1.3863, abs=1e-4)  # by entries, not by pairs


def test_pushing_where_nothing_is_doubted_adds_infonce_alone():
    similarity = torch.randn(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    trusted = torch.ones(5, dtype=torch.float64)
    plain, asserted = rcl.batch_loss(similarity, trusted, scale=4.0), infonce.batch_loss(similarity, trusted, scale=4.0)
    both = plain + rcl.TRUSTED_WEIGHT * asserted
    assert_close(rcl.batch_loss(similarity, trusted, scale=4.0, doubted="push"), both)


def test_a_pair_that_is_doubted_is_pushed_apart_the_harder_the_better_it_looks():
    similarity = torch.zeros(3, 3, dtype=torch.float64)
    similarity[0, 0] = 1.0
    similarity.requires_grad_()
    rcl.batch_loss(similarity, torch.zeros(3, dtype=torch.float64), scale=4.0, doubted="push").backward()
    assert similarity.grad[0, 0] > similarity.grad[1, 1] > 0


def test_a_doubted_pair_that_leads_by_a_hundred_logits_costs_as_many():
    similarity = torch.eye(2)
    found = rcl.batch_loss(similarity, torch.zeros(2), scale=100.0, doubted="push")
    assert float(found) == pytest.approx(100.0)
