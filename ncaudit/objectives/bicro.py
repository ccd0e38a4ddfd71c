"""BiCro's ranking loss: a doubted pair need not lead its hardest negatives by as much."""

from torch import Tensor

from ncaudit.core.losses import by_formula, pair_losses
from ncaudit.errors import NcauditError


def batch_loss(
    similarity: Tensor,
    label: Tensor,
    *,
    scale: float | Tensor,
    allowed: Tensor | None = None,
    margin: float = 0.2,
    margin_base: float = 10.0,
) -> Tensor:
    """Mean over the batch of [a_i - s_ii + s_ij]_+, j the hardest negative, both directions summed.

    similarity: (n, n) cosines, row = image; label: (n,) in [0, 1]. Returns a scalar >= 0.
    a_i = margin * (margin_base^label_i - 1) / (margin_base - 1) is pair i's own margin, for its caption among the
    captions and for its image among the images. `scale` is not looked at, a model's logit scale is not trained: a
    margin is a difference of cosines. At label 0 the margin is 0 and the loss is not: the pair is still pulled together
    until it beats its hardest negatives, so the label softens a wrong pair's pull and does not remove it.
    BiCro (Yang et al., CVPR 2023). The paper sums over the batch; the mean lets a learning rate hold for
    batches of any size.

    >>> import torch
    >>> similarity = torch.tensor([[0.5, 0.4], [0.3, 0.6]])  # pair 0 at margin .2: [.2-.5+.4] + [.2-.5+.3]
    >>> batch_loss(similarity, torch.tensor([1.0, 0.0]), scale=1.0)  # pair 1 at margin 0: none; (.1 + 0) / 2
    tensor(0.0500)
    """
    own = pair_losses.soft_margin(label, margin=margin, m=margin_base)
    return by_formula.batch_ranking_loss(similarity, margin=own, allowed=allowed).mean()


def check(*, margin: float, margin_base: float) -> None:
    """Raises NcauditError for a margin outside (0, 2], or a base of at most 1."""
    if not 0 < margin <= 2:
        raise NcauditError(f"margin is {margin}, but it is a difference of cosines", fix="give a number in (0, 2]")
    if not 1 < margin_base < float("inf"):
        raise NcauditError(
            f"margin_base is {margin_base}, but the soft margin divides by margin_base - 1",
            fix="give a number above 1; 10 is the paper's",
        )
