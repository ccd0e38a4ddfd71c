from math import log

import pytest
import torch

from ncaudit.objectives import gce, infonce


def test_a_pair_of_probability_a_quarter_worked_by_hand():
    zeros, trusted = torch.zeros(4, 4, dtype=torch.float64), torch.ones(4)  # (1 - sqrt 1/4) / (1/2)
    assert float(gce.batch_loss(zeros, trusted, scale=1.0, exponent=0.5)) == pytest.approx(1.0)


def test_at_exponent_1_it_is_the_probability_of_being_wrong():
    logits = torch.tensor([[log(3), 0.0], [0.0, log(3)]], dtype=torch.float64)  # p = 3/4 each way
    assert float(gce.batch_loss(logits, torch.ones(2), scale=1.0, exponent=1.0)) == pytest.approx(0.25)


def test_towards_exponent_0_it_is_infonce():
    similarity = torch.randn(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = gce.batch_loss(similarity, torch.ones(5), scale=3.0, exponent=1e-6)
    assert float(found) == pytest.approx(float(infonce.batch_loss(similarity, torch.ones(5), scale=3.0)), rel=1e-4)


def test_a_pair_of_label_0_weighs_nothing():
    similarity = torch.tensor([[1.0, 0.0], [0.0, -9.0]], dtype=torch.float64)
    alone = gce.batch_loss(similarity, torch.tensor([0.5, 0.0]), scale=1.0)
    assert alone == gce.batch_loss(similarity, torch.tensor([1.0, 0.0]), scale=1.0)
    assert alone < gce.batch_loss(similarity, torch.ones(2), scale=1.0)


def test_a_hopeless_pair_is_pulled_less_than_one_half_way_where_infonce_pulls_it_most():
    similarity = torch.full((4, 4), 0.5, dtype=torch.float64)
    similarity[0, 0] = -0.5
    similarity.requires_grad_()
    (bounded,) = torch.autograd.grad(gce.batch_loss(similarity, torch.ones(4), scale=20.0), similarity)
    (plain,) = torch.autograd.grad(infonce.batch_loss(similarity, torch.ones(4), scale=20.0), similarity)
    assert plain[0, 0] < plain[1, 1] < 0
    assert bounded[1, 1] < 100 * bounded[0, 0] < 0
