"""Do observed pairs score otherwise than random ones at all? Asked before a noise rate is believed.

Knows two arrays of scores and who shares a photo; nothing of pairs. A noise rate near 1 means "hardly any caption is
right" only if the score would have seen right ones. Where it tells nothing, neither that nor the contrary is known.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ncaudit.errors import NcauditError

Numbers = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]

LEVEL = 0.001  # chance of a signal where there is none
POWER = 0.9  # chance of seeing the share of right pairs that `least_share` names
USEFUL_AUROC = 0.9  # of right against random pairs, by a score worth having: real photos give .88 to .96
USEFUL_DISTANCE = 1.812  # of two normal densities of one width with that AUROC
SHORT = 1.35  # of what normal theory promises: right pairs vary more, and raise the ranks they are held against
FEW = 0.2  # a test that misses more than this share of right pairs has had too few of them


@dataclass(frozen=True)
class Signal:
    """What a test of observed against random pairs found.

    auroc: chance that an observed pair scores above a random one, in [0, 1]; .5 where there is no signal. p: chance of
    such a difference among random pairs. least_share: the share of right pairs, in [0, 1], that would have been seen
    with chance .9 by a score of AUROC .9. pairs: observed ones.
    """

    auroc: float
    p: float
    least_share: float
    pairs: int

    @property
    def found(self) -> bool:
        """Whether observed pairs score higher than random ones, beyond chance."""
        return self.p < LEVEL

    @property
    def too_few(self) -> bool:
        """Whether nothing was found because there are too few pairs: many right ones may have been missed."""
        return not self.found and self.least_share > FEW


def signal(observed: npt.ArrayLike, null: npt.ArrayLike, photo: npt.ArrayLike, null_photo: npt.ArrayLike) -> Signal:
    """A test whether the observed pairs score higher than random ones.

    observed: (n,), null: (m,) finite scores. photo: (n,), null_photo: (m,) int ids of the photo of each.

    Were all captions random, it would be chance which of a photo's pairings is the observed one. So a permutation test
    exchanges them photo by photo, a photo's rows together. Two statistics: the rank sum (Wilcoxon 1945), which sees
    many right pairs of a weak score, and Savage's (1956) exponential scores, which see few right ones at the top. p is
    twice the smaller of the two. Their distribution is taken for a gamma one of the same three moments (Pearson III).

    >>> rng = np.random.default_rng(0)
    >>> own, random, at = rng.normal(size=300), rng.normal(size=1200), np.arange(300)
    >>> signal(own, random, at, np.tile(at, 4)).found, signal(own + (at < 30) * 4, random, at, np.tile(at, 4)).found
    (False, True)
    """
    seen, random = np.asarray(observed, dtype=np.float64), np.asarray(null, dtype=np.float64)
    if not len(seen) or not len(random):
        return Signal(0.5, 1.0, 1.0, len(seen))
    if not (np.isfinite(seen).all() and np.isfinite(random).all()):
        raise NcauditError("scores of pairs are nan or infinite", fix="leave failed pairs out")
    versions = _Versions.of(np.asarray(photo, dtype=np.int64), np.asarray(null_photo, dtype=np.int64))
    share = _rank_share(np.concatenate([seen, random]))
    moments = [versions.moments(effect) for effect in (share - 0.5, _savage(share))]
    p = min(1.0, 2 * min(_upper_tail(*one) for one in moments))
    return Signal(_auroc(share, len(seen)), p, _least_share(moments, len(seen), versions.exchanged), len(seen))


@dataclass(frozen=True)
class _Versions:
    """The observed pairing of each photo (version 0) and its random ones, numbered by photo and version.

    place: (n + m,) of each row in the (photos, versions) table; there: (photos, versions), whether it has any row.
    """

    place: Ids
    there: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, photo: Ids, null_photo: Ids) -> "_Versions":
        ids, group = np.unique(np.concatenate([photo, null_photo]), return_inverse=True)
        rows = np.bincount(group[: len(photo)], minlength=len(ids))
        drawn = group[len(photo) :]
        # a photo of several rows has as many random ones per draw: they stand in the order of the draws
        version = 1 + _occurrence(drawn) // np.maximum(rows[drawn], 1)
        count = int(version.max()) + 1
        place = group * count + np.concatenate([np.zeros(len(photo), np.int64), version])
        there = (np.bincount(place, minlength=len(ids) * count) > 0).reshape(-1, count)
        return cls(place, there)

    @property
    def exchanged(self) -> float:
        """Share of a difference that shows: the observed pairing is one of those that it is compared with."""
        return 1 - float((1 / self.there.sum(axis=1)).mean())

    def moments(self, effect: Numbers) -> tuple[float, float, float]:
        """By how much the observed pairings exceed their mean, with variance and third moment under exchange."""
        total = np.bincount(self.place, weights=effect, minlength=self.there.size).reshape(self.there.shape)
        count = self.there.sum(axis=1)
        mean = (total * self.there).sum(axis=1) / count
        apart = (total - mean[:, None]) * self.there
        exceeds = float(apart[self.there[:, 0], 0].sum())
        second, third = (float(((apart**power).sum(axis=1) / count).sum()) for power in (2, 3))
        return exceeds, second, third


def _occurrence(group: Ids) -> Ids:
    """How often each row's value has occurred before it."""
    order = np.argsort(group, kind="stable")
    first = np.searchsorted(group[order], group[order], side="left")
    before = np.empty(len(group), np.int64)
    before[order] = np.arange(len(group)) - first
    return before


