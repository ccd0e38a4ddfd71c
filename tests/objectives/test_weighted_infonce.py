from math import exp, log

import pytest
import torch
from torch.testing import assert_close

from ncaudit.objectives import infonce, weighted_infonce

# Two pairs, scale 1: s = [[1, 0], [2, 3]].
SIMILARITY = torch.tensor([[1.0, 0.0], [2.0, 3.0]], dtype=torch.float64)
# pair 0: image -> text log(1 + e^(0-1)), text -> image log(1 + e^(2-1)); pair 1: log(1 + e^(2-3)), log(1 + e^(0-3))
PAIR_0 = (log(1 + exp(-1)) + log(1 + exp(1))) / 2
PAIR_1 = (log(1 + exp(-1)) + log(1 + exp(-3))) / 2


def label(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_it_is_the_label_weighted_mean_worked_by_hand():
    expected = (0.75 * PAIR_0 + 0.25 * PAIR_1) / (0.75 + 0.25)
    assert float(weighted_infonce.batch_loss(SIMILARITY, label(0.75, 0.25), scale=1.0)) == pytest.approx(expected)
    expected = (0.2 * PAIR_0 + 0.1 * PAIR_1) / 0.3  # divided by the sum of the labels, not by the two pairs
    assert float(weighted_infonce.batch_loss(SIMILARITY, label(0.2, 0.1), scale=1.0)) == pytest.approx(expected)


@pytest.mark.parametrize("value", [1.0, 0.5, 0.01])
def test_equal_labels_of_any_height_give_plain_infonce(value):
    weighted = weighted_infonce.batch_loss(SIMILARITY, label(value, value), scale=2.0)
    assert_close(weighted, infonce.batch_loss(SIMILARITY, label(0, 0), scale=2.0))


def test_a_pair_of_label_zero_is_not_pulled_together_but_still_pushed_away_from_the_others():
    similarity = SIMILARITY.clone().requires_grad_()
    weighted_infonce.batch_loss(similarity, label(1, 0), scale=1.0).backward()
    assert similarity.grad[1, 1] == 0
    assert similarity.grad[0, 0] < 0 < similarity.grad[0, 1]
    assert similarity.grad[1, 0] > 0


def test_a_batch_without_any_trusted_pair_teaches_nothing_and_is_finite():
    similarity = SIMILARITY.clone().requires_grad_()
    loss = weighted_infonce.batch_loss(similarity, label(0, 0), scale=1.0)
    loss.backward()
    assert loss == 0
    assert_close(similarity.grad, torch.zeros(2, 2, dtype=torch.float64))
