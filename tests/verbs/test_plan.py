"""What a verb would do: every verb that writes is planned, run, and planned again, on a small world of its own.

A plan touches nothing; what it says that would be written is what then is; and where the run is refused so is the plan,
in the same words.
"""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ncaudit
from ncaudit import options
from ncaudit.errors import NcauditError, UsageError
from ncaudit.options import (
    AuditOptions,
    BenchOptions,
    CorruptOptions,
    DemoOptions,
    EmbedOptions,
    FilterOptions,
    InspectOptions,
    LabelsOptions,
    ReportOptions,
    SampleOptions,
    ScoreOptions,
    ShowOptions,
    TrainOptions,
)
from ncaudit.verbs.plan import PLANNERS
from tests.worlds.sample import SAMPLE, TINY

ROWS = 60
MODEL = {"model": TINY, "workers": 0, "device": "cpu"}
VERBS = {
    "AuditOptions": "audit", "BenchOptions": "bench", "CorruptOptions": "corrupt", "DemoOptions": "demo",
    "EmbedOptions": "embed", "FilterOptions": "filter_pairs", "LabelsOptions": "labels", "ReportOptions": "report",
    "SampleOptions": "sample", "ScoreOptions": "score", "ShowOptions": "show", "TrainOptions": "train",
}  # fmt: skip
PLAIN = {
    "embed": EmbedOptions(sources=["data"], out="out", **MODEL),
    "embed to partitions": EmbedOptions(sources=["data"], out="out", layout="clip-retrieval", **MODEL),
    "embed a part": EmbedOptions(sources=["data"], out="out", slice="0/2", **MODEL),
    "score": ScoreOptions(embeddings=["emb"], out="out", check=False, save_fit="fit"),
    "score the data": ScoreOptions(embeddings=["emb"], data=["data"], out="out", check=False),
    "labels": LabelsOptions(embeddings=["emb"], label_column="class", k=3, out="out"),
    "filter": FilterOptions(scores=["scores"], keep_share=0.5, out="out"),
    "filter a part": FilterOptions(scores=["scores"], keep_share=0.5, out="out", slice="1/2"),
    "filter the data": FilterOptions(scores=["scores"], data=["data"], verdict=["clean"], out="out", dropped="away"),
    "corrupt": CorruptOptions(sources=["data"], rate=0.4, out="out"),
    "corrupt labels": CorruptOptions(
        sources=["data"], rate=0.4, out="out", kind="label-symmetric", label_column="class"
    ),
    "audit": AuditOptions(sources=["data"], out="out", check=False, label_column="class", **MODEL),
    "train": TrainOptions(tune="heads", embeddings=["emb"], out="out", epochs=2, batch_pairs=16, device="cpu"),
}
ONE_FILE = {
    "score to a file": ScoreOptions(embeddings=["emb"], out="out.parquet", check=False),
    "filter to ids": FilterOptions(scores=["scores"], keep_share=0.5, write_as="ids", out="out.txt"),
    "sample": SampleOptions(scores=["scores"], n=20, out="out.csv"),
    "report": ReportOptions(scores=["scores"], data=["data"], out="out.html"),
    "bench": BenchOptions(embeddings=["emb"], scorers=["clip-score"], kinds=["random"], seeds=1, out="out.csv"),
}


def rows_of_sample(first):
    """With classes, and without the truth, which `corrupt` adds."""
    rows = pq.read_table(SAMPLE / "train.parquet").slice(first, ROWS)
    return rows.append_column("class", rows["noise_type"]).drop(["is_match", "noise_type"])


def run(given):
    name = VERBS[type(given).__name__]
    of_labels = isinstance(given, CorruptOptions) and given.kind.of_labels
    return getattr(ncaudit, "corrupt_labels" if of_labels else name)(given)


def tree(folder: Path):
    """Every file and folder with its size, its bytes' time and its mode."""
    return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_size) for path in [folder, *folder.rglob("*")]}


def planned(given):
    """The plan, which must not touch a thing."""
    before = tree(Path.cwd())
    plan = ncaudit.plan(given)
    assert tree(Path.cwd()) == before
    return plan


