"""`train --tune heads` by class: what wrong labels do to it and what not, what is told, and what is refused."""

import json
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

from ncaudit.engines.ranks import Ranks
from ncaudit.errors import NcauditError, UsageError
from ncaudit.matchers.heads.projection import HEAD_WEIGHTS
from ncaudit.options import EvalRetrievalOptions, TrainOptions
from ncaudit.progress import Silent
from ncaudit.verbs.evaluate.retrieval import eval_retrieval
from ncaudit.verbs.train.ranks import for_rank
from ncaudit.verbs.train.train import train
from tests.worlds.embeddings import lists
from tests.worlds.made import made

PAIRS, CLASSES, DIMS = 300, 3, 12
NAMES = np.array(["cat", "dog", "eel"], dtype=object)


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
    """Unaligned embeddings in overlapping classes: train.parquet, half of its labels wrong, and val.parquet."""

    def __init__(self, root: Path) -> None:
        self.root, self._draw = root, np.random.default_rng(0)
        self._centres = self._draw.standard_normal((2, CLASSES, DIMS))
        true = self.write("train", PAIRS)
        wrong = self._draw.permutation(PAIRS)[: PAIRS // 2]
        given = true.copy()
        given[wrong] = (true[wrong] + self._draw.integers(1, CLASSES, len(wrong))) % CLASSES
        self.label("train", NAMES[given].tolist())
        self.write("val", 150)
        self.options = TrainOptions(
            out=str(root / "out"), tune="heads", objective="nirnl", label_column="kind", epochs=6, batch_pairs=100,
            embeddings=[str(root / "train.parquet")], learning_rate=1e-2, head="mlp", hidden=64, device="cpu",
            precision="float32",
        )  # fmt: skip

    def write(self, name: str, n: int) -> np.ndarray:
        true = np.arange(n) % CLASSES
        columns: dict[str, Any] = {"pair_id": [f"{name}/{i}" for i in range(n)], "kind": NAMES[true].tolist()}
        for side, centres in zip(("image_embedding", "text_embedding"), self._centres, strict=True):
            rows = centres[true] + self._draw.standard_normal((n, DIMS))
            columns[side] = lists(rows)
        pq.write_table(pa.table(columns), self.root / f"{name}.parquet")
        return true

    def label(self, name: str, labels: Any) -> None:
        path = self.root / f"{name}.parquet"
        table = pq.read_table(path)
        pq.write_table(table.set_column(table.schema.get_field_index("kind"), "kind", pa.array(labels)), path)

    def labels(self, name: str = "train") -> list[str]:
        return pq.read_table(self.root / f"{name}.parquet")["kind"].to_pylist()

    def train(self, progress: Silent | None = None, **changes: Any):
        return train(replace(self.options, **changes), progress or Silent())

    def validated(self, **changes: Any):
        return self.train(val_data=[str(self.root / "val.parquet")], **changes)

    def lines(self, out: str = "out") -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.root / out / "metrics.jsonl").read_text().splitlines()]

    def weights(self, out: str = "out") -> bytes:
        return (self.root / out / HEAD_WEIGHTS).read_bytes()


@pytest.fixture
def world(tmp_path: Path) -> World:
    torch.set_num_threads(1)
    return World(tmp_path)


# What it learns


def test_where_half_of_the_labels_are_wrong_nirnl_leaves_cross_entropy_far_behind(world):
    maps = {}
    for name in ("nirnl", "cross-entropy"):
        world.train(objective=name, out=str(world.root / name), epochs=20)
        asked = EvalRetrievalOptions(
            embeddings=[str(world.root / "val.parquet")], model=str(world.root / name), label_column="kind"
        )
        found = eval_retrieval(asked).by_class
        maps[name] = (found.image_to_text.map_all + found.text_to_image.map_all) / 2
    assert maps["nirnl"] > maps["cross-entropy"] + 0.1


