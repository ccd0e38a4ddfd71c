"""InfoNCE with soft targets: what a doubted pair's own caption does not get of the target, the others get."""

from typing import get_args

from torch import Tensor

from ncaudit.core.losses import by_formula, pair_losses
from ncaudit.errors import UsageError


def batch_loss(
    similarity: Tensor,
    label: Tensor,
    *,
    scale: float | Tensor,
    allowed: Tensor | None = None,
    spread: pair_losses.Spread = "uniform",
) -> Tensor:
    """Mean over the batch of the cross entropy with target label_i on the pair, 1 - label_i over its row's negatives.

    similarity: (n, n), row = image; label: (n,) in [0, 1]. Returns a scalar >= 0, the mean of both directions.
    Labels that are all 1 give `infonce`. A row without any allowed negative adds 0. A pair is pulled together until
    its probability is its label, and pushed apart above it: unlike in `weighted-infonce`, label 0 pushes.
    spread: "uniform", the same for each negative, or "similarity", in proportion to what the model believes now:
    that asks nothing of how the negatives compare, and stops once the pair's probability is its label.

    >>> import torch
    >>> similarity, label = torch.zeros(2, 2, requires_grad=True), torch.tensor([1.0, 0.0])
    >>> batch_loss(similarity, label, scale=1.0).backward()
    >>> similarity.grad  # (p - label) / 2 at p = 1/2: pair 0 is pulled, pair 1 pushed
    tensor([[-0.2500,  0.0000],
            [ 0.0000,  0.2500]])
    """
    if spread == "uniform":
        return by_formula.batch_soft_infonce_loss(similarity, label, scale=scale, allowed=allowed).mean()
    negatives = pair_losses.batch_negatives(similarity, allowed)
    return pair_losses.soft_infonce_loss(
        *negatives[:3], label=label, scale=scale, allowed=negatives.allowed, spread=spread
    ).mean()


def check(*, spread: str) -> None:
    """Raises UsageError for a spread that there is not."""
    known = get_args(pair_losses.Spread)
    if spread not in known:
        raise UsageError(f"no spread is called {spread!r}", fix=f"give one of: {', '.join(known)}")