def is_finished(plan):
    files = (plan.writes, plan.replaces, plan.overwrites, plan.may_replace, plan.removes)
    return not any(files) and not plan.rows_left


def written(plan):
    return {os.path.normpath(path) for one in (plan, *plan.steps) for path in one.writes}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Three shards of the sample, embedded and scored."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "data").mkdir()
    before = os.getcwd()
    os.chdir(folder)
    for number in range(3):
        pq.write_table(rows_of_sample(number * ROWS), f"data/{number}.parquet")
    ncaudit.embed(EmbedOptions(sources=["data"], out="emb", **MODEL))
    ncaudit.score(ScoreOptions(embeddings=["emb"], out="scores", check=False))
    os.chdir(before)
    return folder


@pytest.fixture
def here(world, tmp_path, monkeypatch):
    """A copy of it, as the working folder."""
    shutil.copytree(world, tmp_path / "world")
    monkeypatch.chdir(tmp_path / "world")
    return tmp_path / "world"


def test_every_verb_that_writes_has_a_plan():
    verbs = {name for name in options.__all__ if name.endswith("Options") and hasattr(getattr(options, name), "out")}
    asked = {name for name in options.__all__ if "out" in getattr(getattr(options, name), "__annotations__", {})}
    assert verbs | asked | {"ShowOptions"} == set(PLANNERS) == set(VERBS)


@pytest.mark.parametrize("given", PLAIN.values(), ids=PLAIN)
def test_what_would_be_written_is_written_and_then_nothing_is_left_to_do(here, given):
    before = {str(path.relative_to(here)) for path in here.rglob("*") if path.is_file()}
    plan = planned(given)
    assert [plan.replaces, plan.overwrites, plan.may_replace, plan.removes] == [()] * 4
    run(given)
    made = {str(path.relative_to(here)) for path in here.rglob("*") if path.is_file()} - before
    assert written(plan) == made
    after = planned(given)
    if not isinstance(given, CorruptOptions):  # of which only the work itself knows
        assert all(is_finished(one) for one in (after, *after.steps) if one.verb != "report"), after
        assert after.finished == max(1, after.shards)


@pytest.mark.parametrize("given", ONE_FILE.values(), ids=ONE_FILE)
def test_one_file_is_written_and_would_be_written_again(here, given):
    plan = planned(given)
    assert given.out in plan.writes
    run(given)
    assert set(plan.writes) == {str(path) for path in Path().iterdir() if "out." in path.name}
    if isinstance(given, (SampleOptions, BenchOptions)):  # people's, from now on
        with pytest.raises(NcauditError, match="is there already"):
            planned(given)
        assert planned(replace(given, overwrite=True)).overwrites == (given.out,)
    else:
        assert planned(given).replaces == (given.out,)


def test_a_plan_counts_what_is_read_and_what_is_left(here):
    given = PLAIN["embed"]
    run(given)
    Path("out/1.parquet").unlink()
    plan = planned(given)
    (read,) = plan.reads
    assert (read.shards, read.rows, read.names) == (3, 3 * ROWS, ("data",))
    assert read.bytes == sum(path.stat().st_size for path in Path("data").iterdir())
    assert (plan.shards, plan.finished, plan.rows_left) == (3, 2, ROWS)
    assert (plan.writes, plan.replaces, plan.may_replace) == (("out/1.parquet",), (), ())
    assert plan.columns["caption"] == "caption"


def test_the_fit_of_all_parts_is_planned_without_their_tables_and_each_part_without_those_of_others(here):
    fit = ScoreOptions(embeddings=["emb"], out="out", check=False, fit_only=True)
    told = {f"out/{name}" for name in (".ncaudit.json", "_fit/fit.json", "_fit/fit.safetensors", "_fit/repeats.bin")}
    assert written(planned(fit)) == told
    run(fit)
    assert is_finished(planned(fit))
    assert not planned(fit).work
    part, other = (replace(fit, fit_only=False, slice=f"{number}/2") for number in (0, 1))
    run(other)
    plan = planned(part)
    assert (plan.shards, plan.finished, plan.rows_left) == (2, 0, 2 * ROWS)
    assert (written(plan), plan.replaces) == ({"out/0.parquet", "out/2.parquet"}, ())
    assert any("2 of 3 shards" in note for note in plan.notes)
    run(part)
    assert is_finished(planned(part))
    assert planned(part).finished == 2


