"""A table appears whole or not at all, and its bytes do not depend on how its rows arrived."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.schema import embedding_schema
from ncaudit.shards.files.writer import atomic_file, atomic_table

SCHEMA = pa.schema([pa.field("x", pa.int64())])


def write(path: Path, *sizes: int, rows_per_group: int = 10) -> None:
    first = 0
    with atomic_table(str(path), SCHEMA, rows_per_group=rows_per_group) as table:
        for size in sizes:
            table.write(pa.RecordBatch.from_arrays([pa.array(range(first, first + size))], schema=SCHEMA))
            first += size


def test_bytes_do_not_depend_on_how_rows_arrive(tmp_path):
    write(tmp_path / "a.parquet", 25)
    write(tmp_path / "b.parquet", 1, 13, 11)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    groups = pq.ParquetFile(tmp_path / "a.parquet").metadata
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [10, 10, 5]


def test_an_error_leaves_nothing_behind_and_the_old_file_untouched(tmp_path):
    path = tmp_path / "a.parquet"
    write(path, 3)
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError), atomic_table(str(path), SCHEMA) as table:
        table.write(pa.RecordBatch.from_arrays([pa.array([1 // 0])], schema=SCHEMA))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.parquet"]


def test_what_a_killed_run_left_is_overwritten(tmp_path):
    (tmp_path / "a.parquet.partial").write_bytes(b"half")
    write(tmp_path / "a.parquet", 3)
    assert [file.name for file in tmp_path.iterdir()] == ["a.parquet"]


def test_a_table_without_rows_has_its_schema(tmp_path):
    schema = embedding_schema(4, 4, [pa.field("url", pa.string())])
    with atomic_table(str(tmp_path / "a.parquet"), schema):
        pass
    assert pq.read_schema(tmp_path / "a.parquet").equals(schema)


def test_folders_are_made(tmp_path):
    with atomic_file(str(tmp_path / "a/b/c.bin")) as file:
        file.write(b"x")
    assert (tmp_path / "a/b/c.bin").read_bytes() == b"x"


def test_the_bytes_reach_the_disk_before_the_name(tmp_path, monkeypatch):
    path, done = tmp_path / "a.bin", []

    def synced(number):
        done.append(("bytes", os.fstat(number).st_size, path.exists()))

    def renamed(source, target):
        done.append(("name", os.path.basename(source), os.path.basename(target)))
        rename(source, target)

    rename = os.replace
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    with atomic_file(str(path)) as file:
        file.write(b"whole")
        assert done == []
    assert done == [("bytes", 5, False), ("name", "a.bin.partial", "a.bin")]
    assert path.read_bytes() == b"whole"
