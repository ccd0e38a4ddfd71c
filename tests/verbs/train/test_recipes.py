"""`train --tune heads` with a recipe: what is left in the folder, that a rerun changes nothing, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from ncaudit.engines.ranks import Ranks
from ncaudit.errors import NcauditError, UsageError
from ncaudit.matchers.heads.projection import StackedHeads, load_heads
from ncaudit.matchers.heads.tuning import head_tuner
from ncaudit.matchers.steps.optimisation import Recipe
from ncaudit.options import Loss, TrainOptions
from ncaudit.progress import Silent
from ncaudit.verbs.train import heads as heads_on_embeddings
from ncaudit.verbs.train.lessons.co_teaching import CoTeaching, Stages
from ncaudit.verbs.train.ranks import for_rank
from ncaudit.verbs.train.train import train
from tests.worlds.embeddings import lists
from tests.worlds.made import made

PAIRS, CPU = 240, torch.device("cpu")


class StopAt(Silent):
    def __init__(self, epoch: int) -> None:
        self._word = f"epoch {epoch} "

    def stage(self, name: str, total: int | None, unit: str = "rows") -> None:
        if name.startswith(self._word):
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> Path:
    """Embeddings of one width and no common space; 30 % of the captions are of something else."""
    root, generator = tmp_path_factory.mktemp("tables"), np.random.default_rng(0)
    seen = generator.standard_normal((PAIRS, 8))
    told = np.where(np.arange(PAIRS)[:, None] >= 0.3 * PAIRS, seen, generator.standard_normal((PAIRS, 8)))
    sides = {
        name: things @ generator.standard_normal((8, 24)) + 0.5 * generator.standard_normal((PAIRS, 24))
        for name, things in (("image_embedding", seen), ("text_embedding", told))
    }
    columns = {name: lists(rows) for name, rows in sides.items()}
    names = {"pair_id": [f"p{i}" for i in range(PAIRS)], "status": ["ok"] * PAIRS}
    pq.write_table(pa.table({**names, **columns}), root / "pairs.parquet")
    return root


@pytest.fixture
def options(tables, tmp_path) -> TrainOptions:
    torch.set_num_threads(1)
    return TrainOptions(
        out=str(tmp_path / "out"), tune="heads", embeddings=[str(tables)], epochs=4, batch_pairs=50, device="cpu",
        precision="float32", val_share=0.2, dims=8, recipe="bicro", anchor_k=3, warmup_epochs=1,
    )  # fmt: skip


def relabelling(options: TrainOptions) -> TrainOptions:
    return replace(options, recipe="simple", relabel_every=2, anchor_k=TrainOptions.anchor_k, warmup_epochs=None)


def lines(options: TrainOptions) -> list[dict]:
    return [json.loads(line) for line in (Path(options.out) / "metrics.jsonl").read_text().splitlines()]


def test_the_folder_of_co_teaching_holds_both_networks_which_started_and_ended_apart(options):
    result = train(options)
    heads = load_heads(options.out, CPU).heads
    assert isinstance(heads, StackedHeads)
    assert heads.dims == 16
    first, second = (member.image_side.linear.weight for member in heads.heads)
    assert not torch.equal(first, second)
    assert (result.recipe, result.objective) == ("bicro", "bicro")
    assert all(0 < trusted <= result.train_pairs for trusted in result.clean_pairs)


def test_the_metrics_tell_the_losses_of_both_and_the_split_after_the_warm_up(options):
    result = train(options)
    start, warm, apart, *joined = lines(options)
    assert "losses" not in start
    assert len(warm["losses"]) == 2
    assert "clean_pairs" not in warm
    assert warm["step"] == warm["pairs"] / 50 == 2 * (result.train_pairs // 50)
    assert apart["noisy_label"] is None
    for line in [apart, *joined]:
        assert [sum(both) for both in zip(line["clean_pairs"], line["noisy_pairs"], strict=True)] == [
            result.train_pairs
        ] * 2
    assert all(0 < line["mean_label"] <= 1 and len(line["noisy_label"]) == 2 for line in joined)
    assert result.mean_label == joined[-1]["mean_label"]


@pytest.mark.parametrize(
    ("recipe", "epoch"),
    [(lambda options: options, 3), pytest.param(relabelling, 4, marks=pytest.mark.slow)],
    ids=["bicro", "relabel"],
)
def test_a_run_that_was_stopped_and_rerun_gives_the_bytes_of_an_undisturbed_one(options, recipe, epoch, tmp_path):
    options = replace(recipe(options), head="mlp", hidden=8)
    undisturbed = replace(options, out=str(tmp_path / "undisturbed"))
    train(undisturbed)
    with pytest.raises(KeyboardInterrupt):
        train(options, StopAt(epoch))
    assert train(options).resumed_after_epoch == epoch - 1
    for name in ("heads.json", "heads.safetensors", "metrics.jsonl", "run.json"):
        assert made(Path(options.out) / name) == made(Path(undisturbed.out) / name), name


def test_relabelling_saves_the_main_network_alone_and_tells_the_new_labels(options):
    result = train(relabelling(options))
    assert load_heads(options.out, CPU).heads.dims == 8
    told = [line["mean_label"] for line in lines(options)[1:]]
    assert told[:2] == [1, 1]
    assert told[2] == told[3] < 1
    assert result.mean_label == told[3]
    assert result.labelled


def test_the_stages_are_the_ones_asked_for(options, monkeypatch):
    given = []

    def seen(networks, pairs, stages, *rest):
        given.append(stages)
        return CoTeaching(networks, pairs, stages, *rest)

    monkeypatch.setattr(heads_on_embeddings, "CoTeaching", seen)
    asked = {"warmup_keep": 0.4, "split_threshold": 0.6, "split_loss": Loss.ranking, "anchor_k": 7, "warmup_epochs": 1}
    train(replace(options, epochs=2, noisy_from=1.0, **asked))
    assert given == [Stages(noisy_after=2, **asked)]


def test_every_network_learns_at_the_pace_asked_for(options, monkeypatch):
    given = []

    def seen(heads, loss, recipe, *rest, **more):
        given.append((recipe, more["chunk_pairs"]))
        return head_tuner(heads, loss, recipe, *rest, **more)

    monkeypatch.setattr(heads_on_embeddings, "head_tuner", seen)
    asked = {"learning_rate": 3e-3, "weight_decay": 0.07, "warmup_share": 0.4, "clip_norm": 0.6}
    result = train(replace(options, epochs=2, chunk_pairs=25, **asked))
    assert given == [(Recipe(**asked, total_steps=2 * (result.train_pairs // 50)), 25)] * 2


def test_relabelling_comes_as_often_as_asked_for(options):
    result = train(replace(relabelling(options), relabel_every=1, epochs=3))
    told = [line["mean_label"] for line in lines(options)[1:]]
    assert result.epochs == 3
    assert len(set(told)) == 3


def test_identities_are_moved_apart(options):
    options = replace(options, head_start="identity", dims=None, epochs=2)
    train(options)
    first, second = (member.image_side.linear.weight for member in load_heads(options.out, CPU).heads.heads)
    assert float((first - second).abs().mean()) > 0.005


@pytest.mark.parametrize(
    ("changes", "what", "fix"),
    [
        ({"scores": ["s"]}, "--recipe bicro finds its own labels", "leave out --scores"),
        ({"relabel_every": 2}, "--recipe bicro makes its own labels in every epoch", "leave out --relabel-every"),
        ({"tune": "towers", "embeddings": None, "data": ["d"], "dims": None}, "--recipe bicro is for --tune heads", ""),
        ({"recipe": "simple"}, "--warmup-epochs is for --recipe bicro", "leave it out"),
    ],
)
def test_flags_that_contradict_the_recipe_are_a_usage_error(options, changes, what, fix):
    with pytest.raises(UsageError) as error:
        replace(options, **changes)
    assert what in error.value.message
    assert fix in error.value.fix


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"warmup_epochs": 4}, "--warmup-epochs is 4 of 4 epochs"),
        ({"batch_pairs": 4}, "--warmup-keep 0.3 of --batch-pairs 4 is less than two pairs"),
        ({"warmup_keep": 0.0}, "--warmup-keep is 0.0"),
        ({"split_threshold": 1.0}, "--split-threshold is 1.0"),
        ({"recipe": "tricro"}, "--recipe is tricro"),
    ],
)
def test_stages_that_make_no_sense_are_refused(options, changes, what):
    with pytest.raises(NcauditError) as error:
        replace(options, **changes)
    assert what in error.value.message


def test_relabelling_towers_and_recipes_over_ranks_are_refused(options):
    with pytest.raises(UsageError, match="--relabel-every is for --tune heads"):
        TrainOptions(out="o", data=["d"], relabel_every=1)
    with pytest.raises(UsageError, match="2 processes, but --recipe bicro"):
        for_rank(options, Ranks(0, 2))


def test_the_paces_and_objectives_are_those_of_the_recipe(options):
    plain = replace(options, epochs=None, batch_pairs=None, warmup_epochs=None)
    assert plain.warming_epochs == plain.pace.epochs // 5
    assert replace(plain, epochs=3).warming_epochs == 0
    assert plain.chosen_objective == "bicro"
    assert replace(plain, objective="infonce").chosen_objective == "infonce"
    assert TrainOptions(out="o", data=["d"]).chosen_objective == "weighted-infonce"
