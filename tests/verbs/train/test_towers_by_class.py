"""`train --tune towers` by class: that it learns, from which column, how it goes on, and what is refused."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from torch.testing import assert_close

from ncaudit import objectives
from ncaudit.encoders.decode_pool import DecodePool
from ncaudit.encoders.images import decode
from ncaudit.encoders.open_clip import load_encoder
from ncaudit.errors import NcauditError
from ncaudit.options import Precision, TrainOptions
from ncaudit.progress import SILENT, Silent
from ncaudit.verbs.train.data import decoded_pairs
from ncaudit.verbs.train.lessons import view_of_towers
from ncaudit.verbs.train.lessons.view_of_towers import SeenByTowers
from ncaudit.verbs.train.train import train
from tests.worlds.made import made
from tests.worlds.sample import SAMPLE

TINY = str(SAMPLE / "tiny-clip")
WEIGHTS = "open_clip_model.safetensors"
CLASSES = ("blue", "green", "red")
PAIRS, HALF = 36, 18  # of both shards, of each


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # small batches gain nothing from more, and tests share the machine
    yield
    torch.set_num_threads(before)


def coloured(name: str, n: int) -> pa.Table:
    """The first n pairs of the sample that match and name one of the colours, which is their class."""
    rows = pq.read_table(SAMPLE / f"{name}.parquet", columns=["key", "jpg", "caption", "noise_type"])
    named = [[c for c in CLASSES if re.search(rf"\b{c}\b", caption)] for caption in rows["caption"].to_pylist()]
    fine = [kind == "none" for kind in rows["noise_type"].to_pylist()]
    at = [i for i, own in enumerate(named) if len(own) == 1 and fine[i]][:n]
    kind = pa.array([named[i][0] for i in at])
    return rows.take(at).drop_columns(["noise_type"]).append_column("kind", kind)


TRAIN, VAL = coloured("train", PAIRS), coloured("heldout", 24)


class Watch(Silent):
    """Remembers what it was told, and may stop a run where an epoch begins."""

    def __init__(self, stop_at: int = 0) -> None:
        self.notes: list[str] = []
        self._word = f"epoch {stop_at} "

    def note(self, text: str) -> None:
        self.notes.append(text)

    def stage(self, name: str, total: int | None, unit: str = "rows") -> None:
        if name.startswith(self._word):
            raise KeyboardInterrupt


class World:
    """Two shards of coloured pairs, and options that train on them in a second or two."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write(TRAIN)
        self.options = TrainOptions(
            out=str(root / "out"), data=[str(root / "data")], model=TINY, objective="nirnl", label_column="kind",
            epochs=2, batch_pairs=12, learning_rate=5e-4, workers=0, device="cpu", precision=Precision.float32,
        )  # fmt: skip

    def write(self, rows: pa.Table, folder: str = "data") -> None:
        for name, part in (("00000", rows.slice(0, HALF)), ("00001", rows.slice(HALF))):
            path = self.root / folder / f"{name}.parquet"
            path.parent.mkdir(exist_ok=True)
            pq.write_table(part, path)

    def label(self, labels: Any) -> None:
        self.write(TRAIN.set_column(TRAIN.schema.get_field_index("kind"), "kind", pa.array(labels)))

    def validation(self, rows: pa.Table = VAL) -> list[str]:
        pq.write_table(rows, self.root / "val.parquet")
        return [str(self.root / "val.parquet")]

    def train(self, progress: Silent | None = None, **changes: Any):
        return train(replace(self.options, **changes), progress or Silent())

    def weights(self, out: str = "out") -> bytes:
        return (self.root / out / WEIGHTS).read_bytes()

    def lines(self, out: str = "out") -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.root / out / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def kinds() -> list[str]:
    return TRAIN["kind"].to_pylist()


# What it learns


