"""How much higher one source's random pairs score than all: less than it looks, by what chance may have added."""

import numpy as np
import pytest

from ncaudit.judging.strata import _shift


@pytest.fixture
def random():
    """Scores of 1,000 random pairs, and which 200 are of one source."""
    return np.random.default_rng(0).normal(size=1_000), np.arange(1_000) < 200


def test_a_shift_is_drawn_to_zero_the_more_the_fewer_pairs_show_it(random):
    score, inside = random
    score = score + 0.6 * inside
    apparent = np.median(score[inside]) - np.median(score)
    sure, unsure = (
        _shift(score, inside, np.arange(1_000) // rows) for rows in (1, 3)
    )  # of one photo each, and of three
    assert 0.5 * apparent < unsure < sure < apparent


def test_a_shift_that_chance_may_explain_is_none(random):
    score, inside = random
    assert _shift(score + 0.05 * inside, inside, None) == 0
