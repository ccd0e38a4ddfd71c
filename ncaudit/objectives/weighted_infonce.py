"""InfoNCE weighted by the soft label: a doubted pair pulls little, but still serves the others as a negative."""

from torch import Tensor

from ncaudit.core.losses import pair_losses


def batch_loss(similarity: Tensor, label: Tensor, *, scale: float | Tensor, allowed: Tensor | None = None) -> Tensor:
    """sum_i label_i * infonce_i / sum_i label_i: the mean InfoNCE of the pairs that are there.

    similarity: (n, n), row = image; label: (n,) in [0, 1]. Returns a scalar >= 0, 0 when every label is 0.
    Divided by the sum of the labels, not by n: with n the step would shrink with the share of noise, and labels that
    are all .5 would train slower than labels that are all 1, though both say the same. So equal labels give `infonce`.

    >>> import torch
    >>> batch_loss(torch.zeros(2, 2), torch.tensor([0.5, 0.0]), scale=10.0).exp()  # the first pair alone: log 2
    tensor(2.)
    """
    return of_infonce(pair_losses.batch_infonce_loss(similarity, scale=scale, allowed=allowed), label)


def of_infonce(loss: Tensor, label: Tensor) -> Tensor:
    """The same of the pairs' own InfoNCE, (n,)."""
    return pair_losses.weighted_mean(loss, label)
