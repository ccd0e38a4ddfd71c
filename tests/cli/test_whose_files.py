"""Every writing command leaves others' files and its own inputs alone, and redoes its own."""

import os
import shlex
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from ncaudit.cli.app import app
from tests.worlds.sample import SAMPLE

OF_0_1_0 = Path(__file__).parents[1] / "fixtures/0.1.0"
EMBED = "--model tiny-clip --device cpu --precision float32 --workers 0"
SCORE = "--scorer csls --no-check --device cpu"
CLASSES = "--label-column kind --device cpu"
KEEP = "--min-soft-label 0.5"
HEADS = "train --tune heads --embeddings embeddings --val-share 0.2 --epochs 1 --batch-pairs 16"
TOWERS = f"train --data data --epochs 1 --batch-pairs 16 {EMBED}"
# a command, and the files that it writes
COMMANDS = {
    "embed": (f"embed data --out new {EMBED}", ["new/00000.parquet", "new/00001.parquet"]),
    "partitions": (
        f"embed data --out new --layout clip-retrieval {EMBED}",
        ["new/img_emb/img_emb_0.npy", "new/text_emb/text_emb_1.npy", "new/metadata/metadata_1.parquet"],
    ),
    "score": (f"score embeddings --out new {SCORE}", ["new/00001.parquet", "new/_fit/fit.json"]),
    "one table": (f"score embeddings --out new.parquet {SCORE}", ["new.parquet"]),
    "save fit": (f"score embeddings --out s --save-fit new {SCORE}", ["new/fit.safetensors"]),
    "write back": (f"score embeddings --data data --out new {SCORE}", ["new/00000.parquet"]),
    "filter": (f"filter scores --out new {KEEP}", ["new/00000.parquet"]),
    "filter one": (f"filter scores --out new.parquet {KEEP}", ["new.parquet"]),
    "dropped": (f"filter scores --out kept2 --dropped new {KEEP}", ["new/00001.parquet"]),
    "dropped one": (f"filter scores --out k.parquet --dropped new.parquet {KEEP}", ["new.parquet"]),
    "filter data": (f"filter scores --data data --out new {KEEP}", ["new/00000.parquet"]),
    "tars": (
        f"filter tar-scores --data tars --out new {KEEP}",
        ["new/00000.tar.gz", "new/00000.parquet", "new/00000_stats.json", "new/sizes.json"],
    ),
    "ids": (f"filter scores --as ids --out new.txt {KEEP}", ["new.txt"]),
    "weights": (f"filter scores --as weights --out new.parquet {KEEP}", ["new.parquet"]),
    "labels": (f"labels few-classes --out new {CLASSES}", ["new/00000.parquet", "new/audit.json"]),
    "labels one": (f"labels few-classes --out new.parquet {CLASSES}", ["new.parquet"]),
    "corrupt": ("corrupt data --out new --rate 0.2", ["new/00001.parquet", "new/_corruption.parquet"]),
    "corrupt labels": (
        "corrupt few-embeddings --out new --rate 0.5 --kind label-symmetric --label-column kind", ["new/00000.parquet"]
    ),
    "sample": ("sample scores --out new.csv --n 10", ["new.csv"]),
    "show": ("show scores --data data --images new --worst 2", ["new/000001552.jpg", "new/000000699.jpg"]),
    "audit": (
        f"audit data --out new {EMBED} --scorer csls --no-check",
        ["new/embeddings/00001.parquet", "new/scores/00000.parquet", "new/scores/_fit/fit.json", "new/report.html"],
    ),
    "sample table": ("sample scores --out new.parquet --n 10", ["new.parquet"]),
    "bench": ("bench embeddings --out new.jsonl --scorers csls --kinds random --seeds 1 --device cpu", ["new.jsonl"]),
    "heads": (
        f"{HEADS} --out new", ["new/heads.safetensors", "new/metrics.jsonl", "new/checkpoint.pt", "new/run.json"]
    ),
    "towers": (f"{TOWERS} --out new", ["new/open_clip_model.safetensors", "new/open_clip_config.json",
                                       "new/bpe_merges.txt.gz"]),
}  # fmt: skip
FILES = [(name, path) for name, (_, paths) in COMMANDS.items() for path in paths]
NEVER_TWICE = {"sample", "sample table", "bench"}


@pytest.fixture
def there(tmp_path, monkeypatch):
    """What version 0.1.0 left, where commands run."""
    shutil.copytree(OF_0_1_0, tmp_path / "all")
    os.symlink(SAMPLE / "tiny-clip", tmp_path / "all/tiny-clip")
    monkeypatch.chdir(tmp_path / "all")
    return tmp_path / "all"


def ran(line, *more, code=0):
    done = CliRunner().invoke(app, [*shlex.split(line), *more])
    assert done.exit_code == code, (line, done.output)
    return done


