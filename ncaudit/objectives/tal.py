"""Triplet alignment: a ranking loss that hears every negative, so that a wrong pair's hardest does not decide alone."""

from torch import Tensor

from ncaudit.core.losses import pair_losses, robust_losses
from ncaudit.errors import NcauditError

COLDEST = 1e-3  # below it the hardest negative is all that is heard


def batch_loss(
    similarity: Tensor,
    label: Tensor,
    *,
    scale: float | Tensor,
    allowed: Tensor | None = None,
    margin: float = 0.1,
    temperature: float = 0.015,
) -> Tensor:
    """Mean over the batch, weighted by label, of [margin - s_ii + temperature log sum_j e^(s_ij / temperature)]_+.

    The sum is over the negatives; both directions are summed. similarity: (n, n) cosines, row = image; label: (n,) in
    [0, 1]. Returns a scalar >= 0, 0 when every label is 0. `scale` is not looked at, a model's logit scale is not
    trained: a margin is a difference of cosines. Labels are weights, not margins as in `bicro`: label 0 does not pull.
    TAL (RDE: Qin et al., CVPR 2024), where labels are 0 or 1, with the paper's margin and temperature.

    >>> import torch
    >>> similarity = torch.tensor([[0.5, 0.45], [0.3, 0.6]])  # pair 0: [.1 - .5 + .45] + none; pair 1: none
    >>> batch_loss(similarity, torch.ones(2), scale=1.0)
    tensor(0.0250)
    """
    loss = robust_losses.triplet_alignment_loss(similarity, margin=margin, temperature=temperature, allowed=allowed)
    return pair_losses.weighted_mean(loss, label)


def check(*, margin: float, temperature: float) -> None:
    """Raises NcauditError for a margin outside (0, 2], or a temperature outside [0.001, 1]."""
    if not 0 < margin <= 2:
        raise NcauditError(f"margin is {margin}, but it is a difference of cosines", fix="give a number in (0, 2]")
    if not COLDEST <= temperature <= 1:
        raise NcauditError(
            f"temperature is {temperature}", fix=f"give a number from {COLDEST:g} to 1; 0.015 is the paper's"
        )
