"""Parquet behind an address is read row group by row group, without the columns that nobody asked for."""

import io
import os

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFile

from ncaudit.errors import BadTable
from ncaudit.shards.files.provenance import fingerprint_of_file
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.readers import open_shard
from ncaudit.shards.readers.parquet import ParquetShard

ROWS, GROUP = 400, 100
TABLE = pa.table(
    {
        "caption": [f"caption {i}" for i in range(ROWS)],
        "jpg": [os.urandom(2_000) for _ in range(ROWS)],
        "n": range(ROWS),
    }
)


@pytest.fixture
def places(tmp_path):
    """The same file on this machine and in memory."""
    pq.write_table(TABLE, tmp_path / "x.parquet", row_group_size=GROUP, compression="none")
    files = fsspec.filesystem("memory")
    files.put(str(tmp_path / "x.parquet"), "/readers/x.parquet")
    yield str(tmp_path / "x.parquet"), "memory://readers/x.parquet"
    files.rm("/readers", recursive=True)


@pytest.fixture
def fetched(monkeypatch):
    """How many bytes have been read from memory files."""
    counts = []

    def read(file, *size):
        data = io.BytesIO.read(file, *size)
        counts.append(len(data))
        return data

    monkeypatch.setattr(MemoryFile, "read", read, raising=False)
    return counts


def test_a_remote_file_is_the_local_one(places):
    local, remote = (open_shard(Shard.of_file(place)) for place in places)
    assert (remote.schema, remote.rows, remote.pieces) == (local.schema, ROWS, 4)
    assert pa.Table.from_batches(remote.batches(64)).equals(TABLE)
    assert pa.Table.from_batches(remote.batches(64, ["n"], [1, 3]))["n"].to_pylist() == [
        *range(100, 200),
        *range(300, 400),
    ]
    assert remote.nulls(0, "caption") == local.nulls(0, "caption") == 0
    assert fingerprint_of_file(places[1]) == fingerprint_of_file(places[0])


def test_only_what_is_asked_for_is_fetched(places, fetched):
    shard = open_shard(Shard.of_file(places[1]))
    opened = sum(fetched)
    assert sum(len(batch) for batch in shard.batches(64, ["caption"])) == ROWS
    assert sum(fetched) - opened < 20_000  # captions; the images are 800,000
    before = sum(fetched)
    next(shard.batches(64))
    assert sum(fetched) - before < TABLE.nbytes / 2  # one row group of four


def test_a_file_that_another_replaces_before_its_rows_are_read_is_told(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"n": [1, 2, 3]}), path)
    assert open_shard(Shard.of_file(str(path))).rows == 3
    shard = open_shard(Shard.of_file(str(path)))  # known by now, and not yet opened
    pq.write_table(pa.table({"n": [1, 2]}), path)
    with pytest.raises(BadTable, match=r"x\.parquet was changed while it was read"):
        next(shard.batches(8))
    assert open_shard(Shard.of_file(str(path))).rows == 2


DOTTED = pa.table(
    {
        "image.alt": pa.array([None, None, "c"]),
        "image": [b"1", None, b"3"],
        "a.b": [1, 2, 3],
        "a": pa.array(
            [{"b": None, "c": 1}, {"b": None, "c": 2}, {"b": None, "c": 3}], pa.struct({"b": "int8", "c": "int8"})
        ),
    }
)


@pytest.mark.parametrize("wanted", [["image"], ["image.alt"], ["a"], ["a.b"], ["a", "image"], [], None], ids=str)
def test_a_column_is_read_by_its_whole_name(tmp_path, wanted):
    pq.write_table(DOTTED, tmp_path / "x.parquet")
    names = [name for name in DOTTED.schema.names if wanted is None or name in wanted]
    batches = list(ParquetShard(str(tmp_path / "x.parquet")).batches(2, wanted))
    assert [batch.schema.names for batch in batches] == [names] * 2
    assert all(
        pa.concat_arrays([batch[name] for batch in batches]).equals(DOTTED[name].combine_chunks()) for name in names
    )


def test_nulls_are_counted_of_the_column_of_that_very_name(tmp_path):
    pq.write_table(DOTTED, tmp_path / "x.parquet")
    shard = ParquetShard(str(tmp_path / "x.parquet"))
    nulls = {name: shard.nulls(0, name) for name in (*DOTTED.schema.names, "alt")}
    assert nulls == {
        "image.alt": 2,
        "image": 1,
        "a.b": 0,
        "a": 3,
        "alt": None,
    }  # a struct's are those of its first leaf


def test_a_type_that_is_not_known_here_is_no_damage(tmp_path):
    """Polars writes whole numbers of 128 bits by a type that only it knows."""
    polars = pytest.importorskip("polars")
    table = polars.DataFrame({"x": [2**100]}, schema={"x": polars.Int128})
    table.write_parquet(tmp_path / "x.parquet")
    table.write_ipc(tmp_path / "x.arrow")
    for name in ("x.parquet", "x.arrow"):
        with pytest.raises(BadTable, match="64 bits") as told:
            open_shard(Shard.of_file(str(tmp_path / name)))
        assert "a column of that type as text" in told.value.fix
