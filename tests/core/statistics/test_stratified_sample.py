import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncaudit.core.statistics.stratified_sample import (
    allocate,
    merge_unjudged,
    post_stratify,
    score_edges,
    score_strata,
    stratified_rate,
)
from ncaudit.core.statistics.wilson import Z
from ncaudit.errors import NcauditError

MANY = 10**12  # rows, so that no correction for a finite population is left


def test_strata_are_equal_parts_of_the_ranking():
    assert score_strata(np.array([5.0, 1, 4, 2, 3, 0]), 3).tolist() == [2, 0, 2, 1, 1, 0]
    assert np.bincount(score_strata(np.random.default_rng(0).normal(size=103), 10)).tolist() == [
        11, 10, 10, 11, 10, 10, 11, 10, 10, 10,
    ]  # fmt: skip


def test_equal_scores_are_ordered_by_position_or_by_what_breaks_ties():
    same = np.zeros(4)
    assert score_strata(same, 2).tolist() == [0, 0, 1, 1]
    assert score_strata(same, 2, tie=np.array([3, 0, 2, 1], dtype=np.uint64)).tolist() == [1, 0, 1, 0]


def test_allocation_is_neymans():
    # sd .5 at label .5 and .3 at label .9: size * sd is 50 to 30, and 16 rows are 10 and 6
    assert allocate([100, 100], [0.5, 0.9], 16).tolist() == [10, 6]
    assert allocate([300, 100], [0.5, 0.5], 8).tolist() == [6, 2]


def test_a_label_that_claims_purity_is_not_believed():
    assert allocate([100, 100], [1.0, 0.9], 20).tolist() == allocate([100, 100], [0.0, 0.1], 20).tolist() == [10, 10]


def test_without_labels_every_row_counts_alike():
    assert allocate([100, 300], [math.nan, math.nan], 20).tolist() == [5, 15]


def test_each_stratum_gives_two_rows_at_least_and_no_more_than_it_has():
    assert allocate([10_000, 10, 1, 0], [0.5, 1, 1, 1], 9).tolist() == [6, 2, 1, 0]
    assert allocate([3, 100], [0.5, 0.5], 60).tolist() == [2, 58]
    assert allocate([3, 4], [0.5, 0.9], 60).tolist() == [3, 4]


def test_too_few_rows_for_two_of_each_are_refused():
    with pytest.raises(NcauditError, match="3 rows are too few for 2 of each of 2 strata"):
        allocate([10, 10], [0.5, 0.5], 3)


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    label=st.floats(0, 1),
    more=st.integers(0, 60),
)
def test_allocation_adds_up_whatever_the_strata(sizes, label, more):
    n = 2 * len(sizes) + more
    drawn = allocate(sizes, np.linspace(0, label, len(sizes)), n)
    assert drawn.sum() == min(n, sum(sizes))
    assert all(min(2, size) <= part <= size for part, size in zip(drawn, sizes, strict=True))


def test_the_rate_weighs_strata_by_their_rows():
    # 1 of 2 among 300 rows, 0 of 2 among 100, 3 of 3 among 200: (150 + 0 + 200) / 600
    told = stratified_rate([True, False, False, False, True, True, True], [0, 0, 1, 1, 2, 2, 2], [300, 100, 200])
    assert told.rate == pytest.approx(350 / 600)
    assert told.judged == 7


def test_in_one_stratum_the_interval_is_wilsons():
    none = stratified_rate([False] * 10, [0] * 10, [MANY])
    assert (none.rate, none.low) == (0, 0)
    assert none.high == pytest.approx(Z**2 / (10 + Z**2))
    half = stratified_rate([True, False] * 5, [0] * 10, [MANY])
    # z sqrt(.25 / 10 + z^2 / 400) / (1 + z^2 / 10) = 1.64485 * .178224 / 1.270554
    assert (half.low, half.high) == pytest.approx((0.5 - 0.23073, 0.5 + 0.23073), abs=1e-5)
    all_wrong = stratified_rate([True] * 10, [0] * 10, [MANY])
    assert (all_wrong.rate, all_wrong.high) == (1, 1)
    assert all_wrong.low == pytest.approx(1 - none.high)


def test_strata_alike_are_one_random_sample():
    together = stratified_rate([False] * 40, [0] * 40, [MANY])
    apart = stratified_rate([False] * 40, [0, 1, 2, 3] * 10, [MANY] * 4)
    assert (apart.low, apart.high) == pytest.approx((together.low, together.high))


def test_verdicts_on_half_of_all_rows_count_double():
    assert stratified_rate([False] * 10, [0] * 10, [20]).high == pytest.approx(Z**2 / (20 + Z**2))


def test_where_every_row_was_judged_the_rate_is_exact():
    told = stratified_rate([True, False, False, True, False], [0, 0, 0, 1, 1], [3, 2])
    assert (told.rate, told.low, told.high) == (0.4, 0.4, 0.4)


