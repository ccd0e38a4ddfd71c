"""From scores to soft labels that mean something: soft_label = 1 - P(the pair is a random-like mismatch).

Knows one-dimensional arrays of scores, of observed pairs and of random ones scored alike; nothing of embeddings, files
or scorers. The random pairs tell what a mismatch looks like, so no shape of either distribution is assumed; what is not
like a random pair (a caption of a similar photo) is not found, unless people's verdicts say so (`recalibrate`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ncaudit.core.statistics.null_rate import REPLICATES, NoiseRate, checked_scores, noise_rate
from ncaudit.core.statistics.wilson import wilson_interval
from ncaudit.counts import counted
from ncaudit.errors import NcauditError
from ncaudit.scoring.isotonic import isotonic

__all__ = [
    "Calibration",
    "Cuts",
    "Departure",
    "NoiseRate",
    "auroc_standard_error",
    "cuts_for_precision",
    "departs",
    "estimated_auroc",
    "fit",
    "noise_rate",
    "recalibrate",
    "verdicts",
]

Numbers = npt.NDArray[np.float64]

NULL_KEPT = 4096  # quantiles of the null that a calibration keeps
LEAST_ODDS = 1e-4  # how little likelier a clean pair may be held to score so low, against a random one
DEPARTS_AT = 1.95  # critical KS value at .001, times sqrt(1/n + 1/m)
LEAST_DEPARTURE = 0.05  # a KS distance below this moves no label that matters, however sure it is
SLOPE_PRECISION = 4.0  # of the prior that the old labels' slope is right: one verdict's weight per quarter


@dataclass(frozen=True)
class Cuts:
    """Where soft labels become verdicts, in [0, 1]: below `noisy_below` noisy, from `clean_from` on clean.

    At the defaults a noisy pair is likelier mismatched than not, and a clean one is mismatched in at most one of ten.
    """

    noisy_below: float = 0.5
    clean_from: float = 0.9

    def __post_init__(self) -> None:
        if not 0 <= self.noisy_below <= self.clean_from <= 1:
            raise NcauditError(
                f"pairs cannot be noisy below {self.noisy_below:g} and clean from {self.clean_from:g}",
                fix="give 0 <= noisy_below <= clean_from <= 1",
            )


@dataclass(frozen=True)
class Calibration:
    """What `fit` learned: the noise rate, and how much likelier each score is among random pairs.

    random: (k,) non-increasing, the chance that a score is a random pair's, were there as many of them as observed
    ones, at the ascending scores `knots` (k,). prior, scale: the rate that these were turned into labels with, and the
    factor on the odds of being clean that makes the labels' mean fit it. null: up to 4,096 quantiles of the null,
    ascending. rows: observed pairs. slope, intercept: what human verdicts changed on the logit scale (1, 0: nothing).
    judged: how many verdicts.
    """

    rate: NoiseRate
    knots: Numbers
    random: Numbers
    prior: float
    scale: float
    null: Numbers
    rows: int
    cuts: Cuts = Cuts()
    slope: float = 1.0
    intercept: float = 0.0
    judged: int = 0

    def soft_label(
        self, score: npt.ArrayLike, rate: npt.ArrayLike | None = None, shift: npt.ArrayLike = 0.0
    ) -> Numbers:
        """1 - P(mismatch), (n,) float64 in [0, 1], non-decreasing in the score; higher = likelier to correspond.

        score: (n,); nan stays nan. rate: in [0, 1], one number or (n,): taken for the share of mismatches in place of
        the fitted one (all odds move alike; 0 makes every label 1, and 1 makes it 0); None: the fitted one. shift: one
        number or (n,), how much higher such pairs score than those of the fit; subtracted.
        """
        clean = self.intercept + self.slope * self._logit(np.asarray(score, dtype=np.float64) - np.asarray(shift))
        if rate is not None:
            wanted = np.asarray(rate, dtype=np.float64)
            with np.errstate(divide="ignore"):
                odds = np.log1p(-wanted) - np.log(wanted)
            fitted = float(np.clip(self.rate.rate, 0.5 / self.rows, 1 - 0.5 / self.rows))
            clean = clean + odds + _logit(np.float64(fitted))
        return _expit(np.asarray(clean))

    def _logit(self, score: Numbers) -> Numbers:
        """log odds of being clean, before any verdicts."""
        random = np.interp(score, self.knots, self.random)
        return np.asarray(np.log(self.scale * _clean_odds(random, self.prior)) - _logit(np.float64(self.prior)))

    def to_arrays(self) -> dict[str, npt.NDArray[np.float64]]:
        """All of it as float64 arrays, to be saved beside tensors; `from_arrays` reads them."""
        numbers = [self.rate.rate, self.rate.low, self.rate.high, self.prior, self.scale, self.rows]
        numbers += [self.cuts.noisy_below, self.cuts.clean_from, self.slope, self.intercept, self.judged]
        return {"knots": self.knots, "random": self.random, "null": self.null, "numbers": np.array(numbers)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.ArrayLike]) -> "Calibration":
        """The calibration that `to_arrays` gave. Raises NcauditError when one of its arrays is missing."""
        missing = sorted({"knots", "random", "null", "numbers"} - set(arrays))
        if missing:
            raise NcauditError(f"the calibration has no {missing[0]!r}", fix="fit and save it again")
        knots, random, null, numbers = (
            np.asarray(arrays[name], dtype=np.float64) for name in ("knots", "random", "null", "numbers")
        )
        rate, low, high, prior, scale, rows, noisy, clean, slope, intercept, judged = numbers.tolist()
        cuts = Cuts(noisy, clean)
        told = NoiseRate(rate, low, high)
        return cls(told, knots, random, prior, scale, null, int(rows), cuts, slope, intercept, int(judged))


@dataclass(frozen=True)
class Departure:
    """How far two samples of random pairs lie apart: largest difference of their distribution functions, in [0, 1]."""

    distance: float
    significant: bool  # beyond chance (at .001) and beyond .05


def fit(
    observed: npt.ArrayLike,
    null: npt.ArrayLike,
    photo: npt.ArrayLike | None = None,
    null_photo: npt.ArrayLike | None = None,
    *,
    seed: int = 0,
    noisy_precision: float | None = None,
    replicates: int = REPLICATES,
) -> Calibration:
    """Learn what scores mean from observed pairs and random ones.

    Arguments and errors as in `noise_rate`. noisy_precision: in (0, 1], the share of true mismatches wanted among the
    pairs called noisy; None: noisy is whatever is likelier mismatched than not. replicates: as in `noise_rate`.

    P(mismatch | s) = rate * f0(s) / f(s): the two densities' ratio is an isotonic regression of "is it a random pair"
    on the score, both sides at equal total weight, interpolated between the blocks' mean scores. The odds are then
    scaled so that the observed pairs' mean P(mismatch) is the rate.

    >>> rng = np.random.default_rng(0)
    >>> told = fit(np.r_[rng.normal(size=300), rng.normal(4, 1, size=700)], rng.normal(size=2000))
    >>> told.soft_label([0.0, 4.0]).round()
    array([0., 1.])
    """
    seen, random = checked_scores(observed, null)
    rate = noise_rate(seen, random, photo, null_photo, seed=seed, replicates=replicates)
    knots, chance = _random_chance(seen, random)
    prior = float(np.clip(rate.rate, 0.5 / len(seen), 1 - 0.5 / len(seen)))  # some row may always be the exception
    scale = _balanced(_clean_odds(np.interp(seen, knots, chance), prior), prior)
    told = Calibration(rate, knots, chance, prior, scale, _thinned(random), len(seen))
    return replace(told, cuts=_chosen_cuts(told.soft_label(seen), noisy_precision))


def verdicts(soft_label: npt.ArrayLike, cuts: Cuts) -> npt.NDArray[np.str_]:
    """'noisy' below `cuts.noisy_below`, 'clean' from `cuts.clean_from` on, else 'unsure'; (n,). nan raises.

    >>> verdicts([0.1, 0.7, 0.9], Cuts()).tolist()
    ['noisy', 'unsure', 'clean']
    """
    label = np.asarray(soft_label, dtype=np.float64)
    if np.isnan(label).any():
        nans = counted(int(np.isnan(label).sum()), "soft label is", "soft labels are")
        raise NcauditError(f"{nans} nan", fix="leave failed pairs out")
    return np.where(label < cuts.noisy_below, "noisy", np.where(label >= cuts.clean_from, "clean", "unsure"))


def cuts_for_precision(soft_label_observed: npt.ArrayLike, noisy_precision: float) -> Cuts:
    """The largest noisy cut, at most the clean one, below which the mean P(mismatch) is at least `noisy_precision`.

    soft_label_observed: (n,) in [0, 1]. Precision is what the labels promise, so it is as good as they are. Where not
    even the lowest label is that sure the cut is 0, and no pair is noisy.

    >>> cuts_for_precision([0.0, 0.2, 0.6, 1.0], 0.9).noisy_below
    0.6
    """
    if not 0 < noisy_precision <= 1:
        raise NcauditError(f"a precision of {noisy_precision:g} cannot be had", fix="give a share above 0, at most 1")
    label = np.sort(np.asarray(soft_label_observed, dtype=np.float64))
    cut = np.unique(np.append(label[label <= Cuts.clean_from], Cuts.clean_from))
    below = np.searchsorted(label, cut, side="left")
    mismatched = np.concatenate([[0.0], np.cumsum(1 - label)])[below]
    kept = cut[(below > 0) & (mismatched >= noisy_precision * below * (1 - 1e-12))]
    return Cuts(float(kept[-1]) if len(kept) else 0.0)


def departs(old_null: npt.ArrayLike, new_null: npt.ArrayLike) -> Departure:
    """Do random pairs of new data score otherwise than those of the fit? Then its labels do not fit the new data.

    old_null: (m,), as `Calibration.null` keeps them; new_null: (m',), finite. Kolmogorov-Smirnov distance; significant
    when chance at .001 does not explain it and it is above .05. Rows of one photo make chance look larger than it is.

    >>> departs(np.arange(1000), np.arange(1000) + 250).significant
    True
    """
    old, new = np.sort(np.asarray(old_null, dtype=np.float64)), np.sort(np.asarray(new_null, dtype=np.float64))
    if not len(old) or not len(new):
        raise NcauditError("there are no random pairs to compare with", fix="score some random pairs")
    at = np.concatenate([old, new])
    gap = np.searchsorted(old, at, side="right") / len(old) - np.searchsorted(new, at, side="right") / len(new)
    distance = float(np.abs(gap).max())
    chance = DEPARTS_AT * math.sqrt(1 / len(old) + 1 / len(new))
    return Departure(distance, distance > max(chance, LEAST_DEPARTURE))


def recalibrate(
    calibration: Calibration, judged_score: npt.ArrayLike, judged_mismatch: npt.ArrayLike, weight: npt.ArrayLike
) -> Calibration:
    """The same calibration after people judged some pairs: the rate is theirs, and the labels mean what they saw.

    judged_score: (v,). judged_mismatch: (v,) bool. weight: (v,) above 0, rows that each verdict stands for (its
    stratum's rows over its stratum's verdicts). The rate is the weighted share of mismatches, its interval Wilson's
    (1927) for Kish's (1965) effective number of verdicts. The labels' logit becomes intercept + slope * logit: weighted
    logistic regression (Platt 1999) with a normal prior on the slope around 1, so few verdicts mostly move the mean;
    the mean label becomes 1 - rate. A slope near 0 says that the score does not see these mismatches. The order of the
    pairs stays. The cuts stay. Raises NcauditError without verdicts, or when the three do not fit.
    """
    mismatched = np.asarray(judged_mismatch, dtype=bool)
    weights = np.asarray(weight, dtype=np.float64)
    score = np.asarray(judged_score, dtype=np.float64)
    _require_verdicts(score, mismatched, weights)
    verdicts_worth = float(weights.sum() ** 2 / (weights**2).sum())
    share = float(weights @ mismatched / weights.sum())
    rate = NoiseRate(share, *wilson_interval(share, verdicts_worth))
    old = calibration._logit(score)
    slope, intercept = _platt(old, ~mismatched, weights * verdicts_worth / weights.sum())
    return replace(calibration, rate=rate, slope=slope, intercept=intercept, judged=len(score))


def estimated_auroc(auc_observed_vs_null: float, rate: float) -> float:
    """How well the score tells matches from random mismatches, told without labels; in [0.5, 1], nan where rate is 1.

    auc_observed_vs_null: chance that an observed pair scores above a random one; it equals (1 - rate) * AUROC +
    rate / 2. rate: share of mismatches, in [0, 1].

    >>> estimated_auroc(0.77, 0.4)
    0.95
    """
    if rate >= 1:
        return math.nan
    return float(np.clip(round((auc_observed_vs_null - rate / 2) / (1 - rate), 12), 0.5, 1))


def auroc_standard_error(
    observed: npt.ArrayLike,
    null: npt.ArrayLike,
    rate: float,
    photo: npt.ArrayLike | None = None,
    null_photo: npt.ArrayLike | None = None,
) -> float:
    """Standard error of `estimated_auroc` at a known rate: DeLong (1988) on placements, summed within photos.

    observed: (n,), null: (m,) scores, photo: (n,), null_photo: (m,) int ids or None as in `noise_rate`. Rows of one
    photo are taken for dependent (Obuchowski 1997). nan where rate is 1.
    """
    if rate >= 1:
        return math.nan
    seen, random = np.asarray(observed, dtype=np.float64), np.asarray(null, dtype=np.float64)
    above, null_above = _placement(seen, random), _placement(random, seen)
    effect = np.concatenate([(above - above.mean()) / len(seen), -(null_above - null_above.mean()) / len(random)])
    ids = [_photo_ids(photo, len(seen), 0), _photo_ids(null_photo, len(random), len(seen))]
    _, group = np.unique(np.concatenate(ids), return_inverse=True)
    return math.sqrt(float((np.bincount(group, weights=effect) ** 2).sum())) / (1 - rate)


def _random_chance(seen: Numbers, random: Numbers) -> tuple[Numbers, Numbers]:
    """Blocks of an isotonic regression: mean score, ascending, and the chance of a random pair, non-increasing."""
    score = np.concatenate([seen, random])
    is_random = np.arange(len(score)) >= len(seen)
    weight = np.where(is_random, 0.5 / len(random), 0.5 / len(seen))
    rank = np.unique(score, return_inverse=True)[1]  # scores closer than the smallest float would come out as nan
    fitted = np.interp(rank, *isotonic(rank, is_random, weight, increasing=False))
    _, block = np.unique(-fitted, return_inverse=True)
    total = np.bincount(block, weights=weight)
    mean = np.bincount(block, weights=weight * score) / total
    null_mass = np.bincount(block, weights=weight * is_random)
    seen_mass = np.bincount(block, weights=weight * ~is_random)
    chance = null_mass / total
    if len(chance) > 1:  # only the best block can lack random pairs: none seen there is not none
        null_top = max(null_mass[-1], 0.25 / len(random))
        chance[-1] = min(chance[-2], null_top / (null_top + seen_mass[-1]))
    return mean, chance


def _clean_odds(random: Numbers, rate: float) -> Numbers:
    """Density of clean pairs over that of random ones, where a pair is random with this chance at equal numbers."""
    return np.asarray(np.maximum(((1 - random) / random - rate) / (1 - rate), LEAST_ODDS))


def _balanced(odds: Numbers, rate: float) -> float:
    """The factor on the clean pairs' odds at which the mean P(mismatch) is the rate; by bisection of its log."""
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        mismatched = float((rate / (rate + (1 - rate) * odds * math.exp(middle))).mean())
        low, high = (middle, high) if mismatched > rate else (low, middle)
    return math.exp((low + high) / 2)


def _thinned(random: Numbers) -> Numbers:
    ascending = np.sort(random)
    if len(ascending) <= NULL_KEPT:
        return ascending
    middle = (np.arange(NULL_KEPT) + 0.5) / NULL_KEPT * len(ascending)
    return ascending[middle.astype(np.int64)]


def _chosen_cuts(label: Numbers, noisy_precision: float | None) -> Cuts:
    return Cuts() if noisy_precision is None else cuts_for_precision(label, noisy_precision)


def _platt(logit: Numbers, clean: npt.NDArray[np.bool_], weight: Numbers) -> tuple[float, float]:
    """Slope (at least 0.01: the order of the pairs stays) and intercept of a weighted logistic regression."""
    slope = 1.0
    intercept = _matched(slope, logit, clean, weight)
    for _ in range(100):  # Newton in the slope, the intercept always matching the mean: concave in the slope
        chance = _expit(intercept + slope * logit)
        information = weight * chance * (1 - chance) + 1e-12
        centred = logit - information @ logit / information.sum()
        step = weight @ ((clean - chance) * logit) - SLOPE_PRECISION * (slope - 1)
        moved = max(0.01, slope + float(np.clip(step / (information @ centred**2 + SLOPE_PRECISION), -0.3, 0.3)))
        if abs(moved - slope) < 1e-9:
            break
        slope, intercept = moved, _matched(moved, logit, clean, weight)
    return slope, intercept


def _matched(slope: float, logit: Numbers, clean: npt.NDArray[np.bool_], weight: Numbers) -> float:
    """The intercept at which the weighted mean chance is the weighted share of clean pairs, kept off 0 and 1."""
    total = float(weight.sum())
    wanted = float(np.clip(weight @ clean, 0.25, total - 0.25)) / total
    low, high = -60.0, 60.0
    for _ in range(60):
        middle = (low + high) / 2
        too_low = float(weight @ _expit(middle + slope * logit)) / total < wanted
        low, high = (middle, high) if too_low else (low, middle)
    return (low + high) / 2


def _placement(score: Numbers, among: Numbers) -> Numbers:
    """Share of `among` that each score lies above; a tie counts one half."""
    ascending = np.sort(among)
    below = np.searchsorted(ascending, score, side="left") + np.searchsorted(ascending, score, side="right")
    return np.asarray(below / (2 * len(ascending)))


def _photo_ids(given: npt.ArrayLike | None, rows: int, first: int) -> npt.NDArray[np.int64]:
    if given is None:
        return -1 - np.arange(first, first + rows, dtype=np.int64)
    return np.asarray(given, dtype=np.int64)


def _logit(chance: npt.ArrayLike) -> Numbers:
    value = np.asarray(chance, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(value) - np.log1p(-value))


def _expit(logit: npt.ArrayLike) -> Numbers:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * np.asarray(logit, dtype=np.float64))))


def _require_verdicts(score: Numbers, mismatched: npt.NDArray[np.bool_], weight: Numbers) -> None:
    if not len(score):
        raise NcauditError("no pair was judged", fix="fill in is_match for at least some pairs")
    if not len(score) == len(mismatched) == len(weight):
        raise NcauditError(
            f"{len(score):,} scores, {len(mismatched):,} verdicts and {len(weight):,} weights do not fit",
            fix="give one of each per judged pair",
        )
    if not np.isfinite(score).all() or not (weight > 0).all():
        raise NcauditError("a judged pair has no score or no weight", fix="leave failed pairs out; weights are above 0")
