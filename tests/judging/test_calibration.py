import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncaudit.errors import NcauditError
from ncaudit.judging.calibration import (
    Calibration,
    Cuts,
    NoiseRate,
    auroc_standard_error,
    cuts_for_precision,
    departs,
    estimated_auroc,
    fit,
    recalibrate,
    verdicts,
)
from ncaudit.judging.strata import Placed, fit_strata


def world(rate, seed=0, *, n=2000, m=4000, distance=2.4):
    """Observed scores, random scores, and which observed pairs are mismatched."""
    rng = np.random.default_rng([seed, round(rate * 100)])
    mismatched = rng.permutation(n) < round(rate * n)
    return rng.normal(size=n) + distance * ~mismatched, rng.normal(size=m), mismatched


def calibration_gap(label, mismatched, bins=10):
    """Expected calibration error less what an honest label of this many rows shows by chance."""
    parts = np.array_split(np.argsort(label, kind="stable"), bins)
    gap = sum(len(p) * abs(label[p].mean() - (~mismatched[p]).mean()) for p in parts) / len(label)
    floor = sum(len(p) * 0.8 * math.sqrt((label[p] * (1 - label[p])).mean() / len(p)) for p in parts) / len(label)
    return gap - floor


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.2, 0.4, 0.6, 1.0])
def test_the_mean_label_tells_the_noise_rate(rate):
    observed, null, _ = world(rate)
    told = fit(observed, null)
    assert 1 - told.soft_label(observed).mean() == pytest.approx(told.rate.rate, abs=0.001)
    assert told.rate.rate == pytest.approx(rate, abs=0.05)


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.4, 0.6])
def test_labels_are_the_chance_that_a_pair_matches(rate):
    gaps = []
    for seed in range(3):
        observed, null, mismatched = world(rate, seed)
        gaps.append(calibration_gap(fit(observed, null).soft_label(observed), mismatched))
    assert np.mean(gaps) <= 0.02


def test_clean_data_are_hardly_ever_accused_and_random_pairs_nearly_always():
    observed, null, _ = world(0.0)
    assert (fit(observed, null).soft_label(observed) < 0.5).mean() <= 0.01
    observed, null, _ = world(1.0)
    assert (fit(observed, null).soft_label(observed) < 0.5).mean() > 0.9


@settings(deadline=None, max_examples=15)
@given(rate=st.floats(0, 1), other=st.floats(0, 1), ties=st.booleans(), seed=st.integers(0, 99))
def test_a_better_score_never_has_a_worse_label(rate, other, ties, seed):
    observed, null, _ = world(rate, seed, n=300, m=300)
    told = fit(np.round(observed), np.round(null)) if ties else fit(observed, null)
    grid = np.linspace(-9, 9, 500)
    for label in (told.soft_label(grid), told.soft_label(grid, rate=other)):
        assert ((label >= 0) & (label <= 1)).all()
        assert (np.diff(label) >= -1e-12).all()


def test_one_random_pair_below_all_others_does_not_blur_the_lower_end():
    observed, null, _ = world(0.5)
    told, tail = fit(observed, null), fit(observed, np.r_[null, observed.min() - 3])
    assert tail.soft_label([-1.0]) == pytest.approx(told.soft_label([-1.0]), abs=0.02)
    assert tail.soft_label([-1.0]) < 0.1


def test_another_rate_moves_all_odds_alike():
    observed, null, _ = world(0.4)
    told = fit(observed, null)
    grid = np.linspace(-1, 3, 20)
    before, after = told.soft_label(grid), told.soft_label(grid, rate=0.1)
    factor = (0.9 / 0.1) / ((1 - told.rate.rate) / told.rate.rate)
    np.testing.assert_allclose(after / (1 - after), factor * before / (1 - before))
    np.testing.assert_allclose(told.soft_label(grid, rate=np.full(20, 0.1)), after)
    np.testing.assert_allclose(told.soft_label(grid, rate=told.rate.rate), before)
    assert (told.soft_label(grid, rate=0) == 1).all()
    assert (told.soft_label(grid, rate=1) == 0).all()


def test_an_old_fit_with_the_rate_of_clean_new_data_accuses_hardly_any_of_them():
    told = fit(*world(0.4)[:2])
    fresh = world(0.0, seed=1)[0]
    assert (told.soft_label(fresh, rate=0.005) < 0.5).mean() <= 0.01
    assert (told.soft_label(fresh) < 0.5).mean() > 0.02


