"""What every objective that asks for labels promises about one batch; those by class: see by_class."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from ncaudit import objectives
from ncaudit.core.losses import by_formula, pair_losses, robust_losses

OF_LABELS = sorted(set(objectives.names()) - set(objectives.by_class.names()))
# settings that make another loss of one; spread "similarity" has no true gradient, for its target is taken as it stands
VARIANTS = {
    "rcl, push": {"doubted": "push"},
    "rince, 1": {"negatives_weight": 1.0},
}
MAY_BE_NEGATIVE = {"rince"}  # its smallest value is not 0: only differences of it mean anything
EVERY = pytest.mark.parametrize("name", [*OF_LABELS, *VARIANTS])
PAIRS = 6


def loss_of(
    name: str, similarity: Tensor, label: Tensor, *, scale: float | Tensor = 3.0, allowed: Tensor | None = None
):
    objective = objectives.get(name.partition(",")[0], **VARIANTS.get(name, {}))
    return objective.batch_loss(similarity, label, scale=scale, allowed=allowed)


def batch(seed: int, n: int = PAIRS) -> tuple[Tensor, Tensor, Tensor]:
    """Cosines, labels, and a mask that is not the same for both directions."""
    generator = torch.Generator().manual_seed(seed)
    similarity = 2 * torch.rand(n, n, dtype=torch.float64, generator=generator) - 1
    label = torch.rand(n, dtype=torch.float64, generator=generator)
    return similarity, label, torch.rand(n, n, generator=generator) > 0.3


@EVERY
def test_gradients_are_right_with_not_all_columns_negatives(name):
    similarity, label, allowed = batch(0)
    scale = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    similarity.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda s, t: loss_of(name, s, label, scale=t, allowed=allowed) + 0 * t, (similarity, scale)
    )


@EVERY
@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), order=st.permutations(range(PAIRS)))
def test_the_order_of_the_pairs_does_not_matter(name, seed, order):
    similarity, label, allowed = batch(seed)
    moved = loss_of(name, similarity[order][:, order], label[order], allowed=allowed[order][:, order])
    assert_close(moved, loss_of(name, similarity, label, allowed=allowed))


@EVERY
def test_images_and_captions_may_change_places(name):
    similarity, label, allowed = batch(1)
    turned = loss_of(name, similarity.T, label, allowed=allowed.T)
    assert_close(turned, loss_of(name, similarity, label, allowed=allowed))


@EVERY
@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000))
def test_what_is_no_true_negative_has_neither_influence_nor_gradient(name, seed):
    similarity, label, allowed = batch(seed)
    masked = ~allowed & ~torch.eye(PAIRS, dtype=torch.bool)
    similarity.requires_grad_()
    loss = loss_of(name, similarity, label, allowed=allowed)
    assert loss == loss_of(name, similarity.masked_fill(masked, 1e6), label, allowed=allowed)
    loss.backward()
    assert (similarity.grad[masked] == 0).all()


@EVERY
def test_a_pair_is_never_its_own_negative_whatever_the_mask_says(name):
    similarity, label, allowed = batch(2)
    own = torch.eye(PAIRS, dtype=torch.bool)
    assert loss_of(name, similarity, label, allowed=allowed | own) == loss_of(
        name, similarity, label, allowed=allowed & ~own
    )


@EVERY
@pytest.mark.parametrize("n", [1, 3])
def test_a_batch_without_any_negative_teaches_nothing(name, n):
    similarity, label, _ = batch(3, n)
    similarity.requires_grad_()
    loss = loss_of(name, similarity, label, allowed=torch.zeros(n, n, dtype=torch.bool))
    loss.backward()
    assert loss == 0
    assert (similarity.grad == 0).all()


@EVERY
def test_a_batch_twice_over_is_no_steeper_than_once(name):  # one learning rate for batches of any size
    similarity, label, allowed = batch(4)
    none = torch.zeros_like(allowed)
    twice = torch.cat([torch.cat([allowed, none], dim=1), torch.cat([none, allowed], dim=1)])
    assert_close(
        loss_of(name, similarity.repeat(2, 2), label.repeat(2), allowed=twice),
        loss_of(name, similarity, label, allowed=allowed),
    )


@EVERY
@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000))
def test_trusted_pairs_are_pulled_together(name, seed):
    similarity, _, allowed = batch(seed)
    similarity.requires_grad_()
    loss_of(name, similarity, torch.ones(PAIRS, dtype=torch.float64), allowed=allowed).backward()
    assert (similarity.grad.diagonal() <= 0).all()
    assert similarity.grad.diagonal().sum() < 0


@EVERY
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("matrix", [torch.eye(4), -torch.eye(4), 1 - 2 * torch.eye(4), torch.ones(4, 4)])
def test_float32_at_clips_largest_scale_is_exact_and_not_below_zero_where_zero_is_the_least(name, matrix, value):
    similarity = matrix.clone().requires_grad_()
    label = torch.full((4,), value)
    loss = loss_of(name, similarity, label, scale=100.0)
    loss.backward()
    exact = loss_of(name, matrix.double(), label.double(), scale=100.0)
    assert loss.dtype == torch.float32
    assert loss >= 0 or name in MAY_BE_NEGATIVE
    assert similarity.grad.isfinite().all()
    assert_close(loss.double(), exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", sorted(MAY_BE_NEGATIVE))
def test_what_may_be_negative_is(name):
    assert loss_of(name, torch.eye(4), torch.ones(4)) < 0


@EVERY
def test_which_pairs_are_learnt_from_is_a_mask_and_a_trusted_pair_is(name):
    label = np.array([1.0, 0.0, 0.3, 1.0], dtype=np.float32)
    taught = objectives.get(name.partition(",")[0]).trains_on(label)
    assert (taught.shape, taught.dtype) == (label.shape, np.bool_)
    assert taught[label == 1].all()


@EVERY
def test_every_objective_computes_a_loss_that_the_core_has(name, monkeypatch):
    called = []

    def spied(own, real):
        return lambda *a, **k: called.append(own) or real(*a, **k)

    for module in (by_formula, pair_losses, robust_losses):
        for own in [own for own in dir(module) if own.endswith("_loss")]:
            monkeypatch.setattr(module, own, spied(own, getattr(module, own)))
    similarity, label, allowed = batch(5)
    loss_of(name, similarity, label, allowed=allowed)
    assert called
