"""`train --objective auto`, whole: what is taken, that it is recorded before training, and what a rerun makes of it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from ncaudit.errors import BadTable, UsageError
from ncaudit.options import TrainOptions
from ncaudit.progress import Silent
from ncaudit.verbs.train.auto.choice import LABELLED, Reason
from ncaudit.verbs.train.plan import plan_train
from ncaudit.verbs.train.train import train
from tests.worlds.embeddings import lists
from tests.worlds.made import made
from tests.worlds.sample import SAMPLE, TINY

FILES = ("heads.json", "heads.safetensors", "metrics.jsonl", "run.json")


class StopAt(Silent):
    """Ctrl-C where a stage of that name begins."""

    def __init__(self, name: str) -> None:
        self._name = name

    def stage(self, name: str, total: int | None, unit: str = "rows") -> None:
        if name.startswith(self._name):
            raise KeyboardInterrupt


def write(folder: Path, pairs: int, noise: float, label: float | None = None) -> str:
    """Embeddings in one space; a share of the captions is of something else, and `truth` says of which.

    At the pace below a linear head of 64 x 64 learns much of 300 pairs by heart.
    """
    draw = np.random.default_rng(0)
    seen = draw.standard_normal((pairs, 8))
    wrong = np.arange(pairs) < noise * pairs
    told = np.where(wrong[:, None], draw.standard_normal((pairs, 8)), seen)
    space = draw.standard_normal((8, 64)) / 8**0.5
    sides = {
        name: lists(things @ space + 0.5 * draw.standard_normal((pairs, 64)))
        for name, things in (("image_embedding", seen), ("text_embedding", told))
    }
    truth = np.where(wrong, 0.0, 1.0) if label is None else np.full(pairs, label)
    names = {"pair_id": [f"p{i}" for i in range(pairs)], "status": ["ok"] * pairs}
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({**names, **sides, "truth": truth.astype(np.float32)}), folder / "pairs.parquet")
    return str(folder)


@pytest.fixture
def options(tmp_path) -> TrainOptions:
    torch.set_num_threads(1)
    return TrainOptions(
        out=str(tmp_path / "out"), tune="heads", embeddings=[write(tmp_path / "noisy", 700, 0.5)], objective="auto",
        label_column="truth", head_start="identity", epochs=10, batch_pairs=64, learning_rate=1e-2, device="cpu",
        precision="float32",
    )  # fmt: skip


def test_where_noise_does_harm_labels_are_believed(options):
    result = train(options)
    assert result.objective == result.choice.objective in LABELLED[1:]
    assert result.choice.reason is Reason.better
    run = json.loads((Path(options.out) / "run.json").read_text())["run"]
    assert (run["options"]["objective"], run["choice"]["objective"]) == ("auto", result.objective)


def test_what_is_taken_trains_as_if_it_had_been_named(options, tmp_path):
    result = train(options)
    named = replace(options, out=str(tmp_path / "named"), objective=result.objective)
    train(named)
    for name in FILES[:3]:
        assert made(Path(options.out) / name) == made(Path(named.out) / name), name


def test_without_noise_labels_gain_nothing_and_only_another_loss_may_be_better(options, tmp_path):
    result = train(replace(options, embeddings=[write(tmp_path / "clean", 700, 0.0)]))
    found = {one.objective: one for one in result.choice.compared}
    assert found["weighted-infonce"].rank == found["drop"].rank == found["infonce"].rank
    assert result.objective in ("infonce", "rince", "sce")
    taken = found[result.objective]
    assert result.objective == "infonce" or taken.gain > 2 * taken.standard_error


def test_without_labels_those_are_compared_that_ask_for_none(options):
    result = train(replace(options, label_column=None, epochs=2))
    assert not result.choice.labelled
    assert "weighted-infonce" not in {one.objective for one in result.choice.compared}


def test_few_pairs_are_trained_on_with_their_labels_and_nothing_is_compared(options, tmp_path):
    result = train(replace(options, embeddings=[write(tmp_path / "few", 120, 0.5)]))
    assert (result.objective, result.choice.reason) == ("weighted-infonce", Reason.too_few)


def test_labels_that_are_all_0_are_an_error(options, tmp_path):
    with pytest.raises(BadTable, match="every truth is 0"):
        train(replace(options, embeddings=[write(tmp_path / "none", 700, 1.0, label=0.0)]))


@pytest.mark.parametrize("stage", ["compare objectives", "read the training pairs", "epoch 3 "])
def test_a_run_that_was_stopped_and_rerun_gives_the_bytes_of_an_undisturbed_one(options, stage, tmp_path, monkeypatch):
    options = replace(options, epochs=3)
    undisturbed = replace(options, out=str(tmp_path / "undisturbed"))
    train(undisturbed)
    with pytest.raises(KeyboardInterrupt):
        train(options, StopAt(stage))
    if stage != "compare objectives":  # it was recorded before training began: nothing is compared again
        monkeypatch.setattr("ncaudit.verbs.train.train.made_choice", None)
    train(options)
    for name in FILES:
        assert made(Path(options.out) / name) == made(Path(undisturbed.out) / name), name
    assert train(options).finished_earlier


def test_other_data_choose_anew(options, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(options, StopAt("epoch 1 "))
    again = replace(options, embeddings=[write(tmp_path / "noisy", 700, 0.0)])
    fresh = replace(again, out=str(tmp_path / "fresh"))
    assert train(again).choice == train(fresh).choice


def test_a_finished_run_tells_its_choice_again(options):
    first = train(replace(options, epochs=2))
    assert train(replace(options, epochs=2)).choice == first.choice


@pytest.mark.slow
def test_towers_compare_on_pictures(tmp_path):
    pq.write_table(pq.read_table(SAMPLE / "train.parquet").slice(0, 450), tmp_path / "pairs.parquet")
    options = TrainOptions(
        out=str(tmp_path / "out"), data=[str(tmp_path / "pairs.parquet")], model=f"local-dir:{TINY}", objective="auto",
        label_column="truth", epochs=1, batch_pairs=64, learning_rate=2e-3, device="cpu", precision="float32",
        workers=0,
    )  # fmt: skip
    result = train(options)
    assert result.objective == result.choice.objective
    assert result.choice.judged_pairs > 100
    assert result.choice.compared[0].auroc > 0.7


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"recipe": "bicro", "label_column": None}, "--objective auto compares objectives"),
        ({"relabel_every": 2}, "--objective auto compares objectives"),
        ({"drop_below": 0.2}, "--drop-below is of one objective"),
        ({"neighbours": 3}, "--neighbours is of one objective"),
    ],
)
def test_flags_that_contradict_it_are_a_usage_error(options, changes, what):
    with pytest.raises(UsageError, match=what):
        replace(options, **changes)


def test_a_dry_run_says_what_would_be_compared_and_after_the_choice_no_more(options):
    said = "compare 5 objectives by short trainings (infonce, weighted-infonce, drop, rince, sce)"
    assert any(line.startswith(said) for line in plan_train(options).work)
    with pytest.raises(KeyboardInterrupt):
        train(options, StopAt("epoch 1 "))
    assert not any(line.startswith("compare") for line in plan_train(options).work)
