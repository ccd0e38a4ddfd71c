"""Differences between two rows of a table, and how far chance may have moved them. Knows arrays; nothing of training.

Every row is measured on the same draws of noise (seeds) and the same test photos, so rows are compared photo by photo
and seed by seed. The error is that of a mean over both: photos that all seeds have in common, and seeds that all photos
have in common, each move many differences at once. Of D, seeds x photos, with S and Q of them,

    V = var(mean over photos of each seed) / S + var(mean over seeds of each photo) / Q - var(all D) / (S Q)

is the variance of the mean where both are drawn (variances by n - 1 but the last, by n); never less than what
either part says alone.
With one seed only the photos' part is there, and a draw's own luck is not in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Difference:
    """A mean difference and its standard error, and of how many seeds and photos."""

    mean: float
    error: float
    seeds: int
    photos: int

    @property
    def is_beyond_chance(self) -> bool:
        """At least two standard errors from nothing."""
        return abs(self.mean) >= 2 * self.error


def difference(one: Mapping[int, Floats], other: Mapping[int, Floats]) -> Difference | None:
    """one - other, each: (n,) by seed, over the seeds that both have; None where they have none in common.

    >>> import numpy as np
    >>> found = difference({0: np.array([1.0, 3.0]), 1: np.array([2.0, 2.0])}, {0: np.zeros(2), 1: np.zeros(2)})
    >>> found.mean, round(found.error, 3), found.seeds, found.photos  # seeds agree: 0; photos 1.5 and 2.5: .5
    (2.0, 0.5, 2, 2)
    """
    seeds = sorted(one.keys() & other.keys())
    if not seeds:
        return None
    apart = np.stack([np.asarray(one[seed], float) - np.asarray(other[seed], float) for seed in seeds])
    apart = apart[:, ~np.isnan(apart).any(axis=0)]
    return Difference(float(apart.mean()), sqrt(_variance(apart)), len(seeds), apart.shape[1])


def _variance(apart: Floats) -> float:
    seeds, photos = apart.shape
    of_photos = _of_mean(apart.mean(axis=0))
    if seeds == 1:
        return of_photos
    of_seeds = _of_mean(apart.mean(axis=1))
    return max(of_seeds, of_photos, of_seeds + of_photos - float(apart.var()) / (seeds * photos))


def _of_mean(values: Floats) -> float:
    return float(values.var(ddof=1)) / len(values) if len(values) > 1 else 0.0
