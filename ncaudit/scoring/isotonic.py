"""The monotone function nearest to some points (isotonic regression).

Knows numbers only. scikit-learn's gives the same to the bit, and brings a second of imports (all of `scipy.stats`);
scipy's brings a quarter of one, more than thousands of points take here without it.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

FEW = 5_000  # points that are pooled here in less time than scipy takes to be loaded
Numbers = npt.NDArray[np.float64]


def isotonic(x: npt.NDArray[Any], y: npt.NDArray[Any], weight: Numbers, *, increasing: bool) -> tuple[Numbers, Numbers]:
    """Where the nearest monotone function of x bends, and its values there: linear between, constant outside.

    x, y: (n,), n >= 1; of several y at one x the weighted mean counts. weight: (n,), above 0. Returns (m,) ascending
    places and (m,) values that never fall (`increasing`) or never rise: `np.interp(at, *isotonic(…))` is the function.
    Best & Chakravarti 1990, weighted least squares.

    >>> isotonic(np.arange(4), np.array([0, 1, 0, 1]), np.ones(4), increasing=True)
    (array([0., 1., 2., 3.]), array([0. , 0.5, 0.5, 1. ]))
    """
    order = np.lexsort((y, x))  # sums in one order, whatever the order of the points
    places, place = np.unique(x[order].astype(np.float64), return_inverse=True)
    total = np.bincount(place, weights=weight[order])
    mean: Numbers = np.bincount(place, weights=weight[order] * y[order].astype(np.float64)) / total
    value = _fitted(mean, total, increasing)
    bends = np.ones(len(value), dtype=bool)
    bends[1:-1] = (value[1:-1] != value[:-2]) | (value[1:-1] != value[2:])
    return places[bends], value[bends]


def _fitted(y: Numbers, weight: npt.NDArray[Any], increasing: bool) -> Numbers:
    """The nearest monotone values: (n,) of (n,)."""
    if len(y) > FEW:
        from scipy.optimize import isotonic_regression

        found: Numbers = isotonic_regression(y, weights=weight, increasing=increasing).x
        return found
    way = slice(None, None, 1 if increasing else -1)
    return _pooled(y[way].tolist(), weight[way].tolist())[way]


def _pooled(y: list[float], weight: list[float]) -> Numbers:
    """Neighbours that fall become one block, until none does; each sum in the order in which scipy takes it."""
    means, weights, sizes = list[float](), list[float](), list[int]()
    at = 0
    while at < len(y):
        mean, mass, size, at = y[at], weight[at], 1, at + 1
        if means and means[-1] >= mean:
            total = weights[-1] * means.pop() + mass * mean
            mass, size = mass + weights.pop(), size + sizes.pop()
            mean = total / mass
            while at < len(y) and mean >= y[at]:
                total, mass, size, at = total + weight[at] * y[at], mass + weight[at], size + 1, at + 1
                mean = total / mass
            while means and means[-1] >= mean:
                total, mass, size = total + weights[-1] * means.pop(), mass + weights.pop(), size + sizes.pop()
                mean = total / mass
        means.append(mean)
        weights.append(mass)
        sizes.append(size)
    return np.repeat(means, sizes)
