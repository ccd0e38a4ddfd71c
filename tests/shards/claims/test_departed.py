"""Tables whose input is gone are told, and removed when that is asked for: only what the same command wrote."""

import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.shards.claims.claims import Place, claim
from ncaudit.shards.claims.departed import notes_on_departed, settle_departed
from ncaudit.shards.files.provenance import attach
from ncaudit.shards.files.shard import Shard

RECORD = ".ncaudit.json"


@pytest.fixture
def out(tmp_path):
    """Tables of three shards: A/0, A/1 and 2, in out/; the shards themselves in data/."""
    for name in ("A/0", "A/1", "2"):
        made(tmp_path / f"out/{name}.parquet")
        (tmp_path / f"data/{name}.csv").parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"data/{name}.csv").touch()
    return tmp_path / "out"


def made(path, verb="embed", source="2.csv"):
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {"verb": verb, "source": {"name": source}}
    pq.write_table(attach(pa.schema([("x", pa.int64())]), told).empty_table(), path)


def test_a_folder_that_pruning_empties_goes_too_and_no_other(out):
    made(out / "B/C/9.parquet")
    (out / "A/notes.txt").touch()
    for name in ("A/0.csv", "A/1.csv"):
        (out.parent / "data" / name).unlink()
    settled(out, "2", prune=True)
    assert sorted(path.name for path in out.iterdir()) == ["2.parquet", "A"]
    assert [path.name for path in (out / "A").iterdir()] == ["notes.txt"]


def settled(out, *names, prune=False, root=None):
    root = root or out.parent / "data"
    shards = [Shard(f"{root}/{name}.csv", f"{name}.csv") for name in names]
    place = Place("--out", str(out), tuple(f"{name}.parquet" for name in names))
    return settle_departed(claim("embed", [place]), place, shards, prune=prune)


def there(out):
    return {path.relative_to(out).as_posix() for path in out.rglob("*.parquet")}


def test_what_has_its_input_is_not_told(out):
    assert settled(out, "A/0", "A/1", "2") == []


def test_what_other_commands_embedded_from_files_beside_these_inputs_is_not_told(out):
    assert settled(out, "A/1") == []


def test_a_deleted_shards_table_is_told_until_it_is_pruned(out):
    os.remove(out.parent / "data/A/1.csv")
    for _ in range(2):
        assert settled(out, "A/0", "2") == [f"1 table in {out} has no input any more (A/1.parquet): --prune removes it"]
    assert len(there(out)) == 3
    told = settled(out, "A/0", "2", prune=True)
    assert told == [f"1 table in {out} without an input removed: A/1.parquet"]
    assert there(out) == {"A/0.parquet", "2.parquet"}
    assert settled(out, "A/0", "2") == []


def test_a_renamed_shard_leaves_one_behind(out):
    os.rename(out.parent / "data/2.csv", out.parent / "data/3.csv")
    (told,) = settled(out, "A/0", "A/1", "3")
    assert "(2.parquet)" in told


def test_many_are_counted_and_few_are_named(out):
    for number in range(10, 15):
        made(out / f"{number}.parquet")
    (told,) = settled(out, "A/0", "A/1", "2")
    assert told.startswith(f"5 tables in {out} have no input any more (10.parquet, 11.parquet, 12.parquet, …)")


def test_only_what_the_same_command_wrote_is_pruned(out):
    made(out / "mine.parquet", verb="score")
    pq.write_table(pa.table({"x": [1]}), out / "yours.parquet")
    (out / "cut.parquet").write_bytes(b"PAR1")
    made(out / "_fit/0.parquet")
    made(out / ".hidden.parquet")
    before = there(out)
    assert settled(out, "A/0", "A/1", "2", prune=True) == []
    assert there(out) == before
    (out / RECORD).write_text(json.dumps({"verb": "embed", "files": ["cut.parquet"]}))
    assert settled(out, "A/0", "A/1", "2", prune=True) == [f"1 table in {out} without an input removed: cut.parquet"]


def test_the_record_says_it_to_whoever_reads_the_tables(out):
    os.remove(out.parent / "data/2.csv")
    files = ["2.parquet", "A/0.parquet", "A/1.parquet"]
    (out / RECORD).write_text(json.dumps({"verb": "embed", "token": "t", "files": files}))
    shards = [Shard(str(out / name), name) for name in files]
    assert notes_on_departed(shards) == []
    settled(out, "A/0", "A/1")
    assert json.loads((out / RECORD).read_text()) == {
        "verb": "embed", "token": "t", "files": files[1:], "departed": files[:1]
    }  # fmt: skip
    (told,) = notes_on_departed(shards)
    assert told.startswith(f"1 of these tables was made from shards that are gone ({out}/2.parquet)")
    assert notes_on_departed(shards[1:]) == []
    settled(out, "A/0", "A/1", prune=True)
    assert json.loads((out / RECORD).read_text()) == {"verb": "embed", "token": "t", "files": files[1:]}


def test_a_folder_that_nobody_has_recorded_is_no_trouble():
    assert notes_on_departed([Shard("memory://a/0.parquet", "0.parquet"), Shard("a + b", "a.npy")]) == []
