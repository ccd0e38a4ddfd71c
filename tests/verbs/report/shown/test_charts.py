"""The numbers that charts show, by hand, and drawings that are the same every time and hold no colour of their own."""

import numpy as np
import pytest

from ncaudit.verbs.report.found.seen import ChartRows
from ncaudit.verbs.report.found.truths import Reliability
from ncaudit.verbs.report.shown import charts
from ncaudit.verbs.report.shown.chart_data import BARS, LABEL_CELLS, label_cosine, score_chart

NOTHING = np.zeros(0)


def rows(score, label, cosine):
    return ChartRows(*(np.array(each, np.float64) for each in (score, label, cosine)))


LINE = rows(np.arange(101) / 10, np.arange(101) / 100, np.arange(101) / 100)


def test_observed_and_random_scores_are_densities_over_the_same_bars():
    told = score_chart(LINE, np.array([1.0] * 40), None)
    widths = np.diff(told.edges)
    assert len(widths) == BARS
    assert (told.observed * widths).sum() == pytest.approx(1)
    assert (told.random * widths).sum() == pytest.approx(1)
    assert widths[told.random > 0].sum() == pytest.approx(widths[0])


def test_the_cuts_stand_where_the_label_reaches_them():
    told = score_chart(LINE, NOTHING, {"noisy_below": 0.5, "clean_from": 0.9})
    assert told.random is None
    assert told.cuts == {"noisy": pytest.approx(5.0), "clean": pytest.approx(9.0)}
    assert np.interp(5.0, told.at, told.label) == pytest.approx(0.5, abs=0.01)


def test_a_cut_that_no_label_reaches_is_not_drawn():
    low = rows([0, 1, 2], [0.1, 0.2, 0.3], [0, 0, 0])
    assert score_chart(low, NOTHING, {"noisy_below": 0.5, "clean_from": 0.9}).cuts == {}


def test_without_labels_there_is_no_curve_and_without_scores_no_chart():
    nan = [np.nan] * 2
    assert len(score_chart(rows([1, 2], nan, nan), NOTHING, None).at) == 0
    assert score_chart(rows(nan, nan, nan), NOTHING, None) is None
    assert label_cosine(rows([1, 2], nan, [0.1, 0.2])) is None


def test_every_row_is_in_one_cell_of_label_and_cosine():
    grid = label_cosine(LINE)
    assert grid.counts.sum() == 101
    assert (grid.low, grid.high) == (0, 1)
    assert grid.counts[0, 0] > 0
    assert grid.counts[LABEL_CELLS - 1, 0] == 0


@pytest.mark.parametrize("same", [rows([3, 3], [0.5, 0.5], [0.2, 0.2]), rows([3], [1.0], [0.2])])
def test_rows_that_are_all_alike_are_drawn(same):
    assert "<svg" in charts.scores(score_chart(same, NOTHING, None))
    assert "<svg" in charts.label_and_cosine(label_cosine(same))


def test_reliability_counts_what_matches_in_each_bin():
    told = Reliability()
    told.add(np.array([0.05, 0.95, 0.95, 1.0, np.nan]), np.array([False, True, True, False, True]))
    assert told.judged == 4
    low, high = told.bins()
    assert (low.count, low.promised, low.observed) == (1, pytest.approx(0.05), 0)
    assert (high.count, high.observed) == (3, pytest.approx(2 / 3))
    assert high.promised == pytest.approx((0.95 + 0.95 + 1) / 3)
    assert high.observed_low < 2 / 3 < high.observed_high


POWER = [
    {"scorer": "bicro", "auroc": {"random": 0.97, "topic": 0.8, "near": None}},
    {"scorer": "clip-score", "auroc": {"random": 0.95, "topic": 0.7}},
]
DRAWN = {
    "scores": lambda: charts.scores(score_chart(LINE, np.arange(20.0), {"noisy_below": 0.5, "clean_from": 0.9})),
    "cosine": lambda: charts.label_and_cosine(label_cosine(LINE)),
    "power": lambda: charts.power(POWER, {"random": "random mismatches", "topic": "captions of the same topic"}),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_chart_is_the_same_every_time_and_takes_its_colours_from_the_page(name):
    svg = str(DRAWN[name]())
    assert svg == str(DRAWN[name]())
    assert 'role="img" aria-label="' in svg
    assert "#0a0b0" not in svg
    assert "var(--" in svg
    assert not {word for word in ("<script", "<style", "<metadata", "<?xml", "<!DOCTYPE") if word in svg}
    assert len(svg) < 60_000
