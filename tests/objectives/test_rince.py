from math import log, sqrt

import pytest
import torch

from ncaudit.errors import NcauditError
from ncaudit.objectives import infonce, rince

ZEROS, TRUSTED = torch.zeros(2, 2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)


def loss(similarity: torch.Tensor, exponent: float, negatives_weight: float = 1.0, label: torch.Tensor = TRUSTED):
    own = {"temperature": 1.0, "exponent": exponent, "negatives_weight": negatives_weight}
    return float(rince.batch_loss(similarity, label, scale=9.0, **own))


def test_two_pairs_alike_worked_by_hand():
    assert loss(ZEROS, 0.5) == pytest.approx(-2 + 2 * sqrt(2))
    assert loss(ZEROS, 1.0) == pytest.approx(1.0)
    assert loss(ZEROS, 0.5, 0.01) == pytest.approx(-2 + 2 * sqrt(0.02))


def test_at_exponent_1_it_is_the_negatives_alone():
    assert loss(torch.eye(2, dtype=torch.float64) * log(2), 1.0) == pytest.approx(-2 + 3)


def test_towards_exponent_0_it_is_infonce():
    similarity = torch.randn(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    plain = float(infonce.batch_loss(similarity, torch.ones(5), scale=1.0))
    assert loss(similarity, 1e-6, label=torch.ones(5)) == pytest.approx(plain, rel=1e-4)


def test_the_models_scale_is_not_looked_at_and_gets_no_gradient():
    scale = torch.tensor(3.0, requires_grad=True)
    similarity = torch.eye(3, requires_grad=True)
    rince.batch_loss(similarity, torch.ones(3), scale=scale).backward()
    assert scale.grad is None
    assert similarity.grad is not None


def test_a_pair_of_label_0_weighs_nothing():
    similarity = torch.tensor([[1.0, 0.0], [0.0, -9.0]], dtype=torch.float64)
    alone = loss(similarity, 0.5, label=torch.tensor([0.5, 0.0], dtype=torch.float64))
    assert alone == loss(similarity, 0.5, label=torch.tensor([1.0, 0.0], dtype=torch.float64))
    assert alone < loss(similarity, 0.5)


def test_powers_that_float32_does_not_hold_are_refused():
    with pytest.raises(NcauditError, match=r"exponent 1\.0 at temperature 0\.01 makes powers up to e\^100"):
        rince.check(temperature=0.01, exponent=1.0, negatives_weight=1.0)
    rince.check(temperature=0.0125, exponent=1.0, negatives_weight=1.0)
    edge = rince.batch_loss(torch.ones(4, 4), torch.ones(4), scale=1.0, temperature=0.0125, exponent=1.0)
    assert edge.isfinite()
