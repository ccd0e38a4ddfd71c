import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.nn.functional import cross_entropy
from torch.testing import assert_close

from ncaudit.core.losses.pair_losses import (
    batch_infonce_loss,
    batch_negatives,
    complementary_loss,
    infonce_loss,
    ranking_loss,
    soft_infonce_loss,
    soft_margin,
)

POSITIVE = torch.tensor([0.5, 0.2])
IMAGE_TO_TEXT = torch.tensor([[0.4, 0.6, 0.1], [0.9, 0.0, 0.1]])
TEXT_TO_IMAGE = torch.tensor([[0.5, 0.0, 0.0], [0.1, 0.3, 0.0]])


def test_the_hardest_negative_of_each_direction_counts():
    # row 0: [.2-.5+.6] + [.2-.5+.5]; row 1: [.2-.2+.9] + [.2-.2+.3]
    loss = ranking_loss(POSITIVE, IMAGE_TO_TEXT, TEXT_TO_IMAGE, margin=0.2)
    assert_close(loss, torch.tensor([0.5, 1.2]))


def test_mean_negatives_average_the_hinges_not_the_similarities():
    # row 0: (.1+.3+0)/3 + (.2+0+0)/3; row 1: (.9+0+.1)/3 + (.1+.3+0)/3
    loss = ranking_loss(POSITIVE, IMAGE_TO_TEXT, TEXT_TO_IMAGE, margin=0.2, negatives="mean")
    assert_close(loss, torch.tensor([0.6, 1.4]) / 3)


def test_both_directions_use_the_rows_own_margin():
    loss = ranking_loss(POSITIVE, IMAGE_TO_TEXT, TEXT_TO_IMAGE, margin=torch.tensor([0.0, 0.2]))
    assert_close(loss, torch.tensor([0.1, 1.2]))


def test_no_margin_still_leaves_a_loss_where_a_negative_wins():
    assert ranking_loss(POSITIVE, IMAGE_TO_TEXT, TEXT_TO_IMAGE, margin=0.0)[0] > 0


def test_what_is_not_allowed_counts_in_neither_reduction():
    allowed = torch.tensor([[True, False, True], [False, True, True]])
    hardest = ranking_loss(POSITIVE, IMAGE_TO_TEXT, TEXT_TO_IMAGE, margin=0.2, allowed=allowed)
    assert_close(hardest, torch.tensor([0.1 + 0.2, 0.1 + 0.3]))
    mean = ranking_loss(POSITIVE, IMAGE_TO_TEXT, TEXT_TO_IMAGE, margin=0.2, allowed=allowed, negatives="mean")
    assert_close(mean, torch.tensor([0.05 + 0.1, 0.05 + 0.15]))


def test_each_direction_may_have_its_own_mask():
    image_allowed = torch.tensor([[True, False, False], [False, False, False]])
    masks = (image_allowed, torch.zeros(2, 3, dtype=torch.bool))
    loss = ranking_loss(POSITIVE, IMAGE_TO_TEXT, TEXT_TO_IMAGE, margin=0.2, allowed=masks)
    assert_close(loss, torch.tensor([0.1, 0.0]))


def test_infonce_is_the_mean_of_two_cross_entropies():
    loss = infonce_loss(POSITIVE[:1], IMAGE_TO_TEXT[:1, :2], TEXT_TO_IMAGE[:1, :1], scale=10.0)
    image = -math.log(math.exp(5) / (math.exp(5) + math.exp(4) + math.exp(6)))
    assert_close(loss, torch.tensor([(image + math.log(2)) / 2]))


@pytest.mark.parametrize("masked", [False, True])
def test_a_batch_at_once_gives_every_pairs_infonce_and_its_gradient(masked):
    draw = torch.Generator().manual_seed(0)
    similarity = torch.randn(6, 6, generator=draw, dtype=torch.float64).requires_grad_(True)
    allowed = torch.rand(6, 6, generator=draw) > 0.4 if masked else None
    if allowed is not None:
        allowed[2], allowed[:, 3] = False, False  # an image and a caption without any negative
    batch = batch_negatives(similarity, allowed)
    one = infonce_loss(*batch[:3], scale=5.0, allowed=batch.allowed)
    other = batch_infonce_loss(similarity, scale=5.0, allowed=allowed)
    assert_close(other, one)
    weight = torch.arange(6.0, dtype=torch.float64)
    gradients = [torch.autograd.grad((weight * loss).sum(), similarity)[0] for loss in (one, other)]
    assert_close(*gradients)