def test_what_was_made_with_other_options_would_be_made_again(here):
    run(PLAIN["embed"])
    plan = planned(replace(PLAIN["embed"], columns=["key"]))
    assert (plan.finished, plan.replaces) == (0, ("out/0.parquet", "out/1.parquet", "out/2.parquet"))
    assert any("--columns" in note for note in plan.notes)


def test_another_fit_scores_all_again(here):
    plan = planned(ScoreOptions(embeddings=["emb"], out="scores", check=False, seed=1))
    tables = tuple(f"scores/{number}.parquet" for number in range(3))
    assert plan.replaces == (*tables, "scores/_fit/fit.safetensors", "scores/_fit/fit.json")
    assert plan.work[0] == "fit bicro on all 180 rows"
    assert "the fit in scores/_fit was made with other --seed: all is fitted and scored anew" in plan.notes


def test_a_shard_that_came_since_is_rated_and_scored_alone(here):
    pq.write_table(rows_of_sample(500), "data/3.parquet")
    ncaudit.embed(EmbedOptions(sources=["data"], out="emb", **MODEL))
    given = ScoreOptions(embeddings=["emb"], out="scores", check=False)
    plan = planned(given)
    assert (plan.finished, plan.rows_left) == (3, ROWS)
    assert plan.writes == ("scores/3.parquet", "scores/_fit/rates.json")
    run(given)
    assert is_finished(planned(given))


def test_tables_without_an_input_are_told_and_pruned(here):
    Path("data/2.parquet").unlink()
    given = EmbedOptions(sources=["data"], out="emb", **MODEL)
    assert any("--prune removes it" in note for note in planned(given).notes)
    assert planned(replace(given, prune=True)).removes == ("emb/2.parquet",)


def test_a_file_of_somebody_else_is_refused_or_would_be_overwritten(here):
    Path("out").mkdir()
    pq.write_table(pa.table({"x": [1]}), "out/1.parquet")
    plan = planned(replace(PLAIN["embed"], overwrite=True))
    assert plan.overwrites == ("out/1.parquet",)
    assert set(plan.writes) == {"out/0.parquet", "out/2.parquet", "out/_run.json"}


def test_a_filter_tells_how_many_rows_it_would_keep(here):
    plan, did = planned(PLAIN["filter"]), run(PLAIN["filter"])
    assert plan.outcome == {"kept": did.kept, "dropped": did.dropped, **did.reasons}


def test_an_interrupted_training_is_gone_on_with(here):
    given = PLAIN["train"]
    assert "for 2 epochs" in planned(given).work[0]
    run(given)
    assert planned(given).finished == 1
    restarted = planned(replace(given, restart=True))
    assert restarted.work[0] == "discard the run in out"
    assert "out/heads.safetensors" in restarted.replaces


def test_the_rest_is_told_by_the_pace_of_what_is_there(here):
    run(PLAIN["embed"])
    Path("out/2.parquet").unlink()
    for number in range(2):
        os.utime(f"out/{number}.parquet", (1e9 + 30 * number, 1e9 + 30 * number))
    plan = planned(PLAIN["embed"])
    assert (plan.rows_per_s, plan.seconds) == (pytest.approx(2), pytest.approx(30))


