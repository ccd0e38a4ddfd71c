"""Active complementary learning: "this one" as far as the label believes it, and "not those" of every pair, bounded."""

from math import isfinite

from torch import Tensor

from ncaudit.core.losses import robust_losses
from ncaudit.errors import NcauditError


def batch_loss(
    similarity: Tensor,
    label: Tensor,
    *,
    scale: float | Tensor,
    allowed: Tensor | None = None,
    complement_weight: float = 5.0,
) -> Tensor:
    """Mean over the batch of `core.losses.robust_losses.active_complementary_loss`, both directions summed.

    similarity: (n, n), row = image; label: (n,) in [0, 1]. Returns a scalar >= 0. A pair of label 0 is not pulled by
    name, but its negatives are still pushed: unlike in `weighted-infonce` it teaches, unlike in `soft-infonce` its own
    caption is not among what is pushed. CRCL (Qin et al., NeurIPS 2023), at scale 20 there; it also makes the labels.

    >>> import torch
    >>> batch_loss(torch.zeros(2, 2), torch.zeros(2), scale=1.0)  # 5 * (1/2 + 1/2): half of all are the others
    tensor(5.0000)
    """
    return robust_losses.active_complementary_loss(
        similarity, label, scale=scale, complement_weight=complement_weight, allowed=allowed
    ).mean()


def check(*, complement_weight: float) -> None:
    """Raises NcauditError for a weight below 0 or without end."""
    if not (complement_weight >= 0 and isfinite(complement_weight)):
        raise NcauditError(
            f"complement_weight is {complement_weight}, but it weighs one term against the other",
            fix="give 0 or more; 5 is the paper's",
        )
