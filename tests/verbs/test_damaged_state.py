"""What ncaudit left, damaged: made again where a record names it as ours, and said; else two lines that help."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from ncaudit.cli.app import app
from ncaudit.matchers.training_folder import TrainingFolder
from tests.worlds.commands import embedded, run, told
from tests.worlds.made import made
from tests.worlds.sample import SAMPLE
from tests.worlds.tars import pair, samples, write_tar

CPU = ("--device", "cpu")
PAIRS = 60


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Everything once, whole: two shards, and what each command makes of them."""
    folder = tmp_path_factory.mktemp("world")
    rows = pq.read_table(f"{SAMPLE}/train.parquet", columns=["key", "jpg", "caption", "noise_type"])
    (folder / "data").mkdir()
    for shard in range(2):
        pq.write_table(rows.slice(shard * PAIRS, PAIRS), folder / f"data/{shard}.parquet")
    embedded(folder / "data", folder / "emb")
    for line in ("score emb/0.parquet --out later --no-check", LATER, SCORE):
        finished(folder, line)
    finished(folder, LABELS)
    finished(folder, HEADS)
    return folder


LABELS = "labels emb --label-column noise_type --k 3 --out labels"
SCORE = "score emb --out scores --no-check"
LATER = "score emb --out later --no-check"  # of its two shards the fit has seen one
HEADS = "train --tune heads --embeddings emb --out matcher --epochs 2 --batch-pairs 16"
EMBED = "embed data --out emb"


def words(folder, line):
    """A line's words, its files below `folder`."""
    known = {"data", "emb", "emb/0.parquet", "scores", "later", "labels", "matcher"}
    verb, *rest = line.split()
    return [verb, *(folder / word if word in known else word for word in rest), *CPU]


def finished(folder, line):
    """The command, which must end well."""
    ran = run(*words(folder, line))
    assert ran.exit_code == 0, ran.output
    return ran


def again(folder, line):
    """The command once more."""
    if line == EMBED:
        return embedded(folder / "data", folder / "emb")
    return finished(folder, line)


@pytest.fixture
def copy(world, tmp_path):
    """One to damage. It is called the same, for paths are in records."""
    shutil.copytree(world, tmp_path / "w")
    return tmp_path / "w"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def of_another_kind(path: Path) -> None:
    path.write_text('{"verb": 3, "later": 1, "facts": [], "fit": [], "digest": {}, "files": "x"}')


def deep(path: Path) -> None:
    path.write_bytes(b'{"a":' * 100_000)


def holes(path: Path) -> None:
    """The pages of one column are zeros, as a disk may leave them; the footer holds."""
    column = next(c for c in columns_of(path) if c.path_in_schema == "status")
    start = column.dictionary_page_offset or column.data_page_offset
    data = bytearray(path.read_bytes())
    data[start : start + column.total_compressed_size] = bytes(column.total_compressed_size)
    path.write_bytes(bytes(data))


def columns_of(path):
    group = pq.read_metadata(path).row_group(0)
    return [group.column(number) for number in range(group.num_columns)]


def says(**changes):
    """The table says other things of itself."""

    def damage(path: Path) -> None:
        table = pq.read_table(path, partitioning=None)
        told = {**json.loads(table.schema.metadata[b"ncaudit"]), **changes}
        pq.write_table(table.replace_schema_metadata({b"ncaudit": json.dumps(told)}), path)

    return damage


def says_no_json(path: Path) -> None:
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table.replace_schema_metadata({b"ncaudit": b"\x00{"}), path)


def without(name):
    """The table lost a column."""

    def damage(path: Path) -> None:
        table = pq.read_table(path, partitioning=None)
        pq.write_table(table.drop_columns([name]), path)

    return damage


MADE_AGAIN = [
    *((EMBED, "emb/0.parquet", damage) for damage in (cut, emptied, holes, says_no_json, says(source=3))),
    *((SCORE, "scores/1.parquet", damage) for damage in (cut, holes, says(model=[1]), says(shards=4))),
    *((SCORE, f"scores/_fit/{name}", cut) for name in ("fit.json", "fit.safetensors")),
    *((SCORE, "scores/_fit/fit.json", damage) for damage in (emptied, deep)),
    *((LATER, "later/_fit/rates.json", damage) for damage in (cut, emptied, deep, of_another_kind)),
    *((LABELS, "labels/audit.json", damage) for damage in (cut, emptied, deep, of_another_kind)),
    *((LABELS, "labels/0.parquet", damage) for damage in (cut, holes, says(options="x"))),
    *((EMBED, "emb/_run.json", damage) for damage in (cut, emptied, deep, of_another_kind)),
]


