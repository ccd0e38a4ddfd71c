"""Weights of several scores, chosen on the user's own data without a label.

Observed pairs are told from random ones by some AUROC A; with mismatches of share p, A = (1 - p) AUROC + p/2, so what
is best at the one is best at the other. Against all random pairs the agreement with neighbours looks better than it is
(it sees the topic and little else), against random pairs of the same topic everything but the plain score looks worse:
so both are asked.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

ERRORS = 2.0


def choose_weights(
    observed: Tensor, nulls: Sequence[Tensor], candidates: Sequence[Sequence[float]]
) -> tuple[float, ...]:
    """The first candidate, unless another tells observed from random pairs better by more than ERRORS standard errors.

    observed: (n, c), nulls: (m, c) each, standardised scores; the AUROC is the mean over the nulls.
    candidates: weights, (c,) each, the most trusted first.
    """
    weights = [observed.new_tensor(list(candidate)) for candidate in candidates]
    placed = [torch.stack([_placements(observed @ w, null @ w) for null in nulls]).mean(dim=0) for w in weights]
    best = max(range(len(placed)), key=lambda i: float(placed[i].mean()))
    gain = placed[best] - placed[0]
    error = float(gain.std()) / len(gain) ** 0.5
    return tuple(candidates[best if float(gain.mean()) > ERRORS * error else 0])


def _placements(observed: Tensor, null: Tensor) -> Tensor:
    """Share of the random pairs that each observed one is above, (n,); their mean is the AUROC."""
    order = null.sort().values
    below = torch.searchsorted(order, observed) + torch.searchsorted(order, observed, right=True)
    return below.double() / (2 * len(null))
