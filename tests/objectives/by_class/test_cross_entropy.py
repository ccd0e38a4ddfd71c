from math import exp, log

import pytest
import torch

from ncaudit.core.losses.class_losses import ClassTargets
from ncaudit.objectives.by_class import cross_entropy


def test_cross_entropy_is_the_mean_of_the_labelled_pairs_worked_by_hand():
    image = torch.tensor([[1.0, 0.0], [0.6, 0.8], [1.0, 0.0]], dtype=torch.float64)
    text = torch.tensor([[0.0, 1.0], [0.6, 0.8], [0.0, 1.0]], dtype=torch.float64)
    carried = torch.tensor([[True, False], [False, True], [False, False]])
    unread = torch.full((3,), 99)
    targets = ClassTargets(carried, unread, unread, unread, torch.eye(2, dtype=torch.float64))
    # at temperature .5: pair 0 loses log(1 + e^-2) and log(1 + e^2); pair 1 twice log(1 + e^-.4)
    expected = (log(1 + exp(-2)) + log(1 + exp(2)) + 2 * log(1 + exp(-0.4))) / 2
    assert float(cross_entropy.class_loss(image, text, targets)) == pytest.approx(expected)
