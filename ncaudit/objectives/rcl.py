"""Complementary learning: no pair is trusted; only "not this one" is said, of every negative."""

from typing import Literal, get_args

from torch import Tensor

from ncaudit.core.losses import by_formula, pair_losses
from ncaudit.errors import UsageError

Doubted = Literal["ignore", "push"]
TRUSTED_WEIGHT = 0.2  # of "this one" beside "not those": DCL's constants at its batch of 128 pairs


def batch_loss(
    similarity: Tensor,
    label: Tensor,
    *,
    scale: float | Tensor,
    allowed: Tensor | None = None,
    doubted: Doubted = "ignore",
) -> Tensor:
    """Mean over the batch of sum_j -log(1 - p_ij) over the negatives j, mean of both directions.

    similarity: (n, n), row = image; label: (n,) in [0, 1]. Returns a scalar >= 0. RCL (Hu et al., TPAMI 2023), at
    scale 20 there. Summed over the negatives as in the paper, so that a batch of two is `infonce`; averaged over pairs,
    so that a learning rate holds for batches of any size. A pair that the model finds hopeless is left alone, where
    InfoNCE would pull it hardest: see `core.losses.pair_losses.complementary_loss`.
    doubted: "ignore", labels are unused, or "push": a pair is among its own negatives by 1 - label, so a wrong one is
    pushed apart, and trusted ones are pulled together: `weighted-infonce` times TRUSTED_WEIGHT is added. That is DCL
    (Information Fusion 2026) with labels in place of its split. DCL divides the second part by its number of entries
    and weighs it by 128; here it is the mean over pairs, which comes to the same at its batch of 128 pairs.

    >>> import torch
    >>> batch_loss(torch.zeros(3, 3), torch.ones(3), scale=10.0).exp()  # two negatives of p = 1/3: (2/3)^-2
    tensor(2.2500)
    """
    doubt = 1 - label if doubted == "push" else None
    complement = by_formula.batch_complementary_loss(similarity, scale=scale, allowed=allowed, doubt=doubt).mean()
    if doubt is None:
        return complement
    trusted = pair_losses.batch_infonce_loss(similarity, scale=scale, allowed=allowed)
    return TRUSTED_WEIGHT * pair_losses.weighted_mean(trusted, label) + complement


def check(*, doubted: str) -> None:
    """Raises UsageError for a word that there is not."""
    known = get_args(Doubted)
    if doubted not in known:
        raise UsageError(f"doubted is {doubted!r}", fix=f"give one of: {', '.join(known)}")