@pytest.mark.parametrize(("line", "name", "damage"), MADE_AGAIN)
def test_what_a_record_names_as_ours_is_made_again_as_it_was(copy, line, name, damage):
    path = copy / name
    before = made(path)
    damage(path)
    again(copy, line)
    assert made(path) == before


@pytest.mark.parametrize("damage", [cut, holes, without("status")])
def test_a_table_that_is_made_again_is_named(copy, damage):
    damage(copy / "labels/0.parquet")
    ran = CliRunner().invoke(app, [str(word) for word in words(copy, f"{LABELS} --json")])
    assert json.loads(ran.stdout)["accounting"]["ok"] == 2 * PAIRS
    assert "labels/0.parquet" in ran.stderr
    assert "it is made again" in ran.stderr


def test_numbers_of_an_audit_that_changed_are_found(copy):
    path = copy / "labels/audit.json"
    before = path.read_bytes()
    kept = json.loads(before)
    kept["facts"]["noise_rate"]["rate"] = 0.999
    path.write_text(json.dumps(kept))
    finished(copy, LABELS)
    assert path.read_bytes() == before


def test_a_rate_that_changed_is_found(copy):
    path = copy / "later/_fit/rates.json"
    before = path.read_bytes()
    kept = json.loads(before)
    assert kept["later"][0]["pairs"]
    kept["later"][0]["facts"]["noise_rate"]["rate"] = 0.999
    path.write_text(json.dumps(kept))
    finished(copy, LATER)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["fit.json", "fit.safetensors"])
@pytest.mark.parametrize("damage", [cut, emptied, deep, os.remove])
def test_a_fit_that_was_given_is_refused_when_it_is_damaged(copy, name, damage):
    damage(copy / "scores/_fit" / name)
    words_ = told(*words(copy, "score emb --out new"), "--fit", copy / "scores/_fit")
    assert "scores/_fit" in words_
    assert "fit anew" in words_


def test_a_flipped_weight_of_a_fit_is_found(copy):
    path = copy / "scores/_fit/fit.safetensors"
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(bytes(data))
    assert "do not belong together" in told(*words(copy, "score emb --out new"), "--fit", copy / "scores/_fit")


@pytest.mark.parametrize("damage", [holes, says_no_json, says(source=3)])
def test_a_damaged_table_is_named_by_who_reads_it(copy, damage):
    damage(copy / "scores/0.parquet")
    ran = run("filter", copy / "scores", "--out", copy / "new", "--keep-share", "0.5")
    assert ran.exit_code in (1, 3)
    assert "scores/0.parquet" in ran.stderr
    assert "damaged" in ran.stderr


@pytest.mark.parametrize(
    ("name", "damage", "fix"),
    [
        ("run.json", cut, "--overwrite"),
        ("run.json", deep, "--overwrite"),
        ("metrics.jsonl", cut, "--restart"),
        ("metrics.jsonl", emptied, "--restart"),
        ("metrics.jsonl", os.remove, "--restart"),
        ("heads.json", cut, "--restart"),
        ("heads.json", deep, "--restart"),
        ("heads.safetensors", cut, "--restart"),
        ("heads.safetensors", os.remove, "--restart"),
    ],
)
def test_a_finished_run_that_is_not_whole_is_told_with_the_flag_that_trains_again(copy, name, damage, fix):
    before = {path.name: made(path) for path in (copy / "matcher").iterdir()}
    damage(copy / "matcher" / name)
    said = told(*words(copy, HEADS))
    assert fix in said.partition("fix: ")[2]
    assert "matcher" in said
    finished(copy, f"{HEADS} {fix}")
    assert {path.name: made(path) for path in (copy / "matcher").iterdir()} == before


def begun(folder, monkeypatch):
    """The same run without its end: a checkpoint is left. What a whole run leaves."""
    whole = {path.name: made(path) for path in (folder / "matcher").iterdir()}
    shutil.rmtree(folder / "matcher")
    with monkeypatch.context() as patch:
        patch.setattr(TrainingFolder, "finish", lambda *told: None)
        finished(folder, HEADS)
    assert (folder / "matcher/checkpoint.pt").exists()
    return whole


def flipped(path: Path) -> None:
    """One bit of a weight: only its checksum can tell."""
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda member: member.file_size)
        at = largest.header_offset + 400
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


