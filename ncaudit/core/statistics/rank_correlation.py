"""How much alike two numbers order the same pairs. Knows numbers; nothing of what they measure."""

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


def mean_ranks(values: Numbers) -> Numbers:
    """Each value's rank from the lowest, 1, 2, …; equal values share the mean of theirs.

    values: (n,), no nan. Returns (n,) float64.

    >>> mean_ranks(np.array([0.5, 0.1, 0.5, 0.9])).tolist()
    [2.5, 1.0, 2.5, 4.0]
    """
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Numbers = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return ranks


def rank_shares(values: Numbers) -> Numbers:
    """Where each value stands among all: 0 the lowest, 1 the highest, .5 where there is only one; ties share a place.

    values: (n,), no nan. Returns (n,) float64 in [0, 1].

    >>> rank_shares(np.array([3.0, 1.0, 2.0])).tolist()
    [1.0, 0.0, 0.5]
    """
    if len(values) < 2:
        return np.full(len(values), 0.5)
    return (mean_ranks(values) - 1) / (len(values) - 1)


def spearman(x: Numbers, y: Numbers) -> float | None:
    """Spearman's rank correlation: the Pearson correlation of mean ranks. None where either is constant.

    x, y: (n,), no nan. Returns a number in [-1, 1]; 1 = the same order.

    >>> round(spearman(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 4.0])), 6)  # 1 - 6 * 2 / (4 * 15)
    0.8
    """
    a, b = (mean_ranks(values) - (len(values) + 1) / 2 for values in (x, y))
    scale = np.sqrt((a @ a) * (b @ b))
    return float(np.clip(a @ b / scale, -1, 1)) if scale else None
