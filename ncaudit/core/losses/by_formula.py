"""Losses of a batch at once whose gradients are written down, not derived: the same numbers in a fraction of the time.

A step of linear heads is little more than its loss: every n x n copy that autograd makes and keeps shows. Here each
direction gives its pairs' losses together with their derivatives, and works in place.
Knows similarities and which columns are true negatives; nothing of embeddings, batches or optimisers. Arguments as in
`pair_losses.batch_infonce_loss`; what each loss is stands beside its general form there and in `robust_losses`.
"""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

Direction = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]


def both_directions(matrix: Tensor, direction: Direction, allowed: Tensor | None) -> Tensor:
    """The sum of both directions' losses, (n,), of an (n, n) matrix: similarities or logits, row = image.

    direction: of the matrix with -inf for all but true negatives, which it must not change, of its diagonal, (n,), and
    of the dimension over which a pair's columns lie (1: of an image, 0: of a caption), the losses, (n,), and the
    derivatives by the matrix, (n, n), of each pair's own loss. No gradient flows into what else it uses.
    """
    found: Tensor = _BothDirections.apply(matrix, direction, not_negatives(matrix, allowed))
    return found


class _BothDirections(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, matrix: Tensor, direction: Direction, nobody: Tensor) -> Tensor:
        negative, own = matrix.masked_fill(nobody, -torch.inf), matrix.diagonal()
        image, by_row = direction(negative, own, 1)
        text, by_column = direction(negative, own, 0)
        ctx.save_for_backward(by_row, by_column)
        return image + text

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        by_row, by_column = ctx.saved_tensors
        (gradient,) = gradients
        return (by_row * gradient[:, None]).addcmul_(by_column, gradient[None, :]), None, None


class _Hardest(torch.autograd.Function):
    """[margin - own + the largest negative's]_+ of both directions. Two numbers of a row have a slope, and its pair's:
    only these are kept. Of several negatives that are largest each has its part."""

    @staticmethod
    def forward(ctx: Any, similarity: Tensor, margin: float | Tensor, nobody: Tensor) -> Tensor:
        negative, room = similarity.masked_fill(nobody, -torch.inf), margin - similarity.diagonal()
        ways = [_hinge(negative, room, dim) for dim in (1, 0)]
        ctx.save_for_backward(*(kept for _, *where in ways for kept in where))
        return ways[0][0] + ways[1][0]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,), kept = gradients, ctx.saved_tensors
        slope = gradient.new_zeros(len(gradient), len(gradient))
        for place, pair, part in (kept[:3], kept[3:]):
            pulled = gradient[pair] * part
            slope.view(-1).index_add_(0, place, pulled)
            slope.diagonal().sub_(torch.zeros_like(gradient).index_add_(0, pair, pulled))
        return slope, None, None


