"""RINCE: between InfoNCE and a loss that is indifferent to symmetric noise, without labels; these are weights here."""

from torch import Tensor

from ncaudit.core.losses import pair_losses, robust_losses
from ncaudit.errors import NcauditError

MOST_POWER = 80  # e^88 is the end of float32


def batch_loss(
    similarity: Tensor,
    label: Tensor,
    *,
    scale: float | Tensor,
    allowed: Tensor | None = None,
    temperature: float = 0.05,
    exponent: float = 0.1,
    negatives_weight: float = 0.01,
) -> Tensor:
    """Mean over the batch, weighted by label, of [(w Z_i)^e - P_i^e] / e, both directions' mean.

    P_i = e^(s_ii / temperature), Z_i = P_i + sum over the negatives of e^(s_ij / temperature), e = exponent,
    w = negatives_weight. similarity: (n, n) cosines, row = image; label: (n,) in [0, 1]. Returns a scalar, 0 when every
    label is 0. It may be below 0, which is no fault: at w < 1 the loss of a pair that leads is negative, and only
    differences mean anything. A pair without any allowed negative adds 0.
    `scale` is not looked at, a model's logit scale is not trained: powers of the similarity have no smallest value, and
    a scale that is free to grow would lower the loss for ever. Hence a temperature of its own.
    RINCE (Chuang et al., CVPR 2022, arXiv 2201.04309), which knows no labels: all 1 are the paper's loss.

    >>> import torch
    >>> batch_loss(torch.zeros(2, 2), torch.ones(2), scale=1.0, exponent=0.5)  # -2 + 2 sqrt .02: both are alike
    tensor(-1.7172)
    """
    loss = robust_losses.rince_loss(
        similarity, scale=1 / temperature, exponent=exponent, negatives_weight=negatives_weight, allowed=allowed
    )
    return pair_losses.weighted_mean(loss, label)


def check(*, temperature: float, exponent: float, negatives_weight: float) -> None:
    """Raises NcauditError for settings that give no such loss, or powers that float32 does not hold."""
    for name, value in (("exponent", exponent), ("negatives_weight", negatives_weight)):
        if not 0 < value <= 1:
            raise NcauditError(f"{name} is {value}, but it is a share", fix="give a number above 0, at most 1")
    if not 0 < temperature <= 1:
        raise NcauditError(f"temperature is {temperature}", fix="give a number above 0, at most 1")
    if exponent / temperature > MOST_POWER:
        raise NcauditError(
            f"exponent {exponent} at temperature {temperature} makes powers up to e^{exponent / temperature:.0f}",
            fix=f"give a smaller exponent, or a higher temperature: their ratio is at most {MOST_POWER}",
        )