def test_strata_that_differ_make_the_interval_narrower_than_a_random_sample():
    wrong = [True] * 50 + [False] * 50
    apart = stratified_rate(wrong, [0] * 50 + [1] * 50, [MANY, MANY])
    mixed = stratified_rate(wrong, [0] * 100, [MANY])
    assert 0.1 * (mixed.high - mixed.low) < apart.high - apart.low < 0.5 * (mixed.high - mixed.low)


def covered(rates, drawn, rows, draws=400, seed=0):
    """Share of samples whose interval holds the true rate of their population."""
    draw = np.random.default_rng(seed)
    stratum = np.repeat(np.arange(len(rows)), drawn)
    hits = 0
    for _ in range(draws):
        wrong = draw.binomial(rows, rates)
        found = draw.hypergeometric(wrong, rows - wrong, drawn)
        verdicts = np.concatenate([np.arange(n) < x for n, x in zip(drawn, found, strict=True)])
        told = stratified_rate(verdicts, stratum, rows)
        hits += told.low <= wrong.sum() / rows.sum() <= told.high
    return hits / draws


ROWS = np.full(10, 1_000)
INFORMATIVE = np.array([1, 0.9, 0.6, 0.3, 0.1, 0.05, 0.02, 0.01, 0, 0])


@pytest.mark.parametrize("rate", [0, 0.02, 0.2, 0.5, 1])
def test_nine_of_ten_intervals_hold_the_truth_when_the_score_is_blind(rate):
    assert covered(np.full(10, rate), np.full(10, 20), ROWS) >= 0.85


@pytest.mark.parametrize(
    "rates", [INFORMATIVE, INFORMATIVE[::-1], np.array([0] * 9 + [0.2])], ids=["good", "bad", "hid"]
)
@pytest.mark.parametrize("n", [50, 200])
def test_nine_of_ten_intervals_hold_the_truth_when_labels_guide_the_draw_well_or_badly(rates, n):
    assert covered(rates, allocate(ROWS, 1 - INFORMATIVE, n), ROWS) >= 0.85


def test_a_stratum_without_a_verdict_joins_its_nearest_neighbour():
    stratum, rows = merge_unjudged([1, 4, 4], [1, 2, 4, 8, 16, 32])
    assert stratum.tolist() == [0, 1, 1]
    assert rows.tolist() == [1 + 2 + 4, 8 + 16 + 32]  # 2 and 3 lie between: each goes to the nearer
    stratum, rows = merge_unjudged([0, 2], [1, 2, 4])
    assert rows.tolist() == [1 + 2, 4]  # as near to both: the lower scores
    merged = stratified_rate([True, False], [0, 2], [10, 20, 40])
    assert merged.rate == pytest.approx(30 / 70)


@pytest.mark.parametrize(
    ("stratum", "rows", "said"),
    [
        ([], [10], "no pair was judged"),
        ([0, 2], [10, 10], "in stratum 2, but there are 2 strata"),
        ([0, -1], [10, 10], "in stratum -1"),
        ([0, 0, 1], [1, 10], "stratum 0 has 1 rows but 2 verdicts"),
    ],
)
def test_verdicts_that_do_not_fit_the_strata_are_refused(stratum, rows, said):
    with pytest.raises(NcauditError, match=said):
        stratified_rate([True] * len(stratum), stratum, rows)


def test_edges_cut_scores_into_equal_parts_and_never_part_equal_scores():
    edges, rows = score_edges(np.arange(10.0)[::-1], 5)
    assert edges.tolist() == [2, 4, 6, 8]
    assert rows.tolist() == [2] * 5
    edges, rows = score_edges(np.array([0.0] * 7 + [1, 2, 3]), 5)
    assert edges.tolist() == [2]  # most cuts fall into the zeros, below which there is nothing
    assert rows.tolist() == [8, 2]
    assert score_edges(np.zeros(5), 3)[1].tolist() == [5]


@settings(deadline=None)
@given(scores=st.lists(st.integers(0, 9), min_size=1, max_size=50), strata=st.integers(1, 12))
def test_post_strata_of_all_rows_are_the_strata_themselves(scores, strata):
    score = np.array(scores, dtype=np.float64)
    edges, rows = score_edges(score, strata)
    stratum, merged = post_stratify(score, edges, rows)
    assert np.bincount(stratum).tolist() == merged.tolist() == rows.tolist()


def test_post_stratifying_mends_verdicts_that_were_picked_by_score():
    score = np.arange(1_000) / 1_000
    wrong = score < 0.2
    picked = np.concatenate([np.arange(0, 200, 2), np.arange(200, 1_000, 80)])  # mostly low scores: 100 of 110 wrong
    assert wrong[picked].mean() > 0.9
    told = stratified_rate(wrong[picked], *post_stratify(score[picked], *score_edges(score, 10)))
    assert told.rate == pytest.approx(0.2)
