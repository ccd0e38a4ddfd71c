"""Generalised cross entropy: InfoNCE whose pull fades for pairs that look hopeless. Labels are weights."""

from torch import Tensor

from ncaudit.core.losses import pair_losses, robust_losses
from ncaudit.errors import NcauditError


def batch_loss(
    similarity: Tensor,
    label: Tensor,
    *,
    scale: float | Tensor,
    allowed: Tensor | None = None,
    exponent: float = 0.5,
) -> Tensor:
    """Mean over the batch, weighted by label, of (1 - p_ii^exponent) / exponent, both directions' mean.

    similarity: (n, n), row = image; label: (n,) in [0, 1]. Returns a scalar in [0, 1 / exponent], 0 when every label is
    0. exponent: towards 0 the loss is `infonce`, at 1 it is 1 - p_ii, and a wrong pair can do the least.
    GCE (Zhang & Sabuncu, NeurIPS 2018), which knows no labels: all 1 are the paper's loss.

    >>> import torch
    >>> batch_loss(torch.zeros(4, 4), torch.ones(4), scale=10.0)  # (1 - sqrt(1/4)) / .5
    tensor(1.)
    """
    loss = robust_losses.generalised_cross_entropy_loss(similarity, scale=scale, exponent=exponent, allowed=allowed)
    return pair_losses.weighted_mean(loss, label)


def check(*, exponent: float) -> None:
    """Raises NcauditError for an exponent outside (0, 1]."""
    if not 0 < exponent <= 1:
        raise NcauditError(
            f"exponent is {exponent}, but the loss divides by it, and is bounded up to 1",
            fix="give a number above 0, at most 1; near 0 the loss is infonce",
        )