def test_a_shift_is_taken_off_the_score():
    told = fit(*world(0.4)[:2])
    grid = np.linspace(-1, 3, 20)
    np.testing.assert_allclose(told.soft_label(grid + 0.7, shift=0.7), told.soft_label(grid))


def test_a_pair_without_a_score_has_no_label():
    label = fit(*world(0.4)[:2]).soft_label([math.nan, 2.0])
    assert np.isnan(label).tolist() == [True, False]


def test_a_calibration_survives_being_saved():
    observed, null, mismatched = world(0.4, n=3000, m=9000)
    told = fit(observed, null, noisy_precision=0.9)
    told = recalibrate(told, observed[:100], mismatched[:100], np.full(100, 30.0))
    arrays = told.to_arrays()
    again = Calibration.from_arrays(arrays)
    np.testing.assert_array_equal(again.soft_label(observed), told.soft_label(observed))
    assert (again.rate, again.cuts, again.rows, again.judged) == (told.rate, told.cuts, 3000, 100)
    assert len(told.null) == 4096
    assert sum(values.nbytes for values in arrays.values()) < 100_000
    del arrays["null"]
    with pytest.raises(NcauditError, match="no 'null'"):
        Calibration.from_arrays(arrays)


@pytest.mark.parametrize("bad", [np.ones(100), np.r_[np.arange(99.0), math.nan], np.arange(10.0)])
def test_scores_that_tell_nothing_get_no_label(bad):
    with pytest.raises(NcauditError):
        fit(bad, np.arange(100.0))


def test_verdicts_by_hand():
    assert verdicts([0.0, 0.49, 0.5, 0.89, 0.9, 1.0], Cuts()).tolist() == [
        "noisy", "noisy", "unsure", "unsure", "clean", "clean",
    ]  # fmt: skip
    assert verdicts([0.0, 1.0], Cuts(0.0, 1.0)).tolist() == ["unsure", "clean"]
    with pytest.raises(NcauditError, match="1 soft label is nan"):
        verdicts([math.nan], Cuts())
    with pytest.raises(NcauditError, match=r"noisy below 0\.9 and clean from 0\.5"):
        Cuts(0.9, 0.5)


def test_the_noisy_cut_is_the_largest_that_keeps_the_promise():
    # P(mismatch) 1, .9, .8, .4: means 1, .95, .9, .775
    label = np.array([0.6, 0.1, 0.0, 0.2])
    assert cuts_for_precision(label, 0.9).noisy_below == 0.6  # three rows
    assert cuts_for_precision(label, 0.91).noisy_below == pytest.approx(0.2)  # two rows
    assert cuts_for_precision(label, 0.5).noisy_below == 0.9  # all, and never above the clean cut
    assert cuts_for_precision(label + 0.3, 0.9).noisy_below == 0  # none is that sure
    assert cuts_for_precision(np.array([0.0, 0.2, 0.2]), 0.9).noisy_below == pytest.approx(0.2)  # ties stay together
    with pytest.raises(NcauditError, match="a precision of 90 cannot be had"):
        cuts_for_precision(label, 90)


def test_the_precision_asked_for_is_had():
    observed, null, mismatched = world(0.3, n=5000, m=10_000, distance=1.8)
    told = fit(observed, null, noisy_precision=0.95)
    noisy = verdicts(told.soft_label(observed), told.cuts) == "noisy"
    assert noisy.mean() > 0.05
    assert mismatched[noisy].mean() >= 0.92
    assert told.cuts.noisy_below < 0.5


def two_sources(first, second, *, n=1500, moved=0.0):
    parts = [world(first, 1, n=n, m=2 * n), world(second, 2, n=n, m=2 * n)]
    observed, null = (np.concatenate([parts[0][i], parts[1][i] + moved]) for i in (0, 1))
    return observed, null, np.repeat([0, 1], n), np.repeat([0, 1], 2 * n)


def test_each_source_gets_its_own_rate():
    observed, null, stratum, null_stratum = two_sources(0.1, 0.5)
    pooled = fit(observed, null)
    strata = fit_strata(pooled, Placed(observed, stratum), Placed(null, null_stratum), names=["a", "b"])
    assert strata.used
    assert strata.names == ("a", "b")
    assert strata.rows.tolist() == [1500, 1500]
    assert strata.rates == pytest.approx([0.1, 0.5], abs=0.04)
    assert strata.shifts.tolist() == [0, 0]
    pool, own = pooled.soft_label(observed), strata.soft_label(pooled, observed, stratum)
    for source, rate in enumerate([0.1, 0.5]):
        assert abs(1 - pool[stratum == source].mean() - rate) > 0.04
        assert 1 - own[stratum == source].mean() == pytest.approx(rate, abs=0.04)