def _hinge(negative: Tensor, room: Tensor, dim: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """[room + the largest negative's]_+; the places of these where that is above 0, whose they are, and their part."""
    top = negative.amax(dim=dim)
    loss = (room + top).clamp(min=0)
    place = flat_places(negative == top.masked_fill(loss <= 0, torch.nan).unsqueeze(dim))  # nan equals nothing
    pair = place // len(negative) if dim == 1 else place % len(negative)
    return loss, place, pair, torch.bincount(pair, minlength=len(negative)).to(negative).reciprocal()[pair]


def batch_complementary_loss(
    similarity: Tensor, *, scale: float | Tensor, allowed: Tensor | None = None, doubt: Tensor | None = None
) -> Tensor:
    """`pair_losses.complementary_loss` of every pair of a batch against the others, (n,).

    >>> batch_complementary_loss(torch.zeros(3, 3), scale=10.0).exp()  # (1 - 1/3)^-2
    tensor([2.2500, 2.2500, 2.2500])
    """

    def direction(negative: Tensor, own: Tensor, dim: int) -> tuple[Tensor, Tensor]:
        loss, slope = _complement(negative, own, dim)
        return (loss, slope) if doubt is None else _with_own(loss, slope, negative, own, doubt, dim)

    return both_directions(scale * similarity, direction, allowed) / 2


def batch_soft_infonce_loss(
    similarity: Tensor, label: Tensor, *, scale: float | Tensor, allowed: Tensor | None = None
) -> Tensor:
    """`pair_losses.soft_infonce_loss` with spread "uniform" of every pair of a batch against the others, (n,).

    >>> batch_soft_infonce_loss(torch.zeros(3, 3), torch.tensor([0.0, 0.5, 1.0]), scale=10.0).exp()
    tensor([3., 3., 3.])
    """
    logits = scale * similarity
    is_negative = (~not_negatives(similarity, allowed)).to(logits)
    finite = logits.detach() * is_negative  # -inf times 0 is no number

    def direction(negative: Tensor, own: Tensor, dim: int) -> tuple[Tensor, Tensor]:
        return _soft(negative, own, finite, is_negative, label, dim)

    return both_directions(logits, direction, allowed) / 2


def batch_ranking_loss(
    similarity: Tensor,
    *,
    margin: float | Tensor,
    allowed: Tensor | None = None,
    negatives: Literal["hardest", "mean"] = "hardest",
) -> Tensor:
    """`pair_losses.ranking_loss` of every pair of a batch against the others, (n,). margin: one number, or (n,).

    >>> batch_ranking_loss(torch.tensor([[0.5, 0.1], [0.3, 1.0]]), margin=0.9)
    tensor([1.2000, 0.2000])
    """
    if negatives == "hardest":
        found: Tensor = _Hardest.apply(similarity, margin, not_negatives(similarity, allowed))
        return found

    def direction(negative: Tensor, own: Tensor, dim: int) -> tuple[Tensor, Tensor]:
        return _mean(negative, margin - own, dim)

    return both_directions(similarity, direction, allowed)


def not_negatives(similarity: Tensor, allowed: Tensor | None) -> Tensor:
    """(n, n) bool, true for the pair itself and for what is no true negative."""
    if allowed is None:
        return torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
    return (~allowed).fill_diagonal_(True)


def flat_places(true: Tensor) -> Tensor:
    """Where a table is true, (m,) int64, counted along its rows.

    >>> flat_places(torch.tensor([[False, True], [True, False]]))
    tensor([1, 2])
    """
    if true.device.type != "cpu":
        return true.flatten().nonzero()[:, 0]
    return torch.from_numpy(np.flatnonzero(true.numpy()))  # a tenth of the time where few are


def probabilities(negative: Tensor, own: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """The softmax over the pair itself and its negatives, (n, n), 0 elsewhere, and the log of each pair's own, (n,)."""
    log_p = negative.clone()
    log_p.diagonal().copy_(own)
    log_p.sub_(log_p.amax(dim=dim, keepdim=True))
    led = log_p.diagonal().clone()
    p = log_p.exp_()
    total = p.sum(dim=dim, keepdim=True)
    return p.div_(total), led - total.squeeze(dim).log()


def _complement(negative: Tensor, own: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Sum of -log(1 - p) of the negatives.

    The negative that leads is apart, as it alone can have p above 1/2, where 1 - p of float32 is nothing: `share` is
    the softmax of all but it, `lead` its p.
    """
    rest, top, at = negative.clone(), *_leading(negative, dim)
    rest.scatter_(dim, at, -torch.inf).diagonal().copy_(own)
    most = rest.amax(dim=dim, keepdim=True)
    share = rest.sub_(most).exp_()
    total = share.sum(dim=dim, keepdim=True)
    share.div_(total)
    ahead = top - most - total.log()
    lead, behind = ahead.sigmoid(), (-ahead).sigmoid()
    p = (share * behind).fill_diagonal_(0)  # the pair is not among its negatives
    others = 1 - p
    # one logarithm for all: no p is above 1/2 and their sum is at most 1, so the product is at least 1/4
    loss = softplus(ahead) - others.prod(dim=dim, keepdim=True).log()
    odds = p.div_(others)  # without the leading one's, which may have no end
    sum_of_odds = odds.sum(dim=dim, keepdim=True)
    slope = odds.addcmul_(share, -behind * sum_of_odds - lead)
    slope.scatter_add_(dim, at, lead * (1 - sum_of_odds))
    return loss.squeeze(dim), slope


def _with_own(
    loss: Tensor, slope: Tensor, negative: Tensor, own: Tensor, doubt: Tensor, dim: int
) -> tuple[Tensor, Tensor]:
    """The same with -doubt log(1 - p) of the pair itself added, where it has any negative."""
    top = negative.amax(dim=dim)
    doubt = doubt.masked_fill(top == -torch.inf, 0)
    top = top.clamp(min=torch.finfo(top.dtype).min)
    others = (negative - top.unsqueeze(dim)).exp_()
    total = others.sum(dim=dim)
    ahead = own - top - total.clamp(min=1).log()
    pushed = doubt * ahead.sigmoid()
    slope.addcmul_(others, -(pushed / total.clamp(min=1)).unsqueeze(dim))
    slope.diagonal().add_(pushed)
    return loss + doubt * softplus(ahead).masked_fill(doubt == 0, 0), slope


def _leading(negative: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """The largest negative of each pair and where it is; along rows, for down columns that takes five times as long."""
    top, at = (negative if dim == 1 else negative.T.contiguous()).max(dim=1)
    return top.unsqueeze(dim), at.unsqueeze(dim)


def _soft(
    negative: Tensor, own: Tensor, finite: Tensor, is_negative: Tensor, label: Tensor, dim: int
) -> tuple[Tensor, Tensor]:
    """Cross entropy with the label on the pair, the rest shared evenly. finite: the negatives' logits, else 0."""
    slope, own_log_p = probabilities(negative, own, dim)
    normaliser = (own - own_log_p).unsqueeze(dim)
    count = is_negative.sum(dim=dim)
    each = (1 - label) / count.clamp(min=1)
    of_others = (finite - normaliser * is_negative).sum(dim=dim)
    slope.addcmul_(is_negative, -each.unsqueeze(dim))
    slope.diagonal().sub_(torch.where(count > 0, label, 1))  # alone, a pair has p = 1 and nothing to learn
    return -(label * own_log_p + each * of_others), slope


def _mean(negative: Tensor, room: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Mean over the negatives of [room + theirs]_+."""
    count = (negative != -torch.inf).sum(dim=dim).clamp(min=1)
    cost = (negative + room.unsqueeze(dim)).clamp_(min=0)
    loss = cost.sum(dim=dim) / count
    slope = cost.gt_(0).div_(count.unsqueeze(dim))
    slope.diagonal().copy_(-slope.sum(dim=dim))
    return loss, slope
