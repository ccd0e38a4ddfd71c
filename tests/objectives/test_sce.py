from math import log

import pytest
import torch

from ncaudit.objectives import infonce, sce

ZEROS, TRUSTED = torch.zeros(2, 2, dtype=torch.float64), torch.ones(2)


def test_two_pairs_alike_worked_by_hand():
    # each way log 2, and the exchanged one -log 1e-7 * (1 - 1/2)
    assert float(sce.batch_loss(ZEROS, TRUSTED, scale=1.0)) == pytest.approx(log(2) + 16.118 / 2)
    assert float(sce.batch_loss(ZEROS, TRUSTED, scale=1.0)) == pytest.approx(8.752, abs=1e-3)
    assert float(sce.batch_loss(ZEROS, TRUSTED, scale=1.0, reverse_weight=4.0)) == pytest.approx(2.693, abs=1e-3)


def test_the_default_weight_is_what_the_log_of_1e_7_is():
    assert -log(1e-7) == pytest.approx(16.118, abs=1e-3)


def test_without_the_second_term_it_is_infonce():
    similarity = torch.randn(5, 5, generator=torch.Generator().manual_seed(0))
    found = sce.batch_loss(similarity, torch.ones(5), scale=3.0, reverse_weight=0.0)
    torch.testing.assert_close(found, infonce.batch_loss(similarity, torch.ones(5), scale=3.0))


def test_a_pair_of_label_0_weighs_nothing():
    similarity = torch.tensor([[1.0, 0.0], [0.0, -9.0]], dtype=torch.float64)
    alone = sce.batch_loss(similarity, torch.tensor([0.5, 0.0]), scale=1.0)
    assert alone == sce.batch_loss(similarity, torch.tensor([1.0, 0.0]), scale=1.0)
    assert alone < sce.batch_loss(similarity, TRUSTED, scale=1.0)