def state(folder):
    """Every file with its bytes and its time: what is rewritten alike is seen, too."""
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}


def refused(folder, line, *more):
    """The two lines that are said; nothing is touched."""
    before = state(folder)
    told = ran(line, *more, code=1).stderr.splitlines()
    said = [each for each in told if each.startswith(("ncaudit: ", "  fix: "))]
    assert state(folder) == before
    assert [each[:6] for each in said] == ["ncaudi", "  fix:"]
    return said


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    if content == "table":
        pq.write_table(pa.table({"jpg": [b"mine"], "caption": ["mine"]}), path)
    else:
        path.write_bytes(content)


@pytest.mark.parametrize(("name", "path"), FILES)
def test_a_file_of_somebody_else_is_not_replaced(there, name, path):
    put(there / path, "table" if path.endswith(".parquet") else b"mine")
    line = COMMANDS[name][0]
    what, fix = refused(there, line)
    assert what.startswith(f"ncaudit: {path} is there already")
    assert "--overwrite" in fix


@pytest.mark.parametrize("redo", ["score --refit", "labels --redo", "heads --restart", "towers --restart"])
def test_what_redoes_own_work_touches_no_other(there, redo):
    name, flag = redo.split()
    line, paths = COMMANDS[name]
    put(there / paths[0], "table" if paths[0].endswith(".parquet") else b"mine")
    refused(there, line, flag)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in {"towers", "partitions"}])
def test_overwrite_replaces_it_and_own_work_is_redone_without(there, name):
    line, paths = COMMANDS[name]
    for path in paths:
        put(there / path, b"not a table, and nobody's record names it")
    refused(there, line)
    ran(line, "--overwrite")
    assert b"nobody's" not in b"".join((there / path).read_bytes() for path in paths if (there / path).exists())
    if name in NEVER_TWICE:
        refused(there, line)
    else:
        ran(line)


