import pytest
import torch

from ncaudit.objectives import cmp

SIMILARITY = torch.tensor([[0.5, 0.4, 0.1], [0.6, 0.6, -0.6], [0.0, 0.5, 0.35]], dtype=torch.float64)
LABEL = torch.ones(3, dtype=torch.float64)


def test_every_negative_counts_in_both_directions_worked_by_hand():
    # pair i: mean over j of [s_ij - s_ii + .9]_+, and of [s_ji - s_ii + .9]_+
    pair_0 = (0.8 + 0.5) / 2 + (1.0 + 0.4) / 2
    pair_1 = (0.9 + 0.0) / 2 + (0.7 + 0.8) / 2  # -.6 - .6 + .9 is below 0
    pair_2 = (0.55 + 1.05) / 2 + (0.65 + 0.0) / 2  # so is -.6 - .35 + .9
    loss = cmp.batch_loss(SIMILARITY, LABEL, scale=1.0)
    assert float(loss) == pytest.approx((pair_0 + pair_1 + pair_2) / 3)


def test_neither_labels_nor_scale_are_looked_at_and_the_margin_is():
    loss = cmp.batch_loss(SIMILARITY, LABEL, scale=1.0)
    assert cmp.batch_loss(SIMILARITY, 0 * LABEL, scale=50.0) == loss
    assert cmp.batch_loss(SIMILARITY, LABEL, scale=1.0, margin=0.5) < loss