REFUSED = {
    "an input that is not there": (replace(PLAIN["embed"], sources=["nothing"]), None),
    "no such column": (replace(PLAIN["embed"], caption_column="words"), None),
    "no such device": (replace(PLAIN["embed"], device="cuda:99"), None),
    "no such device for labels": (replace(PLAIN["labels"], device="cuda:99"), None),
    "no such model": (replace(PLAIN["embed"], model="local-dir:nowhere"), None),
    "an output among the inputs": (replace(PLAIN["embed"], out="data/emb"), None),
    "somebody's table": (PLAIN["embed"], "out/1.parquet"),
    "somebody's folder in place of a table": (PLAIN["filter"], "out/1.parquet/x"),
    "somebody's page": (ONE_FILE["report"], "out.html"),
    "somebody's list": (ONE_FILE["filter to ids"], "out.txt"),
    "somebody's fit": (PLAIN["score"], "fit/fit.json"),
    "another run": (PLAIN["train"], "out/run.json"),
    "a file where the folder goes": (PLAIN["labels"], "out"),
    "no class column": (replace(PLAIN["labels"], label_column="nothing"), None),
    "a step's place in an audit": (PLAIN["audit"], "out/scores/0.parquet"),
    "another dataset": (replace(PLAIN["filter the data"], data=["emb"]), None),
    "a truth that is there": (replace(PLAIN["corrupt"], sources=["known"]), "known"),
    "a scorer that reads no such option": (ScoreOptions(embeddings=["emb"], out="out", scorer="csls", k=3), None),
    "a part without the fit of all": (ScoreOptions(embeddings=["emb"], out="out", slice="0/2"), None),
    "pairs to look at": (ShowOptions(scores=["emb"], data=["data"], images="pictures"), None),
    "an objective's setting": (replace(PLAIN["train"], tune="heads", neighbours=3), None),
}


@pytest.mark.parametrize(("given", "in_the_way"), REFUSED.values(), ids=REFUSED)
def test_what_would_be_refused_is_refused_in_the_same_words(here, given, in_the_way):
    if in_the_way == "known":
        run(replace(PLAIN["corrupt"], out="known"))
    elif in_the_way is not None:
        Path(in_the_way).parent.mkdir(parents=True, exist_ok=True)
        Path(in_the_way).write_text("mine")
    with pytest.raises(NcauditError) as planning:
        planned(given)
    with pytest.raises(NcauditError) as running:
        run(given)
    told = [(type(one.value), one.value.message, one.value.fix) for one in (planning, running)]
    assert told[0] == told[1]


def test_left_overs_of_dead_processes_are_left_alone(here):
    Path("out").mkdir()
    Path("out/.0.parquet.elsewhere.1-1.00000000.partial").write_text("half")
    planned(PLAIN["embed"])


def test_rows_on_standard_input_and_verbs_that_write_nothing_have_no_plan():
    with pytest.raises(UsageError, match="--dry-run reads no rows"):
        ncaudit.plan(EmbedOptions(sources=["-"], out="out", **MODEL))
    with pytest.raises(UsageError, match="InspectOptions has no plan"):
        ncaudit.plan(InspectOptions(sources=["data"]))


def test_the_demo_is_planned_with_its_audit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = planned(DemoOptions(out="demo"))
    assert any("3 times, 8 epochs each" in one for one in plan.work)
    assert [one.verb for one in plan.steps[0].steps] == ["embed", "score", "report"]
    assert len(planned(DemoOptions(out="demo", fast=True)).work) == 2


def test_pictures_are_planned_by_their_folder(here):
    plan = planned(ShowOptions(scores=["scores"], data=["data"], images="pictures", worst=5))
    assert plan.work[-1] == "write 5 pictures at most into pictures"
    Path("pictures").mkdir()
    Path("pictures/.ncaudit.json").write_text('{"verb": "filter"}')
    with pytest.raises(NcauditError, match="is where `filter` writes"):
        planned(ShowOptions(scores=["scores"], data=["data"], images="pictures", worst=5))


def test_each_file_is_opened_once_to_tell_that_all_is_finished(here, monkeypatch):
    opened, opens = [], pq.ParquetFile.__init__
    run(PLAIN["embed"])
    for folder in ("data", "out"):  # other files than those that this process knows
        shutil.copytree(folder, "copied")
        shutil.rmtree(folder)
        os.rename("copied", folder)
    monkeypatch.setattr(pq.ParquetFile, "__init__", lambda self, *a, **k: opened.append(1) or opens(self, *a, **k))
    assert planned(PLAIN["embed"]).finished == 3
    assert len(opened) == 3 + 3  # shards, and their tables