def test_the_learning_rate_follows_from_the_steps_and_is_told_and_recorded_as_chosen(world):
    watch, pace = Watch(), {"learning_rate": None, "epochs": 80, "batch_pairs": HALF, "patience": 1}
    world.train(watch, val_data=world.validation(), **pace)
    assert "learning rate 0.00075: chosen for 160 steps" in watch.notes  # .12 / 160 of a model of 96 dimensions
    assert json.loads((world.root / "out/run.json").read_text())["run"]["options"]["learning_rate"] is None
    assert 0 < world.lines()[1]["learning_rate"] <= 0.00075
    assert world.train(val_data=world.validation(), **pace).finished_earlier


def test_the_loss_falls_the_map_rises_and_the_best_epoch_by_map_is_kept(world):
    given = np.array(kinds(), dtype=object)
    given[::4] = np.roll(given, 1)[::4]  # a fifth is wrong now
    world.label(given.tolist())
    result = world.train(val_data=world.validation(TRAIN), epochs=4)
    start, *epochs = world.lines()
    maps = [line["val"]["map"] for line in epochs]
    assert epochs[-1]["loss"] < 0.7 * epochs[0]["loss"]
    assert (result.start_map, result.kept_map) == (start["val"]["map"], max(maps))
    assert result.kept_map > result.start_map + 0.01
    assert result.kept_epoch == 1 + maps.index(max(maps))
    for line in epochs:
        assert line["pure"] + line["hard"] + line["noisy"] == pytest.approx(1)
    assert epochs[-1]["pure"] > epochs[0]["pure"]  # the split is made anew: the towers now tell the classes apart


def test_without_val_data_nothing_is_held_out_and_unlabelled_pairs_are_counted(world):
    world.label([None if i < 6 else kind for i, kind in enumerate(kinds())])
    watch = Watch()
    result = world.train(watch, epochs=1)
    assert (result.train_pairs, result.unlabelled_pairs, result.val_pairs, result.kept_epoch) == (PAIRS, 6, 0, 1)
    assert watch.notes == [f"6 of {PAIRS} training pairs have no class: no class loss learns from them"]
    assert sum(result.parts.values()) == pytest.approx(1)


def test_classes_may_be_lists_and_a_pair_may_carry_several(world):
    world.train(epochs=1)
    world.label([[kind] for kind in kinds()])
    world.train(epochs=1, out=str(world.root / "lists"))
    assert world.weights("lists") == world.weights()
    world.label([sorted({kind, "red"}) for kind in kinds()])
    assert world.train(epochs=1, objective="cross-entropy", out=str(world.root / "several")).unlabelled_pairs == 0
    assert world.weights("several") != world.weights()


def test_the_classes_of_the_score_tables_count_where_the_dataset_has_none(world):
    scores = TRAIN.select(["kind"]).append_column("pair_id", TRAIN["key"])
    scores = scores.append_column("status", pa.array(["ok"] * (PAIRS - 1) + ["caption_missing"]))
    order = [*reversed(range(HALF)), *reversed(range(HALF, PAIRS))]  # found by pair_id, not by place
    world.write(scores.take(order), "scores")
    from_both = world.train(epochs=1, scores=[str(world.root / "scores")], out=str(world.root / "both"))
    world.write(TRAIN.drop_columns(["kind"]))
    from_scores = world.train(epochs=1, scores=[str(world.root / "scores")], out=str(world.root / "scored"))
    assert world.weights("scored") == world.weights("both")
    assert from_scores.accounting.statuses == from_both.accounting.statuses == {"ok": PAIRS - 1, "caption_missing": 1}


# That it goes on where it stopped, and in pieces


@pytest.mark.parametrize(("held", "tune"), [(True, "towers"), (False, "last:1")])
def test_a_run_that_was_stopped_and_rerun_gives_the_bytes_of_an_undisturbed_one(world, monkeypatch, held, tune):
    monkeypatch.setattr(decoded_pairs, "HELD_BYTES", 2**30 if held else 0)
    changes = {"tune": tune, "val_data": world.validation(VAL.slice(0, 6))}
    world.train(**changes, out=str(world.root / "undisturbed"))
    with pytest.raises(KeyboardInterrupt):
        world.train(Watch(stop_at=2), **changes)
    assert world.train(**changes).resumed_after_epoch == 1
    for name in (WEIGHTS, "metrics.jsonl", "run.json"):
        found, expected = (made(world.root / out / name) for out in ("out", "undisturbed"))
        assert found == expected, name


