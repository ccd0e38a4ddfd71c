"""Losses of a batch at once whose gradients are written down, not derived: the same numbers in a fraction of the time.

A step of linear heads is little more than its loss: every n x n copy that autograd makes and keeps shows. Here each
direction gives its pairs' losses together with their derivatives, and works in place.
Knows similarities and which columns are true negatives; nothing of embeddings, batches or optimisers. Arguments as in
`pair_losses.batch_infonce_loss`; what each loss is stands beside its general form there and in `robust_losses`.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

Direction = Callable[[Tensor, int], tuple[Tensor, Tensor]]


def both_directions(matrix: Tensor, direction: Direction) -> Tensor:
    """The sum of both directions' losses, (n,), of an (n, n) matrix: similarities or logits, row = image.

    direction: of a matrix that it must not change, and the dimension over which a pair's columns lie (1: of an image,
    0: of a caption), the losses, (n,), and the derivatives by the matrix, (n, n), of each pair's own loss. No gradient
    flows into what else it uses.
    """
    found: Tensor = _BothDirections.apply(matrix, direction)  # type: ignore[no-untyped-call]
    return found


class _BothDirections(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, matrix: Tensor, direction: Direction) -> Tensor:
        image, by_row = direction(matrix, 1)
        text, by_column = direction(matrix, 0)
        ctx.save_for_backward(by_row, by_column)
        return image + text

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        by_row, by_column = ctx.saved_tensors
        (gradient,) = gradients
        return (by_row * gradient[:, None]).addcmul_(by_column, gradient[None, :]), None


def batch_complementary_loss(similarity: Tensor, *, scale: float | Tensor, allowed: Tensor | None = None) -> Tensor:
    """`pair_losses.complementary_loss` of every pair of a batch against the others, (n,).

    >>> batch_complementary_loss(torch.zeros(3, 3), scale=10.0).exp()  # (1 - 1/3)^-2
    tensor([2.2500, 2.2500, 2.2500])
    """
    nobody = not_negatives(similarity, allowed)
    return both_directions(scale * similarity, lambda logits, dim: _complement(logits, nobody, dim)) / 2


def batch_soft_infonce_loss(
    similarity: Tensor, label: Tensor, *, scale: float | Tensor, allowed: Tensor | None = None
) -> Tensor:
    """`pair_losses.soft_infonce_loss` with spread "uniform" of every pair of a batch against the others, (n,).

    >>> batch_soft_infonce_loss(torch.zeros(3, 3), torch.tensor([0.0, 0.5, 1.0]), scale=10.0).exp()
    tensor([3., 3., 3.])
    """
    nobody = not_negatives(similarity, allowed)
    return both_directions(scale * similarity, lambda logits, dim: _soft(logits, nobody, label, dim)) / 2


def batch_mean_ranking_loss(similarity: Tensor, *, margin: float, allowed: Tensor | None = None) -> Tensor:
    """`pair_losses.ranking_loss` with negatives "mean" of every pair of a batch against the others, (n,).

    >>> batch_mean_ranking_loss(torch.tensor([[0.5, 0.1], [0.3, 1.0]]), margin=0.9)
    tensor([1.2000, 0.2000])
    """
    nobody = not_negatives(similarity, allowed)
    return both_directions(similarity, lambda matrix, dim: _hinges(matrix, nobody, margin, dim))


def not_negatives(similarity: Tensor, allowed: Tensor | None) -> Tensor:
    """(n, n) bool, true for the pair itself and for what is no true negative."""
    if allowed is None:
        return torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
    return (~allowed).fill_diagonal_(True)


def probabilities(logits: Tensor, nobody: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """The softmax over the pair itself and its negatives, (n, n), 0 elsewhere, and the log of each pair's own, (n,).

    nobody: as `not_negatives` gives it.
    """
    log_p = logits.masked_fill(nobody, -torch.inf)
    log_p.diagonal().copy_(logits.diagonal())
    log_p.sub_(log_p.amax(dim=dim, keepdim=True))
    own = log_p.diagonal().clone()
    p = log_p.exp_()
    total = p.sum(dim=dim, keepdim=True)
    return p.div_(total), own - total.squeeze(dim).log()


def _complement(logits: Tensor, nobody: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Sum of -log(1 - p) of the negatives.

    The negative that leads is apart, as it alone can have p above 1/2, where 1 - p of float32 is nothing: `share` is
    the softmax of all but it, `lead` its p.
    """
    own, rest = logits.diagonal(), logits.masked_fill(nobody, -torch.inf)
    top, at = rest.max(dim=dim, keepdim=True)
    rest.scatter_(dim, at, -torch.inf).diagonal().copy_(own)
    most = rest.amax(dim=dim, keepdim=True)
    share = rest.sub_(most).exp_()
    total = share.sum(dim=dim, keepdim=True)
    share.div_(total)
    ahead = top - most - total.log()
    lead, behind = ahead.sigmoid(), (-ahead).sigmoid()
    p = share * behind
    p.fill_diagonal_(0)  # the pair is not among its negatives
    loss = softplus(ahead) - torch.log1p(-p).sum(dim=dim, keepdim=True)
    odds = p.div_(1 - p)  # a negative's p / (1 - p), without the leading one's
    sum_of_odds = odds.sum(dim=dim, keepdim=True)
    slope = odds.addcmul_(share, -behind * sum_of_odds - lead)
    slope.scatter_add_(dim, at, lead * (1 - sum_of_odds))
    return loss.squeeze(dim), slope


def _soft(logits: Tensor, nobody: Tensor, label: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Cross entropy with the label on the pair, the rest shared evenly."""
    p = logits.masked_fill(nobody, -torch.inf)
    p.diagonal().copy_(logits.diagonal())
    log_p = p.sub_(p.logsumexp(dim=dim, keepdim=True))
    count = len(logits) - nobody.sum(dim=dim)
    each = (1 - label) / count.clamp(min=1)
    own = log_p.diagonal().clone()
    others = log_p.masked_fill(nobody, 0)
    loss = -(label * own + each * others.sum(dim=dim))
    slope = log_p.exp_().sub_(each.unsqueeze(dim) * ~nobody)
    slope.diagonal().sub_(torch.where(count > 0, label, 1))  # alone, a pair has p = 1 and nothing to learn
    return loss, slope


def _hinges(similarity: Tensor, nobody: Tensor, margin: float, dim: int) -> tuple[Tensor, Tensor]:
    """Mean over the negatives of [margin - own + theirs]_+."""
    cost = (similarity + (margin - similarity.diagonal()).unsqueeze(dim)).clamp_(min=0).masked_fill_(nobody, 0)
    count = (len(similarity) - nobody.sum(dim=dim)).clamp(min=1)
    loss = cost.sum(dim=dim) / count
    slope = cost.gt_(0).div_(count.unsqueeze(dim))
    slope.diagonal().copy_(-slope.sum(dim=dim))
    return loss, slope
