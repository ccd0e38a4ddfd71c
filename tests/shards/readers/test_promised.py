"""Rows are those that a file promises, of the version that was opened, in columns that are known by their names."""

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.errors import BadTable
from ncaudit.shards import readers
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.readers import open_shard, read_batches
from ncaudit.shards.rewriting import kept_rows
from ncaudit.shards.rewriting.kept_rows import Target, split_shard
from ncaudit.shards.rewriting.rewrite import rewrite_shard

ROWS = 2_000
TABLE = pa.table({"n": range(ROWS), "caption": [f"caption {i}" for i in range(ROWS)]})


def parquet(path):
    pq.write_table(TABLE, path, row_group_size=500, compression="none")


def arrow_file(path):
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, TABLE.schema) as writer:
        writer.write_table(TABLE, 500)


def arrow_stream(path):
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, TABLE.schema) as writer:
        writer.write_table(TABLE, 500)


def csv(path):
    path.write_text("n,caption\n" + "".join(f"{i},caption {i}\n" for i in range(ROWS)))


def json_lines(path):
    path.write_text("".join(json.dumps({"n": i, "caption": f"caption {i}"}) + "\n" for i in range(ROWS)))


WRITERS = {"x.parquet": parquet, "x.arrow": arrow_file, "x.arrows": arrow_stream, "x.csv": csv, "x.jsonl": json_lines}


@pytest.fixture(params=WRITERS)
def shard(request, tmp_path):
    WRITERS[request.param](tmp_path / request.param)
    return Shard.of_file(str(tmp_path / request.param))