def test_chunks_give_the_same_towers(world):
    for out, chunk_pairs in (("whole", None), ("chunks", 5)):
        world.train(epochs=1, learning_rate=1e-4, chunk_pairs=chunk_pairs, out=str(world.root / out))
    whole, chunks = (load_file(world.root / out / WEIGHTS) for out in ("whole", "chunks"))
    # Adam moves a weight by up to 1e-4 a step, however small its gradient; one that misses a chunk is off by a step
    assert_close(chunks, whole, atol=1e-5, rtol=0)


# How the pairs are seen


def seen(world: World, *, held: bool, monkeypatch: pytest.MonkeyPatch, pool: DecodePool) -> SeenByTowers:
    monkeypatch.setattr(decoded_pairs, "HELD_BYTES", 2**30 if held else 0)
    encoder = load_encoder(world.options)
    pairs = decoded_pairs.open_training_set(world.options, encoder, pool, objectives.every_pair, SILENT)
    assert pairs.roll is not None
    return SeenByTowers(encoder, pairs.train, pairs.roll, lambda: load_encoder(world.options), SILENT)


@pytest.fixture
def pool():
    with DecodePool(0) as pool:
        yield pool


@pytest.mark.parametrize("held", [True, False])
def test_all_pairs_are_seen_in_the_order_of_the_shards_and_batches_know_their_places(world, monkeypatch, pool, held):
    monkeypatch.setattr(view_of_towers, "ENCODE_PAIRS", 10)
    towers = seen(world, held=held, monkeypatch=monkeypatch, pool=pool)
    encoder = load_encoder(world.options)
    pixels = np.stack([decode(image, encoder.preprocess, 10**6).pixels for image in TRAIN["jpg"].to_pylist()])
    towers._encoder.model.train()  # as a step leaves it: its BatchNorm would look at the batch
    now = towers.now(1)
    assert_close(now.image, encoder.encode_images(pixels), atol=1e-5, rtol=0)
    assert_close(now.text, encoder.encode_captions(TRAIN["caption"].to_pylist()), atol=1e-5, rtol=0)
    assert [CLASSES[row.nonzero()] for row in towers.carried] == kinds()
    for places, batch in towers.batches(1, batch_pairs=12, seed=0):
        assert [f"{i // HALF:05}/{i % HALF}" for i in places.tolist()] == list(batch.pair_id)
        assert torch.equal(now.photo[places], batch.photo)


def test_the_pairs_are_seen_in_the_precision_of_the_run_and_the_weights_stay_what_they_are(world, monkeypatch, pool):
    towers = seen(world, held=True, monkeypatch=monkeypatch, pool=pool)
    exact, towers.precision = towers.now(1), torch.bfloat16
    rough = towers.now(2)
    assert not torch.equal(rough.image, exact.image)
    assert torch.cosine_similarity(rough.image, exact.image).min() > 0.99
    assert {weight.dtype for weight in towers._encoder.model.parameters()} == {torch.float32}


def test_what_was_before_is_the_start_model_whenever_it_is_asked(world, monkeypatch, pool):
    towers, later = (seen(world, held=True, monkeypatch=monkeypatch, pool=pool) for _ in range(2))
    at = torch.tensor([5, 2, 30])
    start = towers.now(1).text[at]
    for model in (towers._encoder.model, later._encoder.model):
        for weight in model.parameters():
            weight.data.mul_(1.1)
    assert not torch.allclose(towers.now(2).text[at], start, atol=1e-3)
    assert_close(towers.before("text", at), start, atol=1e-3, rtol=0)  # half precision
    later.now(2)
    assert torch.equal(later.before("text", at), towers.before("text", at))


