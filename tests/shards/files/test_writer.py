"""A table appears whole or not at all, and its bytes do not depend on how its rows arrived."""

import errno
import os
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.errors import NcauditError
from ncaudit.schema import embedding_schema
from ncaudit.shards.files.writer import atomic_file, atomic_table, remove_file, watched

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


def test_of_two_writers_of_one_file_the_last_whole_one_stays(tmp_path):
    path = str(tmp_path / "a.bin")
    with atomic_file(path) as first:
        first.write(b"one")
        with atomic_file(path) as second:
            second.write(b"two, longer")
        assert (tmp_path / "a.bin").read_bytes() == b"two, longer"
    assert (tmp_path / "a.bin").read_bytes() == b"one"
    assert [file.name for file in tmp_path.iterdir()] == ["a.bin"]


def test_a_name_of_255_bytes_can_be_written(tmp_path):
    name = "a" * 247 + ".parquet"
    write(tmp_path / name, 3)
    assert pq.read_table(tmp_path / name).num_rows == 3
    assert os.listdir(tmp_path) == [name]


def test_a_full_disk_is_told_with_the_name_of_the_file(tmp_path):
    path = str(tmp_path / "a.bin")
    with pytest.raises(OSError, match="No space left") as told, atomic_file(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert told.value.filename == path
    with pytest.raises(OSError, match="broken") as told, atomic_file(path):
        raise OSError(errno.EIO, "broken", "an input")
    assert told.value.filename == "an input"
    assert os.listdir(tmp_path) == []


def test_what_another_process_takes_away_is_told(tmp_path):
    def robbed():
        with atomic_file(str(tmp_path / "a.bin")):
            for name in os.listdir(tmp_path):
                os.remove(tmp_path / name)

    with pytest.raises(NcauditError, match=r"a\.bin: another process has removed"):
        robbed()


class Asked:
    def __init__(self):
        self.heard = []

    def begins(self, path):
        self.heard.append(("begins", os.path.basename(path)))

    def appears(self):
        self.heard.append("appears")


def test_whoever_holds_the_place_is_asked_before_a_file_begins_appears_or_goes(tmp_path):
    asked = Asked()
    with watched(asked), atomic_file(str(tmp_path / "a")):
        assert asked.heard == [("begins", "a")]
    assert asked.heard == [("begins", "a"), "appears"]
    with watched(asked):
        remove_file(str(tmp_path / "a"))
        remove_file(str(tmp_path / "nothing"))
    assert asked.heard[2:] == ["appears"] * 2
    assert os.listdir(tmp_path) == []
    with atomic_file(str(tmp_path / "b")):
        pass
    assert len(asked.heard) == 4


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
        (begun,) = os.listdir(tmp_path)
    assert done == [("bytes", 5, False), ("name", begun, "a.bin")]
    assert re.fullmatch(r"\.a\.bin\..*\.partial", begun)
    assert path.read_bytes() == b"whole"
