"""What every verb tells while it works: stages of its plan, in the plan's order, each done to its last unit."""

from dataclasses import dataclass, field

import pyarrow.parquet as pq
import pytest

import ncaudit
from ncaudit.options import CorruptKind
from ncaudit.progress import Silent
from ncaudit.verbs import demo
from tests.worlds.sample import SAMPLE, TINY

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tiny_model")]
ROWS = 120


@dataclass
class Told:
    """A stage as it was told."""

    name: str
    total: int | None
    done: int = 0
    kept: int = 0


@dataclass
class Heard(Silent):
    """All that was told."""

    plan: dict[str, float] = field(default_factory=dict)
    planned: set[str] = field(default_factory=set)
    jobs: list[str] = field(default_factory=list)
    stages: list[Told] = field(default_factory=list)

    def job(self, name, stages):
        self.jobs.append(name)
        self.plan = dict(stages)
        self.planned |= set(stages)

    def stage(self, name, total, unit="rows"):
        assert name in self.plan, (name, list(self.plan))
        self.stages.append(Told(name, total))

    def advance(self, done, failed=0):
        self.stages[-1].done += done

    def kept(self, done, failed=0):
        self.stages[-1].kept += done

    def names(self):
        return [stage.name for stage in self.stages]

    def is_whole(self):
        """Every stage was told once, in the plan's order, and did what it said there was to be done."""
        places = [list(self.plan).index(name) for name in self.names() if name in self.plan]
        undone = [each for each in self.stages if each.total is not None and each.done + each.kept != each.total]
        return places == sorted(places) and len(set(self.names())) == len(self.stages) and undone == []


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A dataset, and what embed and score make of it."""
    folder = tmp_path_factory.mktemp("stages")
    pq.write_table(pq.read_table(SAMPLE / "train.parquet").slice(0, ROWS), folder / "train.parquet")
    ncaudit.embed(ncaudit.EmbedOptions(**embedding(folder)))
    ncaudit.score(ncaudit.ScoreOptions(embeddings=[f"{folder}/e"], out=f"{folder}/s", check=False))
    return folder


def embedding(folder):
    chosen = {"model": TINY, "device": "cpu", "precision": "float32", "workers": 0, "batch_pairs": 32}
    return {"sources": [f"{folder}/train.parquet"], "out": f"{folder}/e", **chosen}


def heard(verb, options):
    found = Heard()
    verb(options, found)
    assert found.is_whole(), found.stages
    return found


def test_embedding(here, tmp_path):
    options = ncaudit.EmbedOptions(**{**embedding(here), "out": str(tmp_path / "e")})
    assert heard(ncaudit.embed, options).names() == ["look at the shards", "load the model", "images and captions"]
    again = heard(ncaudit.embed, options)
    assert (again.stages[-1].kept, again.names()) == (ROWS, ["look at the shards", "images and captions"])


@pytest.mark.parametrize("scorer", ["bicro", "auto"])
def test_scoring(here, tmp_path, scorer):
    check = scorer != "auto"
    options = ncaudit.ScoreOptions(embeddings=[f"{here}/e"], out=str(tmp_path / "s"), scorer=scorer, check=check)
    first, checked = heard(ncaudit.score, options), ["power check"] * check
    assert first.names() == ["draw the sample", "fit", *checked, "count repeats", "score the rows"]
    again = heard(ncaudit.score, options)
    assert again.names() == ["count repeats", "score the rows"]
    assert again.stages[-1].kept == ROWS


def test_scoring_with_suggestions(here, tmp_path):
    options = ncaudit.ScoreOptions(embeddings=[f"{here}/e"], out=str(tmp_path / "s"), suggest=True, check=False)
    found = Heard()
    ncaudit.score(options, found)
    assert {"suggestions: draw clean pairs", "suggestions: strangers' captions"} <= set(found.names())


def test_classes(here, tmp_path):
    options = ncaudit.LabelsOptions(embeddings=[f"{here}/e"], label_column="noise_type", out=str(tmp_path / "l"))
    assert heard(ncaudit.labels, options).names() == ["read the classes", "judge", "write the tables"]


@pytest.mark.parametrize(
    "more",
    [{"tune": "heads", "embeddings": ["e"]}, {"tune": "towers", "data": ["train.parquet"]}],
    ids=["heads", "towers"],
)
def test_training(here, tmp_path, more, monkeypatch):
    monkeypatch.chdir(here)
    towers = {"model": TINY, "workers": 0} if more["tune"] == "towers" else {}
    options = ncaudit.TrainOptions(
        out=str(tmp_path / "m"), scores=["s"], epochs=2, batch_pairs=16, device="cpu", **more, **towers
    )
    found = heard(ncaudit.train, options)
    assert found.names()[-3:] == ["validate the start", "epoch 1 of 2", "epoch 2 of 2"]
    assert set(found.planned) == set(found.names())


def test_what_reads_scores(here, tmp_path):
    scores = [f"{here}/s"]
    data = [f"{here}/train.parquet"]
    told = {
        "filter": heard(
            ncaudit.filter_pairs, ncaudit.FilterOptions(scores=scores, out=f"{tmp_path}/k", keep_share=0.5)
        ),
        "report": heard(ncaudit.report, ncaudit.ReportOptions(scores=scores, data=data, out=f"{tmp_path}/r.html")),
        "sample": heard(ncaudit.sample, ncaudit.SampleOptions(scores=scores, out=f"{tmp_path}/v.csv", n=20)),
        "show": heard(ncaudit.show, ncaudit.ShowOptions(scores=scores, data=data)),
        "eval scores": heard(ncaudit.eval_scores, ncaudit.EvalScoresOptions(scores=scores, truth="is_match")),
    }
    assert {name: found.jobs[0] for name, found in told.items()} == {name: name for name in told}
    assert all(found.stages for found in told.values())


def test_what_reads_embeddings_or_data(here, tmp_path):
    untouched = pq.read_table(here / "train.parquet").select(["key", "jpg", "caption"])
    pq.write_table(untouched.append_column("class", [list("ab" * 60)]), tmp_path / "data.parquet")
    data = [f"{tmp_path}/data.parquet"]
    embeddings = [f"{here}/e"]
    heard(ncaudit.eval_retrieval, ncaudit.EvalRetrievalOptions(embeddings=embeddings))
    heard(ncaudit.bench, ncaudit.BenchOptions(embeddings=embeddings, scorers=["csls"], rates=[0.2], kinds=["random"]))
    heard(ncaudit.inspect, ncaudit.InspectOptions(sources=data))
    heard(ncaudit.corrupt, ncaudit.CorruptOptions(sources=data, out=f"{tmp_path}/c", rate=0.2))
    classes = {"kind": CorruptKind.label_symmetric, "label_column": "class"}
    heard(ncaudit.corrupt_labels, ncaudit.CorruptOptions(sources=data, out=f"{tmp_path}/l", rate=0.2, **classes))


def test_an_audit(here, tmp_path):
    chosen = {key: value for key, value in embedding(here).items() if key in ("sources", "model", "device", "workers")}
    found = heard(ncaudit.audit, ncaudit.AuditOptions(**chosen, out=str(tmp_path / "a")))
    assert set(found.jobs) == {"audit"}
    assert list(dict.fromkeys(name.split(": ")[0] for name in found.names())) == ["embed", "score", "report"]


def test_a_demo_names_its_three_trainings(here, tmp_path, monkeypatch):
    sample = tmp_path / "sample"
    sample.mkdir()
    for part in ("train", "heldout"):
        pq.write_table(pq.read_table(SAMPLE / f"{part}.parquet").slice(0, ROWS), sample / f"{part}.parquet")
    (sample / "tiny-clip").symlink_to(SAMPLE / "tiny-clip")
    monkeypatch.setattr(demo, "sample_folder", lambda: str(sample))
    monkeypatch.setattr(demo, "RECIPE", {**demo.RECIPE, "epochs": 1, "batch_pairs": 16})
    found = heard(ncaudit.demo, ncaudit.DemoOptions(out=str(tmp_path / "d"), device="cpu", workers=0))
    told = list(dict.fromkeys(name.split(": ")[0] for name in found.names()))
    assert told == [
        *("audit", "compare with the truth", "evaluate start", "train 1 of 3, plain", "evaluate plain"),
        *("train 2 of 3, soft", "evaluate soft", "train 3 of 3, oracle", "evaluate oracle"),
    ]
