"""The test whether observed pairs score otherwise than random ones: its level, its power, and what it says of both."""

import numpy as np
import pytest

from ncaudit import NcauditError
from ncaudit.core.statistics import signal as signals
from ncaudit.core.statistics.signal import FEW, signal

DRAWS = 4


def world(n: int, share: float, distance: float, seed: int) -> tuple[np.ndarray, ...]:
    """Scores of n photos with a share of right captions, of 4 random captions each, and the photos of both."""
    draw = np.random.default_rng(seed)
    right, photo = draw.random(n) < share, np.arange(n)
    return draw.normal(size=n) + distance * right, draw.normal(size=DRAWS * n), photo, np.tile(photo, DRAWS)


def test_random_pairs_alone_pass_about_as_often_as_the_p_value_says():
    p = np.array([signal(*world(100, 0.0, 0.0, seed)).p for seed in range(400)])
    assert 0.01 < (p < 0.05).mean() < 0.09
    assert (p < 0.001).mean() <= 0.01


@pytest.mark.parametrize(("n", "share", "distance"), [(600, 0.1, 2.3), (100, 0.5, 1.8), (1_000, 1.0, 0.3)])
def test_few_right_pairs_are_seen_and_so_is_a_weak_score(n, share, distance):
    found = [signal(*world(n, share, distance, seed)).found for seed in range(20)]
    assert np.mean(found) >= 0.9


@pytest.mark.parametrize("n", [100, 300, 1_000])
def test_the_least_share_is_seen_nine_times_in_ten(n):
    least = signal(*world(n, 0.0, 0.0, 0)).least_share
    found = [signal(*world(n, least, 1.812, seed)).found for seed in range(1, 101)]
    assert np.mean(found) >= 0.8


def test_few_pairs_are_told_to_be_few_and_many_are_not():
    few, many = signal(*world(60, 0.0, 0.0, 0)), signal(*world(600, 0.0, 0.0, 0))
    assert few.too_few
    assert few.least_share > FEW
    assert not many.found
    assert not many.too_few


def test_captions_that_move_together_with_their_photo_count_once():
    draw = np.random.default_rng(0)
    photo, found = np.repeat(np.arange(60), 5), []
    for _ in range(200):
        shared = [np.repeat(draw.normal(size=60), 5) for _ in range(1 + DRAWS)]
        found.append(signal(shared[0], np.concatenate(shared[1:]), photo, np.tile(photo, DRAWS)).p < 0.01)
    assert np.mean(found) < 0.04


def test_the_auroc_counts_pairs_above_random_ones():
    told = signal([1.0, 3.0], [0.0, 2.0, 2.0, 1.0], [0, 1], [0, 1, 0, 1])
    assert told.auroc == pytest.approx((1 + 0.5 + 4) / 8)  # 1 is above 0 and beside 1; 3 is above all four


def test_without_random_pairs_nothing_is_told():
    assert signal([1.0, 2.0], [], [0, 1], []).p == 1


def test_broken_scores_are_refused():
    with pytest.raises(NcauditError, match="nan"):
        signal([np.nan], [1.0], [0], [0])


@pytest.mark.parametrize(("tails", "p"), [((0.3, 0.4), 0.6), ((0.4, 0.01), 0.02), ((0.8, 0.9), 1.0)])
def test_p_is_twice_the_smaller_of_the_two_as_either_may_find_something(monkeypatch, tails, p):
    told = iter(tails)
    monkeypatch.setattr(signals, "_upper_tail", lambda *moments: next(told))
    at = np.arange(50)
    assert signals.signal(at / 50, at / 60, at, at).p == pytest.approx(p)


def test_the_tail_of_a_skewed_distribution_is_not_the_normal_one():
    assert signals._upper_tail(1.0, 1.0, 2.0) == pytest.approx(np.exp(-2), abs=5e-3)  # of the exponential, less 1
    assert signals._upper_tail(1.0, 1.0, 0.0) == pytest.approx(0.158655, abs=1e-6)
