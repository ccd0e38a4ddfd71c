"""What every class objective promises about one batch."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from ncaudit import objectives
from ncaudit.core.losses.class_losses import ClassTargets

EVERY = pytest.mark.parametrize("name", objectives.by_class.names())


def loss_of(name: str, image: Tensor, text: Tensor, targets: ClassTargets, allowed: Tensor | None = None, **settings):
    return objectives.get_by_class(name, **settings).loss.of_rows(image, text, targets, allowed=allowed)


@EVERY
def test_images_and_captions_may_change_places(name, batch):
    image, text, targets, allowed = batch
    turned = loss_of(name, text, image, targets, allowed.T)
    assert_close(turned, loss_of(name, image, text, targets, allowed))


@EVERY
def test_the_order_of_the_pairs_does_not_matter(name, batch):
    image, text, targets, allowed = batch
    order = torch.randperm(8, generator=torch.Generator().manual_seed(3))
    moved = loss_of(name, image[order], text[order], targets.take(order), allowed[order][:, order])
    assert_close(moved, loss_of(name, image, text, targets, allowed))


@EVERY
def test_without_a_margin_an_unlabelled_pair_teaches_nothing(name, batch):
    image, text, targets, allowed = batch
    image.requires_grad_()
    loss = loss_of(name, image, text, targets, allowed, cmp_weight=0.0)
    loss.backward()
    assert (image.grad[-1] == 0).all()
    assert (image.grad[:-1] != 0).any(dim=1).all()
    labelled = torch.arange(7)
    alone = loss_of(name, image[:-1], text[:-1], targets.take(labelled), allowed[:-1, :-1], cmp_weight=0.0)
    assert_close(loss, alone)


@EVERY
def test_with_a_margin_an_unlabelled_pair_is_still_pulled_together(name, batch):
    image, text, targets, allowed = batch
    image.requires_grad_()
    loss_of(name, image, text, targets, allowed, cmp_weight=0.9).backward()
    assert (image.grad[-1] * text[-1]).sum() < 0


@EVERY
def test_a_batch_of_unlabelled_pairs_has_no_class_loss(name, batch):
    image, text, targets, _ = batch
    every = torch.full((3,), 7)
    assert loss_of(name, image[every], text[every], targets.take(every), cmp_weight=0.0) == 0


@EVERY
def test_whether_pairs_are_to_be_split_is_said(name):
    assert objectives.get_by_class(name).partitions in (True, False)


@EVERY
def test_gradients_are_right(name, batch):
    image, text, targets, allowed = batch
    settings = {"pseudo_label": "neighbours"} if "pseudo_label" in objectives.settings(name) else {}
    part = targets.part.clone()
    part[part == 1] = 0  # the hard loss holds its weight still: see the tests of core.class_losses
    targets = replace(targets, part=part)
    rows = (image.requires_grad_(), text.requires_grad_())
    assert torch.autograd.gradcheck(
        lambda u, v: loss_of(name, u, v, targets, allowed, cmp_weight=0.3, **settings), rows
    )
