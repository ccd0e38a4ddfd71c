"""`--threads` is pace: what is written is the same for any number; and a run of train keeps the number that it began
with.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import ncaudit
from ncaudit import LabelsOptions, ScoreOptions, TrainOptions
from ncaudit.core.neighbours import self_search
from ncaudit.errors import Interrupted
from ncaudit.matchers.heads.projection import HEAD_WEIGHTS
from ncaudit.matchers.training_folder import RUN
from ncaudit.progress import Silent
from tests.worlds.embeddings import lists
from tests.worlds.sample import SAMPLE

PAIRS = 700
THREADS = (1, 2, 3)


def table(folder: Path, pairs: int = PAIRS, dims: int = 48) -> Path:
    """Pairs in several captions per photo for some, a fifth of them mismatched, with classes."""
    draw = np.random.default_rng(0)
    seen = draw.standard_normal((pairs, 12)) + 3 * np.eye(6, 12)[draw.integers(0, 6, pairs)]
    seen[1::5] = seen[::5]  # a photo with two captions
    said = seen.copy()
    wrong = draw.permutation(pairs)[: pairs // 5]
    said[wrong] = said[np.roll(wrong, 1)]
    photos = np.arange(pairs)
    photos[1::5] = photos[::5]
    columns = {
        "pair_id": pa.array([f"p{i}" for i in range(pairs)]),
        "image_hash": pa.array([f"photo {i}" for i in photos]),
        "caption": pa.array([f"caption {i}" for i in range(pairs)]),
        "kind": pa.array([f"class {i}" for i in np.argmax(seen[:, :6] + draw.normal(size=(pairs, 6)), axis=1)]),
    }
    maps = draw.standard_normal((12, dims))
    noise = draw.normal(size=(2, pairs, dims))
    noise[0][1::5] = noise[0][::5]
    for name, rows, of in (("image_embedding", seen, noise[0]), ("text_embedding", said, noise[1])):
        columns[name] = lists(rows @ maps + of, dtype=np.float32)
    folder.mkdir()
    pq.write_table(pa.table(columns), folder / "a.parquet")
    return folder


@pytest.fixture(scope="module")
def embeddings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return table(tmp_path_factory.mktemp("threads") / "embeddings")


def ran(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """A process of its own, as a user starts it; without what keeps the processes of tests small."""
    inherited = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    line = [sys.executable, "-m", "ncaudit", *map(str, words)]
    done = subprocess.run(line, env={**inherited, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


def files_of(folder: Path) -> dict[str, bytes]:
    """All that was written, without the records of who asked for it."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("_run"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def tables_of(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in files_of(folder).items() if name.endswith((".parquet", ".safetensors"))}


def all_alike(written: list[dict[str, bytes]]) -> bool:
    return bool(written[0]) and all(one == written[0] for one in written)


@pytest.mark.parametrize("scorer", ["bicro", "ncr", "structure"])
def test_scores_do_not_depend_on_the_threads(embeddings, tmp_path, scorer):
    for threads in THREADS:
        options = {"scorer": scorer, "check": scorer == "bicro", "suggest": True, "columns": ["caption"]}
        ncaudit.score(
            ScoreOptions(embeddings=[str(embeddings)], out=str(tmp_path / f"{threads}"), threads=threads, **options)
        )
    assert all_alike([tables_of(tmp_path / f"{threads}") for threads in THREADS])


def test_scores_of_real_processes_do_not_depend_on_the_threads(embeddings, tmp_path):
    for threads in (1, 2):
        ran("score", embeddings, "--out", tmp_path / f"{threads}", "--no-check", "--threads", threads)
    assert all_alike([tables_of(tmp_path / f"{threads}") for threads in (1, 2)])


@pytest.mark.parametrize("exact_up_to", [self_search.EXACT_UP_TO, 500])
def test_judged_classes_do_not_depend_on_the_threads(embeddings, tmp_path, monkeypatch, exact_up_to):
    monkeypatch.setitem(self_search.nearest_in_set.__kwdefaults__, "exact_up_to", exact_up_to)
    for threads in THREADS:
        out, words = str(tmp_path / f"{threads}"), {"label_column": "kind", "threads": threads}
        ncaudit.labels(LabelsOptions(embeddings=[str(embeddings)], out=out, **words))
    assert all_alike([tables_of(tmp_path / f"{threads}") for threads in THREADS])