def _rank_share(score: Numbers) -> Numbers:
    """Ranks in (0, 1), equal scores at their middle."""
    ascending = np.sort(score)
    ranks = np.searchsorted(ascending, score, side="left") + np.searchsorted(ascending, score, side="right")
    return np.asarray(ranks / (2 * len(score)))


def _savage(share: Numbers) -> Numbers:
    scores = -np.log1p(-share)
    return np.asarray(scores - scores.mean())


def _upper_tail(value: float, variance: float, third: float) -> float:
    """Chance of more than `value` of a gamma distribution around 0 (Wilson & Hilferty 1931); normal without skew."""
    if variance <= 0:
        return 1.0
    z, skew = value / math.sqrt(variance), third / variance**1.5
    if skew > 1e-3:
        shape = 4 / skew**2
        grown = max(0.0, 1 + z / math.sqrt(shape)) ** (1 / 3)
        z = (grown - 1 + 1 / (9 * shape)) * 3 * math.sqrt(shape)
    return 0.5 * math.erfc(z / math.sqrt(2))


def _least_share(moments: list[tuple[float, float, float]], pairs: int, exchanged: float) -> float:
    """The share of right pairs at which one of the two statistics would most likely have passed."""
    z = _normal_quantile(1 - LEVEL / 2) + _normal_quantile(POWER)
    spreads = (math.sqrt(variance) for _, variance, _ in moments)
    gains = (USEFUL_AUROC - 0.5, _savage_of_useful())
    needed = [
        SHORT * z * spread / (gain * pairs * exchanged)
        for spread, gain in zip(spreads, gains, strict=True)
        if exchanged
    ]
    return min([1.0, *needed])


def _savage_of_useful() -> float:
    """Mean of a right pair's centred Savage score, where right pairs have the useful AUROC."""
    z = np.linspace(USEFUL_DISTANCE - 6, USEFUL_DISTANCE + 6, 1201)
    above = np.array([0.5 * math.erfc(value / math.sqrt(2)) for value in z])
    density = np.exp(-0.5 * (z - USEFUL_DISTANCE) ** 2)
    return float(density @ -np.log(above) / density.sum()) - 1


def _normal_quantile(share: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(share)


def _auroc(share: Numbers, pairs: int) -> float:
    """Of the first `pairs` rows against the others, by their ranks among all."""
    others = len(share) - pairs
    return float((share[:pairs].sum() * len(share) - pairs * pairs / 2) / (pairs * others))
