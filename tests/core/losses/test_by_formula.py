"""The losses of a whole batch are those of its pairs, and so are their gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from ncaudit.core.losses import by_formula, pair_losses
from ncaudit.core.losses.robust_losses import active_complementary_loss

PAIRS = 7
RANKING = {"mean ranking": "mean", "hardest ranking": "hardest"}
LABEL = torch.linspace(0, 1, PAIRS, dtype=torch.float64)
DOUBT = {"complementary": None, "complementary with doubt": 1 - LABEL}


def general(name: str, similarity: Tensor, scale: Tensor, allowed: Tensor) -> Tensor:
    """As the pairs' own losses have it, derived by autograd."""
    negatives = pair_losses.batch_negatives(similarity, allowed)
    given = {"allowed": negatives.allowed}
    if name in RANKING:
        return pair_losses.ranking_loss(*negatives[:3], margin=LABEL, negatives=RANKING[name], **given) + 0 * scale
    if name in DOUBT:
        return pair_losses.complementary_loss(*negatives[:3], scale=scale, doubt=DOUBT[name], **given)
    if name == "soft infonce":
        return pair_losses.soft_infonce_loss(*negatives[:3], label=LABEL, scale=scale, **given)
    logits = (scale * similarity).masked_fill(~(negatives.allowed[0] | torch.eye(PAIRS, dtype=torch.bool)), -torch.inf)
    return sum(active(logits.log_softmax(dim=dim), dim) for dim in (0, 1))


def active(log_p: Tensor, dim: int) -> Tensor:
    tangent, own = log_p.exp().tan(), log_p.diagonal()
    others = tangent.sum(dim=dim) - tangent.diagonal()
    return 5 * others / tangent.sum(dim=dim) ** (1 - LABEL) - LABEL * own


def at_once(name: str, similarity: Tensor, scale: Tensor, allowed: Tensor) -> Tensor:
    if name in RANKING:
        found = by_formula.batch_ranking_loss(similarity, margin=LABEL, allowed=allowed, negatives=RANKING[name])
        return found + 0 * scale
    if name in DOUBT:
        return by_formula.batch_complementary_loss(similarity, scale=scale, allowed=allowed, doubt=DOUBT[name])
    if name == "soft infonce":
        return by_formula.batch_soft_infonce_loss(similarity, LABEL, scale=scale, allowed=allowed)
    return active_complementary_loss(similarity, LABEL, scale=scale, complement_weight=5.0, allowed=allowed)


EVERY = pytest.mark.parametrize("name", [*RANKING, *DOUBT, "soft infonce", "active complementary"])


@EVERY
@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), scale=st.sampled_from([0.5, 3.0, 20.0]))
def test_a_batch_at_once_gives_every_pairs_loss_and_gradients(name, seed, scale):
    draw = torch.Generator().manual_seed(seed)
    similarity = (2 * torch.rand(PAIRS, PAIRS, generator=draw, dtype=torch.float64) - 1).requires_grad_()
    allowed = torch.rand(PAIRS, PAIRS, generator=draw) > 0.4
    allowed[2], allowed[:, 3] = False, False  # an image and a caption without any negative
    temperature = torch.tensor(scale, dtype=torch.float64, requires_grad=True)
    weight = torch.rand(PAIRS, generator=draw, dtype=torch.float64)
    expected, found = (of(name, similarity, temperature, allowed) for of in (general, at_once))
    assert_close(found, expected)
    slopes = [torch.autograd.grad((weight * loss).sum(), (similarity, temperature)) for loss in (expected, found)]
    assert_close(slopes[1], slopes[0])


@EVERY
def test_the_gradient_may_be_asked_twice(name):
    similarity = torch.rand(PAIRS, PAIRS, dtype=torch.float64).requires_grad_()
    loss = at_once(name, similarity, torch.tensor(3.0), torch.ones(PAIRS, PAIRS, dtype=torch.bool)).sum()
    first, second = (torch.autograd.grad(loss, similarity, retain_graph=True)[0] for _ in range(2))
    assert_close(first, second, rtol=0, atol=0)


@EVERY
def test_the_similarities_stay_as_they_are(name):
    similarity = torch.rand(PAIRS, PAIRS, dtype=torch.float64)
    before = similarity.clone()
    at_once(name, similarity, torch.tensor(1.0), torch.ones(PAIRS, PAIRS, dtype=torch.bool))
    assert (similarity == before).all()


def test_negatives_that_are_equally_hard_share_the_slope():
    similarity = torch.tensor([[0.5, 0.4, 0.4], [0.1, 0.9, 0.4], [0.1, 0.4, 0.9]], requires_grad=True)
    by_formula.batch_ranking_loss(similarity, margin=0.2).sum().backward()
    # image 0 lacks .1 to both captions; caption 1 is at least .3 ahead of every image, as are the others
    assert_close(similarity.grad, torch.tensor([[-1.0, 0.5, 0.5], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))


@pytest.mark.parametrize("lead", [-2.0, -0.2, 0.0, 0.1, 0.2, 1.0, 2.0])
def test_a_negative_that_leads_by_two_hundred_logits_is_as_exact_in_float32(lead):
    similarity = torch.tensor([[0.0, lead, -0.3], [-0.3, 0.0, 0.1], [0.2, -0.1, 0.0]], requires_grad=True)
    exact = similarity.detach().double().requires_grad_()
    found, expected = (by_formula.batch_complementary_loss(s, scale=100.0) for s in (similarity, exact))
    assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
    found.sum().backward()
    expected.sum().backward()
    assert_close(similarity.grad.double(), exact.grad, rtol=1e-4, atol=1e-5)
