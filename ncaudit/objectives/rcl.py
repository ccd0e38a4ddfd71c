"""Complementary learning: no pair is trusted; only "not this one" is said, of every negative."""

from torch import Tensor

from ncaudit.core.losses import pair_losses


def batch_loss(similarity: Tensor, label: Tensor, *, scale: float | Tensor, allowed: Tensor | None = None) -> Tensor:
    """Mean over the batch of sum_j -log(1 - p_ij) over the negatives j, mean of both directions. Labels unused.

    similarity: (n, n), row = image. Returns a scalar >= 0. RCL (Hu et al., TPAMI 2023), at scale 20 there.
    Summed over the negatives as in the paper, so that a batch of two is `infonce`; averaged over pairs, so that a
    learning rate holds for batches of any size. A pair that the model finds hopeless is left alone, where InfoNCE would
    pull it hardest: see `core.losses.pair_losses.complementary_loss`.

    >>> import torch
    >>> batch_loss(torch.zeros(3, 3), torch.ones(3), scale=10.0).exp()  # two negatives of p = 1/3: (2/3)^-2
    tensor(2.2500)
    """
    negatives = pair_losses.batch_negatives(similarity, allowed)
    return pair_losses.complementary_loss(*negatives[:3], scale=scale, allowed=negatives.allowed).mean()
