"""Lists of kept pairs for other tools, each as that tool wants it."""

import io

import numpy as np
import pyarrow as pa
import pytest

from ncaudit.errors import BadTable
from ncaudit.options import FilterForm
from ncaudit.shards.rewriting.selections import DataCompUids, IdList, NamedTwice, WeightTable, key_of


def batch(**columns):
    return pa.RecordBatch.from_pydict(columns)


def test_uids_are_sorted_by_their_first_half_and_then_by_their_second():
    halves = [(2, 1), (1, 9), (1, 3), (0, 7)]
    file = io.BytesIO()
    uids = DataCompUids(file, "uid", None)
    for first, second in halves:  # each in a batch of its own
        uids.write(batch(uid=[f"{first:016x}{second:016x}"]), "s.parquet")
    uids.close()
    file.seek(0)
    assert np.load(file).tolist() == sorted(halves)


@pytest.mark.parametrize(
    "times", [pa.array([2**64 - 1], pa.uint64()), pa.array([2**40]), pa.array([-1]), pa.array([1.5])]
)
def test_a_weight_that_is_none_is_refused(times):
    with pytest.raises(BadTable, match=r"s\.parquet: w "):
        DataCompUids(io.BytesIO(), "uid", "w").write(batch(uid=["0" * 32], w=times), "s.parquet")


@pytest.mark.parametrize("name", ["a\nb", "a\rb", "a\r\nb"])
def test_an_id_of_several_lines_is_refused(name):
    file = io.BytesIO()
    with pytest.raises(BadTable, match=r"s\.parquet: a key holds a line break"):
        IdList(file, "key").write(batch(key=["fine", name]), "s.parquet")
    assert file.getvalue() == b""


def test_a_pair_without_a_key_or_a_weight_is_refused():
    with pytest.raises(BadTable, match=r"s\.parquet has rows without a key among those kept"):
        IdList(io.BytesIO(), "key").write(batch(key=["a", None]), "s.parquet")
    with pytest.raises(BadTable, match=r"s\.parquet: soft_label is null in 1 row that would be kept"):
        WeightTable(io.BytesIO(), "key", {}).write(batch(key=["a"], soft_label=pa.nulls(1, pa.float32())), "s.parquet")


def test_datacomp_goes_by_uid_where_there_is_one_and_all_else_by_pair_id():
    with_uid, without = pa.schema([("pair_id", pa.string()), ("uid", pa.string())]), pa.schema([("pair_id", "string")])
    assert key_of(FilterForm.datacomp_uids, None, with_uid) == "uid"
    assert key_of(FilterForm.datacomp_uids, None, without) == "pair_id"
    assert {key_of(form, None, with_uid) for form in FilterForm if form is not FilterForm.datacomp_uids} == {"pair_id"}
    assert {key_of(form, "mine", with_uid) for form in FilterForm} == {"mine"}


@pytest.mark.parametrize("form", [IdList, WeightTable])
def test_names_that_are_written_again_are_counted(form):
    file = io.BytesIO()
    selection = form(file, "pair_id") if form is IdList else form(file, "pair_id", {})
    counted = NamedTwice(selection, "pair_id")
    for ids in (["a", "b", "a"], ["b", "c"]):
        counted.write(pa.RecordBatch.from_pydict({"pair_id": ids, "soft_label": [0.5] * len(ids)}), "s.parquet")
    assert [note.partition(",")[0] for note in counted.notes] == ["2 of the 5 names written are there already"]


def test_names_of_one_pair_each_need_no_word():
    counted = NamedTwice(IdList(io.BytesIO(), "pair_id"), "pair_id")
    assert counted.notes == []
    counted.write(pa.RecordBatch.from_pydict({"pair_id": ["a", "b"]}), "s.parquet")
    assert counted.notes == []
