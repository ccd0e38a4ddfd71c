import pytest
import torch
from torch.testing import assert_close

from ncaudit.core.losses.pair_losses import batch_negatives, ranking_loss
from ncaudit.objectives import bicro

SIMILARITY = torch.tensor([[0.5, 0.4, 0.1], [0.6, 0.6, 0.2], [0.0, 0.5, 0.35]], dtype=torch.float64)


def label(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_each_pair_has_its_own_margin_in_both_directions_worked_by_hand():
    half = 0.2 * (10**0.5 - 1) / 9  # 0.048: the margin of label .5
    pair_0 = (0.2 - 0.5 + 0.4) + (0.2 - 0.5 + 0.6)  # label 1: captions .4, .1; images .6, .0
    pair_1 = (half - 0.6 + 0.6) + 0  # captions .6, .2; images .4, .5: even the margin leaves none (.5 + half < .6)
    pair_2 = 0.15  # label 0: captions .0, .5 above .35; images .1, .2 below it
    loss = bicro.batch_loss(SIMILARITY, label(1, 0.5, 0), scale=1.0)
    assert float(loss) == pytest.approx((pair_0 + pair_1 + pair_2) / 3)


def test_the_settings_worked_by_hand():
    # m = 3, margin .4: label .5 has .4 (3^.5 - 1) / 2 = .146, label 1 has .4
    half = 0.2 * (3**0.5 - 1)
    pair_0 = (0.4 - 0.5 + 0.4) + (0.4 - 0.5 + 0.6)
    pair_1 = half + (half - 0.6 + 0.5)
    pair_2 = 0.15
    loss = bicro.batch_loss(SIMILARITY, label(1, 0.5, 0), scale=1.0, margin=0.4, margin_base=3.0)
    assert float(loss) == pytest.approx((pair_0 + pair_1 + pair_2) / 3)


@pytest.mark.parametrize("margin", [0.2, 0.5])
def test_labels_of_one_give_the_hard_margin_ranking_loss(margin):
    batch = batch_negatives(SIMILARITY)
    hard = ranking_loss(*batch[:3], margin=margin, allowed=batch.allowed).mean()
    assert_close(bicro.batch_loss(SIMILARITY, label(1, 1, 1), scale=1.0, margin=margin), hard)


def test_labels_of_zero_leave_no_margin_but_a_loss_that_still_pulls():
    batch = batch_negatives(SIMILARITY)
    similarity = SIMILARITY.clone().requires_grad_()
    loss = bicro.batch_loss(similarity, label(0, 0, 0), scale=1.0)
    loss.backward()
    assert_close(loss, ranking_loss(*batch[:3], margin=0.0, allowed=batch.allowed).mean())
    assert loss > 0
    assert similarity.grad[2, 2] < 0


def test_only_the_hardest_negative_is_pushed():
    similarity = SIMILARITY.clone().requires_grad_()
    bicro.batch_loss(similarity, label(0, 0, 0), scale=1.0).backward()
    # pair 0: caption side only, image 1 (.6); pair 1: none above .6; pair 2: image side only, caption 1 (.5)
    expected = torch.tensor([[-1.0, 0, 0], [1, 0, 0], [0, 1, -1]], dtype=torch.float64) / 3
    assert_close(similarity.grad, expected)


def test_a_higher_label_never_lowers_the_loss():
    losses = [float(bicro.batch_loss(SIMILARITY, label(*3 * [value]), scale=1.0)) for value in (0, 0.3, 0.6, 0.9, 1)]
    assert losses == sorted(losses)
    assert losses[0] < losses[-1]


def test_the_scale_is_not_looked_at():
    trust = label(1, 0.5, 0)
    assert bicro.batch_loss(SIMILARITY, trust, scale=1.0) == bicro.batch_loss(SIMILARITY, trust, scale=100.0)
