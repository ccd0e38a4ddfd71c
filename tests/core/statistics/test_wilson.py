"""Wilson's interval, against its own equation."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncaudit.core.statistics.wilson import Z, wilson_interval

SHARE, TRIALS = st.floats(0, 1), st.floats(1, 1e9)


@given(SHARE, TRIALS)
def test_it_holds_the_share_and_stays_within_0_and_1(share, trials):
    low, high = wilson_interval(share, trials)
    assert 0 <= low <= share <= high <= 1


@given(st.floats(0.001, 0.999), st.floats(1, 1e6))  # nearer to 0 and 1 the rounding is what one would see
def test_at_its_ends_the_share_is_z_standard_errors_away(share, trials):
    for end in wilson_interval(share, trials):
        if end not in (0, 1, share):
            assert abs(share - end) == pytest.approx(Z * math.sqrt(end * (1 - end) / trials), rel=1e-4, abs=1e-12)


def test_nothing_seen_in_ten_trials():
    assert wilson_interval(0.0, 10) == pytest.approx((0.0, Z * Z / (10 + Z * Z)))


def test_a_share_that_is_certain():
    assert wilson_interval(0.25, math.inf) == (0.25, 0.25)
