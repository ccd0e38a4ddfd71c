"""Counts, rates and worst rows of each stratum, by hand, in any batches."""

import pickle

import pyarrow as pa
import pytest

from ncaudit.judging.galleries.per_stratum import NAMELESS, OTHERS, PerStratum

BATCH = pa.RecordBatch.from_pydict(
    {
        "pair_id": list("abcdefg"),
        "shard": ["x", "y", "x", "y", None, "x", "y"],
        "status": ["ok", "ok", "ok", "image_missing", "ok", "ok", "ok"],
        "soft_label": pa.array([0.9, 0.5, 0.1, None, 0.75, 0.2, 0.25], pa.float64()),
        "score": pa.array([1.0, 1, 1, None, 1, 1, 1], pa.float64()),
        "verdict": ["clean", "unsure", "noisy", None, "unsure", "noisy", "noisy"],
    }
)


def found(cut: int, **more):
    strata = PerStratum("shard", **{"most": 2, **more})
    for first in range(0, len(BATCH), cut):
        strata.add(BATCH.slice(first, cut))
    return strata.found()


@pytest.mark.parametrize("cut", [1, 3, 100])
def test_every_stratum_has_its_counts_and_its_worst_rows(cut):
    told = [(one.name, one.rows, one.ok, one.labelled, one.noisy, round(one.noise_rate, 6)) for one in found(cut)]
    # by the lower ends of their intervals: .212 of three rows, .179 of two, .020 of one
    assert told == [("x", 3, 3, 3, 2, 0.6), ("y", 3, 2, 2, 1, 0.625), (NAMELESS, 1, 1, 1, 0, 0.25)]
    assert [round(one.surely_noisy, 3) for one in found(cut)] == [0.212, 0.179, 0.02]
    assert [[row.get("pair_id") for row in one.worst] for one in found(cut)] == [["c", "f"], ["g", "b"], ["e"]]


@pytest.mark.parametrize("cut", [1, 100])
def test_strata_beyond_the_bound_are_one_by_name_and_not_by_who_comes_first(cut):
    assert {one.name: one.rows for one in found(cut, strata=1)} == {NAMELESS: 1, OTHERS: 6}
    (others,) = (one for one in found(cut, strata=2) if one.name == OTHERS)  # y: b, d, g
    assert (others.rows, others.ok, others.noise_rate) == (3, 2, 0.625)
    assert [row.get("pair_id") for row in others.worst] == ["g", "b"]


@pytest.mark.parametrize("strata", [1, 2, 9])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_what_was_found_elsewhere_is_joined_in_any_order(order, strata):
    ends, joined = (0, 2, 3, 7), PerStratum("shard", 2, strata)
    for number in order:
        part = PerStratum("shard", 2, strata, first=ends[number])
        part.add(BATCH.slice(ends[number], ends[number + 1] - ends[number]))
        joined.join(pickle.loads(pickle.dumps(part.part())))
    told = [(one.name, one.rows, one.labelled, one.mismatched, one.noisy, one.worst) for one in joined.found()]
    here = found(3, strata=strata)
    assert told == [(one.name, one.rows, one.labelled, one.mismatched, one.noisy, one.worst) for one in here]


def test_a_table_without_the_column_is_one_nameless_stratum():
    strata = PerStratum("source", 1)
    strata.add(BATCH)
    assert [(one.name, one.rows) for one in strata.found()] == [(NAMELESS, 7)]