def test_a_source_whose_random_pairs_score_higher_is_shifted():
    observed, null, stratum, null_stratum = two_sources(0.3, 0.3, moved=1.0)
    pooled = fit(observed, null)
    strata = fit_strata(pooled, Placed(observed, stratum), Placed(null, null_stratum), names=["a", "b"])
    assert strata.used
    label = strata.soft_label(pooled, observed, stratum)
    assert label[stratum == 0].mean() == pytest.approx(label[stratum == 1].mean(), abs=0.05)
    assert strata.shifts[1] - strata.shifts[0] == pytest.approx(1, abs=0.15)


def test_sources_that_do_not_differ_are_one_pool():
    observed, null, stratum, null_stratum = two_sources(0.3, 0.3)
    pooled = fit(observed, null)
    strata = fit_strata(pooled, Placed(observed, stratum), Placed(null, null_stratum), names=["a", "b"])
    assert not strata.used
    assert (strata.rates == pooled.rate.rate).all()
    np.testing.assert_array_equal(strata.soft_label(pooled, observed, stratum), pooled.soft_label(observed))


def test_small_and_unknown_sources_take_the_pools_rate():
    observed, null, stratum, null_stratum = two_sources(0.1, 0.5)
    stratum[:50], stratum[50:80] = 2, -1
    pooled = fit(observed, null)
    strata = fit_strata(pooled, Placed(observed, stratum), Placed(null, null_stratum), names=["a", "b", "c"])
    assert strata.rates[2] == pooled.rate.rate
    own = strata.soft_label(pooled, observed, stratum)
    np.testing.assert_allclose(own[:80], pooled.soft_label(observed[:80]))
    with pytest.raises(NcauditError, match="stratum 2, but there are 2 strata"):
        fit_strata(pooled, Placed(observed, stratum), Placed(null, null_stratum), names=["a", "b"])


def test_a_source_of_one_score_takes_the_pools_rate():
    observed, null, stratum, null_stratum = two_sources(0.1, 0.5, n=500)
    observed[stratum == 1] = 0.0
    strata = fit_strata(fit(observed, null), Placed(observed, stratum), Placed(null, null_stratum), names=["a", "b"])
    assert strata.rates[1] == strata.rates[0]


def test_a_source_without_random_pairs_is_held_against_the_pools():
    observed, null, stratum, null_stratum = two_sources(0.1, 0.5)
    null_stratum[:] = -1
    strata = fit_strata(fit(observed, null), Placed(observed, stratum), Placed(null, null_stratum), names=["a", "b"])
    assert strata.rates == pytest.approx([0.1, 0.5], abs=0.05)
    assert strata.shifts.tolist() == [0, 0]


def test_departure_is_the_largest_gap_of_the_distributions():
    assert departs([1.0, 2, 3, 4], [3.0, 4, 5, 6]).distance == 0.5
    rng = np.random.default_rng(0)
    assert not departs(rng.normal(size=4000), rng.normal(size=4000)).significant
    assert departs(rng.normal(size=4000), rng.normal(0.5, 1, 4000)).significant
    assert not departs([1.0, 2, 3, 4], [3.0, 4, 5, 6]).significant  # too few to tell
    many = rng.normal(size=200_000)
    assert not departs(many, many + 0.03).significant  # sure, but without consequence
    with pytest.raises(NcauditError, match="no random pairs"):
        departs([], [1.0])


def drawn_by_score(observed, each, rng):
    """Rows drawn from ten ranges of the score, and how many each stands for."""
    parts = np.array_split(np.argsort(observed), 10)
    rows = np.concatenate([rng.choice(part, each, replace=False) for part in parts])
    return rows, np.repeat([len(part) / each for part in parts], each)