def test_embeddings_do_not_depend_on_the_threads(tmp_path):
    rows = pq.read_table(SAMPLE / "train.parquet").slice(0, 200)
    pq.write_table(rows, tmp_path / "some.parquet")
    model = f"local-dir:{SAMPLE / 'tiny-clip'}"
    for threads in THREADS:
        out, pace = str(tmp_path / f"{threads}"), {"threads": threads, "workers": 0, "batch_pairs": 48}
        ncaudit.embed(ncaudit.EmbedOptions(sources=[str(tmp_path / "some.parquet")], out=out, model=model, **pace))
    assert all_alike([tables_of(tmp_path / f"{threads}") for threads in THREADS])


def test_a_rerun_with_other_threads_finds_everything_finished(embeddings, tmp_path):
    options = {"embeddings": [str(embeddings)], "out": str(tmp_path / "out"), "scorer": "clip-score", "check": False}
    ncaudit.score(ScoreOptions(**options, threads=1))
    again = ncaudit.score(ScoreOptions(**options, threads=2))
    assert again.accounting.shards_resumed == again.accounting.shards == 1


def test_soft_labels_do_not_depend_on_the_threads(monkeypatch):
    draw = np.random.default_rng(1)
    image = draw.normal(size=(600, 32))
    text = image + draw.normal(size=image.shape)
    found = []
    for threads in THREADS:
        monkeypatch.setattr("ncaudit.budget.threads", lambda asked=None, threads=threads: threads)
        found.append(ncaudit.soft_labels(image, text).score)
    assert all(np.array_equal(one, found[0]) for one in found)


class Watching(Silent):
    """Keeps the notes, and torch's threads at each stage; Ctrl-C when a stage of this name begins."""

    def __init__(self, until: str = "") -> None:
        self.until, self.notes, self.threads = until, list[str](), set[int]()

    def stage(self, name: str, total: int | None, unit: str = "rows") -> None:
        if name == self.until:
            raise KeyboardInterrupt
        if name.startswith("epoch"):
            self.threads.add(torch.get_num_threads())

    def note(self, text: str) -> None:
        self.notes.append(text)


def trained(embeddings: Path, out: Path, progress: Watching, threads: int) -> Path:
    asked = {"tune": "heads", "embeddings": [str(embeddings)], "out": str(out), "device": "cpu", "batch_pairs": 128}
    ncaudit.train(TrainOptions(**asked, epochs=3, threads=threads), progress)
    return out


def test_training_that_goes_on_keeps_the_threads_that_it_began_with(embeddings, tmp_path):
    """Stopped after two epochs, and gone on with another number: the bytes of a run that was left alone."""
    whole = trained(embeddings, tmp_path / "whole", Watching(), 2)
    with pytest.raises((KeyboardInterrupt, Interrupted)):
        trained(embeddings, tmp_path / "parts", Watching("epoch 3 of 3"), 2)
    watching = Watching()
    parts = trained(embeddings, tmp_path / "parts", watching, 1)
    assert watching.threads == {2}
    assert [note for note in watching.notes if "began with 2 threads and goes on with as many, not 1" in note]
    assert json.loads((parts / RUN).read_text())["run"]["threads"] == 2
    assert (parts / HEAD_WEIGHTS).read_bytes() == (whole / HEAD_WEIGHTS).read_bytes()


def test_a_run_that_is_older_than_the_record_of_threads_is_still_itself(embeddings, tmp_path):
    out = trained(embeddings, tmp_path / "old", Watching(), 1)
    record = json.loads((out / RUN).read_text())
    del record["run"]["threads"]
    (out / RUN).write_text(json.dumps(record))
    watching = Watching()
    trained(embeddings, out, watching, 2)
    assert not watching.threads  # it was finished, and is not done again
