import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncaudit.core.statistics.null_rate import noise_rate
from ncaudit.errors import NcauditError


def scores(rate, seed, *, n=1150, m=2300, distance=2.0, spread=1.0):
    """Observed and null scores, and the exact share of mismatches: normal, clean ones `distance` higher."""
    rng = np.random.default_rng([seed, round(rate * 100)])
    mismatched = round(rate * n)
    clean = rng.normal(distance, spread, n - mismatched)
    return np.concatenate([rng.normal(size=mismatched), clean]), rng.normal(size=m), mismatched / n


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.2, 0.4, 0.6, 1.0])
def test_the_rate_is_near_the_truth_and_the_interval_covers_it(rate):
    errors, covered = [], 0
    for seed in range(20):
        observed, null, truth = scores(rate, seed)
        told = noise_rate(observed, null, replicates=50)
        errors.append(told.rate - truth)
        covered += told.low <= truth <= told.high
    assert np.abs(errors).mean() <= 0.03
    assert covered >= 17


def test_where_scores_separate_poorly_the_histogram_at_the_lower_end_is_beaten():
    ours, histogram = [], []
    for seed in range(5):
        observed, null, truth = scores(0.0, seed, distance=1.2)  # AUROC .8
        ours.append(abs(noise_rate(observed, null, replicates=50).rate - truth))
        histogram.append(abs((observed < np.quantile(null, 0.2)).mean() / 0.2 - truth))
    assert np.mean(ours) < 0.5 * np.mean(histogram)


@pytest.mark.parametrize("rescale", [np.exp, np.arctan, lambda s: 7 * s - 3])
def test_a_strictly_increasing_map_of_the_scores_changes_nothing(rescale):
    observed, null, _ = scores(0.3, 0)
    assert noise_rate(rescale(observed), rescale(null), replicates=20) == noise_rate(observed, null, replicates=20)


def test_the_order_of_rows_changes_the_draws_only():
    observed, null, _ = scores(0.3, 0)
    rng = np.random.default_rng(1)
    told, again = noise_rate(observed, null), noise_rate(rng.permutation(observed), rng.permutation(null))
    assert told.rate == pytest.approx(again.rate, abs=0.01)
    assert told.low == pytest.approx(again.low, abs=0.03)


def test_the_same_seed_gives_the_same_interval():
    observed, null, _ = scores(0.3, 0)
    assert noise_rate(observed, null, seed=3) == noise_rate(observed, null, seed=3)


def test_tied_scores_are_counted_like_others():
    observed, null, truth = scores(0.3, 0)
    told = noise_rate(np.round(observed * 2), np.round(null * 2))
    assert told.rate == pytest.approx(truth, abs=0.06)
    assert told.low <= truth <= told.high


def test_only_the_share_below_matters_not_how_good_the_best_are():
    observed, null, _ = scores(0.3, 0)
    best = observed > np.quantile(null, 0.95)
    assert noise_rate(np.where(best, observed + 100, observed), null) == noise_rate(observed, null)


def test_random_pairs_give_one_and_far_better_ones_zero():
    rng = np.random.default_rng(0)
    all_random = noise_rate(rng.normal(size=1000), rng.normal(size=2000))
    assert all_random.rate > 0.95
    assert all_random.high == 1
    far = noise_rate(rng.normal(9, 1, 1000), rng.normal(size=2000))
    assert (far.rate, far.low) == (0, 0)
    assert far.high < 0.01


def test_a_small_rate_is_told_from_another_small_rate():
    for rate in (0.01, 0.03):
        observed, null, truth = scores(rate, 0, n=20_000, m=40_000, distance=6.0)
        assert noise_rate(observed, null, replicates=20).rate == pytest.approx(truth, abs=0.004)


def test_copies_of_one_photo_are_one_witness():
    observed, null, _ = scores(0.4, 0, n=300, m=600)
    photo, null_photo = np.arange(300).repeat(5), (np.arange(600) % 300).repeat(5)
    apart = noise_rate(observed.repeat(5), null.repeat(5))
    together = noise_rate(observed.repeat(5), null.repeat(5), photo, null_photo)
    assert together.high - together.low > 1.2 * (apart.high - apart.low)


def test_many_rows_take_seconds_only():
    observed, null, truth = scores(0.3, 0, n=50_000, m=50_000)
    photo = np.arange(50_000) // 2
    noise_rate(observed[:100], null[:100])
    start = time.perf_counter()
    told = noise_rate(observed, null, photo, photo)
    assert time.perf_counter() - start < 4  # a loaded machine included: half a second otherwise
    assert told.rate == pytest.approx(truth, abs=0.05)


@settings(deadline=None, max_examples=25)
@given(
    rate=st.floats(0, 1), n=st.integers(50, 400), m=st.integers(50, 400), ties=st.booleans(), seed=st.integers(0, 99)
)
def test_the_interval_holds_the_rate_whatever_the_scores(rate, n, m, ties, seed):
    observed, null, _ = scores(rate, seed, n=n, m=m)
    told = (
        noise_rate(np.round(observed), np.round(null), replicates=10)
        if ties
        else noise_rate(observed, null, replicates=10)
    )
    assert 0 <= told.low <= told.rate <= told.high <= 1


def test_two_values_are_enough_for_an_answer():
    told = noise_rate(np.repeat([0.0, 1.0], [30, 70]), np.repeat([0.0, 1.0], [200, 1]))
    assert told.low <= 0.3 <= told.high


@pytest.mark.parametrize(
    ("observed", "null", "message"),
    [
        (np.ones(60), np.arange(60.0), "the scorer gives every pair the same score"),
        (np.arange(60.0), np.ones(60), "the scorer gives every random pair the same score"),
        (np.ones(60), np.ones(60), "the scorer gives every pair the same score"),
        (np.arange(49.0), np.arange(60.0), "at least 50 pairs, and there are 49"),
        (np.arange(60.0), np.arange(3.0), "at least 50 random pairs, and there are 3"),
        (np.r_[np.arange(60.0), np.nan], np.arange(60.0), "1 of 61 scores of pairs are nan or infinite"),
        (np.arange(60.0), np.r_[np.arange(60.0), np.inf], "1 of 61 scores of random pairs are nan or infinite"),
    ],
)
def test_scores_that_tell_nothing_are_refused(observed, null, message):
    with pytest.raises(NcauditError, match=message) as caught:
        noise_rate(observed, null)
    assert caught.value.fix


def test_photo_ids_must_fit_the_scores():
    observed, null, _ = scores(0.3, 0)
    with pytest.raises(NcauditError, match="1,150 scores, but 3 photo ids"):
        noise_rate(observed, null, photo=[1, 2, 3])


def test_without_draws_the_rate_is_as_good_and_the_interval_no_wider():
    rng = np.random.default_rng(5)
    observed, null = np.r_[rng.normal(size=150), rng.normal(3, 1, size=350)], rng.normal(size=2000)
    quick, told = noise_rate(observed, null, replicates=0), noise_rate(observed, null)
    assert quick.rate == pytest.approx(told.rate, abs=0.01)
    assert quick.low <= quick.rate <= quick.high
    assert quick.high - quick.low <= told.high - told.low
