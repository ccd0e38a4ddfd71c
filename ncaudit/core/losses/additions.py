"""What may be asked beside a loss: easier pairs first, equal geometry of both sides, likely matches as no negatives.

Knows rows, similarities and losses as tensors; nothing of objectives, batches or optimisers.
"""

from math import pi
from typing import Any

import torch
from torch import Tensor

from ncaudit.core.losses.by_formula import flat_places, not_negatives

NULL_PAIRS = (
    16_384  # of a batch's random pairs that tell how random ones compare: sorting a million takes a step's time
)
PRODUCT_PARTS = 4  # that the rows are dealt into: what is the same on both sides of the diagonal is multiplied once


def self_paced_weight(loss: Tensor, *, limit: float | Tensor) -> Tensor:
    """cos(pi loss / (2 limit)), 1 at loss 0, falling to 0 at `limit` and above. Same shape back, without gradient.

    loss: >= 0; limit: > 0, one number or one per pair. It never rises with the loss. The weight w that is least for
    w loss + R(w), where R(w) = -(2/pi) limit (w arccos w - sqrt(1 - w^2)). RRSITR (CVPR 2026), whose second and third
    branch are left out: with them a worse pair could count more.

    >>> self_paced_weight(torch.tensor([0.0, 1.0, 4 / 3, 2.0, 9.0]), limit=2.0)
    tensor([1.0000, 0.7071, 0.5000, 0.0000, 0.0000])
    """
    share = (loss.detach() / limit).nan_to_num(nan=1.0).clamp(max=1)  # a pair without negatives: 0 / 0
    return torch.cos(share * pi / 2).clamp(min=0).masked_fill(share >= 1, 0)


def chance_loss(similarity: Tensor, allowed: Tensor | None = None) -> Tensor:
    """InfoNCE of a pair that is one among its negatives: log(1 + their number), mean of both directions, (n,).

    Of a batch of n in which all others are true negatives: log n.

    >>> chance_loss(torch.zeros(3, 3)).exp()
    tensor([3., 3., 3.])
    """
    nobody = not_negatives(similarity, allowed).to(similarity)  # sums of booleans take ten times as long
    image, text = (torch.log1p(len(nobody) - nobody.sum(dim=dim)) for dim in (1, 0))
    return (image + text) / 2


def structure_loss(image: Tensor, text: Tensor) -> Tensor:
    """Mean over i and j of (image_i . image_j - text_i . text_j)^2: 0 where both sides have the same geometry.

    image, text: (n, d) and (n, d') unit rows. Returns a scalar >= 0. Turning one side as a whole changes nothing. No
    pair is asked whether it belongs together across the sides. GSC (CVPR 2024) and others share it.

    >>> image = torch.tensor([[1.0, 0.0], [0.8, 0.6]])  # cosine .8
    >>> text = torch.tensor([[1.0, 0.0], [0.2, 0.96**0.5]])  # cosine .2: 2 * .6^2 / 4
    >>> structure_loss(image, text)
    tensor(0.1800)
    """
    found: Tensor = _Structure.apply(image, text)
    return found


class _Structure(torch.autograd.Function):
    """Both sides' similarities apart, and the slope by their symmetry: four products where autograd makes six."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, text: Tensor) -> Tensor:
        apart = _apart(image, text)
        ctx.save_for_backward(image, text, apart)
        return apart.square().mean()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        image, text, apart = ctx.saved_tensors
        slope = 4 * gradients[0] / apart.numel()
        return (apart @ image).mul_(slope), (apart @ text).mul_(-slope)


def _apart(image: Tensor, text: Tensor) -> Tensor:
    """image @ image.T - text @ text.T, (n, n)."""
    rows = len(image)
    apart = image.new_empty(rows, rows)
    size = max(1, -(-rows // PRODUCT_PARTS)) if image.device.type == "cpu" else max(1, rows)
    for start in range(0, rows, size):
        here, after = slice(start, start + size), slice(start + size, rows)
        part = apart[here, start:]
        torch.mm(image[here], image[start:].T, out=part)
        part.addmm_(text[here], text[start:].T, alpha=-1)
        apart[after, here] = apart[here, after].T
    return apart


def unlike_matches(similarity: Tensor, *, share: float, allowed: Tensor | None = None) -> Tensor:
    """(n, n) bool: false where two that are no pair compare better than all but `share` of the batch's random pairs.

    similarity: (n, n), row = image; share: in (0, 1); allowed: (n, n) bool, which stays false where it is. Random pairs
    are the batch's own: every image beside the captions of others, at most NULL_PAIRS of them, evenly taken. PTA (a
    submission of 2025) compares with shuffled pairs, too. Where all random pairs are alike, none is left out.

    >>> similarity = torch.tensor([[0.5, 0.1, 0.9], [0.1, 0.5, 0.1], [0.1, 0.1, 0.5]])
    >>> unlike_matches(similarity, share=0.2)  # image 0 and caption 2 look like a match
    tensor([[False,  True, False],
            [ True, False,  True],
            [ True,  True, False]])
    """
    similarity, nobody = similarity.detach(), not_negatives(similarity, allowed)
    bound = null_quantile(_random_pairs(similarity, nobody), share)
    return (similarity <= bound).masked_fill_(nobody, False)


def _random_pairs(similarity: Tensor, nobody: Tensor) -> Tensor:
    """At most NULL_PAIRS of the entries where `nobody` is false, evenly taken along the rows."""
    out = flat_places(nobody)
    left = similarity.numel() - len(out)
    number = torch.arange(0, left, max(1, -(-left // NULL_PAIRS)), device=out.device)
    # so many are left before each that is out; so the entry of a number lies as many places later as are out before it
    before = out - torch.arange(len(out), device=out.device)
    return similarity.flatten()[number + torch.searchsorted(before, number, right=True)]


def null_quantile(null: Tensor, share: float) -> Tensor:
    """What all but `share` of random pairs' similarities, (m,), do not exceed: their linear quantile, a scalar.

    >>> null_quantile(torch.tensor([0.4, 0.0, 0.1, 0.3, 0.2]), 0.2)  # between .3 and .4
    tensor(0.3200)
    """
    if len(null) == 0:
        return null.new_tensor(torch.inf)
    return torch.quantile(null[:: -(-len(null) // NULL_PAIRS)], 1 - share)
