"""How many observed pairs are mismatched, told from the scores of random pairs: no assumption on either distribution.

Knows two arrays of scores; nothing of pairs. Everything but "what do clean scores look like" is read off the null: a
score counts as its rank among the random pairs, so a strictly increasing map of all scores changes nothing.

On that scale random pairs are uniform, and observed ones have the density pi + (1 - pi) h. A histogram at the lower
end, where h is about 0, is the classic answer (Storey 2002); it uses a fifth of the random-like rows, and is too high
for a score which separates poorly. Here h runs over a family of increasing densities, and pi is a median over all of
them, weighted by their likelihood: rows in the middle count too, and a lower end that still bends tells of clean pairs.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ncaudit.errors import NcauditError

Numbers = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]

FEWEST_ROWS = 50  # of either side: below, the interval would be most of [0, 1]
BINS = 60  # of equal null mass, below TOP
TOP = 0.9  # above this null rank there are hardly any mismatched pairs: all one bin, so its shape does not matter
BLOCKS = 500  # photos are dealt into so many groups, whose resampling has the same variance as that of photos
COARSE = 6_000  # rows beyond which the family's own error outweighs chance (power likelihood, Miller & Dunson 2019)
LEAST_AUROC = 0.7  # of clean against random pairs: clean pairs like random ones cannot be told from mismatches
LEFT_PENALTY = 20.0  # prior exp(-this * h's mean over the null's lowest fifth): such pairs are rather mismatched
SPREAD_SD = 0.5  # prior standard deviation of the log spread of clean scores against random ones
START_PENALTY = 1.0  # log of how much rarer a shape is whose lower end is exactly empty
FAR = 200.0  # of a log posterior: draws of the data differ by some tens where the data do by that
REPLICATES = 200  # bootstrap draws behind an interval
AT_ZERO, AT_ONE = 0.1, 0.05  # prior chance that no pair is mismatched, that all are: an interval must reach both ends


@dataclass(frozen=True)
class NoiseRate:
    """The share of pairs that are mismatched like random pairs, in [0, 1], with a 90 % interval."""

    rate: float
    low: float
    high: float


def noise_rate(
    observed: npt.ArrayLike,
    null: npt.ArrayLike,
    photo: npt.ArrayLike | None = None,
    null_photo: npt.ArrayLike | None = None,
    *,
    seed: int = 0,
    replicates: int = REPLICATES,
) -> NoiseRate:
    """The share of observed pairs that score like random ones.

    observed: (n,), null: (m,) scores of observed and of random pairs, scored alike; higher = likelier to correspond;
    at least 50 of each, finite, not all equal. photo: (n,), null_photo: (m,) int ids: rows of one photo are drawn
    together in the bootstrap; None: each row is its own. Mismatches that are better than random pairs (a caption from
    a similar photo) are not counted; clean pairs that score as low as random ones are.

    The rate is the median of the posterior of pi over binormal shapes of clean scores (made monotone); the interval
    holds 90 % of that posterior averaged over bootstrap draws (Huggins & Miller 2019), so it may touch 0 and 1.
    replicates: how many draws; with 0 the rate is as good at a fraction of the time, and the interval, of these very
    data alone, too narrow to be told.
    Raises NcauditError for scores that tell nothing.

    >>> rng = np.random.default_rng(0)
    >>> found = noise_rate(np.r_[rng.normal(size=300), rng.normal(3, 1, size=700)], rng.normal(size=3000))
    >>> round(found.rate, 1), found.low < 0.3 < found.high
    (0.3, True)
    """
    seen, random = checked_scores(observed, null)
    edges, rank = _bins(random)
    draws = _Draws(seen, random, edges, _ids(photo, len(seen), 0), _ids(null_photo, len(random), len(seen)))
    counts, null_counts = draws.resampled(np.random.default_rng(seed), replicates)
    shapes, prior = _shapes_at(rank)
    power = COARSE / (COARSE + len(seen))
    rates = np.linspace(0, 1, 51)
    for _ in range(2):  # the second time on a fine grid, where the first one found anything
        weight = _posterior(counts, null_counts, shapes, prior, rates, power)
        bagged = weight[1 if replicates else 0 :].mean(axis=0)
        used = rates
        rates = _refined(rates, bagged + weight[0])
    rate = _quantile(used, weight[0], 0.5)
    low, high = _quantile(used, bagged, 0.05), _quantile(used, bagged, 0.95)
    return NoiseRate(rate, min(rate, low), max(rate, high))


def checked_scores(observed: npt.ArrayLike, null: npt.ArrayLike) -> tuple[Numbers, Numbers]:
    """Both as (n,), (m,) float64. Raises NcauditError when one is too short, not finite, or the same number throughout.

    >>> checked_scores(np.zeros(60), np.arange(60))
    Traceback (most recent call last):
        ...
    ncaudit.errors.NcauditError: the scorer gives every pair the same score (0): it cannot tell matches from mismatches
    """
    seen, random = np.asarray(observed, dtype=np.float64), np.asarray(null, dtype=np.float64)
    for name, values in (("pairs", seen), ("random pairs", random)):
        broken = int((~np.isfinite(values)).sum())
        if broken:
            raise NcauditError(
                f"{broken:,} of {len(values):,} scores of {name} are nan or infinite", fix="leave failed pairs out"
            )
        if len(values) < FEWEST_ROWS:
            raise NcauditError(
                f"a noise rate needs the scores of at least {FEWEST_ROWS} {name}, and there are {len(values)}",
                fix="give more pairs, or rank them by their score only",
            )
    for word, values in (("every pair", seen), ("every random pair", random)):
        if values.min() == values.max():
            raise NcauditError(
                f"the scorer gives {word} the same score ({values[0]:g}): it cannot tell matches from mismatches",
                fix="check that the embeddings differ from row to row, or use another scorer",
            )
    return seen, random


class _Draws:
    """Rows per photo block and bin, counted once: a bootstrap draw is then a matrix product."""

    def __init__(self, seen: Numbers, random: Numbers, edges: Numbers, photo: Ids, null_photo: Ids) -> None:
        self.bins = len(edges) + 1
        self.place = np.searchsorted(edges, seen, side="right"), np.searchsorted(edges, random, side="right")
        _, group = np.unique(np.concatenate([photo, null_photo]), return_inverse=True)
        self.group = group[: len(photo)], group[len(photo) :]
        self.groups = int(group.max()) + 1

    def resampled(self, rng: np.random.Generator, replicates: int) -> tuple[Numbers, Numbers]:
        """Rows in each bin, observed and null, each (1 + replicates, bins); the first row holds the data themselves."""
        blocks = min(BLOCKS, self.groups)
        block = rng.permutation(self.groups) % blocks
        drawn = rng.multinomial(blocks, np.full(blocks, 1 / blocks), size=replicates)
        times = np.concatenate([np.ones((1, blocks)), drawn])
        counts, null_counts = (
            times @ self._per_block(block[group], place, blocks)
            for group, place in zip(self.group, self.place, strict=True)
        )
        return counts, null_counts

    def _per_block(self, block: Ids, place: Ids, blocks: int) -> Numbers:
        rows = np.bincount(block * self.bins + place, minlength=blocks * self.bins)
        return rows.reshape(blocks, self.bins).astype(np.float64)


def _ids(given: npt.ArrayLike | None, rows: int, first: int) -> Ids:
    if given is None:
        return -1 - np.arange(first, first + rows, dtype=np.int64)  # negative: no photo's id
    ids = np.asarray(given, dtype=np.int64)
    if len(ids) != rows:
        raise NcauditError(f"{rows:,} scores, but {len(ids):,} photo ids", fix="give one photo id per score")
    return ids


def _bins(random: Numbers) -> tuple[Numbers, Numbers]:
    """Inner edges of bins of about equal null mass (ties may merge some), and the null rank of all edges."""
    ascending = np.sort(random)
    share = np.linspace(0, TOP, int(np.clip(len(random) // 20, 10, BINS)) + 1)[1:]
    edges = np.unique(ascending[(share * len(random)).astype(np.int64)])
    edges = edges[edges > ascending[0]]
    below = np.searchsorted(ascending, edges, side="left") / len(random)
    return edges, np.concatenate([[0.0], below, [1.0]])


@lru_cache(maxsize=1)
def _family() -> tuple[Numbers, Numbers, Numbers]:
    """Null ranks (z,), the shapes' distribution functions there (S, z), and the log prior of each (S,).

    Binormal: where random scores are N(0, 1), clean ones are N(d, spread^2), with the density ratio held constant
    beyond the point where it would turn: a better score is never likelier a mismatch.
    """
    z = np.linspace(-6, 6, 1201)
    rank = 0.5 * (1 + np.array([math.erf(v / math.sqrt(2)) for v in z]))
    mass = np.diff(rank)
    shapes, prior = [], []
    for start, spread, d in _parameters():
        ratio = np.exp(_log_ratio(z, d, spread))
        steps = (ratio[1:] + ratio[:-1]) / 2 * mass
        below = np.concatenate([[0.0], np.cumsum(steps) / steps.sum()])
        below = np.interp((rank - start) / (1 - start), rank, below, left=0.0)
        if 1 - float(((below[1:] + below[:-1]) / 2 * mass).sum()) >= LEAST_AUROC:
            shapes.append(below)
            left = float(np.interp(0.2, rank, below)) / 0.2
            rare = START_PENALTY if start else 0.0
            prior.append(-LEFT_PENALTY * left - rare - 0.5 * (math.log(spread) / SPREAD_SD) ** 2)
    log_prior = np.array(prior) - math.log(np.exp(prior).sum())
    return rank, np.array(shapes), log_prior


def _parameters() -> list[tuple[float, float, float]]:
    """Start (null rank below which there are no clean pairs), spread and distance of clean scores, per shape."""
    smooth = [(0.0, s, d) for s in (0.5, 0.6, 0.72, 0.85, 1.0, 1.18, 1.4, 1.65) for d in np.geomspace(0.5, 5, 24)]
    sharp = [(t, s, d) for t in (0.3, 0.6) for s in (0.6, 0.8, 1.0, 1.3) for d in np.geomspace(0.5, 5, 12)]
    return [(t, s, float(d)) for t, s, d in smooth + sharp]


def _log_ratio(z: Numbers, d: float, spread: float) -> Numbers:
    """log of N(z; d, spread^2) / N(z; 0, 1) up to a constant, made non-decreasing."""
    turn = d / (1 - spread**2) if spread != 1 else math.inf
    x = np.minimum(z, turn) if spread < 1 else np.maximum(z, turn if spread > 1 else -math.inf)
    value: Numbers = 0.5 * x**2 - 0.5 * ((x - d) / spread) ** 2
    return value


def _shapes_at(rank: Numbers) -> tuple[Numbers, Numbers]:
    """Mean density h of each shape within each bin, (S, bins), and the log prior (S,)."""
    grid, shapes, prior = _family()
    at = np.array([np.interp(rank, grid, below) for below in shapes])
    return np.diff(at, axis=1) / np.diff(rank), prior


def _posterior(
    counts: Numbers, null_counts: Numbers, shapes: Numbers, prior: Numbers, rates: Numbers, power: float
) -> Numbers:
    """Weight of each rate in each draw, (draws, rates), rows adding up to 1: shapes are summed over."""
    null = null_counts + 0.25  # a draw may leave a bin without random pairs
    null = null / null.sum(axis=1, keepdims=True)
    at = np.log(_rate_prior(rates))
    near = _log_posterior(counts[:1], null[:1], shapes, prior, rates, at, power)[0]
    near = near > near.max() - FAR
    # what is that far from the data is as good as impossible in every draw of them: half of the work on 2,000 pairs
    some, likely = near.any(axis=1), near.any(axis=0)
    fit = _log_posterior(counts, null, shapes[likely], prior[likely], rates[some], at[some], power)
    weight = np.zeros((len(counts), len(rates)))
    fit -= fit.max(axis=(1, 2), keepdims=True)
    weight[:, some] = np.exp(fit, out=fit).sum(axis=2)
    normalised: Numbers = weight / weight.sum(axis=1, keepdims=True)
    return normalised


def _log_posterior(
    counts: Numbers, null: Numbers, shapes: Numbers, prior: Numbers, rates: Numbers, at: Numbers, power: float
) -> Numbers:
    """Up to a constant, (draws, rates, shapes). null: shares of each bin. at: (rates,) log prior of the rates.

    In place: fresh memory for each of millions of numbers would take longer than the logarithms.
    """
    ratio = (rates[:, None, None] + (1 - rates)[:, None, None] * shapes).reshape(-1, shapes.shape[1])
    expected = (1 - rates)[:, None] * (null @ shapes.T)[:, None, :]
    expected += rates[:, None]
    fit: Numbers = (counts @ np.log(np.maximum(ratio, 1e-12)).T).reshape(expected.shape)
    np.log(expected, out=expected)
    expected *= counts.sum(axis=1)[:, None, None]
    fit -= expected
    fit *= power
    fit += prior
    fit += at[:, None]
    return fit


def _rate_prior(rates: Numbers) -> Numbers:
    """Flat, with some weight on exactly 0 and exactly 1."""
    step = (1 - AT_ZERO - AT_ONE) * (rates[1] - rates[0])
    return np.asarray(step + AT_ZERO * (rates == 0) + AT_ONE * (rates == 1))


def _refined(rates: Numbers, weight: Numbers) -> Numbers:
    inside = np.flatnonzero(weight > 1e-4)
    return np.linspace(rates[max(0, inside[0] - 1)], rates[min(len(rates) - 1, inside[-1] + 1)], 61)


def _quantile(rates: Numbers, weight: Numbers, share: float) -> float:
    return float(rates[min(int(np.searchsorted(np.cumsum(weight), share)), len(rates) - 1)])
