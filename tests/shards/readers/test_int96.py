"""Timestamps of 96 bits keep their values: as nanoseconds where all fit, as microseconds where one does not."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncaudit.errors import BadTable
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.readers import open_shard
from ncaudit.shards.readers.int96 import _compared, int96_columns
from ncaudit.shards.readers.parquet import open_parquet
from ncaudit.shards.rewriting.rewrite import rewrite_shard

MICROS = pa.timestamp("us")
SENTINEL, FIRST, NEAR = dt.datetime(9999, 12, 31, 23, 59, 59, 999999), dt.datetime(1, 1, 1), dt.datetime(2021, 5, 1)


def int96(path, columns, **more):
    pq.write_table(pa.table(columns), path, use_deprecated_int96_timestamps=True, **more)
    return Shard.of_file(str(path))


def read(shard, columns=None):
    return pa.Table.from_batches(open_shard(shard).batches(7, columns))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.none() | st.datetimes(), min_size=1, max_size=30))
def test_every_date_that_python_knows_is_read_as_it_is(tmp_path_factory, days):
    shard = int96(tmp_path_factory.mktemp("int96") / "x.parquet", {"d": pa.array(days, MICROS)}, row_group_size=8)
    assert read(shard)["d"].cast(MICROS).to_pylist() == days


def test_nanoseconds_stay_where_every_value_fits_to_the_very_edge(tmp_path):
    edges = [-(2**63), -1, 0, 1, None, 2**63 - 1]
    shard = int96(tmp_path / "x.parquet", {"d": pa.array(edges, pa.timestamp("ns"))})
    assert read(shard)["d"].type == pa.timestamp("ns")
    assert read(shard)["d"].cast(pa.int64()).to_pylist() == edges


@pytest.mark.parametrize("row", [0, 50, 99])
def test_one_far_value_anywhere_makes_microseconds_of_all_columns_of_that_file(tmp_path, row):
    days = [NEAR] * 100
    days[row] = SENTINEL
    shard = int96(
        tmp_path / "x.parquet", {"d": pa.array(days, MICROS), "e": pa.array([NEAR] * 100, MICROS)}, row_group_size=30
    )
    table = read(shard)
    assert table.schema.types == open_shard(shard).schema.types == [MICROS, MICROS]
    assert table["d"].to_pylist() == days
    assert table["e"].to_pylist() == [NEAR] * 100


def test_far_values_inside_lists_structs_and_maps_are_found(tmp_path):
    nested = {
        "l": pa.array([[NEAR], None, [SENTINEL, NEAR]], pa.list_(MICROS)),
        "s": pa.array([{"a": SENTINEL}, None, {"a": None}], pa.struct([("a", MICROS)])),
        "m": pa.array([[("k", FIRST)], None, []], pa.map_(pa.string(), MICROS)),
    }
    for name, column in nested.items():
        assert read(int96(tmp_path / f"{name}.parquet", {name: column}))[name].to_pylist() == column.to_pylist()


def test_a_column_that_is_finer_than_its_file_can_be_read_is_refused_with_its_row_and_the_others_are_not(tmp_path):
    fine = pa.array([0, 2_000, 2_001], pa.timestamp("ns"))
    shard = int96(tmp_path / "x.parquet", {"d": pa.array([NEAR, SENTINEL, None], MICROS), "fine": fine})
    with pytest.raises(BadTable, match=r"x\.parquet row 2: fine has nanoseconds"):
        read(shard)
    assert read(shard, ["d"])["d"].to_pylist() == [NEAR, SENTINEL, None]
    with pytest.raises(BadTable, match=r"row 2: fine has nanoseconds"):
        rewrite_shard(shard, str(tmp_path / "out.parquet"), columns_for=lambda first, batch: [])
    assert not (tmp_path / "out.parquet").exists()


def test_a_far_value_with_nanoseconds_of_its_own_is_refused(tmp_path):
    path = tmp_path / "x.parquet"
    int96(path, {"d": pa.array([SENTINEL], MICROS)}, compression="none", use_dictionary=False, write_statistics=False)
    nanos = 86_399_999_999_000
    data = path.read_bytes()
    assert data.count(nanos.to_bytes(8, "little")) == 1
    path.write_bytes(data.replace(nanos.to_bytes(8, "little"), (nanos + 7).to_bytes(8, "little")))
    with pytest.raises(BadTable, match=r"x\.parquet row 0: d has nanoseconds"):
        read(Shard.of_file(str(path)))


def as_is(first, batch):
    return [pa.array(np.arange(first, first + len(batch)))]


NUMBER = [pa.field("number", pa.int64())]


def test_written_back_they_are_of_96_bits_again_where_all_timestamps_are(tmp_path):
    columns = {"d": pa.array([NEAR, SENTINEL, FIRST, None], MICROS), "n": [1, 2, 3, 4]}
    shard = int96(tmp_path / "x.parquet", columns)
    rewrite_shard(shard, str(tmp_path / "out.parquet"), columns_for=as_is, add=NUMBER)
    assert pq.ParquetFile(tmp_path / "out.parquet").schema.column(0).physical_type == "INT96"
    again = Shard.of_file(str(tmp_path / "out.parquet"))
    assert read(again)["d"].to_pylist() == [NEAR, SENTINEL, FIRST, None]


def test_a_file_without_them_is_not_looked_through(tmp_path, monkeypatch):
    pq.write_table(pa.table({"d": pa.array([SENTINEL], MICROS)}), tmp_path / "x.parquet")
    monkeypatch.setattr("ncaudit.shards.readers.parquet.look_at_int96", pytest.fail)
    assert read(Shard.of_file(str(tmp_path / "x.parquet")))["d"].to_pylist() == [SENTINEL]


def test_seconds_that_microseconds_do_not_reach_are_told_with_their_row():
    seconds = [0, 10**13]  # some 317,000 years
    nanos = [(one * 10**9 + 2**63) % 2**64 - 2**63 for one in seconds]
    rows = np.array([4, 5])
    wrapped, beyond = _compared((pa.array(seconds), rows), (pa.array(nanos), rows))
    assert (wrapped, beyond.tolist()) == (True, [5])


def test_they_are_found_at_any_depth(tmp_path):
    moments = pa.array([dt.datetime(2021, 5, 1)], MICROS)
    nested = pa.array([[{"at": dt.datetime(2021, 5, 1)}]], pa.list_(pa.struct([("at", MICROS)])))
    shard = int96(
        tmp_path / "x.parquet", {"n": [1], "inside": nested, "coded": moments.dictionary_encode(), "top": moments}
    )
    assert int96_columns(open_parquet(shard.path)) == ["coded", "inside", "top"]
    shard = int96(tmp_path / "none.parquet", {"n": [1], "text": [["a"]]})
    assert int96_columns(open_parquet(shard.path)) == []
