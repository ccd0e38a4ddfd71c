"""Cross-modal margin preserving: pairs keep a wide lead over all others. Neither labels nor classes are asked."""

from torch import Tensor

from ncaudit.core.losses import by_formula
from ncaudit.errors import NcauditError


def batch_loss(
    similarity: Tensor, label: Tensor, *, scale: float | Tensor, allowed: Tensor | None = None, margin: float = 0.9
) -> Tensor:
    """Mean over i and j != i of [s_ij - s_ii + margin]_+, plus the mirror [s_ji - s_ii + margin]_+. Labels unused.

    similarity: (n, n) cosines, row = image. Returns a scalar >= 0. NIRNL (AAAI 2026, arXiv 2512.24064), margin .9.
    Where some columns are no true negatives, each pair has the mean of its own. All negatives count, not the hardest:
    the loss shapes the space as a whole, and with a margin near 1 hardly a pair ever rests. `scale` is not looked at.

    >>> import torch
    >>> batch_loss(torch.tensor([[0.5, 0.1], [0.3, 1.0]]), torch.ones(2), scale=1.0)  # (.5 + .7 + .2 + 0) / 2
    tensor(0.7000)
    """
    return by_formula.batch_ranking_loss(similarity, margin=margin, allowed=allowed, negatives="mean").mean()


def of_rows(image: Tensor, text: Tensor, *, allowed: Tensor | None, margin: float) -> Tensor:
    """`batch_loss` of (n, d) unit rows."""
    return batch_loss(image @ text.T, image.new_ones(len(image)), scale=1.0, allowed=allowed, margin=margin)


def check(*, margin: float) -> None:
    """Raises NcauditError for a margin outside (0, 2]."""
    if not 0 < margin <= 2:
        raise NcauditError(f"margin is {margin}, but it is a difference of cosines", fix="give a number in (0, 2]")