def test_infonce_of_a_batch_is_clips_loss():
    similarity = torch.randn(6, 6, generator=torch.Generator().manual_seed(0))
    truth = torch.arange(6)
    clip = (cross_entropy(7 * similarity, truth) + cross_entropy(7 * similarity.T, truth)) / 2
    batch = batch_negatives(similarity)
    assert_close(infonce_loss(*batch[:3], scale=7.0, allowed=batch.allowed).mean(), clip)


@pytest.mark.parametrize("columns", [0, 3])
def test_a_row_without_a_true_negative_has_no_loss_and_no_gradient(columns):
    positive = torch.tensor([0.1], requires_grad=True)
    negative = torch.full((1, columns), 0.9)
    allowed = torch.zeros(1, columns, dtype=torch.bool)
    similarities = (positive, negative, negative)
    hardest = ranking_loss(*similarities, margin=0.2, allowed=allowed)
    mean = ranking_loss(*similarities, margin=0.2, allowed=allowed, negatives="mean")
    infonce = infonce_loss(*similarities, scale=20.0, allowed=allowed)
    soft = {"label": torch.tensor([0.3]), "scale": 20.0, "allowed": allowed}
    uniform = soft_infonce_loss(*similarities, **soft)
    similar = soft_infonce_loss(*similarities, **soft, spread="similarity")
    complementary = complementary_loss(*similarities, scale=20.0, allowed=allowed)
    every = torch.cat([hardest, mean, infonce, uniform, similar, complementary])
    assert every.tolist() == [0] * 6
    every.sum().backward()
    assert positive.grad.item() == 0


def test_a_caption_of_the_same_photo_is_a_negative_in_neither_direction():
    similarity = torch.tensor([[0.5, 0.9, 0.1], [0.8, 0.5, 0.1], [0.0, 0.0, 0.5]])
    different_photo = torch.tensor([[True, False, True], [False, True, True], [True, True, True]])
    batch = batch_negatives(similarity, different_photo)
    assert_close(ranking_loss(*batch[:3], margin=0.2, allowed=batch.allowed), torch.zeros(3))


def test_an_asymmetric_mask_is_turned_for_the_captions():
    allowed = torch.tensor([[True, False], [True, True]])
    assert batch_negatives(torch.eye(2), allowed).allowed[1].tolist() == [[False, True], [False, False]]


@pytest.mark.parametrize("negatives", ["hardest", "mean", "infonce", "soft", "complementary"])
def test_gradients_are_right(negatives):
    draw = torch.Generator().manual_seed(3)
    similarity = torch.randn(4, 4, generator=draw, dtype=torch.float64, requires_grad=True)
    allowed = torch.rand(4, 4, generator=draw) > 0.3
    margin = torch.rand(4, generator=draw, dtype=torch.float64)

    def loss(matrix):
        batch = batch_negatives(matrix, allowed)
        if negatives == "infonce":
            return infonce_loss(*batch[:3], scale=3.0, allowed=batch.allowed)
        if negatives == "soft":
            return soft_infonce_loss(*batch[:3], label=margin, scale=3.0, allowed=batch.allowed)
        if negatives == "complementary":
            return complementary_loss(*batch[:3], scale=3.0, allowed=batch.allowed)
        return ranking_loss(*batch[:3], margin=margin, allowed=batch.allowed, negatives=negatives)

    assert gradcheck(loss, (similarity,))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000))
def test_a_better_positive_never_raises_a_loss_and_no_loss_is_negative(seed):
    draw = torch.Generator().manual_seed(seed)
    positive, i2t, t2i = (torch.rand(5, *shape, generator=draw) for shape in ((), (4,), (4,)))
    for loss in (
        lambda s: ranking_loss(s, i2t, t2i, margin=0.2),
        lambda s: ranking_loss(s, i2t, t2i, margin=0.2, negatives="mean"),
        lambda s: infonce_loss(s, i2t, t2i, scale=20.0),
        lambda s: complementary_loss(s, i2t, t2i, scale=20.0),
    ):
        assert (loss(positive) >= 0).all()
        assert (loss(positive + 0.1) <= loss(positive)).all()


def test_the_soft_margin_runs_from_none_to_full():
    middle = 0.2 * (10**0.5 - 1) / 9
    assert_close(soft_margin(torch.tensor([0.0, 0.5, 1.0]), margin=0.2), torch.tensor([0.0, middle, 0.2]))


