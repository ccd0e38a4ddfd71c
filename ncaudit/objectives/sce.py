"""Symmetric cross entropy: InfoNCE and, beside it, a bounded term that asks the same. Labels are weights."""

from math import isfinite

from torch import Tensor

from ncaudit.core.losses import pair_losses, robust_losses
from ncaudit.errors import NcauditError


def batch_loss(
    similarity: Tensor,
    label: Tensor,
    *,
    scale: float | Tensor,
    allowed: Tensor | None = None,
    reverse_weight: float = 16.118,
) -> Tensor:
    """Mean over the batch, weighted by label, of -log p_ii + reverse_weight * (1 - p_ii), both directions' mean.

    similarity: (n, n), row = image; label: (n,) in [0, 1]. Returns a scalar >= 0, 0 when every label is 0.
    The second term is the cross entropy with target and prediction exchanged, where log 0 counts as -reverse_weight:
    16.118 is -log 1e-7, as retrieval has it. It pulls pairs most that are half way, not those that look hopeless; the
    larger its weight, the less InfoNCE's pull on these matters. At 0 the loss is `infonce`.
    SCE (Wang et al., ICCV 2019), which knows no labels: all 1 are the paper's loss.

    >>> import torch
    >>> batch_loss(torch.zeros(2, 2), torch.ones(2), scale=10.0)  # log 2 + 16.118 / 2
    tensor(8.7521)
    """
    loss = robust_losses.symmetric_cross_entropy_loss(
        similarity, scale=scale, reverse_weight=reverse_weight, allowed=allowed
    )
    return pair_losses.weighted_mean(loss, label)


def check(*, reverse_weight: float) -> None:
    """Raises NcauditError for a weight below 0 or without end."""
    if not (reverse_weight >= 0 and isfinite(reverse_weight)):
        raise NcauditError(
            f"reverse_weight is {reverse_weight}, but it weighs one term against the other",
            fix="give 0 or more; at 0 the loss is infonce",
        )
