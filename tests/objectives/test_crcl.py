from math import log, tan

import pytest
import torch

from ncaudit.objectives import crcl

ZEROS = torch.zeros(2, 2, dtype=torch.float64)


def loss(label: list[float]) -> float:
    return float(crcl.batch_loss(ZEROS, torch.tensor(label, dtype=torch.float64), scale=1.0))


def test_two_trusted_pairs_alike_worked_by_hand():
    assert loss([1.0, 1.0]) == pytest.approx(2 * log(2) + 5 * 2 * tan(0.5))
    assert loss([1.0, 1.0]) == pytest.approx(6.849, abs=1e-3)


def test_two_doubted_pairs_alike_worked_by_hand():
    assert loss([0.0, 0.0]) == pytest.approx(5 * 2 * 0.5)  # tan .5 / (2 tan .5), both ways


def test_one_of_each_and_one_between_worked_by_hand():
    assert loss([1.0, 0.0]) == pytest.approx((2 * log(2) + 10 * tan(0.5) + 5) / 2)
    half = log(2) + 10 * tan(0.5) / (2 * tan(0.5)) ** 0.5
    assert loss([0.5, 0.5]) == pytest.approx(half)


def test_a_doubted_pair_is_pulled_less_than_a_trusted_one_and_still_pushes_its_negatives():
    similarity = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    label = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    crcl.batch_loss(similarity, label, scale=1.0).backward()
    assert similarity.grad[0, 0] < similarity.grad[1, 1] <= 0
    assert similarity.grad[1, 0] > 0


def test_no_pair_of_label_0_can_cost_more_than_the_weight_each_way():
    similarity = -5 * torch.eye(3, dtype=torch.float64)
    hopeless = float(crcl.batch_loss(similarity, torch.zeros(3, dtype=torch.float64), scale=100.0))
    assert hopeless == pytest.approx(2 * 5)
