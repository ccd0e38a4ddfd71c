"""Isotonic regression without scikit-learn, and the same as scikit-learn's to the bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from ncaudit.scoring.isotonic import isotonic


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), tops=st.integers(1, 200), bottoms=st.integers(1, 200), increasing=st.booleans())
@pytest.mark.parametrize("decimals", [None, 1, 0])
def test_it_is_scikit_learns_to_the_bit(seed, tops, bottoms, increasing, decimals):
    draw = np.random.default_rng(seed)
    x, at = draw.normal(size=tops + bottoms), 2 * draw.normal(size=50)
    x = x if decimals is None else np.round(x, decimals)
    y = np.arange(len(x)) < tops
    weight = np.where(y, 1 / tops, 1 / bottoms)
    theirs = IsotonicRegression(increasing=increasing, out_of_bounds="clip").fit(x, y, sample_weight=weight)
    ours = isotonic(x, y, weight, increasing=increasing)
    np.testing.assert_array_equal(ours[0], theirs.X_thresholds_)
    np.testing.assert_array_equal(ours[1], theirs.y_thresholds_)
    np.testing.assert_array_equal(np.interp(at, *ours), theirs.predict(at))


def test_the_order_of_the_points_does_not_matter():
    draw = np.random.default_rng(0)
    x, y, weight = draw.integers(0, 30, 200), draw.random(200), draw.random(200) + 0.1
    order = draw.permutation(200)
    for one, other in zip(
        isotonic(x, y, weight, increasing=True),
        isotonic(x[order], y[order], weight[order], increasing=True),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("increasing", [True, False])
def test_few_points_and_many_are_pooled_alike_to_the_bit(monkeypatch, increasing):
    draw = np.random.default_rng(1)
    x, weight = np.arange(3_000), draw.random(3_000) + 0.01
    wave, labels = np.sin(x / 90) + draw.normal(size=3_000), draw.random(3_000) < x / 3_000
    for y in (wave, labels, -x, np.where(x == 2_999, -9, x)):
        monkeypatch.setattr("ncaudit.scoring.isotonic.FEW", 3_000)
        ours = isotonic(x, y, weight, increasing=increasing)
        monkeypatch.setattr("ncaudit.scoring.isotonic.FEW", 0)
        for one, other in zip(ours, isotonic(x, y, weight, increasing=increasing), strict=True):
            np.testing.assert_array_equal(one, other)