def test_ranks_look_at_a_share_each_and_together_at_all(world, monkeypatch, pool):
    monkeypatch.setattr(view_of_towers, "ENCODE_PAIRS", 5)
    towers = seen(world, held=False, monkeypatch=monkeypatch, pool=pool)
    alone, shares = towers.now(1), []
    monkeypatch.setattr(view_of_towers, "rank_count", lambda: 2)
    monkeypatch.setattr(view_of_towers, "sum_over_ranks", lambda rows: shares.append(rows) or torch.ones_like(rows))
    for rank in (0, 1):
        monkeypatch.setattr(view_of_towers, "rank", lambda: rank)  # noqa: B023
        towers.now(2)
    there, image = shares[0] + shares[3], shares[1] + shares[4]
    assert there.tolist() == [1.0] * PAIRS
    assert torch.equal(image, alone.image)
    assert 0 < shares[0].sum() < PAIRS


def test_an_image_that_vanished_ends_the_run(world, monkeypatch, pool):
    towers = seen(world, held=False, monkeypatch=monkeypatch, pool=pool)
    jpg = [b"no image" if i == 3 else image for i, image in enumerate(TRAIN["jpg"].to_pylist())]
    world.write(TRAIN.set_column(TRAIN.schema.get_field_index("jpg"), "jpg", pa.array(jpg)))
    assert refused(lambda: towers.now(1))[0] == "1 image of a batch could be decoded at first, and now cannot"


# What is refused


def refused(run: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(NcauditError) as error:
        run()
    assert "\n" not in error.value.message + error.value.fix
    return error.value.message, error.value.fix


def test_a_class_column_is_to_be_named(world):
    message, fix = refused(lambda: world.train(label_column=None))
    assert message == "--objective nirnl learns from classes, and no column holds them"
    assert fix == "name the class column of the dataset, or of its score tables, with --label-column"


def test_a_column_that_is_nowhere_names_what_there_is(world):
    message, fix = refused(lambda: world.train(label_column="sort"))
    assert message == f"{world.root}/data/00000.parquet has no column 'sort'"
    assert fix == "give --label-column; its columns are: key, jpg, caption, kind"
    world.write(pa.table({"pair_id": TRAIN["key"], "status": ["ok"] * PAIRS}), "scores")
    message, fix = refused(lambda: world.train(label_column="sort", scores=[str(world.root / "scores")]))
    data, scores = (f"{world.root}/{folder}/00000.parquet" for folder in ("data", "scores"))
    assert message == f"neither {data} nor {scores} has a column 'sort'"
    assert fix == "give --label-column; the dataset has: key, jpg, caption, kind; its scores: pair_id, status"
    assert not (world.root / "out").exists()


def test_columns_that_hold_no_classes_are_refused(world):
    assert refused(lambda: world.train(label_column="jpg"))[0].endswith(
        "column jpg is of type binary, and classes are text, whole numbers, or lists of them"
    )
    assert "holds 36 classes for 36 labels: most occur once" in refused(lambda: world.train(label_column="key"))[0]
    world.label(["red"] * PAIRS)
    assert "holds one class only, 'red'" in refused(world.train)[0]
    paths = TRAIN.drop_columns(["jpg"]).append_column("image_path", pa.array(["a.jpg", "b.jpg"] * (PAIRS // 2)))
    world.write(paths)
    message, _ = refused(lambda: world.train(label_column="image_path"))
    assert message == f"{world.root}/data/00000.parquet: column image_path holds the images"


def test_val_data_without_classes_is_refused(world):
    message, _ = refused(lambda: world.train(val_data=world.validation(VAL.drop_columns(["kind"]))))
    assert message == f"{world.root}/val.parquet has no column 'kind'"


def test_two_pairs_of_one_name_are_refused(world):
    keys = ["twice"] * 2 + TRAIN["key"].to_pylist()[2:]
    world.write(TRAIN.set_column(0, "key", pa.array(keys)))
    world.write(pa.table({"pair_id": keys, "status": ["ok"] * PAIRS}), "scores")
    message, fix = refused(lambda: world.train(scores=[str(world.root / "scores")]))
    assert "00000.parquet has the pair_id 'twice' more than once (rows 0 and 1)" in message
    assert fix
