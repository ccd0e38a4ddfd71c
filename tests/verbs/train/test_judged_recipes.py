"""`train` with a recipe that judges its pairs: towers and heads, what is left, going on, what is refused or said."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from ncaudit.cli.words.train import lines as words
from ncaudit.errors import NcauditError, UsageError
from ncaudit.judging import calibrated
from ncaudit.options import TrainOptions
from ncaudit.progress import Silent
from ncaudit.verbs.train.data import decoded_pairs
from ncaudit.verbs.train.lessons.judged.rematches import FEWEST
from ncaudit.verbs.train.lessons.judged.seen_by_towers import JudgedByTowers
from ncaudit.verbs.train.train import TrainResult, train
from tests.worlds.embeddings import lists
from tests.worlds.made import made
from tests.worlds.sample import SAMPLE, TINY

PAIRS, NOISY, EPOCHS = 180, 60, 4
RECIPES = ("rematch", "consensus", "crcl", "gentle")
WEIGHTS = {"towers": "open_clip_model.safetensors", "heads": "heads.safetensors"}


class StopAt(Silent):
    def __init__(self, epoch: int) -> None:
        self._word = f"epoch {epoch} "

    def stage(self, name: str, total: int | None, unit: str = "rows") -> None:
        if name.startswith(self._word):
            raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def moved(column: list[Any]) -> list[Any]:
    """The first NOISY each with the next one's."""
    return [*column[1:NOISY], column[0], *column[NOISY:]]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Clean pairs of the sample in two shards; the captions of the first NOISY have changed places."""
    root = tmp_path_factory.mktemp("pictures")
    rows = pq.read_table(SAMPLE / "train.parquet", columns=["key", "jpg", "caption", "noise_type"])
    rows = rows.filter(pa.compute.equal(rows["noise_type"], "none")).slice(0, PAIRS).drop_columns(["noise_type"])
    told = pa.array([0.0] * NOISY + [1.0] * (PAIRS - NOISY))
    table = rows.set_column(2, "caption", pa.array(moved(rows["caption"].to_pylist()))).append_column("told", told)
    for i in range(2):
        pq.write_table(table.slice(i * PAIRS // 2, PAIRS // 2), root / f"{i}.parquet")
    return root


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> Path:
    """Embeddings of one space; the captions of the first NOISY have changed places."""
    root, generator = tmp_path_factory.mktemp("tables"), np.random.default_rng(0)
    things = generator.standard_normal((PAIRS, 24))
    image, text = (things + 0.5 * generator.standard_normal((PAIRS, 24)) for _ in range(2))
    columns = {"image_embedding": lists(image), "text_embedding": lists(np.array(moved(list(text))))}
    names = {"pair_id": [f"p{i}" for i in range(PAIRS)], "status": ["ok"] * PAIRS}
    told = {"told": [0.0] * NOISY + [1.0] * (PAIRS - NOISY)}
    pq.write_table(pa.table({**names, **columns, **told}), root / "pairs.parquet")
    return root


@pytest.fixture
def towers(pictures, tmp_path) -> TrainOptions:
    return TrainOptions(
        out=str(tmp_path / "out"), data=[str(pictures)], model=TINY, epochs=EPOCHS, batch_pairs=45, learning_rate=1e-3,
        label_column="told", val_share=0.0, workers=0, device="cpu", precision="float32", recipe="rematch",
    )  # fmt: skip


@pytest.fixture
def heads(tables, tmp_path) -> TrainOptions:
    return TrainOptions(
        out=str(tmp_path / "out"), tune="heads", embeddings=[str(tables)], epochs=EPOCHS, batch_pairs=45, device="cpu",
        label_column="told", val_share=0.0, precision="float32", head_start="identity", recipe="rematch",
    )  # fmt: skip


def epochs(options: TrainOptions) -> list[dict]:
    return [json.loads(line) for line in (Path(options.out) / "metrics.jsonl").read_text().splitlines()]


def told(result: TrainResult) -> list[str]:
    return [str(line) for line in words(result)]


def same_run(first: TrainOptions, second: TrainOptions) -> None:
    for name in (WEIGHTS[first.tune], "metrics.jsonl", "run.json"):
        assert made(Path(first.out) / name) == made(Path(second.out) / name), name


def test_rematch_finds_captions_for_noisy_pictures_and_says_so(towers):
    result = train(replace(towers, noisy_from=0.5))
    before, after = epochs(towers)[2], epochs(towers)[3]
    assert "rematched" not in before
    assert after["rematched"] > 0.5 * NOISY
    assert before["mean_label"] == 1  # of those that are learnt
    assert (PAIRS - NOISY) / PAIRS < after["mean_label"] < 1
    assert (result.noisy_pairs, result.rematched) == (NOISY, epochs(towers)[-1]["rematched"])
    said = f"{result.rematched} of {NOISY} noisy pairs learnt captions of others, right by a chance of "
    assert said + f"{result.rematch_chance:.2f}" in " ".join(told(result))


@pytest.mark.parametrize(
    ("recipe", "epoch"),
    [("rematch", 4), *(pytest.param(name, 3, marks=pytest.mark.slow) for name in RECIPES[1:])],
)
def test_towers_that_were_stopped_and_go_on_give_the_bytes_of_an_undisturbed_run(towers, recipe, epoch, tmp_path):
    options = replace(towers, recipe=recipe)
    undisturbed = replace(options, out=str(tmp_path / "undisturbed"))
    train(undisturbed)
    with pytest.raises(KeyboardInterrupt):
        train(options, StopAt(epoch))
    assert train(options).resumed_after_epoch == epoch - 1
    same_run(options, undisturbed)


@pytest.mark.parametrize(("recipe", "asked"), [*((name, {}) for name in RECIPES), ("rematch", {"noisy_from": 0.5})])
@pytest.mark.parametrize("epoch", [2, 4])
def test_heads_that_were_stopped_and_go_on_give_the_bytes_of_an_undisturbed_run(heads, recipe, asked, epoch, tmp_path):
    options = replace(heads, recipe=recipe, **asked)
    undisturbed = replace(options, out=str(tmp_path / "undisturbed"))
    train(undisturbed)
    with pytest.raises(KeyboardInterrupt):
        train(options, StopAt(epoch))
    assert train(options).resumed_after_epoch == epoch - 1
    same_run(options, undisturbed)


def test_noisy_pairs_join_at_once_in_rematch_and_half_way_in_bicro(towers, heads):
    assert towers.noisy_after == 0
    assert replace(towers, noisy_from=0.5).noisy_after == 2
    assert replace(heads, recipe="bicro", label_column=None).noisy_after == 2


def test_streamed_pairs_are_taught_with_the_captions_that_held_ones_would_be(towers, monkeypatch, tmp_path):
    seen: dict[str, dict[int, tuple]] = {}
    plain = JudgedByTowers.batches

    def watched(self, epoch, taught, **given):
        for batch in plain(self, epoch, taught, **given):
            rows = zip(batch.pair_id, batch.text.tolist(), batch.caption.tolist(), batch.label.tolist(), strict=True)
            seen.setdefault(name, {}).update({(epoch, pair): tuple(map(str, rest)) for pair, *rest in rows})
            yield batch

    monkeypatch.setattr(JudgedByTowers, "batches", watched)
    options = replace(towers, epochs=1, batch_pairs=PAIRS // 2)  # finds are those of the start model
    name = "held"
    train(options)
    name = "streamed"
    monkeypatch.setattr(decoded_pairs, "HELD_BYTES", 0)
    train(replace(options, out=str(tmp_path / "streamed")))
    assert len(seen["held"]) == PAIRS
    assert seen["streamed"] == seen["held"]
    assert sum(float(label) > 0 for *_, label in seen["held"].values()) > PAIRS - NOISY / 2


@pytest.mark.parametrize("held_bytes", [decoded_pairs.HELD_BYTES, 0])
def test_until_they_join_no_batch_has_noisy_pairs_and_there_are_as_many_batches(towers, monkeypatch, held_bytes):
    batches: dict[int, list[list[str]]] = {}
    plain = JudgedByTowers.batches

    def watched(self, epoch, taught, **given):
        for batch in plain(self, epoch, taught, **given):
            batches.setdefault(epoch, []).append(list(batch.pair_id))
            yield batch

    monkeypatch.setattr(JudgedByTowers, "batches", watched)
    monkeypatch.setattr(decoded_pairs, "HELD_BYTES", held_bytes)
    train(replace(towers, epochs=2, noisy_from=0.5))
    first, second = ([pair for batch in batches[epoch] for pair in batch] for epoch in (1, 2))
    assert [len(batch) for batch in batches[1]] == [len(batch) for batch in batches[2]] == [45] * 4
    assert len(set(second)) == PAIRS
    noisy = {f"0/{row}" for row in range(NOISY)}
    assert len(noisy & set(second)) == NOISY
    assert not noisy & set(first)
    assert len(set(first)) == PAIRS - NOISY - FEWEST
    assert max(first.count(pair) for pair in set(first)) <= 3


def test_without_labels_the_start_model_audits_the_pairs(towers):
    result = train(replace(towers, label_column=None, epochs=1))
    assert 0.5 * NOISY < result.noisy_pairs < 1.6 * NOISY


def test_crcl_begins_anew_three_times_and_its_last_round_keeps_only_the_labels(heads):
    options = replace(heads, recipe="crcl", epochs=4, learning_rate=1e-2)
    train(options)
    lines = epochs(options)
    assert len({line["mean_label"] for line in lines[1:]}) == 4
    # each round is one epoch from the same start: what differs is the order, the rate and the labels
    alone = replace(heads, out=f"{heads.out}-alone", recipe="simple", objective="crcl", epochs=1, learning_rate=1e-2)
    train(alone)
    assert abs(lines[1]["loss"] - epochs(alone)[1]["loss"]) < 0.2
    assert lines[4]["scale"] == pytest.approx(lines[0]["scale"], rel=0.1)


def test_consensus_counts_what_both_views_say_of_every_pair(heads):
    result = train(replace(heads, recipe="consensus"))
    for line in epochs(heads)[1:]:
        assert line["agreed_clean"] + line["disagreed"] + line["agreed_noisy"] == PAIRS
    assert result.agreement["agreed_clean"] > 0.8 * (PAIRS - NOISY)
    assert "pairs look clean" in " ".join(told(result))


def test_gentle_finds_its_rate_from_how_far_the_first_epoch_turned(heads):
    options = replace(heads, recipe="gentle", learning_rate=None)
    train(options)
    _, first, *rest = epochs(options)
    assert "rate_factor" not in first
    assert {line["rate_factor"] for line in rest} == {rest[0]["rate_factor"]}
    assert rest[0]["rate_factor"] > 1
    assert rest[0]["learning_rate"] > first["learning_rate"]


def test_labels_stay_where_a_later_audit_of_gentle_tells_none(heads, monkeypatch):
    monkeypatch.setattr(calibrated, "FEWEST_PAIRS", PAIRS + 1)
    options = replace(heads, recipe="gentle", relabel_every=1)
    train(options)
    assert len({line["mean_label"] for line in epochs(options)[1:]}) == 1


def test_without_noisy_pairs_rematch_is_plain_training_and_says_so(heads, tables, tmp_path):
    table = pq.read_table(tables / "pairs.parquet")
    clean = table.set_column(table.schema.names.index("told"), "told", pa.array([1.0] * PAIRS))
    (tmp_path / "clean").mkdir()
    pq.write_table(clean, tmp_path / "clean" / "pairs.parquet")
    result = train(replace(heads, embeddings=[str(tmp_path / "clean")]))
    assert (result.noisy_pairs, result.rematched) == (0, None)
    assert "no pair is noisy" in " ".join(told(result))


def test_where_too_few_are_clean_nothing_is_rematched_and_that_is_said(heads, tables, tmp_path):
    table = pq.read_table(tables / "pairs.parquet")
    label = pa.array([0.1] * (PAIRS - 20) + [1.0] * 20)
    (tmp_path / "noisy").mkdir()
    told_noisy = table.set_column(table.schema.names.index("told"), "told", label)
    pq.write_table(told_noisy, tmp_path / "noisy" / "pairs.parquet")
    result = train(replace(heads, embeddings=[str(tmp_path / "noisy")]))
    assert (result.noisy_pairs, result.rematched) == (PAIRS - 20, None)
    assert "none was rematched: too few clean pairs" in " ".join(told(result))


def test_where_no_label_is_above_nought_the_run_is_refused(heads, tables, tmp_path):
    table = pq.read_table(tables / "pairs.parquet")
    (tmp_path / "none").mkdir()
    none = table.set_column(table.schema.names.index("told"), "told", pa.array([0.0] * PAIRS))
    pq.write_table(none, tmp_path / "none" / "pairs.parquet")
    with pytest.raises(NcauditError, match="every told is 0"):
        train(replace(heads, embeddings=[str(tmp_path / "none")]))


@pytest.mark.parametrize("recipe", ["rematch", "gentle"])
def test_pairs_that_nothing_tells_labels_of_and_too_few_to_audit_are_refused(heads, tables, tmp_path, recipe):
    (tmp_path / "few").mkdir()
    pq.write_table(pq.read_table(tables / "pairs.parquet").slice(NOISY, 40), tmp_path / "few" / "pairs.parquet")
    few = {"embeddings": [str(tmp_path / "few")], "label_column": None, "batch_pairs": 20, "learning_rate": None}
    with pytest.raises(NcauditError) as error:
        train(replace(heads, recipe=recipe, **few))
    assert error.value.message == "40 training pairs, and labels need 50"
    assert "--scores" in error.value.fix


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"data": None}, "--tune towers learns from images, and there is no --data"),
        ({"noisy_from": 1.5}, "--noisy-from is 1.5"),
        ({"relabel_every": 0}, "--relabel-every is 0"),
        ({"batch_pairs": 1}, "--batch-pairs is 1"),
        ({"objective": "infonce"}, "--recipe rematch weighs pairs anew as it learns, and --objective infonce"),
        ({"objective": "drop"}, "--recipe rematch weighs pairs anew as it learns, and --objective drop"),
        ({"objective": "nirnl", "label_column": "c"}, "--recipe rematch and --relabel-every make soft labels"),
        ({"warmup_keep": 0.5}, "--warmup-keep is for --recipe bicro"),
        ({"recipe": "crcl", "epochs": 3}, "--recipe crcl begins 4 times, and --epochs is 3"),
        ({"recipe": "crcl", "relabel_every": 2}, "--relabel-every is not for --recipe crcl"),
        ({"recipe": "consensus", "relabel_every": 2}, "--relabel-every is not for --recipe consensus"),
        ({"recipe": "consensus", "noisy_from": 0.2}, "--noisy-from is for --recipe bicro and rematch"),
        ({"recipe": "rematches"}, "--recipe is rematches"),
    ],
)
def test_settings_that_make_no_sense_are_two_lines(towers, changes, what):
    with pytest.raises(UsageError) as error:
        replace(towers, **changes)
    assert what in error.value.message
    assert "\n" not in error.value.message + error.value.fix
    assert error.value.fix
