"""Weights of several scores, chosen on the user's own data without a label.

Observed pairs are told from random ones by some AUROC A; with mismatches of share p, A = (1 - p) AUROC + p/2, so what
is best at the one is best at the other. Against all random pairs the agreement with neighbours looks better than it is
(it sees the topic and little else), against random pairs of the same topic everything but the plain score looks worse:
so both are asked.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

ERRORS = 3.0  # the best of some ten candidates: the luckiest of so many is often two above


def choose_weights(
    observed: Tensor, nulls: Sequence[Tensor], candidates: Sequence[Sequence[float]], photo: Tensor
) -> tuple[float, ...]:
    """The first candidate, unless another tells observed from random pairs clearly better.

    observed: (n, c), nulls: (m, c) each, standardised scores; the AUROC is the mean over the nulls.
    candidates: weights, (c,) each, the most trusted first. photo: (n,) identities of the observed pairs' photos.
    """
    weights = [observed.new_tensor(list(candidate)) for candidate in candidates]
    placed = [torch.stack([placements(observed @ w, null @ w) for null in nulls]).mean(dim=0) for w in weights]
    return tuple(candidates[clearly_best(placed, photo)])


def clearly_best(placed: Sequence[Tensor], photo: Tensor) -> int:
    """0, unless the candidate of the highest mean is above candidate 0 by more than ERRORS standard errors.

    placed: (n,) for each candidate, of the same observed pairs. photo: (n,) identities; the pairs of one photo are one
    draw, for they rise and fall together. The first candidate is what did well elsewhere.
    """
    best = max(range(len(placed)), key=lambda i: float(placed[i].mean()))
    gain = placed[best] - placed[0]
    of_photo = torch.unique(photo, return_inverse=True)[1]
    apart = torch.zeros(len(gain), dtype=gain.dtype, device=gain.device).index_add_(0, of_photo, gain - gain.mean())
    error = float(apart.square().sum().sqrt()) / len(gain)
    return best if float(gain.mean()) > ERRORS * error else 0


def placements(observed: Tensor, null: Tensor) -> Tensor:
    """Share of the random pairs that each observed one is above, (n,); their mean is the AUROC."""
    order = null.sort().values
    below = torch.searchsorted(order, observed) + torch.searchsorted(order, observed, right=True)
    return below.double() / (2 * len(null))
