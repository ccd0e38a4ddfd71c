"""Which of two scores tells two classes apart better, and whether the difference is more than chance.

Knows numbers and truth; nothing of pairs.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ncaudit.core.statistics.rank_correlation import mean_ranks

Numbers = npt.NDArray[np.float64]
SURE = 1.96  # standard errors that a difference must exceed: 95 %


@dataclass(frozen=True)
class PairedAuroc:
    """AUROC of two scores on the same rows, each in [0, 1], 0.5 = chance."""

    first: float
    second: float
    standard_error: float  # of first - second

    @property
    def better(self) -> int:
        """1 or 2: which score is better at the 95 % level; 0: chance could have made the difference."""
        gain = self.first - self.second
        if abs(gain) <= SURE * self.standard_error:
            return 0
        return 1 if gain > 0 else 2


def paired_auroc(first: Numbers, second: Numbers, positive: npt.NDArray[np.bool_]) -> PairedAuroc | None:
    """AUROC of two scores, higher = likelier positive, and the standard error of their difference.

    first, second: (n,), no nan. positive: (n,) bool. None with fewer than two rows of either class.
    DeLong, DeLong and Clarke-Pearson (Biometrics 1988): the two are compared on the same rows, so what makes both high
    or both low by chance is left out.
    """
    if min(int(positive.sum()), int((~positive).sum())) < 2:
        return None
    (above_a, below_a), (above_b, below_b) = (_placements(score, positive) for score in (first, second))
    variance = np.var(above_a - above_b, ddof=1) / len(above_a) + np.var(below_a - below_b, ddof=1) / len(below_a)
    return PairedAuroc(float(above_a.mean()), float(above_b.mean()), float(np.sqrt(variance)))


def _placements(score: Numbers, positive: npt.NDArray[np.bool_]) -> tuple[Numbers, Numbers]:
    """Per positive, the share of negatives below it; per negative, the share of positives above it; ties count half."""
    ranks = mean_ranks(score)
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    above = (ranks[positive] - mean_ranks(score[positive])) / n_negative
    below = 1 - (ranks[~positive] - mean_ranks(score[~positive])) / n_positive
    return above, below
