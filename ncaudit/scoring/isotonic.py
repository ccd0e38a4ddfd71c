"""The monotone function nearest to some points (isotonic regression), by scipy: light enough for every run to pay for.

Knows numbers only. scikit-learn's gives the same to the bit, and brings a second of imports (all of `scipy.stats`).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


def isotonic(x: npt.NDArray[Any], y: npt.NDArray[Any], weight: Numbers, *, increasing: bool) -> tuple[Numbers, Numbers]:
    """Where the nearest monotone function of x bends, and its values there: linear between, constant outside.

    x, y: (n,), n >= 1; of several y at one x the weighted mean counts. weight: (n,), above 0. Returns (m,) ascending
    places and (m,) values that never fall (`increasing`) or never rise: `np.interp(at, *isotonic(…))` is the function.
    Best & Chakravarti 1990, weighted least squares.

    >>> isotonic(np.arange(4), np.array([0, 1, 0, 1]), np.ones(4), increasing=True)
    (array([0., 1., 2., 3.]), array([0. , 0.5, 0.5, 1. ]))
    """
    from scipy.optimize import isotonic_regression  # a quarter of a second, that applying a saved fit does without

    order = np.lexsort((y, x))  # sums in one order, whatever the order of the points
    places, place = np.unique(x[order].astype(np.float64), return_inverse=True)
    total = np.bincount(place, weights=weight[order])
    mean = np.bincount(place, weights=weight[order] * y[order].astype(np.float64)) / total
    value: Numbers = isotonic_regression(mean, weights=total, increasing=increasing).x
    bends = np.ones(len(value), dtype=bool)
    bends[1:-1] = (value[1:-1] != value[:-2]) | (value[1:-1] != value[2:])
    return places[bends], value[bends]
