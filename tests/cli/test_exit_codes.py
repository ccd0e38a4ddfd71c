"""One rule for every command: what became of its shards, and whether the words were right, decides its exit code."""

import os
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.worlds.commands import MODEL, run
from tests.worlds.sample import SAMPLE

SHARDS, ROWS = 3, 60
ALL_DONE, REFUSED, USAGE, SOME_FAILED = 0, 1, 2, 3
CLIP = ("--scorer", "clip-score", "--no-check")

# command, its input, what an input with one shard cut ends with, its words but for input and output, a wrong option
COMMANDS = {
    "audit": ("data", SOME_FAILED, ["audit", "IN", "--out", "OUT", *MODEL, *CLIP], ["--max-failed", "2"]),
    "inspect": ("data", SOME_FAILED, ["inspect", "IN"], None),
    "embed": ("data", SOME_FAILED, ["embed", "IN", "--out", "OUT", *MODEL], ["--max-failed", "2"]),
    "score": ("emb", REFUSED, ["score", "IN", "--out", "OUT", *CLIP], ["--max-failed", "nan"]),
    "score --data": ("data", REFUSED, ["score", "EMB", "--data", "IN", "--out", "OUT", *CLIP], ["--max-failed", "inf"]),
    "labels": ("emb", REFUSED, ["labels", "IN", "--out", "OUT", "--label-column", "cls"], ["--max-failed", "-1"]),
    "filter": ("scores", REFUSED, ["filter", "IN", "--min-soft-label", "0", "--out", "OUT"], ["--keep-share", "2"]),
    "filter --data": (
        "data", SOME_FAILED, ["filter", "SCORES", "--data", "IN", "--min-soft-label", "0", "--out", "OUT"],
        ["--min-soft-label", "nan"],
    ),
    "filter one": ("scores", REFUSED, [*"filter IN --keep-share .5 --out OUT.parquet".split()], ["--keep-share", "0"]),
    "sample": ("scores", REFUSED, ["sample", "IN", "--out", "OUT.csv", "--n", "10"], ["--n", "0"]),
    "show": ("scores", REFUSED, ["show", "IN"], ["--worst", "0"]),
    "corrupt": ("data", REFUSED, ["corrupt", "IN", "--out", "OUT", "--rate", ".2"], ["--rate", "3"]),
    "bench": (
        "emb", REFUSED,
        [*"bench IN --out OUT.csv --seeds 1 --pairs 100 --rates .2 --kinds random --scorers clip-score".split()],
        ["--pairs", "1"],
    ),
    "eval retrieval": ("emb", REFUSED, ["eval", "retrieval", "IN"], ["--map-at", "0"]),
    "eval scores": ("scores", REFUSED, ["eval", "scores", "IN", "--truth", "truth"], ["--bins", "0"]),
    "train": (
        "emb", REFUSED,
        [*"train --embeddings IN --scores SCORES --tune heads --epochs 1 --batch-pairs 32 --out OUT".split()],
        ["--epochs", "0"],
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A dataset, its embeddings and its scores, whole, with one shard cut, and with all of them cut."""
    root = tmp_path_factory.mktemp("exit")
    rows = pq.read_table(SAMPLE / "train.parquet").slice(0, SHARDS * ROWS).select(["key", "jpg", "caption"])
    known = {
        "cls": pa.array([i % 3 for i in range(len(rows))]),
        "truth": pa.array([i % 2 == 0 for i in range(len(rows))]),
    }
    for name, values in known.items():
        rows = rows.append_column(name, values)
    (root / "data").mkdir()
    for i in range(SHARDS):
        pq.write_table(rows.slice(i * ROWS, ROWS), root / "data" / f"{i}.parquet")
    assert run("embed", root / "data", "--out", root / "emb", *MODEL).exit_code == 0
    assert run("score", root / "emb", "--out", root / "scores", *CLIP).exit_code == 0
    for kind in ("data", "emb", "scores"):
        for count in (1, SHARDS):
            cut = shutil.copytree(root / kind, root / f"{kind}-{count}")
            for i in range(count):
                shard = cut / f"{i}.parquet"
                shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
        strange = shutil.copytree(root / kind, root / f"{kind}-strange")
        for i, put in enumerate((lambda at: at.symlink_to("nowhere"), os.mkfifo)):
            (strange / f"{i}.parquet").unlink()
            put(strange / f"{i}.parquet")
    return root


def ended(world, tmp_path, command, broken, more=()):
    """(exit code, the names of what was made) of a command. broken: how many shards are cut, or "strange"."""
    kind, _, words, _ = COMMANDS[command]
    places = {"IN": world / (f"{kind}-{broken}" if broken else kind), "EMB": world / "emb"}
    places |= {"SCORES": world / "scores"}
    told = [
        str(tmp_path / word.replace("OUT", "out")) if word.startswith("OUT") else places.get(word, word)
        for word in words
    ]
    ran = run(*told, *more)
    assert isinstance(ran.exception, (SystemExit, type(None))), ran.exception
    return ran.exit_code, sorted(p.name for p in tmp_path.rglob("*") if p.is_file() and p.name[0] not in "_.")


@pytest.mark.parametrize("command", COMMANDS)
def test_all_shards_done_is_0(world, tmp_path, command):
    assert ended(world, tmp_path, command, 0)[0] == ALL_DONE


@pytest.mark.parametrize("command", COMMANDS)
def test_one_cut_shard_is_3_where_the_others_were_done_and_1_where_nothing_was_made(world, tmp_path, command):
    code, made = ended(world, tmp_path, command, 1)
    assert code == COMMANDS[command][1]
    if command != "inspect":  # which makes nothing but what it tells
        assert bool(made) == (code == SOME_FAILED)
        assert "0.parquet" not in made


@pytest.mark.parametrize("command", COMMANDS)
def test_a_link_to_nothing_and_a_pipe_among_shards_are_as_cut_ones(world, tmp_path, command):
    code, made = ended(world, tmp_path, command, "strange")
    assert code == COMMANDS[command][1]
    assert bool(made) == (code == SOME_FAILED and command != "inspect")


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_but_cut_shards_is_1_and_nothing_is_made(world, tmp_path, command):
    assert ended(world, tmp_path, command, SHARDS) == (REFUSED, [])


@pytest.mark.parametrize("command", [name for name in COMMANDS if COMMANDS[name][3]])
@pytest.mark.parametrize("shards_cut", [0, SHARDS])
def test_a_wrong_option_is_2_whatever_the_files_hold(world, tmp_path, command, shards_cut):
    assert ended(world, tmp_path, command, shards_cut, COMMANDS[command][3]) == (USAGE, [])


@pytest.mark.parametrize("share", ["2", "-0.1", "nan", "inf", "-inf", "1e300"])
@pytest.mark.parametrize("command", ["embed", "score", "labels"])
def test_a_share_of_failed_rows_is_a_share(world, tmp_path, command, share):
    assert ended(world, tmp_path, command, 0, ["--max-failed", share]) == (USAGE, [])