def test_verdicts_mend_labels_that_are_blind():
    # near mismatches score like clean pairs: 20 % noise, of which random pairs tell nothing
    means, rates = [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        observed, null = rng.normal(2.4, 1, 2000), rng.normal(size=4000)
        mismatched = rng.random(2000) < 0.2
        blind = fit(observed, null, seed=seed)
        assert blind.rate.rate < 0.03
        rows, weight = drawn_by_score(observed, 20, rng)
        mended = recalibrate(blind, observed[rows], mismatched[rows], weight)
        label = mended.soft_label(observed)
        assert label.mean() == pytest.approx(1 - mended.rate.rate, abs=0.03)
        assert (np.diff(label[np.argsort(observed)]) >= 0).all()
        assert mended.judged == 200
        assert mended.slope < 0.5  # the labels no longer claim that the score sees these
        means.append(label.mean())
        rates.append(mended.rate.low <= mismatched.mean() <= mended.rate.high)
    assert np.mean(means) == pytest.approx(0.8, abs=0.02)
    assert sum(rates) >= 6


def test_verdicts_that_agree_leave_the_labels_nearly_alone():
    observed, null, mismatched = world(0.3)
    told = fit(observed, null)
    rows, weight = drawn_by_score(observed, 20, np.random.default_rng(0))
    again = recalibrate(told, observed[rows], mismatched[rows], weight)
    assert np.abs(again.soft_label(observed) - told.soft_label(observed)).mean() < 0.06
    assert again.rate.low <= 0.3 <= again.rate.high


def test_the_judged_rate_weighs_rows_by_design():
    told = fit(*world(0.3)[:2])
    again = recalibrate(told, [0.0, 0.0, 2.0, 2.0], [True, True, True, False], [1.0, 1.0, 4.0, 4.0])
    assert again.rate.rate == pytest.approx(0.6)
    shifted = recalibrate(told, [0.0, 0.0, 2.0, 2.0], [True, True, True, False], [1.0, 1.0, 4.0, 4.0])
    grid = np.linspace(-1, 3, 9)
    np.testing.assert_allclose(shifted.soft_label(grid, rate=0.6), again.soft_label(grid))
    twice = recalibrate(again, [0.0, 0.0, 2.0, 2.0], [True, True, True, False], [1.0, 1.0, 4.0, 4.0])
    assert (twice.slope, twice.intercept) == (again.slope, again.intercept)


@pytest.mark.parametrize(
    ("score", "judged", "weight", "message"),
    [
        ([], [], [], "no pair was judged"),
        ([1.0], [True, False], [1.0], "do not fit"),
        ([math.nan], [True], [1.0], "no score or no weight"),
        ([1.0], [True], [0.0], "no score or no weight"),
    ],
)
def test_verdicts_that_do_not_fit_are_refused(score, judged, weight, message):
    with pytest.raises(NcauditError, match=message):
        recalibrate(fit(*world(0.3)[:2]), score, judged, weight)


def test_the_estimated_auroc_is_that_of_matches_against_random_mismatches():
    assert estimated_auroc(0.9, 0.0) == 0.9
    assert estimated_auroc(0.77, 0.4) == pytest.approx(0.95)  # .6 * .95 + .2
    assert estimated_auroc(0.4, 0.2) == 0.5
    assert estimated_auroc(1.0, 0.2) == 1
    assert math.isnan(estimated_auroc(0.5, 1.0))


def test_the_standard_error_is_delongs():
    # placements of [1, 3] above [0, 2]: .5 and 1; of [0, 2]: 0 and .5. (2 * .25^2 + 2 * .25^2) / 2^2 = 1 / 16
    assert auroc_standard_error([1.0, 3.0], [0.0, 2.0], 0.0) == pytest.approx(0.25)
    assert auroc_standard_error([1.0, 3.0], [0.0, 2.0], 0.5) == pytest.approx(0.5)
    assert math.isnan(auroc_standard_error([1.0, 3.0], [0.0, 2.0], 1.0))


def test_the_standard_error_is_what_repetition_shows():
    found, told = [], []
    for seed in range(150):
        observed, null, _ = world(0.0, seed, n=200, m=200, distance=1.0)
        found.append((observed[:, None] > null).mean())
        told.append(auroc_standard_error(observed, null, 0.0))
    assert np.mean(told) == pytest.approx(np.std(found), rel=0.15)


def test_copies_of_one_photo_do_not_make_the_auroc_surer():
    observed, null, _ = world(0.2, n=200, m=200)
    photo = np.arange(200)
    once = auroc_standard_error(observed, null, 0.2, photo, photo + 200)
    copied = auroc_standard_error(observed.repeat(5), null.repeat(5), 0.2, photo.repeat(5), (photo + 200).repeat(5))
    assert copied == pytest.approx(once)


def test_a_rate_is_a_plain_value():
    assert NoiseRate(0.1, 0.0, 0.2) == NoiseRate(0.1, 0.0, 0.2)
