"""A flag that its command does not read in this mode is refused with the reason: at any value, its default too.

Every mode of every command stands here with the flags that change nothing in it. What options class has modes at all is
looked up, so that a new one asks for its place here.
"""

from dataclasses import fields

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from ncaudit import options, scorers
from ncaudit.cli.app import app
from ncaudit.errors import UsageError
from ncaudit.options import SETTINGS, USUAL_WEIGHTS, BenchOptions, ScorerOptions, TrainOptions, Variant
from tests.worlds.bombs import IMAGE
from tests.worlds.commands import MODEL
from tests.worlds.embeddings import random_unit
from tests.worlds.pairs import pairs_of
from tests.worlds.sample import TINY

EMBED = ["embed", "data", "--out"]
SCORE = ["score", "emb", "--out", "s"]
FILTER = ["filter", "s", "--verdict", "clean", "--out"]
TOWERS = ["train", "--out", "m", "--data", "d"]
HEADS = ["train", "--out", "m", "--tune", "heads", "--embeddings", "e"]
LABELS = ["labels", "emb", "--label-column", "c", "--out"]
CORRUPT = ["corrupt", "data", "--out", "c", "--rate", ".2", "--kind"]

# The words of a mode, the flag that it leaves alone (with a value), and a part of the reason.
UNREAD = [
    (["eval", "retrieval", "emb"], ["--map-at", "50"], "about classes"),
    (["eval", "scores", "s", "--against", "x"], ["--bins", "10"], "takes a truth"),
    (["eval", "scores", "s", "--against", "x"], ["--truth-table", "t"], "no column named"),
    (["audit", "data", "--out", "r", "--devices", "all"], ["--device", "auto"], "both say where"),
    (["audit", "data", "--out", "r", "--model", "hf-hub:a/b"], ["--pretrained", "x"], "has its own"),
    (["report", "s", "--out", "r.html"], ["--image-root", "i"], "none is named"),
    (["report", "s", "--data", "d", "--out", "r.html", "--judge-only"], ["--cards", "16"], "--judge-only makes none"),
    (["report", "s", "--out", "r.html", "--judge", "0"], ["--seed", "0"], "there are none"),
    (["report", "s", "--out", "r.html"], ["--truth-table", "t.csv"], "has no column named"),
    (["show", "s"], ["--key", "k"], "none is named"),
    (["show", "s"], ["--image-root", "i"], "none is named"),
    (["show", "s", "--data", "d"], ["--overwrite"], "none is written"),
    ([*EMBED, "e"], ["--format", "arrow"], "--out is e"),
    ([*EMBED, "e"], ["--csv-safe"], "there are none"),
    ([*EMBED, "-"], ["--layout", "parquet"], "--out - is one stream"),
    ([*EMBED, "-"], ["--devices", "all"], "--out - is one stream"),
    ([*EMBED, "e", "--devices", "all"], ["--device", "auto"], "both say where"),
    ([*EMBED, "e", "--model", "hf-hub:a/b"], ["--pretrained", "laion2b_s34b_b79k"], "has its own"),
    ([*EMBED, "e", "--model", "local-dir:b"], ["--pretrained", "laion2b_s34b_b79k"], "has its own"),
    ([*EMBED, "-"], ["--overwrite"], "none is written"),
    ([*EMBED, "e.parquet"], ["--prune"], "tables of a folder"),
    (["score", "emb", "--out", "-"], ["--overwrite"], "none is written"),
    (["score", "emb", "--out", "s.parquet"], ["--prune"], "tables of a folder"),
    (["bench", "emb"], ["--overwrite"], "none is written"),
    (["sample", "s", "--out", "-"], ["--overwrite"], "none is written"),
    ([*FILTER, "-"], ["--overwrite"], "none is written"),
    ([*LABELS, "-"], ["--prune"], "tables of a folder"),
    (SCORE, ["--format", "arrow"], "--out is s"),
    (["score", "emb", "--out", "s.parquet"], ["--refit"], "written anew"),
    ([*SCORE, "--data", "d"], ["--columns", "url"], "with all it has"),
    (SCORE, ["--join-key", "k"], "there is none"),
    ([*SCORE, "--fit", "f"], ["--k", "3"], "--fit scores with a fit"),
    ([*SCORE, "--fit", "f"], ["--variant", "robust"], "--fit scores with a fit"),
    ([*SCORE, "--fit", "f"], ["--noisy-precision", ".9"], "--fit scores with a fit"),
    ([*SCORE, "--fit", "f"], ["--stratify", "auto"], "--fit scores with a fit"),
    ([*SCORE, "--fit", "f"], ["--stratify", "none"], "--fit scores with a fit"),
    ([*SCORE, "--fit", "f"], ["--check"], "--fit scores with one"),
    ([*SCORE, "--scorer", "csls"], ["--k", "3"], "not read by --scorer csls"),
    ([*SCORE, "--scorer", "clip-score"], ["--variant", "robust"], "not read by --scorer clip-score"),
    (SCORE, ["--loss", "infonce"], "--variant robust"),
    (SCORE, ["--no-center"], "--variant robust"),
    ([*SCORE, "--variant", "paper"], ["--siblings", "auto"], "--variant paper"),
    (["bench", "emb", "--scorers", "lemon"], ["--csls-k", "10"], "not read by --scorer lemon"),
    ([*FILTER, "f"], ["--format", "csv"], "--out is f"),
    ([*FILTER, "-", "--as", "ids"], ["--format", "csv"], "says how --out - writes rows"),
    ([*FILTER, "f"], ["--key", "k"], "there is no --data"),
    ([*FILTER, "f"], ["--keep-share-by", "lang"], "not which share"),
    ([*FILTER, "f"], ["--repeat-by-weight", "n"], "datacomp-uids"),
    ([*LABELS, "l.parquet"], ["--redo"], "written anew"),
    ([*LABELS, "l"], ["--format", "arrow"], "--out is l"),
    ([*CORRUPT, "shuffle"], ["--embeddings", "e"], "not needed by --kind shuffle"),
    ([*CORRUPT, "shuffle"], ["--clusters", "20"], "not needed by --kind shuffle"),
    ([*CORRUPT, "topic"], ["--nearest", "10"], "not needed by --kind topic"),
    ([*CORRUPT, "label-symmetric", "--label-column", "c"], ["--embeddings", "e"], "not needed by"),
    ([*CORRUPT, "label-symmetric", "--label-column", "c"], ["--image-root", "i"], "about captions"),
    (TOWERS, ["--head-start", "auto"], "for --tune heads"),
    (TOWERS, ["--key", "k"], "joins the dataset to --scores"),
    (TOWERS, ["--warmup-keep", "0.3"], "for --recipe bicro"),
    (TOWERS, ["--objective", "weighted-infonce"], "weighs pairs by their labels, and there are none"),
    (TOWERS, ["--objective", "drop"], "weighs pairs by their labels, and there are none"),
    ([*TOWERS, "--objective", "infonce"], ["--label-column", "c"], "trusts all alike"),
    ([*TOWERS, "--objective", "rcl"], ["--label-column", "c"], "trusts all alike"),
    ([*TOWERS, "--doubted", "push"], ["--objective", "rcl"], "weighs pairs by their labels, and there are none"),
    ([*TOWERS, "--objective", "infonce"], ["--self-paced", "1"], "takes no weights"),
    ([*TOWERS, "--objective", "nirnl", "--label-column", "c"], ["--self-paced", "1"], "takes no weights"),
    ([*TOWERS, "--objective", "nirnl", "--label-column", "c"], ["--negatives", "all"], "learns classes"),
    (TOWERS, ["--match-share", "0.001"], "for --negatives allowed"),
    ([*TOWERS, "--val-data", "v"], ["--val-share", "0.05"], "there is --val-data"),
    ([*TOWERS, "--objective", "nirnl", "--label-column", "c"], ["--val-share", "0.05"], "holds nothing out"),
    ([*TOWERS, "--model", "local-dir:b"], ["--pretrained", "laion2b_s34b_b79k"], "has its own"),
    (HEADS, ["--workers", "0"], "heads learn from embeddings"),
    (HEADS, ["--image-column", "jpg"], "heads learn from embeddings"),
    (HEADS, ["--model", "ViT-B-32"], "for --tune towers"),
    (HEADS, ["--hidden", "9"], "for --head mlp"),
    ([*HEADS, "--recipe", "bicro"], ["--label-column", "c"], "finds its own labels"),
    (HEADS, ["--split-threshold", "0.5"], "for --recipe bicro"),
]


