"""Sources that differ in how noisy they are: the rate and the shift of each, where chance does not explain them.

Knows one-dimensional arrays of scores, and a calibration of the pool; nothing of embeddings, files or scorers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ncaudit.core.statistics.null_rate import NoiseRate, checked_scores, noise_rate
from ncaudit.core.statistics.wilson import Z
from ncaudit.errors import NcauditError
from ncaudit.judging.calibration import Calibration, Numbers

STRATUM_ROWS = 100  # below, a stratum's own rate would say little
STRATUM_REPLICATES = 60
SHIFT_ERRORS = 2.0  # standard errors by which a stratum's null median must differ to be shifted


@dataclass(frozen=True)
class Strata:
    """What sets sources apart; field i of each is stratum i's. `used` is False where none differs from the pool.

    rates: (H,) noise rate, in [0, 1]. shifts: (H,) how much higher the stratum's random pairs score than the pool's.
    rows: (H,) observed pairs.
    """

    names: tuple[str, ...]
    rates: Numbers
    shifts: Numbers
    rows: npt.NDArray[np.int64]
    used: bool

    def soft_label(self, calibration: Calibration, score: npt.ArrayLike, stratum: npt.ArrayLike) -> Numbers:
        """Soft labels with each row's own rate and shift, (n,). stratum: (n,) int in [-1, H), -1: the pool's."""
        if not self.used:
            return calibration.soft_label(score)
        place = np.asarray(stratum, dtype=np.int64)
        rates, shifts = np.append(self.rates, calibration.rate.rate), np.append(self.shifts, 0.0)
        return calibration.soft_label(score, rate=rates[place], shift=shifts[place])


@dataclass(frozen=True)
class Placed:
    """Scores of n pairs, (n,), and the stratum of each, (n,) int in [-1, H), -1: of none. photo: (n,), where known."""

    score: npt.ArrayLike
    stratum: npt.ArrayLike
    photo: npt.ArrayLike | None = None


def fit_strata(
    calibration: Calibration, observed: Placed, null: Placed, *, names: Sequence[str], seed: int = 0
) -> Strata:
    """The noise rate and the shift of each source, where they differ from the pool's beyond chance.

    observed, null: the pool that `calibration` was fitted to. names: (H,). A shift is the difference of the null's
    median from the pool's, drawn to 0 by its variance, and 0 within 2 standard errors. A rate is the stratum's own,
    against its own random pairs where there are 100, drawn to the pool's by empirical Bayes (DerSimonian & Laird 1986).
    Strata of fewer than 100 observed pairs, or of one score only, take the pool's. Rates that differ by no more than
    chance (Cochran's Q at .05) are all the pool's.
    """
    seen, random = checked_scores(observed.score, null.score)
    place, null_place = (np.asarray(pairs.stratum, dtype=np.int64) for pairs in (observed, null))
    _require_strata(place, len(names), len(seen))
    _require_strata(null_place, len(names), len(random))
    rows = np.bincount(place[place >= 0], minlength=len(names)).astype(np.int64)
    large = np.array([h for h, r in enumerate(rows) if r >= STRATUM_ROWS and np.ptp(seen[place == h]) > 0], dtype=int)
    shifts, own = np.zeros(len(names)), []
    for number in large:
        inside, null_inside = place == number, null_place == number
        if null_inside.sum() < STRATUM_ROWS or np.ptp(random[null_inside]) == 0:
            null_inside = np.ones(len(random), dtype=bool)
        shifts[number] = _shift(random, null_inside, null.photo)
        ids = _taken(observed.photo, inside), _taken(null.photo, null_inside)
        own.append(noise_rate(seen[inside], random[null_inside], *ids, seed=seed, replicates=STRATUM_REPLICATES))
    rates = np.full(len(names), calibration.rate.rate)
    rates[large] = _drawn_together(own, rows[large], calibration.rate.rate)
    used = bool((rates != calibration.rate.rate).any() or shifts.any())
    return Strata(tuple(names), rates, shifts, rows, used)


def _shift(random: Numbers, inside: npt.NDArray[np.bool_], null_photo: npt.ArrayLike | None) -> float:
    """The stratum's null median less the pool's, drawn to 0 by its variance; 0 where chance may explain it."""
    witnesses = None if null_photo is None else np.asarray(null_photo)
    parts = (random[inside], None if witnesses is None else witnesses[inside]), (random, witnesses)
    (mine, my_error), (pool, pool_error) = (_median(*part) for part in parts)
    difference, variance = mine - pool, my_error**2 + pool_error**2
    if difference**2 <= SHIFT_ERRORS**2 * variance:
        return 0.0
    return difference * (1 - variance / difference**2)


def _median(score: Numbers, photo: npt.ArrayLike | None) -> tuple[float, float]:
    """The median and its standard error, from the order statistics one standard error to both sides of it."""
    witnesses = len(score) if photo is None else len(np.unique(photo))
    low, middle, high = np.quantile(score, 0.5 + np.array([-0.5, 0, 0.5]) / math.sqrt(max(witnesses, 1)))
    return float(middle), float(high - low) / 2


def _drawn_together(own: Sequence[NoiseRate], rows: npt.NDArray[np.int64], pool: float) -> Numbers:
    """Each stratum's rate, drawn to the pool's as far as it varies by chance."""
    if len(own) < 2:
        return np.full(len(own), pool)
    rate = np.array([one.rate for one in own])
    spread = np.array([(one.high - one.low) / (2 * Z) for one in own])
    variance = np.maximum(spread**2, (rate * (1 - rate) + 1 / rows) / rows)  # an interval of no width is no certainty
    weight = 1 / variance
    excess = float((weight * (rate - weight @ rate / weight.sum()) ** 2).sum())
    freedom = len(own) - 1
    if excess <= freedom * (1 - 2 / (9 * freedom) + Z * math.sqrt(2 / (9 * freedom))) ** 3:  # Wilson & Hilferty 1931
        return np.full(len(own), pool)
    between = (excess - freedom) / float(weight.sum() - (weight**2).sum() / weight.sum())
    drawn: Numbers = pool + between / (between + variance) * (rate - pool)
    return drawn


def _taken(given: npt.ArrayLike | None, inside: npt.NDArray[np.bool_]) -> npt.ArrayLike | None:
    return None if given is None else np.asarray(given)[inside]


def _require_strata(place: npt.NDArray[np.int64], strata: int, rows: int) -> None:
    if len(place) != rows:
        raise NcauditError(f"{rows:,} scores, but {len(place):,} stratum numbers", fix="give one stratum per score")
    if rows and (place.min() < -1 or place.max() >= strata):
        strange = place.min() if place.min() < -1 else place.max()
        raise NcauditError(f"a row is in stratum {strange}, but there are {strata} strata", fix="use -1 for unknown")
