"""Shards keep names that tell them apart, and only whole parquet files are shards."""

from pathlib import Path

import pytest

from ncaudit import NcauditError
from ncaudit.shards.sources import Shard, find_shards


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def names(*sources: Path | str) -> list[str]:
    return [shard.name for shard in find_shards([str(source) for source in sources])]


def test_names_are_relative_to_the_folder_that_was_named(tmp_path):
    touch(tmp_path, "A/00000.parquet", "B/00000.parquet")
    assert names(tmp_path) == ["A/00000.parquet", "B/00000.parquet"]


def test_two_folders_with_a_shard_of_one_name_keep_them_apart(tmp_path):
    touch(tmp_path, "A/00000.parquet", "B/00000.parquet")
    assert names(tmp_path / "A", tmp_path / "B") == ["A/00000.parquet", "B/00000.parquet"]


def test_a_file_is_named_from_its_folder(tmp_path):
    touch(tmp_path, "A/00000.parquet")
    assert names(tmp_path / "A/00000.parquet") == ["00000.parquet"]


def test_a_glob_is_named_from_the_folder_above_its_first_wildcard(tmp_path):
    touch(tmp_path, "A/00000.parquet", "B/00000.parquet", "B/notes.txt")
    assert names(tmp_path / "*" / "*.parquet") == ["A/00000.parquet", "B/00000.parquet"]
    assert names(tmp_path / "?") == ["A/00000.parquet", "B/00000.parquet"]


def test_a_file_named_twice_is_one_shard(tmp_path):
    touch(tmp_path, "00000.parquet")
    assert names(tmp_path, tmp_path / "00000.parquet") == ["00000.parquet"]


def test_what_a_killed_writer_left_is_no_shard(tmp_path):
    touch(tmp_path, "00000.parquet", "00001.parquet.partial", ".hidden.parquet", "_SUCCESS", "fit/fit.json")
    assert names(tmp_path) == ["00000.parquet"]


@pytest.mark.parametrize(
    ("source", "said"), [("nowhere", "does not exist"), ("empty", "holds no"), ("s3://bucket/x", "remote")]
)
def test_what_is_not_there_is_told(source, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(NcauditError, match=said):
        find_shards([source])


def test_outputs_mirror_the_names():
    assert Shard("/data/A/00000.parquet", "A/00000.parquet").output("/out") == "/out/A/00000.parquet"