def test_the_best_epoch_by_map_is_kept_and_told_with_the_shares_of_the_parts(world):
    result = world.validated()
    start, *epochs = world.lines()
    maps = [line["val"]["map"] for line in epochs]
    assert result.kept_epoch == 1 + maps.index(max(maps))
    assert (result.start_map, result.kept_map) == (start["val"]["map"], max(maps))
    for line in epochs:
        assert line["val"]["map"] == pytest.approx((line["val"]["i2t_map"] + line["val"]["t2i_map"]) / 2)
        assert line["pure"] + line["hard"] + line["noisy"] == pytest.approx(1)
        assert line["neighbours"] == epochs[0]["neighbours"]
    assert result.parts == {name: epochs[-1][name] for name in ("pure", "hard", "noisy")}
    assert result.neighbours == epochs[0]["neighbours"]


def test_the_map_of_the_kept_epoch_is_what_eval_retrieval_finds(world):
    result = world.validated(epochs=2)
    asked = EvalRetrievalOptions(embeddings=[str(world.root / "val.parquet")], model=result.out, label_column="kind")
    found = eval_retrieval(asked).by_class
    assert result.kept_map == pytest.approx(
        (found.image_to_text.map_all + found.text_to_image.map_all) / 2, abs=1e-3
    )  # here pairs are held in half precision


def test_without_val_data_nothing_is_held_out_and_the_last_epoch_is_kept(world):
    result = world.train(epochs=2)
    assert (result.train_pairs, result.val_pairs, result.kept_epoch) == (PAIRS, 0, 2)
    assert (result.start, result.kept, result.kept_map) == (None, None, None)


def test_patience_waits_for_a_better_map(world):
    result = world.validated(epochs=12, patience=2)
    assert result.stopped_early
    assert result.epochs == result.kept_epoch + 2


def test_whole_numbers_and_lists_of_one_class_are_the_same_classes(world):
    world.train(epochs=2)
    names = world.labels()
    for out, labels in (("ints", [NAMES.tolist().index(name) for name in names]), ("lists", [[n] for n in names])):
        world.label("train", labels)
        world.train(epochs=2, out=str(world.root / out))
        assert world.weights(out) == world.weights()


def test_a_pair_with_several_classes_learns_them_all(world):
    one = world.labels()
    world.label("train", [sorted({name, "dog"}) if i % 5 == 0 else [name] for i, name in enumerate(one)])
    told = world.train(epochs=2)
    assert told.parts is not None
    assert told.parts["pure"] > 0.3


def test_unlabelled_pairs_are_counted_and_change_only_the_margin(world):
    names = world.labels()
    world.label("train", [None if i < 60 else name for i, name in enumerate(names)])
    watch = Watch()
    result = world.train(watch, epochs=2)
    assert (result.train_pairs, result.unlabelled_pairs) == (PAIRS, 60)
    assert "60 of 300 training pairs have no class: no class loss learns from them" in watch.notes
    assert sum(result.parts.values()) == pytest.approx(1)


def test_defaults_are_those_of_classes_and_are_recorded_and_what_is_given_wins(world):
    unsaid = {name: None for name in ("epochs", "batch_pairs", "learning_rate", "head", "hidden")}
    world.train(**{**unsaid, "epochs": 1})
    recorded = json.loads((world.root / "out" / "run.json").read_text())["run"]["options"]
    assert [recorded[name] for name in ("learning_rate", "batch_pairs", "epochs", "head")] == [3e-2, 128, 1, "mlp"]
    for objective in ("nirnl", "cross-entropy"):
        settled = replace(world.options, objective=objective, **unsaid)
        assert (settled.pace.epochs, settled.head_kind) == (40, "mlp")
    linear = replace(world.options, **{**unsaid, "head": "linear", "learning_rate": 1e-3})
    assert (linear.pace.learning_rate, linear.head_kind) == (1e-3, "linear")
    assert replace(world.options, objective="cmp", label_column=None, **unsaid).head_kind == "linear"


def test_the_number_of_neighbours_may_be_given(world):
    assert world.train(epochs=1, neighbours=7).neighbours == 7


# That it goes on where it stopped, and in pieces