@pytest.mark.parametrize(("mode", "flag", "reason"), UNREAD, ids=lambda part: " ".join(part)[:60])
def test_a_flag_that_changes_nothing_is_a_usage_error_with_the_reason(mode, flag, reason):
    ran = CliRunner().invoke(app, ["-q", *mode, *flag])
    assert ran.exit_code == 2, ran.output
    what, fix = ran.stderr.splitlines()
    assert what.startswith(f"ncaudit: {flag[0].replace('--no-', '--')} ")
    assert reason in what
    assert fix.startswith("  fix: ")


@pytest.mark.parametrize("mode", [["embed", "x.parquet", "--out", "e"], ["train", "--data", "x.parquet", "--out", "m"]])
def test_weights_beside_a_model_folder_are_refused_at_their_usual_value_too(tmp_path, monkeypatch, mode):
    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.table({"jpg": [b"x"], "caption": ["a"]}), "x.parquet")
    model = ("--model", TINY.removeprefix("local-dir:"), "--pretrained", USUAL_WEIGHTS)
    ran = CliRunner().invoke(app, ["-q", *mode, *model])
    assert (ran.exit_code, "has its own" in ran.stderr) == (2, True), ran.output


IMAGES_INSIDE = {
    "embed": ["embed", "x.parquet", "--out", "e", *MODEL],
    "inspect": ["inspect", "x.parquet"],
    "corrupt": ["corrupt", "x.parquet", "--out", "c", "--rate", ".5"],
    "train": ["train", "--data", "x.parquet", "--out", "m", "--epochs", "1", *MODEL],
}