def packed(path: Path) -> None:
    """Zeros without end, in few bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(50 << 20))


@pytest.mark.parametrize("damage", [cut, emptied, flipped, packed, deep])
def test_a_run_does_not_go_on_from_a_damaged_checkpoint(copy, monkeypatch, damage):
    whole = begun(copy, monkeypatch)
    damage(copy / "matcher/checkpoint.pt")
    said = told(*words(copy, HEADS))
    assert "checkpoint.pt is damaged" in said
    assert "--restart" in said
    assert "weights_only" not in said
    finished(copy, f"{HEADS} --restart")
    assert {path.name: made(path) for path in (copy / "matcher").iterdir()} == whole


@pytest.mark.parametrize("name", ["metrics.jsonl", "heads.json"])
def test_what_a_checkpoint_knows_is_written_again(copy, monkeypatch, name):
    whole = begun(copy, monkeypatch)
    cut(copy / "matcher" / name)
    finished(copy, HEADS)
    assert made(copy / "matcher" / name) == whole[name]


def test_the_best_weights_are_whole_when_a_run_goes_on(copy, monkeypatch):
    whole = begun(copy, monkeypatch)
    kept = json.loads(whole["run.json"])["summary"]["kept_epoch"]
    cut(copy / "matcher/heads.safetensors")
    if kept == 2:
        finished(copy, HEADS)
        assert (copy / "matcher/heads.safetensors").read_bytes() == whole["heads.safetensors"]
    else:
        assert "--restart" in told(*words(copy, HEADS))


def test_heads_that_say_they_are_huge_take_no_memory(copy):
    path = copy / "matcher/heads.json"
    kept = json.loads(path.read_text())
    kept["shape"]["dims"] = 10**12
    path.write_text(json.dumps(kept))
    said = told(*words(copy, "score emb --out new --scorer clip-score"), "--model", copy / "matcher")
    assert "holds no whole heads" in said


def test_a_folder_in_place_of_a_record_is_told(copy):
    (copy / "emb/_run.json").unlink()
    (copy / "emb/_run.json").mkdir()
    said = embedded(copy / "data", copy / "emb", code=1).stderr
    assert "_run.json is a folder" in said
    assert "move it away" in said


def test_partitions_whose_arrays_were_cut_are_made_again(copy):
    layout = ("--layout", "clip-retrieval")
    embedded(copy / "data", copy / "cr", *layout)
    names = ("img_emb/img_emb_0.npy", "text_emb/text_emb_1.npy", "metadata/metadata_1.parquet")
    for name, damage in zip(names, (cut, emptied, cut), strict=True):
        before = (copy / "cr" / name).read_bytes()
        damage(copy / "cr" / name)
        embedded(copy / "data", copy / "cr", *layout)
        assert (copy / "cr" / name).read_bytes() == before


def test_a_table_of_ours_without_a_column_is_not_finished(copy):
    path = copy / "scores/0.parquet"
    before = path.read_bytes()
    table = pq.read_table(path, partitioning=None)
    place = table.schema.get_field_index("soft_label")
    pq.write_table(table.set_column(place, "soft_label", pa.array(["x"] * len(table))), path)
    finished(copy, SCORE)
    assert path.read_bytes() == before


def without_end(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10_240])


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("0.tar", cut),
        ("0.tar", without_end),
        ("0.tar", emptied),
        ("0.parquet", cut),
        ("0_stats.json", cut),
        ("0_stats.json", deep),
        ("0_stats.json", os.remove),
        ("sizes.json", cut),
    ],
)
def test_tars_and_what_lies_beside_them_are_made_again(tmp_path, name, damage):
    rows = pq.read_table(f"{SAMPLE}/train.parquet", columns=["key", "jpg", "caption"]).slice(0, 6).to_pylist()
    write_tar(tmp_path / "data/0.tar", samples(pair(row["key"], row["jpg"], row["caption"]) for row in rows))
    embedded(tmp_path / "data", tmp_path / "emb")
    assert run("score", tmp_path / "emb", "--out", tmp_path / "s", "--scorer", "clip-score", *CPU).exit_code == 0
    line = ("filter", tmp_path / "s", "--data", tmp_path / "data", "--out", tmp_path / "kept", "--keep-share", "0.5")
    assert run(*line).exit_code == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "kept").iterdir()}
    damage(tmp_path / "kept" / name)
    assert run(*line).exit_code == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "kept").iterdir()} == before