@pytest.mark.parametrize("name", ["embed", "score", "filter", "filter data", "labels", "corrupt", "write back", "tars"])
def test_what_a_record_names_is_made_again_where_it_is_damaged(there, name):
    line, paths = COMMANDS[name]
    ran(line)
    whole = {path: (there / path).read_bytes() for path in paths}
    for path in paths:
        (there / path).write_bytes(whole[path][: len(whole[path]) // 2])
    ran(line)
    assert {path: (there / path).read_bytes() for path in paths} == whole


@pytest.mark.parametrize(
    ("line", "given"),
    [
        (f"score embeddings --out embeddings {SCORE}", "embeddings/00000.parquet"),
        (f"score embeddings --out embeddings/00001.parquet {SCORE}", "embeddings/00001.parquet"),
        (f"score embeddings --out ./embeddings/../embeddings {SCORE}", "embeddings/00000.parquet"),
        (f"score embeddings --data data --out data {SCORE}", "data/00000.parquet"),
        (f"score embeddings --data data --out linked {SCORE}", "data/00000.parquet"),
        (f"score embeddings --join joined.parquet --join-key key --out joined.parquet {SCORE}", "joined.parquet"),
        (f"score embeddings --fit scores/_fit --save-fit other --out scores/_fit {SCORE}", None),
        ("labels few-classes --out few-classes --label-column kind --device cpu", "few-classes/00000.parquet"),
        (f"filter scores --out scores {KEEP}", "scores/00000.parquet"),
        (f"filter scores --out scores/00001.parquet {KEEP}", "scores/00001.parquet"),
        (f"filter scores --out new --dropped scores {KEEP}", "scores/00000.parquet"),
        (f"filter scores --data data --out linked {KEEP}", "data/00000.parquet"),
        (f"filter tar-scores --data tars --out tars {KEEP}", "tars/00000.tar.gz"),
        ("corrupt data --out data --rate 0.2", "data/00000.parquet"),
        ("corrupt data --out hard --rate 0.2", "data/00000.parquet"),
        (f"embed data --out hard {EMBED}", "data/00000.parquet"),
        ("sample scores --out scores/00000.parquet --n 10", "scores/00000.parquet"),
        (f"audit embeddings/.. --out . {EMBED}", None),
        ("bench embeddings --out embeddings/00000.parquet --scorers csls --device cpu", "embeddings/00000.parquet"),
        (f"{TOWERS} --model towers --out towers", None),
    ],
)
def test_an_input_is_never_written_over_not_even_with_overwrite(there, line, given):
    os.symlink("data", "linked")
    os.mkdir("hard")
    os.link("data/00000.parquet", "hard/00000.parquet")
    pq.write_table(pa.table({"key": ["a"], "more": [1]}), "joined.parquet")
    for more in ((), ("--overwrite",)):
        if given is None:
            before = state(there)
            CliRunner().invoke(app, [*shlex.split(line), *more])
            assert {name: now for name, now in state(there).items() if name in before} == before
        else:
            what, _ = refused(there, line, *more)
            assert "written over" in what
            assert given in what


def test_an_input_that_lies_among_the_outputs_is_not_passed_over(there):
    shutil.copytree("embeddings", "all-embeddings/below")
    os.rename("all-embeddings/below/00000.parquet", "all-embeddings/00000.parquet")
    what, _ = refused(there, f"score all-embeddings --out all-embeddings/below {SCORE}")
    assert "below/00001.parquet is an input and would be written over" in what


@pytest.mark.parametrize(
    "out", ["file/new", "file", "/proc/ncaudit", "/dev/null/new", "taken.parquet"]
)  # below a file, one itself, where no folders are made
@pytest.mark.parametrize(
    "name", ["embed", "score", "filter", "labels", "corrupt", "heads", "one table", "ids", "sample"]
)
def test_a_place_that_cannot_be_made_is_told_before_any_work(there, name, out):
    (there / "file").touch()
    (there / "taken.parquet").mkdir()
    line = COMMANDS[name][0]
    given = next(word for word in shlex.split(line) if word.startswith("new"))
    suffix = Path(given).suffix
    if (out == "taken.parquet") != (suffix == ".parquet") or (out == "file" and suffix):
        return
    place = out if out == "taken.parquet" else f"{out}{suffix}"
    what, _ = refused(there, line.replace(f"--out {given}", f"--out {place}"))
    assert place in what


def test_edited_lists_are_the_users(there):
    line = COMMANDS["ids"][0]
    ran(line)
    ran(line.replace("0.5", "0.4"))
    (there / "new.txt").write_text("mine\n")
    what, _ = refused(there, line)
    assert what.endswith("new.txt is there already, and `filter` did not write it as it is now")


def test_own_tables_made_with_other_options_are_redone_and_that_is_told(there):
    ran("filter scores --out new --keep-share 0.5")
    told = ran("filter scores --out new --keep-share 0.4").stderr
    assert told.count("was made with other --keep-share: it is made again") == 1


def test_a_table_whose_shard_is_gone_is_told_by_who_made_it_and_who_reads_it(there):
    line = COMMANDS["embed"][0]
    ran(line)
    os.remove("data/00001.parquet")
    assert "no input any more (00001.parquet): --prune removes it" in ran(line).stdout
    reading = f"score new --out scores2 {SCORE}"
    assert "1 of these tables was made from shards that are gone" in ran(reading).stdout
    assert "without an input removed: 00001.parquet" in ran(line, "--prune").stdout
    assert "no input any more (00001.parquet): --prune removes it" in ran(reading).stdout
    assert "gone" in ran("filter scores2 --out kept2 --min-soft-label 0.5").stdout
    ran(reading, "--prune")
    assert not os.path.exists("scores2/00001.parquet")
    classes = "labels few-classes --out new-labels --label-column kind --device cpu"
    shutil.copy("few-classes/00000.parquet", "few-classes/1.parquet")
    ran(classes)
    os.remove("few-classes/1.parquet")
    assert "(1.parquet): --prune" in ran(classes).stdout
    ran(classes, "--prune")
    assert not os.path.exists("new-labels/1.parquet")


def test_partitions_without_a_shard_are_pruned(there):
    line = COMMANDS["partitions"][0]
    ran(line)
    os.remove("data/00001.parquet")
    what, fix = refused(there, line)
    assert "which this run does not write" in what
    assert "--prune" in fix
    np.save("new/img_emb/img_emb_7.npy", np.zeros(3))
    assert "img_emb_7.npy" in ran(line, "--prune", code=1).stderr  # not ours
    os.remove("new/img_emb/img_emb_7.npy")
    ran(line)
    assert sorted(os.listdir("new/img_emb")) == ["img_emb_0.npy"]


def test_the_same_weights_in_another_folder_are_the_same_model(there):
    ran(COMMANDS["embed"][0])
    shutil.copytree(SAMPLE / "tiny-clip", "renamed")
    line = COMMANDS["embed"][0].replace("--model tiny-clip", "--model renamed")
    before = state(there)
    ran(line)
    assert state(there) == before
    more = pq.read_table(SAMPLE / "train.parquet").slice(200, 5)
    pq.write_table(more.select(["key", "jpg", "caption"]), "data/00002.parquet")
    ran(line)
    ran(f"score new --out scores2 {SCORE}")  # the tables agree in their model


def test_another_model_is_asked_about(there):
    ran(COMMANDS["embed"][0])
    line = COMMANDS["embed"][0].replace("--model tiny-clip", "--model small-clip")
    what, fix = refused(there, line)
    assert "new holds 2 shards embedded by local-dir:tiny-clip, and local-dir:small-clip is another model" in what
    assert "--overwrite" in fix
    assert "resumed" not in ran(line, "--overwrite").stdout
