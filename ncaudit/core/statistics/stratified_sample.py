"""Which pairs people should judge, and what their verdicts say about all pairs: stratified sampling and its estimate.

Knows numbers, strata and verdicts; nothing of files or of who judges. A stratum is a range of scores; number 0 holds
the lowest ones.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ncaudit.core.statistics.wilson import wilson_interval
from ncaudit.errors import NcauditError

Counts = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.floating]

LEAST = 2  # of each stratum: one verdict says nothing of how much verdicts differ
RARE = 0.1  # a soft label may be blind: no stratum is taken to be purer than that
PRIOR_VERDICTS = 2.0  # that each stratum's rate is drawn towards the overall one by, where its variance is estimated


@dataclass(frozen=True)
class RateEstimate:
    """The share of mismatched pairs among all rows, in [0, 1], with a 90 % confidence interval."""

    rate: float
    low: float
    high: float
    judged: int  # verdicts that it rests on


def score_strata(score: Numbers, strata: int = 10, *, tie: npt.NDArray[np.uint64] | None = None) -> Counts:
    """Strata of equal numbers of rows (to within one), by the rank of their score; equal scores may be parted.

    score: (n,), no nan. tie: (n,) orders equal scores; None: by position. Returns (n,) int64 in [0, strata).

    >>> score_strata(np.array([0.3, 0.1, 0.2, 0.4]), 2)
    array([1, 0, 0, 1])
    """
    order = np.argsort(score, kind="stable") if tie is None else np.lexsort((tie, score))
    stratum = np.empty(len(score), dtype=np.int64)
    ends = -(-np.arange(strata + 1) * len(score) // strata)
    for number in range(strata):
        stratum[order[ends[number] : ends[number + 1]]] = number
    return stratum


def allocate(sizes: npt.ArrayLike, mean_soft_label: npt.ArrayLike, n: int) -> Counts:
    """How many rows to draw of each stratum: 2 (or all it has), the rest where they lower the variance most.

    sizes: (H,) rows. mean_soft_label: (H,) in [0, 1], nan where unknown; only a guess of the share of matches, which
    decides how much verdicts will differ there. Returns (H,) int64, never above `sizes`, n in all, or everything where
    there is no more. Raises NcauditError when n is not enough for 2 of each. Neyman's optimum in whole numbers: every
    row goes to the stratum with the largest size * sd / sqrt(m (m + 1)), m being what it has (Wright 2012).

    >>> allocate([100, 100, 1], [0.5, 0.9, 0.5], 9)
    array([5, 3, 1])
    """
    rows = np.asarray(sizes, dtype=np.int64)
    drawn = np.minimum(rows, LEAST)
    if drawn.sum() > n:
        raise NcauditError(
            f"{n} rows are too few for {LEAST} of each of {len(rows)} strata", fix="draw more rows, or use fewer strata"
        )
    weight = rows * _expected_sd(np.asarray(mean_soft_label, dtype=np.float64))
    for _ in range(min(n, int(rows.sum())) - int(drawn.sum())):
        gain = np.where(drawn < rows, weight / np.sqrt(drawn * (drawn + 1.0) + (drawn == 0)), -1.0)
        drawn[int(gain.argmax())] += 1
    return drawn


def stratified_rate(mismatched: npt.ArrayLike, stratum: npt.ArrayLike, stratum_rows: npt.ArrayLike) -> RateEstimate:
    """The share of mismatched pairs among all rows, from verdicts on a random part of each stratum.

    mismatched: (n,) bool. stratum: (n,) int in [0, H). stratum_rows: (H,), all rows of each stratum. Strata without a
    verdict are first merged (`merge_unjudged`). Raises NcauditError without any verdict, or when they do not fit the
    strata.

    The rate weighs each stratum by its rows. The interval is Wilson's (1927) for as many verdicts as would make a
    simple random sample as precise as this one (Kish 1965), with finite population correction: where every row was
    judged, it has no width. To estimate that precision, each stratum's rate is drawn towards the overall one by two
    verdicts' weight; a stratum without a mismatch among three verdicts is not taken for pure.

    >>> stratified_rate([True, False, False, False], [0, 0, 1, 1], [300, 100]).rate
    0.375
    """
    judged = np.asarray(mismatched, dtype=bool)
    place, rows = merge_unjudged(stratum, stratum_rows)
    verdicts = np.bincount(place, minlength=len(rows)).astype(np.float64)
    found = np.bincount(place[judged], minlength=len(rows)).astype(np.float64)
    rate = float((rows * found / verdicts).sum() / rows.sum())
    low, high = wilson_interval(rate, _effective_verdicts(rate, found, verdicts, rows / rows.sum(), rows))
    return RateEstimate(rate, min(rate, low), max(rate, high), len(judged))


def merge_unjudged(stratum: npt.ArrayLike, stratum_rows: npt.ArrayLike) -> tuple[Counts, Counts]:
    """Strata without a verdict join the nearest one with verdicts; of two as near, the one with lower scores.

    Arguments and errors as in `stratified_rate`. Returns the new (n,) stratum and (H',) stratum_rows, same sums.

    >>> merge_unjudged([1, 1, 3], [10, 20, 30, 40])
    (array([0, 0, 1]), array([60, 40]))
    """
    place, rows = np.asarray(stratum, dtype=np.int64), np.asarray(stratum_rows, dtype=np.int64)
    _require_fit(place, rows)
    known = np.unique(place)
    distance = np.abs(np.arange(len(rows))[:, None] - known[None, :])
    joined = distance.argmin(axis=1)  # the first of equals
    return joined[place], np.bincount(joined, weights=rows, minlength=len(known)).astype(np.int64)


def edge_ranks(rows: int, strata: int = 10) -> Counts:
    """The ranks, from 0, of the scores that `score_edges` looks at: the lowest, and where strata would end."""
    return np.arange(strata, dtype=np.int64) * rows // strata


def score_edges(score: Numbers, strata: int = 10, *, times: Counts | None = None) -> tuple[Numbers, Counts]:
    """Where the scores of all rows are cut into strata of about equal numbers of rows, equal scores staying together.

    score: (n,), n at least 1, no nan. times: (n,) rows that have each score; None: one. Returns the inner edges
    (H - 1,), ascending, each the lowest score of the stratum above it, and the rows of each stratum (H,), none empty; H
    is at most `strata`, fewer where scores tie. Any score that is at none of `edge_ranks` may be another between the
    same two that are.

    >>> score_edges(np.array([0.1, 0.2, 0.2, 0.4]), 2)
    (array([0.2]), array([1, 3]))
    """
    order = np.argsort(score, kind="stable")
    ascending, held = score[order], np.ones(len(score), np.int64) if times is None else times[order]
    ends = held.cumsum()
    found = ascending[np.searchsorted(ends, edge_ranks(int(ends[-1]), strata), side="right")]
    edges = np.unique(found[found > ascending[0]])
    starts = np.concatenate([[0], (ends - held)[np.searchsorted(ascending, edges)], [ends[-1]]])
    return edges, np.diff(starts).astype(np.int64)


def post_stratify(score: Numbers, edges: Numbers, stratum_rows: npt.ArrayLike) -> tuple[Counts, Counts]:
    """Strata for verdicts that were not drawn by strata: by the score of the judged rows. For `stratified_rate`.

    score: (n,) of the judged rows. edges (H - 1,), stratum_rows (H,): from `score_edges` over all rows. Strata without
    a verdict are merged (`merge_unjudged`). Returns (n,) stratum and (H',) stratum_rows. It mends a choice of rows that
    depends on their score only; within a stratum, the judged rows are taken to be like the others.

    >>> post_stratify(np.array([0.05, 0.7]), np.array([0.2, 0.6]), [10, 20, 30])
    (array([0, 1]), array([30, 30]))
    """
    return merge_unjudged(np.searchsorted(edges, score, side="right"), stratum_rows)


def _expected_sd(mean_soft_label: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    mismatched = np.clip(1 - np.nan_to_num(mean_soft_label, nan=0.5), RARE, 1 - RARE)
    sd: npt.NDArray[np.float64] = np.sqrt(mismatched * (1 - mismatched))
    return sd


def _effective_verdicts(rate: float, found: Numbers, verdicts: Numbers, weight: Numbers, rows: Counts) -> float:
    """Verdicts of a simple random sample that would be as precise; infinite where every row was judged."""
    overall = (verdicts.sum() * rate + 1) / (verdicts.sum() + 2)  # never 0 or 1
    drawn = (found + PRIOR_VERDICTS * overall) / (verdicts + PRIOR_VERDICTS)
    variance = float((weight**2 * (1 - verdicts / rows) * drawn * (1 - drawn) / verdicts).sum())
    centre = float((weight * drawn).sum())  # of the same rates as the variance, or few mismatches would look certain
    return centre * (1 - centre) / variance if variance else math.inf


def _require_fit(stratum: Counts, rows: Counts) -> None:
    if not len(stratum):
        raise NcauditError("no pair was judged", fix="fill in is_match for at least some pairs")
    if stratum.min() < 0 or stratum.max() >= len(rows):
        strange = stratum.min() if stratum.min() < 0 else stratum.max()
        raise NcauditError(
            f"a verdict is in stratum {strange}, but there are {len(rows)} strata", fix="keep the columns as drawn"
        )
    excess = np.bincount(stratum, minlength=len(rows)) - rows
    if excess.max() > 0:
        worst = int(excess.argmax())
        raise NcauditError(
            f"stratum {worst} has {rows[worst]:,} rows but {rows[worst] + excess[worst]:,} verdicts",
            fix="give each pair one verdict, and the strata that the pairs were drawn from",
        )