def test_a_run_that_was_stopped_and_rerun_gives_the_bytes_of_an_undisturbed_one(world):
    world.validated(out=str(world.root / "undisturbed"))
    with pytest.raises(KeyboardInterrupt):
        world.validated(progress=Watch(stop_at=4))
    assert world.validated().resumed_after_epoch == 3
    for name in ("heads.json", HEAD_WEIGHTS, "metrics.jsonl", "run.json"):
        found, expected = (made(world.root / out / name) for out in ("out", "undisturbed"))
        assert found == expected, name


def test_chunks_give_the_same_heads(world):
    world.train(epochs=2)
    world.train(epochs=2, chunk_pairs=30, out=str(world.root / "chunks"))
    whole, pieces = (load_file(world.root / out / HEAD_WEIGHTS) for out in ("out", "chunks"))
    assert_close(pieces, whole, atol=1e-3, rtol=0)


# What is refused


def refused(run) -> tuple[str, str]:
    with pytest.raises(NcauditError) as error:
        run()
    assert "\n" not in error.value.message + error.value.fix
    return error.value.message, error.value.fix


@pytest.mark.parametrize("name", ["nirnl", "cross-entropy"])
@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"label_column": None}, "learns from classes, and no column holds them"),
        ({"scores": ["s"]}, "learns from the classes of the embedding tables, not from --scores"),
        ({"recipe": "bicro"}, "--recipe bicro and --relabel-every make soft labels"),
        ({"relabel_every": 2}, "--recipe bicro and --relabel-every make soft labels"),
        ({"patience": 3}, "--patience waits for a better validation"),
    ],
)
def test_what_does_not_go_with_classes_is_a_usage_error(world, name, changes, what):
    with pytest.raises(UsageError, match=what):
        replace(world.options, objective=name, **changes)


def test_neighbours_are_for_an_objective_that_asks_them(world):
    for objective, column in (("cross-entropy", "kind"), ("infonce", None)):
        message, fix = refused(lambda: world.train(objective=objective, label_column=column, neighbours=5))  # noqa: B023
        assert (message, fix) == (f"objective {objective!r} asks no neighbours", "leave out --neighbours")


def test_a_missing_column_names_the_table_and_its_columns(world):
    message, fix = refused(lambda: world.train(label_column="sort"))
    assert message == f"{world.root}/train.parquet has no column 'sort'"
    assert fix == "give --label-column; its columns are: pair_id, kind, image_embedding, text_embedding"


def test_val_data_without_the_column_is_refused(world):
    table = pq.read_table(world.root / "val.parquet")
    pq.write_table(table.drop_columns(["kind"]), world.root / "val.parquet")
    message, _ = refused(world.validated)
    assert message == f"{world.root}/val.parquet has no column 'kind'"


@pytest.mark.parametrize(
    ("labels", "what"),
    [
        (["cat"] * PAIRS, "column kind holds one class only, 'cat', and a class objective tells classes apart"),
        ([None] * PAIRS, "column kind holds no class at all, and a class objective tells classes apart"),
        ([f"c{i}" for i in range(PAIRS)], "column kind holds 300 classes for 300 labels: most occur once"),
    ],
)
def test_a_column_that_tells_no_classes_apart_is_refused(world, labels, what):
    world.label("train", pa.array(labels, pa.string()))
    assert refused(world.train)[0] == what


def test_text_in_one_table_and_numbers_in_another_are_refused(world):
    (world.root / "train.parquet").rename(world.root / "other.parquet")
    world.write("train", 30)
    world.label("train", [i % 2 for i in range(30)])
    message, _ = refused(lambda: world.train(embeddings=[str(world.root / f"{n}.parquet") for n in ("other", "train")]))
    assert message == f"column kind holds text in {world.root}/other.parquet and numbers in {world.root}/train.parquet"


def test_a_column_of_our_own_is_no_class_column(world):
    assert "pair_id is a column of ncaudit's own" in refused(lambda: world.train(label_column="pair_id"))[0]


def test_several_processes_may_share_the_batches(world):
    ranks = Ranks(0, 2, 0, 2)
    assert for_rank(world.options, ranks).batch_pairs == 100
