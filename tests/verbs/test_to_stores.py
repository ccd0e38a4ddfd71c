"""Every verb that writes gives the same bytes to a store as to a folder of this machine, and resumes there as here."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.errors import NcauditError, UsageError
from ncaudit.options import (
    CorruptOptions,
    EmbedOptions,
    FilterOptions,
    LabelsOptions,
    ReportOptions,
    SampleOptions,
    ScoreOptions,
    ShowOptions,
    TrainOptions,
)
from ncaudit.shards.places import listings
from ncaudit.verbs.corrupt.captions import corrupt
from ncaudit.verbs.embed.embed import embed
from ncaudit.verbs.filter.filter import filter_pairs
from ncaudit.verbs.labels.labels import labels
from ncaudit.verbs.plan import plan
from ncaudit.verbs.report.report import report
from ncaudit.verbs.sample import sample
from ncaudit.verbs.score.score import score
from ncaudit.verbs.show.show import show
from ncaudit.verbs.train.train import train
from tests.worlds import stores
from tests.worlds.embeddings import embedding_table
from tests.worlds.images import drawn
from tests.worlds.sample import TINY
from tests.worlds.tars import img2dataset, write_tar

N = 120
everywhere = pytest.mark.parametrize("place", ["memory", "s3"], indirect=True)


@dataclass(frozen=True)
class Place:
    """Where a verb writes. objects: what lies there now."""

    out: str
    objects: Any


def here(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def server():
    with stores.served() as store:
        yield store


@pytest.fixture
def place(request, monkeypatch):
    """A folder of a store: in memory unless a test asks for more."""
    if getattr(request, "param", "memory") == "memory":
        files = fsspec.filesystem("memory")
        yield Place("memory://to-stores", lambda: stores.in_memory("to-stores"))
        if files.exists("/to-stores"):
            files.rm("/to-stores", recursive=True)
        listings.forget()
        return
    server = request.getfixturevalue("server")
    for name, value in {**stores.KEYS, "AWS_ENDPOINT_URL": server.url}.items():
        monkeypatch.setenv(name, value)
    stores.fresh_bucket(server)
    stores.forget_stores()
    yield Place("s3://pairs/to/stores", lambda: server.objects("to/stores"))
    stores.forget_stores()


@pytest.fixture
def world(tmp_path):
    """Embedding tables with classes, the tars and the images that they are of."""
    for number in range(2):
        table = embedding_table(N, seed=number, failed=2).append_column("kind", pa.array([i % 3 for i in range(N)]))
        name = f"{number:05}"
        table = table.set_column(1, "shard", pa.array([f"{name}.tar"] * N))
        table = table.set_column(0, "pair_id", pa.array([f"{name}/{i}" for i in range(N)]))
        path = tmp_path / f"given/{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        pq.write_table(table, path)
        write_tar(tmp_path / f"tars/{name}.tar", img2dataset(N, N * number))
    pairs = {"jpg": [drawn(i, (24, 24), "JPEG") for i in range(8)], "caption": [f"a picture {i}" for i in range(8)]}
    (tmp_path / "images").mkdir()
    pq.write_table(pa.table(pairs), tmp_path / "images/00000.parquet")
    return tmp_path


def both(world: Path, place: Place, run: Any, name: str = "out") -> tuple[Any, Any]:
    """Run it to a folder and to the store; what lies there must be the same but for the places in it."""
    local = run(str(world / "made"))
    there = run(place.out)
    assert told(here(world / "made"), str(world / "made")) == told(place.objects(), place.out)
    return local, there


def told(files: dict[str, bytes], out: str) -> dict[str, bytes]:
    """The files, with another name for where they are; the hash of a page that tells it is another one."""
    return {name: _told(name, data, out.encode()) for name, data in files.items()}


def _told(name: str, data: bytes, out: bytes) -> bytes:
    if name.endswith(".ncaudit.json") and (record := json.loads(data)):
        record = {key: value for key, value in record.items() if key not in ("holds", "token")}
        data = json.dumps(record).encode()
    return data.replace(out, b"OUT")


def scored(world: Path, out: str) -> Any:
    return score(ScoreOptions(embeddings=[str(world / "given")], out=f"{out}/scores", save_fit=f"{out}/kept-fit"))


@everywhere
def test_scores_their_fit_and_their_records(world, place):
    both(world, place, lambda out: scored(world, out))
    assert listings.of(place.out) is None  # nothing of it is believed after the run
    local, there = both(world, place, lambda out: scored(world, out))
    assert local.accounting.shards_resumed == there.accounting.shards_resumed == 2
    assert (local.verdicts, local.mean_soft_label) == (there.verdicts, there.mean_soft_label)


@everywhere
def test_what_is_made_of_scores_that_lie_in_a_store(world, place):
    scored(world, str(world / "made"))
    scored(world, place.out)
    tars = [str(world / "tars")]

    def kept(out: str, name: str, **more: Any) -> Any:
        return filter_pairs(FilterOptions(scores=[f"{out}/scores"], out=f"{out}/{name}", keep_share=0.5, **more))

    both(world, place, lambda out: kept(out, "rows/kept.parquet", dropped=f"{out}/rows/gone.parquet"))
    both(world, place, lambda out: kept(out, "folder"))
    both(world, place, lambda out: kept(out, "tars", data=tars, dropped=f"{out}/tars-gone"))
    again = both(world, place, lambda out: kept(out, "tars", data=tars, dropped=f"{out}/tars-gone"))
    assert [each.shards_resumed for each in again] == [2, 2]
    both(world, place, lambda out: kept(out, "ids/kept.txt", write_as="ids", key="pair_id"))
    both(world, place, lambda out: report(ReportOptions(scores=[f"{out}/scores"], out=f"{out}/page/report.html")))
    both(world, place, lambda out: sample(SampleOptions(scores=[f"{out}/scores"], out=f"{out}/review.csv", n=10)))
    with pytest.raises(NcauditError, match="is there already"):
        sample(SampleOptions(scores=[f"{place.out}/scores"], out=f"{place.out}/review.csv", n=10))


def test_judged_classes(world, place):
    def judge(out: str) -> Any:
        return labels(LabelsOptions(embeddings=[str(world / "given")], out=f"{out}/labels", label_column="kind", k=5))

    both(world, place, judge)
    again = both(world, place, judge)
    assert [each.accounting.shards_resumed for each in again] == [2, 2]


@pytest.mark.usefixtures("tiny_model")
@pytest.mark.parametrize("layout", ["parquet", "clip-retrieval"])
def test_embeddings_and_the_record_of_their_model(world, place, layout):
    def embedded(out: str) -> Any:
        chosen = {"model": TINY, "workers": 0, "layout": layout, "device": "cpu", "precision": "float32"}
        return embed(EmbedOptions(sources=[str(world / "images")], out=f"{out}/embeddings", batch_pairs=8, **chosen))

    both(world, place, embedded)
    again = both(world, place, embedded)
    assert [each.accounting.shards_resumed for each in again] == [1, 1]


def test_heads_with_their_checkpoints_and_what_they_are_for(world, place):
    def trained(out: str, epochs: int = 2) -> Any:
        chosen = {"tune": "heads", "epochs": epochs, "batch_pairs": 32}
        return train(TrainOptions(embeddings=[str(world / "given")], out=f"{out}/heads", **chosen))

    both(world, place, trained)
    assert trained(place.out).finished_earlier
    both(world, place, lambda out: score(
        ScoreOptions(embeddings=[str(world / "given")], out=f"{out}/by-heads", model=f"{out}/heads")
    ))  # fmt: skip
    with pytest.raises(NcauditError, match="holds another run, which differs in: epochs"):
        trained(place.out, epochs=3)


@everywhere
def test_a_training_that_was_stopped_goes_on_from_the_store(world, place, monkeypatch):
    from ncaudit.matchers.training_folder import TrainingFolder

    def trained(out: str) -> Any:
        chosen = {"tune": "heads", "epochs": 3, "batch_pairs": 32}
        return train(TrainOptions(embeddings=[str(world / "given")], out=f"{out}/heads", **chosen))

    saved = TrainingFolder.save_epoch

    def stopping(self, state, metrics, weights):
        saved(self, state, metrics, weights)
        if state["epoch"] == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrainingFolder, "save_epoch", stopping)
        with pytest.raises(KeyboardInterrupt):
            trained(place.out)
    local, there = both(world, place, trained)
    assert (local.resumed_after_epoch, there.resumed_after_epoch) == (None, 2)


@pytest.mark.usefixtures("tiny_model")
def test_known_noise_and_pictures(world, place):
    data = [str(world / "images")]
    both(world, place, lambda out: corrupt(CorruptOptions(sources=data, out=f"{out}/noisy", rate=0.5)))
    again = both(world, place, lambda out: corrupt(CorruptOptions(sources=data, out=f"{out}/noisy", rate=0.5)))
    assert [each.accounting.shards_resumed for each in again] == [1, 1]


def test_whose_files_they_are_is_asked_as_here(world, place):
    pq.write_table(pa.table({"mine": [1]}), world / "x.parquet")
    files, inner = fsspec.core.url_to_fs(f"{place.out}/scores/00000.parquet")
    files.pipe_file(inner, (world / "x.parquet").read_bytes())
    with pytest.raises(NcauditError, match="`score` did not write it") as told:
        scored(world, place.out)
    assert told.value.fix == "give another --out, or --overwrite to replace it"
    assert place.objects().keys() == {"scores/00000.parquet"}
    listings.forget()
    score(ScoreOptions(embeddings=[str(world / "given")], out=f"{place.out}/scores", overwrite=True))
    with pytest.raises(NcauditError, match=r"is an input and would be written over|is what `score` has written"):
        score(ScoreOptions(embeddings=[f"{place.out}/scores"], out=f"{place.out}/scores"))


@everywhere
def test_a_table_that_somebody_changed_is_read_and_made_again(world, place):
    scored(world, place.out)
    before = place.objects()
    files, inner = fsspec.core.url_to_fs(f"{place.out}/scores/00001.parquet")
    files.pipe_file(inner, before["scores/00001.parquet"][:-9])
    listings.forget()
    assert scored(world, place.out).accounting.shards_resumed == 1
    assert place.objects() == before


def test_without_its_manifest_a_folder_is_as_finished(world, place):
    scored(world, place.out)
    files, inner = fsspec.core.url_to_fs(f"{place.out}/scores/_manifest")
    assert len(files.find(inner)) == 1  # the parts are put together
    files.rm(inner, recursive=True)
    assert scored(world, place.out).accounting.shards_resumed == 2


def test_a_plan_writes_nothing_and_says_what_would_be(world, place):
    options = ScoreOptions(embeddings=[str(world / "given")], out=f"{place.out}/scores")
    planned = plan(options)
    assert f"{place.out}/scores/00000.parquet" in planned.writes
    assert place.objects() == {}
    score(options)
    assert plan(options).writes == ()


def test_tables_whose_input_is_gone_are_told_and_pruned(world, place):
    scored(world, place.out)
    (world / "given/00001.parquet").unlink()
    chosen = {"embeddings": [str(world / "given")], "out": f"{place.out}/scores"}
    assert any("has no input any more" in note for note in score(ScoreOptions(**chosen)).notes)
    score(ScoreOptions(**chosen, prune=True))
    assert [name for name in place.objects() if name.startswith("scores/0")] == ["scores/00000.parquet"]


def test_file_addresses_are_paths_and_hubs_are_not_written_to(tmp_path):
    options = ScoreOptions(embeddings=["x"], out=f"file://{tmp_path}/scores")
    assert options.out == f"{tmp_path}/scores"
    for address in ("hf://datasets/me/pairs", "https://example.org/pairs"):
        with pytest.raises(UsageError, match="is read, and never written to"):
            ScoreOptions(embeddings=["x"], out=address)
    with pytest.raises(UsageError, match="--tensorboard writes to files of this machine alone"):
        TrainOptions(data=["x"], out="s3://bucket/run", tensorboard=True)


def test_pictures_of_rows(world, place):
    scores = {"pair_id": ["a"], "shard": ["00000.parquet"], "row": [3], "status": ["ok"], "score": [0.1]}
    (world / "told").mkdir()
    pq.write_table(pa.table({**scores, "soft_label": [0.2], "caption": ["a picture 3"]}), world / "told/00000.parquet")
    both(world, place, lambda out: show(
        ShowOptions(scores=[str(world / "told")], data=[str(world / "images")], worst=1, images=f"{out}/pictures")
    ))  # fmt: skip