@pytest.mark.parametrize("mode", IMAGES_INSIDE.values(), ids=IMAGES_INSIDE)
def test_a_folder_of_relative_paths_is_refused_where_the_images_are_no_paths(tmp_path, monkeypatch, mode):
    monkeypatch.chdir(tmp_path)
    table = pa.table({"jpg": [IMAGE] * 4, "caption": ["a", "b", "c", "d"]})
    pq.write_table(table, "x.parquet")
    ran = CliRunner().invoke(app, ["-q", *mode, "--image-root", "."])
    assert (ran.exit_code, "--image-root says where relative paths" in ran.stderr) == (2, True), ran.output
    assert not [name for name in ("e", "c", "m") if (tmp_path / name).exists()]


def test_a_folder_of_relative_paths_is_read_where_some_shard_has_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d").mkdir()
    (tmp_path / "i").mkdir()
    (tmp_path / "i/a.png").write_bytes(IMAGE)
    pq.write_table(pa.table({"jpg": [IMAGE], "caption": ["a"]}), "d/0.parquet")
    pq.write_table(pa.table({"image_path": ["a.png"], "caption": ["a"]}), "d/1.parquet")
    ran = CliRunner().invoke(app, ["-q", "embed", "d", "--out", "e", *MODEL, "--image-root", "i"])
    assert (ran.exit_code, "2 ok" in ran.output) == (0, True), ran.output


def test_every_class_of_options_with_modes_has_one_here():
    classes = (getattr(options, name) for name in options.__all__)
    told = {one.__name__.removesuffix("Options").lower() for one in classes if hasattr(one, "unread")}
    assert told == {mode[0] if mode[0] != "eval" else "".join(mode[:2]) for mode, _, _ in UNREAD}


def test_a_notebook_is_told_too_where_the_value_is_another():
    with pytest.raises(UsageError, match="--label-column weighs pairs, and --objective infonce trusts all alike"):
        TrainOptions(out="m", data=["d"], objective="infonce", label_column="c")
    with pytest.raises(UsageError, match="--k is not read by --scorer lemon"):
        scorers.refuse_unread(["lemon"], ScorerOptions(scorer="lemon", k=3))
    scorers.refuse_unread(["bicro", "lemon"], BenchOptions(embeddings=["e"], scorers=["bicro", "lemon"], k=3))


@pytest.mark.parametrize("variant", Variant)
@pytest.mark.parametrize("name", scorers.names())
def test_what_a_scorer_says_it_reads_is_what_its_fit_records(name, variant):
    asked = ScorerOptions(scorer=name, variant=variant if name == "bicro" else Variant.robust)
    pairs = pairs_of(random_unit(120, seed=1), random_unit(120, seed=2))
    assert scorers.reads(name, asked) == set(scorers.get(name).fit(pairs, asked).options)


def test_every_setting_is_read_by_some_scorer_and_is_an_option():
    known = {field.name for field in fields(ScorerOptions)}
    assert set(SETTINGS) <= known
    every = [ScorerOptions(variant=variant) for variant in Variant]
    assert set(SETTINGS) <= {one for name in scorers.names() for each in every for one in scorers.reads(name, each)}


def test_who_reads_a_setting_is_asked_only_of_those_that_somebody_set(monkeypatch):
    asked = []
    monkeypatch.setattr(scorers, "_readers", lambda name: asked.append(name) or iter(["--scorer bicro"]))
    scorers.refuse_unread(["lemon"], ScorerOptions(scorer="lemon"))
    assert asked == []
    with pytest.raises(UsageError, match="--k is not read by --scorer lemon"):
        scorers.refuse_unread(["lemon"], ScorerOptions(scorer="lemon"), given=("k",))
    assert asked == ["k"]
