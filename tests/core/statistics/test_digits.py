"""Counts of how numbers begin tell what the numbers themselves would, at every rank that is asked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncaudit.core.statistics.digits import (
    beginning_so,
    counted,
    first_digits,
    known_whole,
    ordered,
    together,
    unordered,
)
from ncaudit.core.statistics.stratified_sample import edge_ranks, post_stratify, score_edges

# few numbers apart, many that begin alike, and whatever a float may be
NUMBERS = st.one_of(
    st.integers(-3, 3).map(float),
    st.integers(0, 40).map(lambda step: float(np.float32(0.5) + step * np.float32(2**-24))),
    st.floats(allow_nan=False, width=32),
)
SHARDS = st.lists(st.lists(NUMBERS, max_size=30), min_size=1, max_size=6)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_floats_keep_their_order_as_whole_numbers(kind):
    draw = np.random.default_rng(0)
    values = np.concatenate([draw.normal(size=500), [np.inf, -np.inf, 0, 1e-40, -1e-40]]).astype(kind)
    assert (np.argsort(ordered(values), kind="stable") == np.argsort(values, kind="stable")).all()
    if kind is np.float32:
        assert (unordered(ordered(values)) == values).all()


def spread(shards, ranks):
    """What shards tell of their numbers, in two rounds."""
    parts = [np.array(shard, np.float32) for shard in shards]
    first = together(first_digits(part) for part in parts)
    begins = np.unique(first.at(ranks))
    return known_whole(first, together(beginning_so(part, begins) for part in parts))


@settings(deadline=None, max_examples=300)
@given(shards=SHARDS, data=st.data())
def test_merged_counts_give_the_numbers_at_any_ranks_and_how_many_are_below(shards, data):
    whole = np.sort(np.concatenate([np.array(shard, np.float32) for shard in shards]))
    if not len(whole):
        return
    ranks = data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=5))
    told = spread(shards, ranks)
    at = unordered(told.at(ranks))
    assert (at == whole[ranks]).all()
    below = [int(told.times[told.key < key].sum()) for key in ordered(at)]
    assert below == np.searchsorted(whole, at).tolist()
    assert told.rows == len(whole)


@settings(deadline=None)
@given(shards=SHARDS, strata=st.integers(1, 12))
def test_strata_of_merged_counts_are_those_of_all_rows(shards, strata):
    whole = np.concatenate([np.array(shard, np.float32) for shard in shards]).astype(np.float64)
    if not len(whole):
        return
    told = spread(shards, edge_ranks(len(whole), strata))
    both = score_edges(whole, strata), score_edges(told.values.astype(np.float64), strata, times=told.times)
    for plain, merged in zip(*both, strict=True):
        assert plain.tolist() == merged.tolist()
    every = (post_stratify(whole, *edges) for edges in both)
    assert next(every)[0].tolist() == next(every)[0].tolist()


def test_what_is_told_does_not_grow_with_the_numbers():
    draw = np.random.default_rng(0)
    told = [first_digits(draw.normal(size=rows).astype(np.float32)) for rows in (10_000, 1_000_000)]
    assert len(told[1].key) < 4_000  # of 65,536 that there can be
    assert [one.rows for one in told] == [10_000, 1_000_000]
    begins = np.unique(told[1].at(edge_ranks(told[1].rows)))
    assert len(begins) <= 10


def test_nothing_of_nothing():
    assert together([]).rows == counted(np.empty(0, np.uint32)).rows == 0
