"""Shards keep names that tell them apart, and only whole parquet files are shards."""

import os
from pathlib import Path

import fsspec
import pytest

from ncaudit import NcauditError
from ncaudit.shards.files.shard import ArrayPair, Shard
from ncaudit.shards.files.sources import find_shards


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
    touch(tmp_path, "00000.parquet", "00001.parquet.partial", ".hidden.parquet", "_SUCCESS", "_fit/fit.json")
    assert names(tmp_path) == ["00000.parquet"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nowhere", "does not exist"),
        ("empty", "holds no"),
        ("memory://nowhere/at/all", "does not exist"),
        ("memory://nowhere/*.parquet", "holds no"),
        ("img.npy", "come in pairs"),
    ],
)
def test_what_is_not_there_is_told(source, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(NcauditError, match=said):
        find_shards([source])


@pytest.mark.parametrize("suffix", [".parquet", ".tar", ".tar.gz", ".arrow", ".jsonl", ".jsonl.gz", ".csv", ".TSV", ""])
def test_outputs_mirror_the_names_whatever_the_format(suffix):
    shard = Shard(f"/data/A/00000{suffix}", f"A/00000{suffix}")
    assert (shard.stem, shard.output("/out")) == ("A/00000", "/out/A/00000.parquet")


def test_a_folder_is_taken_for_the_first_kind_that_it_holds(tmp_path):
    kinds = ["00000.csv", "00000.jsonl", "00000.arrow", "00000.tar", "00000.parquet"]
    for name in kinds[:4]:
        touch(tmp_path, name)
        assert names(tmp_path) == [name]
    touch(tmp_path, "00000.parquet")
    assert names(tmp_path) == ["00000.tar"]  # the parquet file is its sidecar
    (tmp_path / "00000.tar").unlink()
    assert names(tmp_path) == ["00000.parquet"]
    assert names(*(tmp_path / name for name in ("00000.csv", "00000.jsonl"))) == ["00000.csv", "00000.jsonl"]


def test_tars_beside_tables_that_are_no_sidecars_are_not_guessed_between(tmp_path):
    touch(tmp_path, "00000.tar", "00000.parquet", "00001.parquet")
    with pytest.raises(NcauditError, match="holds tars and tables") as told:
        names(tmp_path)
    assert "*.tar" in told.value.fix
    assert names(tmp_path / "*.tar") == ["00000.tar"]
    assert names(tmp_path / "*.parquet") == ["00000.parquet", "00001.parquet"]


def test_two_files_of_arrays_are_one_shard_images_first(tmp_path):
    touch(tmp_path, "img_emb/0.npy", "text_emb/0.npy")
    image, text = str(tmp_path / "img_emb/0.npy"), str(tmp_path / "text_emb/0.npy")
    assert find_shards([image, text]) == [Shard(f"{image} + {text}", "0.npy", ArrayPair(image, text))]


@pytest.fixture
def remote():
    """A folder in memory behind an address."""
    files = fsspec.filesystem("memory")
    for name in ("A/00000.parquet", "B/00000.parquet", "B/_SUCCESS"):
        files.pipe(f"/sources/{name}", b"PAR1")
    yield "memory://sources"
    files.rm("/sources", recursive=True)


@pytest.mark.parametrize("source", ["", "/", "/*/*.parquet", "/?"])
def test_addresses_are_searched_like_folders(remote, source):
    found = [Shard(f"{remote}/{name}", name) for name in ("A/00000.parquet", "B/00000.parquet")]
    assert find_shards([remote + source]) == found


def test_two_remote_folders_keep_their_shards_apart(remote):
    assert names(f"{remote}/A", f"{remote}/B") == ["A/00000.parquet", "B/00000.parquet"]
    assert names(f"{remote}/A/00000.parquet") == ["00000.parquet"]


def test_inputs_of_several_places_are_refused(remote, tmp_path):
    touch(tmp_path, "00000.parquet")
    with pytest.raises(NcauditError, match=r"several places \(memory://, this machine\)"):
        names(remote, tmp_path)


def test_a_file_address_is_a_local_path(tmp_path):
    touch(tmp_path, "A/00000.parquet")
    assert find_shards([f"file://{tmp_path}"]) == find_shards([str(tmp_path)])


def test_outputs_of_long_names_fit_and_stay_apart(tmp_path):
    long = [f"{'é' * 124}{end}.csv" for end in ("a", "b")]
    shards = [Shard(f"/data/{name}", name) for name in (*long, "short.csv")]
    outputs = [Path(shard.output(str(tmp_path))) for shard in shards]
    assert all(len(os.fsencode(path.name)) <= 255 for path in outputs)
    assert len(set(outputs)) == 3
    for path in outputs:
        path.touch()
    again = find_shards([str(tmp_path)])  # tables of tables are called the same
    assert {shard.output("") for shard in again} == {shard.output("") for shard in shards}
    assert [shard.stem for shard in shards] == [*(name.removesuffix(".csv") for name in long), "short"]
