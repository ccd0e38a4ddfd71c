import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.testing import assert_close

from ncaudit.core.losses import robust_losses
from ncaudit.core.losses.pair_losses import complementary_loss, weighted_mean

PAIRS = 5
LOSSES = {
    "gce": lambda s, **k: robust_losses.generalised_cross_entropy_loss(s, exponent=0.7, **k),
    "sce": lambda s, **k: robust_losses.symmetric_cross_entropy_loss(s, reverse_weight=4.0, **k),
    "rince": lambda s, **k: robust_losses.rince_loss(s, exponent=0.3, negatives_weight=0.2, **k),
    "tal": lambda s, scale, **k: robust_losses.triplet_alignment_loss(s, margin=0.2, temperature=1 / scale, **k),
    "crcl": lambda s, **k: robust_losses.active_complementary_loss(
        s, torch.linspace(0, 1, PAIRS, dtype=torch.float64), complement_weight=5.0, **k
    ),
}
EVERY = pytest.mark.parametrize("loss_of", LOSSES.values(), ids=LOSSES)


def similarities(seed: int = 0) -> Tensor:
    return torch.randn(PAIRS, PAIRS, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@EVERY
def test_gradients_are_right(loss_of):
    assert gradcheck(lambda s: loss_of(s, scale=2.0), similarities().requires_grad_())


@EVERY
def test_a_mask_of_everything_is_no_mask(loss_of):
    every = torch.ones(PAIRS, PAIRS, dtype=torch.bool)
    assert_close(loss_of(similarities(), scale=2.0, allowed=every), loss_of(similarities(), scale=2.0))


@EVERY
def test_an_image_without_negatives_leaves_its_captions_direction(loss_of):
    none = torch.zeros(PAIRS, PAIRS, dtype=torch.bool)
    one = none.clone()
    one[1, 0] = True  # a negative image of caption 0; image 0 has no negative caption
    similarity = similarities().requires_grad_()
    found = loss_of(similarity, scale=2.0, allowed=one)
    assert found[0] != 0
    assert (found[2:] == 0).all()
    found.sum().backward()
    assert similarity.grad.isfinite().all()
    assert (loss_of(similarity, scale=2.0, allowed=none) == 0).all()


@pytest.mark.parametrize("name", ["gce", "sce", "tal", "crcl"])
def test_the_better_a_pair_fits_the_less_it_costs(name):
    ever_better = []
    for own in torch.linspace(-2, 2, 9, dtype=torch.float64):
        similarity = similarities()
        similarity[0, 0] = own
        ever_better.append(float(LOSSES[name](similarity, scale=2.0)[0]))
    assert ever_better == sorted(ever_better, reverse=True)


def test_no_gce_is_above_its_bound_however_hopeless_the_pair():
    hopeless = -torch.eye(PAIRS, dtype=torch.float64)
    assert_close(LOSSES["gce"](hopeless, scale=100.0), torch.full((PAIRS,), 1 / 0.7, dtype=torch.float64))


def test_a_pair_without_negatives_is_not_pushed_apart_by_its_doubt():
    positive, negative = torch.ones(2, requires_grad=True), torch.zeros(2, 3)
    allowed = torch.tensor([[False, False, False], [True, False, False]])
    doubt = torch.ones(2)
    found = complementary_loss(positive, negative, negative, scale=1.0, allowed=allowed, doubt=doubt)
    assert found[0] == 0
    assert found[1] > complementary_loss(positive, negative, negative, scale=1.0, allowed=allowed)[1] > 0
    found.sum().backward()
    assert positive.grad.isfinite().all()
    assert positive.grad[0] == 0


def test_weights_that_are_all_0_teach_nothing():
    assert weighted_mean(torch.ones(3), torch.zeros(3)) == 0
