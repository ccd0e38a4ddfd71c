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
