"""Plain InfoNCE, every pair trusted alike: the baseline that a soft label has to beat."""

from torch import Tensor

from ncaudit.core.losses import pair_losses


def batch_loss(similarity: Tensor, label: Tensor, *, scale: float | Tensor, allowed: Tensor | None = None) -> Tensor:
    """Mean over the batch of the per-pair InfoNCE loss. `label` is not looked at.

    similarity: (n, n), row = image. Returns a scalar >= 0. CLIP (Radford et al. 2021), figure 3.

    >>> import torch
    >>> batch_loss(torch.zeros(2, 2), torch.tensor([1.0, 0.0]), scale=10.0).exp()  # each pair: log 2
    tensor(2.)
    """
    return of_infonce(pair_losses.batch_infonce_loss(similarity, scale=scale, allowed=allowed), label)


def of_infonce(loss: Tensor, label: Tensor) -> Tensor:
    """The same of the pairs' own InfoNCE, (n,)."""
    return loss.mean()
