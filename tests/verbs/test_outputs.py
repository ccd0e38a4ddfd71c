"""Where rows go, and that no input is written over."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.errors import NcauditError, UsageError
from ncaudit.options import StreamFormat
from ncaudit.shards.files.shard import Shard
from ncaudit.verbs.outputs import (
    is_folder,
    one_table,
    refuse_overwriting,
    require_folder,
    require_free,
    without_outputs,
)


def shards(*paths):
    return [Shard(str(path), "name") for path in paths]


@pytest.mark.parametrize(("out", "folder"), [("scores", True), ("d.x/y", True), ("x.parquet", False), ("-", False)])
def test_what_is_a_folder(out, folder):
    assert is_folder(out) is folder


@pytest.mark.parametrize("out", ["-", "x.parquet"])
def test_a_dataset_goes_into_a_folder_only(out):
    require_folder("out", "--data")
    with pytest.raises(UsageError, match=r"^--data writes one file per shard"):
        require_folder(out, "--data")


def test_own_outputs_below_the_inputs_are_no_inputs(tmp_path):
    mine, yours, alike = tmp_path / "out/0.parquet", tmp_path / "0.parquet", tmp_path / "out-2/0.parquet"
    found = without_outputs(shards(mine, yours, alike), str(tmp_path / "out"), None, "-")
    assert [shard.path for shard in found] == [str(yours), str(alike)]


def test_own_outputs_are_known_by_any_name_of_their_folder(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "out")
    monkeypatch.chdir(tmp_path)
    for out in ("link", "./out/../link/", str(tmp_path / "out")):
        assert without_outputs(shards(tmp_path / "out/0.parquet"), out) == []


def test_an_address_lies_in_no_folder_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    remote = shards("memory://tables/0.parquet")
    assert without_outputs(remote, ".") == remote


def test_an_output_that_is_an_input_is_refused_with_its_flag(tmp_path):
    (tmp_path / "in.parquet").touch()
    (tmp_path / "link.parquet").symlink_to(tmp_path / "in.parquet")
    refuse_overwriting([str(tmp_path / "in.parquet")], [("--out", str(tmp_path / "other.parquet"))])
    with pytest.raises(NcauditError, match=r"in\.parquet would be written over") as told:
        refuse_overwriting([str(tmp_path / "in.parquet")], [("--dropped", str(tmp_path / "link.parquet"))])
    assert "--dropped" in told.value.fix


def test_what_is_there_already_is_not_free(tmp_path):
    for free in (None, "-", str(tmp_path / "new.csv")):
        require_free(free)
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    with pytest.raises(NcauditError, match=r"dangling is there already and may hold verdicts$"):
        require_free(str(tmp_path / "dangling"), "verdicts")


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    schema, path = pa.schema([("n", pa.int64())]), tmp_path / "x.parquet"
    batch = pa.record_batch([pa.array([1, 2])], schema=schema)

    def half(out):
        with one_table(out, schema, StreamFormat.arrow, csv_safe=False) as rows:
            rows.write(batch)
            raise KeyError

    with pytest.raises(KeyError):
        half(str(path))
    assert list(tmp_path.iterdir()) == []
    with one_table(str(path), schema, StreamFormat.arrow, csv_safe=False) as rows:
        rows.write(batch)
    assert pq.read_table(path)["n"].to_pylist() == [1, 2]
