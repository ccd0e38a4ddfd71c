"""The numbers that charts are drawn of: histograms, a curve, a grid. Knows arrays; nothing of drawing."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ncaudit.verbs.report.found.seen import ChartRows

Numbers = npt.NDArray[np.float64]
BARS = 48
LABEL_CELLS, COSINE_CELLS = 40, 60
TAIL = 0.002  # of the scores at each end that a chart may leave out


@dataclass(frozen=True)
class ScoreChart:
    """Scores of observed and random pairs as densities over `edges` (b + 1,), and the label as a curve.

    random: (b,), or None where the fit is not there. at, label: (c,) mean label of rows with about this score; empty
    without labels. cuts: where a verdict begins, by its name, as far as the scores reach it.
    """

    edges: Numbers
    observed: Numbers
    random: Numbers | None
    at: Numbers
    label: Numbers
    cuts: Mapping[str, float]


@dataclass(frozen=True)
class Grid:
    """Rows by label (LABEL_CELLS, from 0 to 1) and cosine (COSINE_CELLS, from low to high): counts."""

    counts: Numbers
    low: float
    high: float


def score_chart(rows: ChartRows, random: Numbers, cuts: Mapping[str, float] | None) -> ScoreChart | None:
    """None where no row has a score."""
    score = rows.score[~np.isnan(rows.score)]
    if not len(score):
        return None
    edges = _edges(np.concatenate([score, random]))
    at, label = _curve(rows, edges)
    named = {} if cuts is None else {"noisy": cuts["noisy_below"], "clean": cuts["clean_from"]}
    crossed = {word: _crossing(at, label, cut) for word, cut in named.items()}
    return ScoreChart(
        edges,
        _density(score, edges),
        _density(random, edges) if len(random) else None,
        at,
        label,
        {word: place for word, place in crossed.items() if place is not None},
    )


def label_cosine(rows: ChartRows) -> Grid | None:
    """None where no row has both."""
    both = ~(np.isnan(rows.soft_label) | np.isnan(rows.similarity))
    if not both.any():
        return None
    label, cosine = rows.soft_label[both], rows.similarity[both]
    low, high = float(cosine.min()), float(cosine.max())
    low, high = (low - 0.05, high + 0.05) if high - low < 1e-6 else (low, high)
    counts, _, _ = np.histogram2d(label, cosine, (LABEL_CELLS, COSINE_CELLS), ((0, 1), (low, high)))
    return Grid(counts, low, high)


def _edges(values: Numbers) -> Numbers:
    low, high = np.quantile(values, [TAIL, 1 - TAIL])
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, BARS + 1)


def _density(values: Numbers, edges: Numbers) -> Numbers:
    counts, _ = np.histogram(values.clip(edges[0], edges[-1]), edges)
    return np.asarray(counts / (len(values) * np.diff(edges)))


def _curve(rows: ChartRows, edges: Numbers) -> tuple[Numbers, Numbers]:
    """Mean label and score of the rows in each bar that holds any."""
    both = ~(np.isnan(rows.soft_label) | np.isnan(rows.score))
    score, label = rows.score[both], rows.soft_label[both]
    place = np.searchsorted(edges, score.clip(edges[0], edges[-1]), side="right").clip(1, len(edges) - 1) - 1
    count = np.bincount(place, minlength=len(edges) - 1)
    there = count > 0
    sums = (np.bincount(place, weight, len(edges) - 1)[there] for weight in (score, label))
    at, mean = (total / count[there] for total in sums)
    return np.asarray(at), np.asarray(mean)


def _crossing(at: Numbers, label: Numbers, cut: float) -> float | None:
    """The score at which the curve first reaches a label; None where it never does, or always has."""
    above = np.flatnonzero(label >= cut)
    if not len(above) or above[0] == 0:
        return None
    i = int(above[0])
    share = (cut - label[i - 1]) / (label[i] - label[i - 1]) if label[i] != label[i - 1] else 0.0
    return float(at[i - 1] + share * (at[i] - at[i - 1]))
