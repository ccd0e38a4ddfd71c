"""Where heads begin: at the canonical correlations of weighted pairs, or as the identity; and at which temperature.

Knows embeddings and labels as tensors; nothing of files or of the training that follows.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from ncaudit.core.cca import Features, Ridge, fit_features, fit_maps
from ncaudit.core.correspondence.contrast import likeliest_scale
from ncaudit.core.neighbours.bank import Bank
from ncaudit.matchers.heads.projection import Head, Heads, Side

RIDGE: Ridge = (3.0, 2.0)  # of the photos and the captions: the middle of what scoring chooses from
CCA_DIMS = 128
JITTER = 0.1
TRUSTED = 0.5  # pairs of a higher label tell the temperature; noise would make every one look loose


def cca_start(image: Tensor, text: Tensor, label: Tensor, *, dims: int = CCA_DIMS, hidden: int | None = None) -> Heads:
    """Heads whose cosine is that of the canonical directions of the pairs, each weighted by its label.

    image: (n, d), text: (n, d') float; the two encoders need not know of each other. label: (n,) in [0, 1], their sum
    above 0. dims: directions kept; there are no more than the smaller side has, nor than MOST_FEATURES of `core.cca`.
    """
    sides = (fit_features(image), fit_features(text))
    maps = fit_maps(sides[0].of(image), sides[1].of(text), label, sides, [RIDGE], dims)
    weights = (maps.image[:, 0], maps.text[:, 0])
    shapes = [Side(len(side.mean), side.basis.shape[1], side.root) for side in sides]
    heads = Heads(shapes[0], shapes[1], dims=weights[0].shape[1], hidden=hidden)
    _begin_at(heads.image_side, sides[0], weights[0])
    _begin_at(heads.text_side, sides[1], weights[1])
    return heads


def identity_start(width: int, *, hidden: int | None = None) -> Heads:
    """Heads that give unit rows back as they are: for embeddings that share a space already, both (n, width)."""
    heads = Heads(Side(width), Side(width), dims=width, hidden=hidden)
    with torch.no_grad():
        for side in (heads.image_side, heads.text_side):
            nn.init.eye_(side.linear.weight)
    return heads


@torch.no_grad()
def jitter(heads: Heads) -> None:
    """Move the maps a little, at random: of identities, each would be the same network. Draws from torch's generator.

    An embedding's image moves by about JITTER of its length, in no particular direction.
    """
    for side in (heads.image_side, heads.text_side):
        weight = side.linear.weight
        weight.add_(torch.randn_like(weight) * JITTER / weight.shape[1] ** 0.5)


@torch.no_grad()
def begin_at_likeliest_scale(heads: Heads, pairs: Bank, label: Tensor) -> None:
    """Set the temperature to the likeliest one on these pairs. pairs: raw embeddings, in random order; label: (n,)."""
    sure = label >= TRUSTED
    pairs = pairs.take(sure) if int(sure.sum()) > 1 else pairs
    scale = likeliest_scale(replace(pairs, image=heads.image(pairs.image), text=heads.text(pairs.text)))
    heads.logit_scale.fill_(scale).log_()


@torch.no_grad()
def _begin_at(head: Head, features: Features, directions: Tensor) -> None:
    """Scaled so that rows leave the map with a length near 1, as in `identity_start`: one learning rate fits both."""
    head.mean.copy_(features.mean)
    head.basis.copy_(features.basis)
    length = (features.spectrum[:, None] * directions**2).sum().sqrt()  # root of the mean square, over the rows
    head.linear.weight.copy_((directions / length.clamp(min=1e-12)).T)
