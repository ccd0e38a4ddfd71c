"""Where rows go, and that no input is written over."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.errors import NcauditError, UsageError
from ncaudit.options import ScoreOptions, StreamFormat
from ncaudit.shards.files.provenance import attach
from ncaudit.shards.files.shard import Shard
from ncaudit.verbs.outputs import (
    is_folder,
    one_table,
    place_of,
    require_folder,
    told_by_options,
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


def made(path, verb):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(attach(pa.schema([("n", pa.int64())]), {"verb": verb}).empty_table(), path)
    return path


def test_own_outputs_below_the_inputs_are_no_inputs(tmp_path):
    mine, yours, alike = made(tmp_path / "out/0.parquet", "score"), tmp_path / "0.parquet", tmp_path / "out-2/0.parquet"
    found = without_outputs(shards(mine, yours, alike), "score", str(tmp_path / "out"), None, "-")
    assert [shard.path for shard in found] == [str(yours), str(alike)]


def test_own_outputs_are_known_by_any_name_of_their_folder(tmp_path, monkeypatch):
    made(tmp_path / "out/0.parquet", "score")
    (tmp_path / "link").symlink_to(tmp_path / "out")
    monkeypatch.chdir(tmp_path)
    for out in ("link", "./out/../link/", str(tmp_path / "out"), "out/0.parquet"):
        given = shards(tmp_path / "out/0.parquet", tmp_path / "1.parquet")
        assert without_outputs(given, "score", out) == given[1:]


def test_what_else_lies_among_the_outputs_is_an_input_that_would_be_written_over(tmp_path):
    other = made(tmp_path / "out/0.parquet", "embed")
    with pytest.raises(NcauditError, match=r"0\.parquet is an input and would be written over: it lies in") as told:
        without_outputs(shards(other, tmp_path / "1.parquet"), "score", str(tmp_path / "out"))
    assert told.value.fix.startswith(f"give another place than {tmp_path / 'out'} (with --out, or ")
    with pytest.raises(NcauditError, match=r"written over$"):
        without_outputs(shards(other), "score", str(other))


def test_a_run_on_nothing_but_its_own_outputs_is_refused(tmp_path):
    mine = made(tmp_path / "out/0.parquet", "filter")
    with pytest.raises(NcauditError, match="it is what `filter` has written, and there is no other input"):
        without_outputs(shards(mine), "filter", str(tmp_path / "out"))


def test_an_address_lies_in_no_folder_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    remote = shards("memory://tables/0.parquet")
    assert without_outputs(remote, "score", ".") == remote


def test_a_place_is_a_folder_with_files_or_one_file_or_none():
    assert place_of("--out", "-", ["a"]) == []
    (folder,) = place_of("--out", "out", ["A/0.parquet"])
    assert (folder.at("A/0.parquet"), folder.told, folder.record_path) == (
        "out/A/0.parquet",
        "out",
        "out/.ncaudit.json",
    )
    (file,) = place_of("--out", "kept.parquet", ["A/0.parquet"])
    assert (file.at(file.files[0]), file.told, file.record_path) == ("kept.parquet", "kept.parquet", None)


def test_what_lies_where_decides_on_nothing():
    asked = told_by_options(ScoreOptions(embeddings=["a"], out="b", seed=3, device="cpu", overwrite=True))
    assert asked["seed"] == 3
    assert not {"embeddings", "out", "device", "overwrite"} & set(asked)


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
