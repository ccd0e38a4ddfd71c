import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncaudit.core.statistics.derangement import derange, is_own


def draw(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 50])
def test_no_row_gets_its_own_where_that_is_possible(n):
    for seed in range(50):
        got = derange([np.arange(n)], draw(seed))
        assert sorted(got) == list(range(n))
        assert not is_own([np.arange(n)], np.arange(n), got).any()


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(0, 99))
def test_every_row_is_given_exactly_once_whatever_the_groups(group, seed):
    assert sorted(derange([np.array(group)], draw(seed))) == list(range(len(group)))


@pytest.mark.parametrize("seed", range(50))
def test_repairing_one_row_spoils_no_other(seed):
    group = np.array([0, 0, 0, 1, 1, 1])  # there is no slack: every row of 0 must get one of 1
    assert not is_own([group], np.arange(6), derange([group], draw(seed))).any()


def test_siblings_do_not_get_each_other():
    photo, caption = np.repeat(np.arange(40), 5), np.arange(200) % 97
    got = derange([photo, caption], draw())
    assert not is_own([photo, caption], np.arange(200), got).any()


def test_rows_that_are_all_alike_keep_their_own():
    assert is_own([np.zeros(5, int)], np.arange(5), derange([np.zeros(5, int)], draw())).all()


def test_no_and_one_row_are_permuted_too():
    assert derange([np.array([], dtype=int)], draw()).tolist() == []
    assert derange([np.array([3])], draw()).tolist() == [0]


def test_every_other_place_is_equally_likely():
    # of four rows, each gets each of the other three in a third of all draws; 3,000 draws: sd of a share .0086
    counts = sum(np.eye(4)[derange([np.arange(4)], draw(seed))] for seed in range(3_000)) / 3_000
    assert np.abs(counts[~np.eye(4, dtype=bool)] - 1 / 3).max() < 0.05