def test_the_soft_target_is_the_label_and_the_rest_is_shared_by_the_negatives():
    # -log softmax of (5, 4, 6) and (5, 5), the positive first; times .7 and .15 each, or .7 and .3
    image = torch.tensor([5.0, 4.0, 6.0]).log_softmax(0) @ torch.tensor([0.7, 0.15, 0.15])
    loss = soft_infonce_loss(
        POSITIVE[:1], IMAGE_TO_TEXT[:1, :2], TEXT_TO_IMAGE[:1, :1], label=torch.tensor([0.7]), scale=10.0
    )
    assert_close(loss, torch.stack([(-image + math.log(2)) / 2]))


def test_by_similarity_the_rest_is_shared_like_the_softmax_of_the_negatives():
    share = torch.tensor([4.0, 6.0]).softmax(0)
    image = torch.tensor([5.0, 4.0, 6.0]).log_softmax(0) @ torch.cat([torch.tensor([0.7]), 0.3 * share])
    loss = soft_infonce_loss(
        POSITIVE[:1], IMAGE_TO_TEXT[:1, :2], TEXT_TO_IMAGE[:1, :1], label=torch.tensor([0.7]), scale=10.0,
        spread="similarity",
    )  # fmt: skip
    assert_close(loss, torch.stack([(-image + math.log(2)) / 2]))


def test_the_soft_target_of_masked_and_of_absent_columns_is_the_same():
    allowed = torch.tensor([[True, False, True], [True, False, True]])
    columns = [0, 2]
    for spread in ("uniform", "similarity"):
        soft = {"label": torch.tensor([0.2, 0.9]), "scale": 5.0, "spread": spread}
        masked = soft_infonce_loss(POSITIVE, IMAGE_TO_TEXT, TEXT_TO_IMAGE, allowed=allowed, **soft)
        absent = soft_infonce_loss(POSITIVE, IMAGE_TO_TEXT[:, columns], TEXT_TO_IMAGE[:, columns], **soft)
        assert_close(masked, absent)


def test_the_complementary_loss_sums_over_the_negatives():
    # image: p = 1/4 and 1/2 beside the pair's 1/4; caption: p = 1/2 beside 1/2
    positive, i2t, t2i = torch.zeros(1), torch.tensor([[0.0, math.log(2)]]), torch.zeros(1, 1)
    loss = complementary_loss(positive, i2t, t2i, scale=1.0)
    assert_close(loss, torch.tensor([(math.log(4 / 3) + math.log(2) + math.log(2)) / 2]))


@pytest.mark.parametrize("lead", [-2.0, -0.2, 0.0, 0.1, 0.2, 1.0, 2.0])
def test_the_complementary_loss_and_its_gradient_hold_in_float32_at_scale_100(lead):
    """Against the definition in exact enough numbers: 1 - p_j summed from the other columns, never subtracted."""
    negative = [lead, 0.0, -0.3]  # the positive is 0
    powers = [math.exp(100 * s) for s in [0.0, *negative]]
    expected = sum(math.log(sum(powers) / (sum(powers) - power)) for power in powers[2:])
    expected += math.log1p(powers[1] / (powers[0] + powers[2] + powers[3]))
    positive = torch.zeros(1, requires_grad=True)
    row = torch.tensor([negative], requires_grad=True)
    loss = complementary_loss(positive, row, row, scale=100.0)
    loss.backward()
    assert_close(loss, torch.tensor([expected]), rtol=1e-5, atol=1e-6)
    assert row.grad.isfinite().all()
    assert row.grad[0, 0] > 50 or lead <= 0  # a winning negative is pushed however far ahead it is
    assert positive.grad.item() <= 0


def test_the_complementary_loss_pulls_the_positive_through_the_softmax_only():
    draw = torch.Generator().manual_seed(5)
    positive, i2t, t2i = (torch.randn(6, *m, generator=draw, dtype=torch.float64) for m in ((), (4,), (4,)))
    positive.requires_grad_()
    complementary_loss(positive, i2t, t2i, scale=3.0).sum().backward()
    pull = 0
    for negative in (i2t, t2i):
        p = (3 * torch.cat([positive.detach()[:, None], negative], dim=1)).softmax(dim=1)
        one = 3 * p[:, 0] * (p[:, 1:] / (1 - p[:, 1:])).sum(dim=1) / 2
        assert (one <= 3 * (1 - p[:, 0]) / 2).all()  # InfoNCE's
        pull = pull + one
    assert_close(-positive.grad, pull)
