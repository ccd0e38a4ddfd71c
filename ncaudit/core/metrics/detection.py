"""How well a score finds mismatched pairs, and how honest a probability is.

Knows numbers and truth; nothing of pairs. Every function gives the same value for any order of its rows, ties included.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ncaudit.errors import NcauditError


@dataclass(frozen=True)
class ReliabilityBin:
    """Pairs of similar probability: what was promised and what was seen."""

    low: float  # smallest probability inside
    high: float  # largest
    mean_probability: float
    observed: float  # share of outcomes that were true
    count: int


def auroc(score: Tensor, positive: Tensor) -> float:
    """Chance that a random positive scores above a random negative; a tie counts one half.

    score: (n,), any real or infinite. positive: (n,) bool. Returns a number in [0, 1], 0.5 = chance; nan when there is
    only one class. Raises NcauditError when a score is nan. Mann-Whitney U / (n+ n-), mid-ranks.

    >>> auroc(torch.tensor([0.1, 0.4, 0.4, 0.8]), torch.tensor([False, False, True, True]))
    0.875
    """
    positives, negatives = _counts_per_value(score, positive)
    below = negatives.cumsum(0) - negatives
    pairs = float(positives.sum() * negatives.sum())
    return float((positives * (below + negatives / 2)).sum()) / pairs if pairs else math.nan


def average_precision(score: Tensor, positive: Tensor) -> float:
    """Mean precision at each positive when reading from the highest score down; tied rows are read together.

    Arguments and errors as in `auroc`. Returns a number in (0, 1]; chance = the share of positives; nan without any
    positive. Sum over thresholds of (recall step) * precision, as scikit-learn defines it.

    >>> average_precision(torch.tensor([0.9, 0.8, 0.7]), torch.tensor([True, False, True]))
    0.8333333333333333
    """
    positives, negatives = (c.flip(0) for c in _counts_per_value(score, positive))
    hits = positives.cumsum(0)
    precision = hits / (hits + negatives.cumsum(0))
    total = float(positives.sum())
    return float((positives * precision).sum()) / total if total else math.nan


def precision_at(score: Tensor, mismatched: Tensor, n: int) -> float:
    """Share of truly mismatched pairs among the n *lowest* scores: a low score accuses.

    score: (n_pairs,), higher = likelier to correspond. mismatched: (n_pairs,) bool. n: at least 1; more than there are
    means all. Rows tied at the cut count with their expected share. nan without rows. Errors as in `auroc`.

    >>> precision_at(torch.tensor([0.1, 0.2, 0.9]), torch.tensor([True, False, False]), 2)
    0.5
    """
    bad, good = _counts_per_value(score, mismatched)
    group = bad + good
    before = group.cumsum(0) - group
    taken = (min(n, len(score)) - before).clamp(min=0).minimum(group)
    total = float(taken.sum())
    return float((bad * taken / group).sum()) / total if total else math.nan


def precision_at_true_count(score: Tensor, mismatched: Tensor) -> float:
    """`precision_at` with n = the number of truly mismatched pairs, where precision equals recall; nan without any.

    >>> precision_at_true_count(torch.tensor([0.1, 0.2, 0.9]), torch.tensor([True, False, True]))
    0.5
    """
    return precision_at(score, mismatched, int(mismatched.sum()))


def reliability(probability: Tensor, outcome: Tensor, bins: int = 10) -> list[ReliabilityBin]:
    """Promised against observed share, in bins of about equal mass, from the lowest probability up.

    probability: (n,) in [0, 1]. outcome: (n,) bool. Equal probabilities always share a bin (the one that holds the
    middle of the group), so bins may be uneven or fewer. Raises NcauditError when a probability is nan.

    >>> reliability(torch.tensor([0.25, 0.25, 0.75, 0.75]), torch.tensor([False, False, True, False]), bins=2)[1]
    ReliabilityBin(low=0.75, high=0.75, mean_probability=0.75, observed=0.5, count=2)
    """
    true, false = _counts_per_value(probability, outcome)
    value = torch.unique(probability.double())
    group = true + false
    middle = group.cumsum(0) - group / 2
    place = (middle * bins / max(len(probability), 1)).floor().clamp(max=bins - 1)
    return [_bin(value[place == p], true[place == p], group[place == p]) for p in torch.unique(place)]


def calibration_error(probability: Tensor, outcome: Tensor, bins: int = 10) -> float:
    """Expected calibration error: mean |promised - observed| over `reliability`'s bins, weighted by their pairs.

    Arguments and errors as in `reliability`. Returns a number in [0, 1]; lower = more honest; nan without rows.

    >>> calibration_error(torch.tensor([0.25, 0.25, 0.75, 0.75]), torch.tensor([False, False, True, False]), bins=2)
    0.25
    """
    rows = reliability(probability, outcome, bins)
    gap = sum(row.count * abs(row.mean_probability - row.observed) for row in rows)
    return gap / len(probability) if rows else math.nan


def _counts_per_value(score: Tensor, flag: Tensor) -> tuple[Tensor, Tensor]:
    """For each distinct score, ascending: how many rows are flagged, how many are not. Both (values,) float64."""
    if score.isnan().any():
        raise NcauditError(f"{int(score.isnan().sum())} of {len(score)} scores are nan", fix="leave failed pairs out")
    value, place = torch.unique(score.double(), return_inverse=True)
    flagged = torch.bincount(place[flag.bool()], minlength=len(value)).double()
    return flagged, torch.bincount(place, minlength=len(value)).double() - flagged


def _bin(value: Tensor, true: Tensor, group: Tensor) -> ReliabilityBin:
    count = group.sum()
    mean, observed = (value * group).sum() / count, true.sum() / count
    return ReliabilityBin(float(value[0]), float(value[-1]), float(mean), float(observed), int(count))