def cut(path):
    os.truncate(path, os.path.getsize(path) // 3)


def grown(path):
    with open(path, "ab") as file:
        file.write(b"\n")


def touched(path):
    os.utime(path, ns=(1, 1))


def replaced(path):
    os.replace(path, path + ".old")
    WRITERS[os.path.basename(path)](Path(path))


@pytest.mark.parametrize("happens", [cut, grown, touched, replaced])
def test_a_file_that_changes_while_it_is_read_is_told_in_every_format(shard, happens):
    batches = open_shard(shard).batches(50)
    read = len(next(batches))
    happens(shard.path)
    with pytest.raises(BadTable, match=r"was changed while it was read|cut short") as told:
        read += sum(len(batch) for batch in batches)
    assert shard.path in told.value.message
    assert read <= ROWS


@pytest.mark.parametrize("happens", [cut, touched])
def test_a_file_that_changes_before_its_rows_are_read_is_told(shard, happens):
    file = open_shard(shard)
    happens(shard.path)
    with pytest.raises(BadTable, match="was changed while it was read"):
        list(file.batches(50))


def test_what_stays_as_it_was_is_read_again_and_again(shard):
    file = open_shard(shard)
    for _ in range(2):
        assert pa.Table.from_batches(file.batches(300))["n"].to_pylist() == list(range(ROWS))


def test_a_row_group_cut_off_is_told_with_how_many_rows_had_come(tmp_path):
    parquet(tmp_path / "x.parquet")
    file = open_shard(Shard.of_file(str(tmp_path / "x.parquet")))
    assert sum(len(batch) for batch in file.batches(100, None, [0])) == 500
    os.truncate(tmp_path / "x.parquet", os.path.getsize(tmp_path / "x.parquet") // 20)
    with pytest.raises(BadTable, match=r"changed while it was read: of its 2,000 rows 5[0-9][0-9] could be read"):
        list(file.batches(100, None, [1]))


class Short:
    """A reader that gives fewer rows than it has by its own count, as arrow does of a file that ends too early."""

    def __init__(self, file):
        self._file = file

    def __getattr__(self, name):
        return getattr(self._file, name)

    def batches(self, rows, columns=None, pieces=None):
        yield from list(self._file.batches(rows, columns, pieces))[:-1]


@pytest.mark.parametrize("pieces", [None, [1], [0, 3]])
def test_fewer_rows_than_the_file_has_by_its_own_count_are_an_error_however_it_is_asked(tmp_path, monkeypatch, pieces):
    parquet(tmp_path / "x.parquet")
    real = readers._open
    monkeypatch.setattr(readers, "_open", lambda shard: Short(real(shard)))
    promised = f"{500 * len(pieces):,}" if pieces else "2,000"
    with pytest.raises(BadTable, match=f"has {promised} rows by its own count, but"):
        list(open_shard(Shard.of_file(str(tmp_path / "x.parquet"))).batches(100, None, pieces))


def test_a_dataset_that_is_cut_while_it_is_written_again_leaves_no_output(tmp_path):
    parquet(tmp_path / "x.parquet")
    shard, out = Shard.of_file(str(tmp_path / "x.parquet")), tmp_path / "out.parquet"

    def cutting(first, batch):
        if not first:
            os.truncate(shard.path, os.path.getsize(shard.path) // 20)
        return []

    with pytest.raises(BadTable, match=r"x\.parquet"):
        rewrite_shard(shard, str(out), columns_for=cutting)
    assert not out.exists()


def test_a_dataset_that_changes_while_rows_are_chosen_leaves_no_output(tmp_path, monkeypatch):
    parquet(tmp_path / "x.parquet")
    shard, out = Shard.of_file(str(tmp_path / "x.parquet")), tmp_path / "out.parquet"
    real = kept_rows.group_batches

    def touching(*given):
        touched(shard.path)
        yield from real(*given)

    monkeypatch.setattr(kept_rows, "group_batches", touching)
    with pytest.raises(BadTable, match="was changed while it was read"):
        split_shard(shard, np.zeros(ROWS, np.int16), Target(str(out), {}), None, pa.field("why", pa.string()), ["kept"])
    assert not out.exists()


def twice(path, *names, **more):
    arrays = [pa.array([1, 2]) for _ in names]
    table = pa.Table.from_arrays(arrays, names=list(names))
    for name, column in more.items():
        table = table.append_column(name, column)
    pq.write_table(table, path)
    return Shard.of_file(str(path))


def test_two_columns_of_one_name_are_refused_where_a_shard_is_opened(tmp_path):
    with pytest.raises(BadTable, match=r"x\.parquet has two columns a$"):
        open_shard(twice(tmp_path / "x.parquet", "a", "b", "a"))
    with pytest.raises(BadTable, match=r"y\.parquet has several columns a$"):
        open_shard(twice(tmp_path / "y.parquet", "a", "a", "a"))


def test_nobody_minds_two_columns_of_one_name_who_asks_for_others(tmp_path):
    shard = twice(tmp_path / "x.parquet", "a", "b", "a")
    assert pa.Table.from_batches(read_batches(shard, ["b"], 9)).to_pydict() == {"b": [1, 2]}
    for columns in (["a"], ["a", "b"], None):
        with pytest.raises(BadTable, match="has two columns a"):
            list(open_shard(shard, choosing=True).batches(9, columns))


def test_names_that_differ_in_case_are_two_names(tmp_path):
    shard = twice(tmp_path / "x.parquet", "a", "A")
    assert pa.Table.from_batches(open_shard(shard).batches(9)).column_names == ["a", "A"]


def test_two_fields_of_one_name_in_a_struct_are_refused_once_it_is_asked_for(tmp_path):
    inner = pa.StructArray.from_arrays([pa.array([1, 2]), pa.array([3, 4])], names=["f", "f"])
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), inner)
    for column in (inner, lists):
        shard = twice(tmp_path / "x.parquet", "b", s=column)
        assert pa.Table.from_batches(read_batches(shard, ["b"], 9)).num_rows == 2
        with pytest.raises(BadTable, match="column s holds structs with two fields f"):
            list(read_batches(shard, ["s"], 9))


@pytest.mark.parametrize("new", [pa.ipc.new_file, pa.ipc.new_stream])
def test_arrow_files_are_held_to_the_same(tmp_path, new):
    table = pa.Table.from_arrays([pa.array([1, 2]), pa.array([3, 4]), pa.array([5, 6])], names=["a", "b", "a"])
    with pa.OSFile(str(tmp_path / "x.arrow"), "wb") as file, new(file, table.schema) as writer:
        writer.write_table(table)
    shard = Shard.of_file(str(tmp_path / "x.arrow"))
    with pytest.raises(BadTable, match="has two columns a"):
        open_shard(shard)
    assert pa.Table.from_batches(read_batches(shard, ["b"], 9)).to_pydict() == {"b": [3, 4]}


def test_a_name_that_a_json_line_has_twice_is_refused_with_its_line(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"a": 1, "b": {"c": 1}}\n{"a": "x\\":", "b": {"c": 2, "c": 3}}\n')
    with pytest.raises(BadTable, match=r"x\.jsonl, line 2 names c twice"):
        open_shard(Shard.of_file(str(tmp_path / "x.jsonl")))
    (tmp_path / "y.jsonl").write_text('{"a" : 1, "b": 2, "a"\t: 3}\n')
    with pytest.raises(BadTable, match=r"y\.jsonl, line 1 names a twice"):
        open_shard(Shard.of_file(str(tmp_path / "y.jsonl")))
