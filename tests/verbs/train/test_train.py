"""`train` as a whole: what it learns from, what it refuses, what it keeps, and that a rerun changes nothing."""

import json
import re
import resource
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from torch.testing import assert_close

import ncaudit.verbs.train.session as session_module
import ncaudit.verbs.train.train as train_module
from ncaudit import objectives
from ncaudit.encoders.images import decode
from ncaudit.encoders.open_clip import load_encoder
from ncaudit.errors import NcauditError, UsageError
from ncaudit.matchers.steps.tuner import Tuner
from ncaudit.matchers.training_folder import STATE
from ncaudit.options import ModelOptions, Precision, TrainOptions
from ncaudit.progress import Silent
from ncaudit.shards.files.provenance import attach, fingerprint_of_file
from ncaudit.verbs.train import towers
from ncaudit.verbs.train.data import decoded_pairs
from ncaudit.verbs.train.train import train
from tests.worlds.made import made
from tests.worlds.sample import SAMPLE

TINY = str(SAMPLE / "tiny-clip")
WEIGHTS = "open_clip_model.safetensors"
PAIRS = 24  # of each of the two shards
EVERY_PAIR = objectives.get("infonce").trains_on


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # small batches gain nothing from more, and tests share the machine
    yield
    torch.set_num_threads(before)


class World:
    """Two shards of the sample with their score tables, and options that train on them in a second."""

    def __init__(self, root: Path) -> None:
        self.root = root
        rows = pq.read_table(SAMPLE / "train.parquet", columns=["key", "jpg", "caption", "is_match"])
        for i, name in enumerate(("A/00000", "B/00000")):
            self.write("data", name, rows.slice(i * PAIRS, PAIRS))
            self.write_scores(name)
        self.options = TrainOptions(
            scores=[str(root / "scores")], data=[str(root / "data")], out=str(root / "out"), model=TINY, epochs=2,
            batch_pairs=12, learning_rate=1e-3, val_share=0.2, workers=0, device="cpu", precision=Precision.float32,
        )  # fmt: skip

    def write(self, folder: str, name: str, table: pa.Table) -> Path:
        path = self.root / folder / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
        return path

    def data(self, name: str = "A/00000") -> pa.Table:
        return pq.read_table(self.root / "data" / f"{name}.parquet")

    def write_scores(self, name: str = "A/00000", **columns: Any) -> None:
        """Score tables as `score` writes them, provenance included; `columns` replace or add some."""
        rows = self.data(name)
        table = {
            "pair_id": rows["key"], "shard": [f"{name}.parquet"] * len(rows), "row": pa.array(range(len(rows))),
            "status": ["ok"] * len(rows), "soft_label": rows["is_match"].cast(pa.float32()), **columns,
        }  # fmt: skip
        source = self.root / "data" / f"{name}.parquet"
        schema = pa.table(table).schema
        made_from = {"data": {"name": f"{name}.parquet", "fingerprint": fingerprint_of_file(str(source))}}
        self.write("scores", name, pa.table(table).cast(attach(schema, made_from)))

    def train(self, **changes: Any):
        return train(replace(self.options, **changes))

    def weights(self, out: str = "out") -> bytes:
        return (self.root / out / WEIGHTS).read_bytes()

    def metrics(self, out: str = "out") -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.root / out / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def refused(run: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(NcauditError) as error:
        run()
    assert "\n" not in error.value.message + error.value.fix
    return error.value.message, error.value.fix


def changed(table: pa.Table, name: str, at: int, value: Any) -> pa.Table:
    values = table[name].to_pylist()
    values[at] = value
    return table.set_column(table.schema.get_field_index(name), name, pa.array(values, table.schema.field(name).type))


# What training gives


def test_the_output_folder_gives_equal_embeddings_through_ncaudit_and_through_stock_open_clip(world):
    world.train()
    out = str(world.root / "out")
    images, captions = world.data()["jpg"].to_pylist()[:8], world.data()["caption"].to_pylist()[:8]
    options = ModelOptions(model=out, precision=Precision.float32, device="cpu")
    encoder = load_encoder(options)
    pixels = np.stack([decode(image, encoder.preprocess, 10**6).pixels for image in images])
    ours = encoder.encode_images(pixels), encoder.encode_captions(captions)

    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{out}", require_pretrained=True)
    tokenizer = open_clip.get_tokenizer(f"local-dir:{out}", bpe_path=f"{out}/bpe_merges.txt.gz")
    with torch.no_grad():
        stock = [
            model.eval().encode_image(encoder.normalise(pixels), normalize=True),
            model.encode_text(tokenizer(captions), normalize=True),
        ]
    start = load_encoder(replace(options, model=TINY))
    assert_close(ours[0], stock[0], atol=1e-5, rtol=0)
    assert_close(ours[1], stock[1], atol=1e-5, rtol=0)
    assert not torch.allclose(ours[0], start.encode_images(pixels), atol=1e-2)
    assert encoder.identity.weight_hash == load_encoder(replace(options, model=f"local-dir:{out}")).identity.weight_hash


def test_training_can_start_from_what_training_wrote(world):
    world.train()
    again = world.train(model=str(world.root / "out"), out=str(world.root / "more"))
    assert again.start == world.train().kept  # the same validation pairs, the same weights


def test_a_quick_gelu_start_stays_one(world):
    folder = world.root / "quick"
    shutil.copytree(TINY, folder)
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["quick_gelu"] = True
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    world.train(model=str(folder), epochs=1)
    assert load_encoder(ModelOptions(model=str(world.root / "out"), device="cpu")).identity.activation == "quickgelu"


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(world):
    for out, seed in (("a", 0), ("b", 0), ("c", 1)):
        world.train(out=str(world.root / out), seed=seed, val_share=0)
    assert world.weights("a") == world.weights("b") != world.weights("c")
    assert (world.root / "a/metrics.jsonl").read_bytes() == (world.root / "b/metrics.jsonl").read_bytes()


def test_labels_decide_what_is_learnt_and_plain_infonce_does_not_look_at_them(world):
    plain = replace(world.options, objective="infonce", val_share=0, epochs=1)
    weighted = replace(plain, objective="weighted-infonce")
    labels = np.linspace(0, 1, PAIRS, dtype=np.float32)
    for name, options, order in (("a", weighted, 1), ("b", weighted, -1), ("c", plain, 1), ("d", plain, -1)):
        world.write_scores(soft_label=labels[::order])
        train(replace(options, out=str(world.root / name)))
    assert world.weights("a") != world.weights("b")
    assert world.weights("c") == world.weights("d")


def test_a_boolean_column_can_be_the_label(world):
    for name in ("A/00000", "B/00000"):
        world.write_scores(name, is_match=world.data(name)["is_match"])
    world.train(val_share=0)
    world.train(val_share=0, label_column="is_match", out=str(world.root / "bool"))
    assert world.weights() == world.weights("bool")  # the soft labels of this world are is_match as numbers


@pytest.mark.parametrize("held", [True, False])
def test_pairs_that_the_objective_refuses_are_counted_and_never_in_a_batch(world, monkeypatch, held):
    monkeypatch.setattr(decoded_pairs, "HELD_BYTES", 2**30 if held else 0)
    clean = sum(sum(world.data(name)["is_match"].to_pylist()) for name in ("A/00000", "B/00000"))
    seen = []
    real = Tuner.step
    monkeypatch.setattr(Tuner, "step", lambda self, *a: seen.append(a[0].label) or real(self, *a))
    result = world.train(objective="drop", val_share=0, epochs=1, batch_pairs=clean)
    assert (result.train_pairs, result.dropped_pairs) == (clean, 2 * PAIRS - clean)
    assert result.accounting.ok == 2 * PAIRS
    assert torch.cat(seen).tolist() == [1.0] * clean


def test_without_scores_every_label_is_1(world):
    result = world.train(scores=None, val_share=0, epochs=1)
    assert (result.labelled, result.mean_label) == (False, 1)
    plain = world.train(objective="infonce", val_share=0, epochs=1, out=str(world.root / "plain"))
    assert plain.train_pairs == result.train_pairs
    assert plain.loss == pytest.approx(result.loss, abs=1e-5)


def test_workers_do_not_change_a_byte(world):
    world.train(val_share=0, epochs=1)
    world.train(val_share=0, epochs=1, workers=1, out=str(world.root / "workers"))
    assert world.weights() == world.weights("workers")


# Other ways to the same matcher


def test_chunks_give_the_gradients_and_the_matcher_of_whole_batches(world, monkeypatch):
    seen: dict[str, list[torch.Tensor]] = {}
    real = torch.optim.AdamW.step

    def step(optimizer, *rest):
        gradients = [p.grad.clone() for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        seen.setdefault(out, gradients)  # of the first step: both runs are still at the same weights
        return real(optimizer, *rest)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    for out, chunk_pairs in (("whole", None), ("chunks", 5)):
        world.train(learning_rate=1e-4, val_share=0, epochs=1, out=str(world.root / out), chunk_pairs=chunk_pairs)
    assert len(seen["whole"]) > 20
    assert_close(seen["chunks"], seen["whole"], atol=1e-6, rtol=0)
    # Adam moves a weight by up to 1e-4 a step however small its gradient is, and so shows the rounding of the smallest
    # at about a hundredth of a step; a gradient that misses a chunk is off by a step
    whole, chunks = (load_file(world.root / out / WEIGHTS) for out in ("whole", "chunks"))
    assert_close(chunks, whole, atol=5e-6, rtol=0)


def test_the_last_blocks_alone_learn_and_a_rerun_goes_on_with_them(world):
    with pytest.raises(KeyboardInterrupt):
        train(replace(world.options, tune="last:1"), Stop(2))
    assert world.train(tune="last:1").resumed_after_epoch == 1
    start, tuned = load_file(Path(TINY) / WEIGHTS), load_file(world.root / "out" / WEIGHTS)
    moved = {name for name, value in tuned.items() if not torch.equal(value, start[name])}
    learnt = ("visual.layer4.", "visual.attnpool.", "transformer.resblocks.1.", "ln_final.", "text_proj", "logit_scale")
    assert moved
    assert all(name.startswith(learnt) for name in moved), moved


def test_patience_ends_a_run_before_its_last_epoch(world, monkeypatch):
    script = iter([0.0, 30.0, 20.0, 10.0])
    real = session_module.retrieval_metrics
    monkeypatch.setattr(session_module, "retrieval_metrics", lambda *a: replace(real(*a), rsum=next(script)))
    result = world.train(epochs=6, patience=2)
    assert (result.epochs, result.kept_epoch, result.stopped_early) == (3, 1, True)
    assert world.train(epochs=6, patience=2).finished_earlier


def test_without_tensorboard_its_flag_is_refused_before_the_folder_is_taken(world, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    message, fix = refused(lambda: world.train(tensorboard=True))
    assert "tensorboard" in message
    assert "ncaudit[tensorboard]" in fix
    assert not (world.root / "out").exists()


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"chunk_pairs": 4, "train_batchnorm": True}, "--train-batchnorm needs whole batches"),
        ({"patience": 2, "val_share": 0}, "--patience waits for a better validation"),
    ],
)
def test_options_that_contradict_each_other_are_refused(world, changes, what):
    with pytest.raises(UsageError) as error:
        replace(world.options, **changes)
    assert error.value.message.startswith(what)


@pytest.mark.parametrize("tune", ["last:0", "last:", "last:two", "last", "all"])
def test_a_word_for_what_learns_that_is_none_is_refused(world, tune):
    message, fix = refused(lambda: replace(world.options, tune=tune))
    assert message == f"--tune is {tune}"
    assert "last:1" in fix


# Validation


def test_the_split_is_by_photo_and_the_same_in_every_run(world):
    rows = world.data()
    for i in range(0, PAIRS, 2):  # every photo twice, with two captions
        rows = changed(rows, "jpg", i, rows["jpg"][i + 1].as_py())
    world.write("data", "A/00000", rows)
    world.write_scores()
    splits = []

    def spy(options, *rest, **more):
        opened = decoded_pairs.open_training_set(options, *rest, **more)
        splits.append([set(side.photo.tolist()) for side in (opened.train.all, opened.val)])
        return opened

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(towers, "open_training_set", spy)
        world.train(epochs=1)
        world.train(epochs=1, objective="infonce", batch_pairs=8, out=str(world.root / "other"))
    assert splits[0] == splits[1]
    trained, validated = splits[0]
    assert trained
    assert validated
    assert not trained & validated


def test_the_kept_epoch_is_the_best_one_and_its_weights_give_its_metrics(world, monkeypatch):
    script = iter([0.0, 20.0, 30.0, 10.0])  # rSum of the start model and of epochs 1, 2, 3
    real = session_module.retrieval_metrics
    monkeypatch.setattr(session_module, "retrieval_metrics", lambda *a: replace(real(*a), rsum=next(script)))
    kept = {}
    real_save = train_module.TrainingFolder.save_epoch

    def save(folder, state, metrics, weights):
        kept[state["epoch"]] = {name: value.clone() for name, value in state["model"].items()}
        real_save(folder, state, metrics, weights)

    monkeypatch.setattr(train_module.TrainingFolder, "save_epoch", save)
    result = world.train(epochs=3)
    assert result.kept_epoch == 2
    assert (result.start.rsum, result.kept.rsum) == (0.0, 30.0)
    saved = load_encoder(ModelOptions(model=str(world.root / "out"), precision=Precision.float32)).model.state_dict()
    assert all(torch.equal(saved[name], value) for name, value in kept[2].items())
    assert not torch.equal(saved["visual.conv1.weight"], kept[3]["visual.conv1.weight"])


def test_the_metrics_of_every_epoch_are_written_the_start_model_first(world):
    result = world.train()
    lines = world.metrics()
    assert [line["epoch"] for line in lines] == [0, 1, 2]
    assert result.start.rsum == lines[0]["val"]["rsum"]
    assert lines[2]["step"] == result.steps == 2 * (result.train_pairs // 12)
    assert result.val_pairs == lines[0]["val"]["captions"]
    assert not any("second" in key for line in lines for key in line)  # two equal runs write equal files


def test_without_validation_the_last_epoch_is_kept(world):
    result = world.train(val_share=0)
    assert (result.kept_epoch, result.val_pairs, result.start, result.train_pairs) == (2, 0, None, 2 * PAIRS)


def test_validation_data_of_its_own_leaves_every_pair_to_training(world):
    rows = pq.read_table(SAMPLE / "heldout.parquet", columns=["jpg", "caption"]).slice(0, 12)
    path = world.write("val", "v", rows)
    result = world.train(val_data=[str(path)], val_share=TrainOptions.val_share, epochs=1)
    assert (result.train_pairs, result.val_pairs) == (2 * PAIRS, 12)


# Accounts


@pytest.mark.parametrize("held", [True, False])
def test_every_row_is_trained_on_or_validated_on_or_counted_with_its_reason(world, monkeypatch, held):
    if not held:
        monkeypatch.setattr(decoded_pairs, "HELD_BYTES", 0)
    rows = changed(changed(world.data(), "jpg", 0, b"no image"), "jpg", 1, None)
    rows = changed(rows, "caption", 2, None)
    world.write("data", "A/00000", rows)
    status = ["ok"] * 3 + ["embedding_invalid"] + ["ok"] * (PAIRS - 4)
    label = [0.5] * 3 + [None] + [0.5] * (PAIRS - 4)  # a failed row needs no label
    world.write_scores(status=status, soft_label=pa.array(label, pa.float32()))
    kept = pq.read_table(world.root / "scores/A/00000.parquet")
    pq.write_table(kept.slice(0, PAIRS - 1), world.root / "scores/A/00000.parquet")
    result = world.train(epochs=1)
    assert result.accounting.statuses == {
        "ok": 2 * PAIRS - 5, "image_undecodable": 1, "image_missing": 1, "caption_missing": 1,
        "embedding_invalid": 1, "not_scored": 1,
    }  # fmt: skip
    assert result.train_pairs + result.val_pairs == result.accounting.ok
    assert result.accounting.rows == 2 * PAIRS


# Epochs, held and streamed


def epochs(world: World, tmp_path: Path, monkeypatch, *, held: bool) -> list[list[tuple[int, int]]]:
    """(photo, caption) hashes of the first two epochs' pairs, in the order they are learnt from; then epoch 1 again."""
    monkeypatch.setattr(decoded_pairs, "HELD_BYTES", 2**30 if held else 0)
    monkeypatch.setattr(decoded_pairs, "BUFFER_PAIRS", 20)
    encoder = load_encoder(world.options)
    with decoded_pairs.DecodePool(0) as pool:
        options = replace(world.options, val_share=0)
        train_set = decoded_pairs.open_training_set(options, encoder, pool, EVERY_PAIR, Silent()).train
        assert isinstance(train_set, decoded_pairs.HeldPairs) == held
        return [
            [
                pair
                for b in train_set.batches(epoch, batch_pairs=12, seed=0)
                for pair in zip(b.photo.tolist(), b.caption.tolist(), strict=True)
            ]
            for epoch in (1, 2, 1)
        ]


@pytest.mark.parametrize("held", [True, False])
def test_an_epoch_is_a_pure_function_of_seed_and_number_and_takes_no_pair_twice(world, tmp_path, monkeypatch, held):
    first, second, again = epochs(world, tmp_path, monkeypatch, held=held)
    assert first == again != second
    assert len(first) == len(set(first)) == len(set(second)) == 2 * PAIRS
    assert set(first) == set(second)


def test_streamed_batches_hold_the_same_pairs_pixels_and_labels_as_held_ones(world, monkeypatch):
    encoder = load_encoder(world.options)
    seen = []
    for size in (2**30, 0):
        monkeypatch.setattr(decoded_pairs, "HELD_BYTES", size)
        with decoded_pairs.DecodePool(0) as pool:
            pairs = decoded_pairs.open_training_set(
                replace(world.options, val_share=0.3), encoder, pool, EVERY_PAIR, Silent()
            ).train
            batches = list(pairs.batches(1, batch_pairs=1, seed=0))
        order = sorted(range(len(batches)), key=lambda i: (int(batches[i].photo), int(batches[i].caption)))
        columns = ("photo", "caption", "label", "text", "image")
        seen.append([torch.cat([getattr(batches[i], name) for i in order]) for name in columns])
    assert all(torch.equal(held, streamed) for held, streamed in zip(*seen, strict=True))


def test_an_image_that_cannot_be_decoded_makes_no_streamed_batch_smaller(world, monkeypatch):
    monkeypatch.setattr(decoded_pairs, "HELD_BYTES", 0)
    world.write("data", "A/00000", changed(world.data(), "jpg", 3, b"no image"))
    world.write_scores()
    encoder = load_encoder(world.options)
    with decoded_pairs.DecodePool(0) as pool:
        pairs = decoded_pairs.open_training_set(
            replace(world.options, val_share=0), encoder, pool, EVERY_PAIR, Silent()
        ).train
        sizes = [len(batch) for batch in pairs.batches(1, batch_pairs=2 * PAIRS - 1, seed=0)]
    assert sizes == [len(pairs)] == [2 * PAIRS - 1]


# Resuming


class Stop(Silent):
    """Stops a run when it begins an epoch, as a kill would."""

    def __init__(self, epoch: int) -> None:
        self._at = f"epoch {epoch} "

    def stage(self, name: str, total: int | None, unit: str = "rows") -> None:
        if name.startswith(self._at):
            raise KeyboardInterrupt


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("epoch", [1, 3])
def test_a_run_that_was_stopped_and_rerun_gives_the_bytes_of_an_undisturbed_one(world, monkeypatch, held, epoch):
    monkeypatch.setattr(decoded_pairs, "HELD_BYTES", 2**30 if held else 0)
    options = replace(world.options, epochs=3)
    with pytest.raises(KeyboardInterrupt):
        train(options, Stop(epoch))
    result = train(options)
    undisturbed = train(replace(options, out=str(world.root / "undisturbed")))
    assert result.resumed_after_epoch == (epoch - 1 or None)
    assert undisturbed.resumed_after_epoch is None
    for name in (WEIGHTS, "metrics.jsonl", "run.json", "open_clip_config.json"):
        assert made(world.root / "out" / name) == made(world.root / "undisturbed" / name), name


def test_a_rerun_keeps_the_precision_that_was_picked_when_the_run_began(world, monkeypatch):
    options = replace(world.options, precision=Precision.auto, epochs=1)
    monkeypatch.setattr(train_module, "pick_precision", lambda *_: torch.float32)
    with pytest.raises(KeyboardInterrupt):
        train(options, Stop(1))
    monkeypatch.setattr(train_module, "pick_precision", lambda *_: torch.bfloat16)  # a busy machine times otherwise
    train(options)
    assert json.loads((world.root / "out/run.json").read_text())["run"]["precision"] == "float32"
    assert world.train(precision=Precision.auto, epochs=1).finished_earlier


def test_a_finished_run_is_not_done_again(world):
    first = world.train()
    before = {path.name: path.stat().st_mtime_ns for path in (world.root / "out").iterdir()}
    again = world.train()
    assert {path.name: path.stat().st_mtime_ns for path in (world.root / "out").iterdir()} == before
    assert again.finished_earlier
    assert (again.kept, again.train_pairs, again.accounting) == (first.kept, first.train_pairs, first.accounting)
    assert STATE not in before


def test_another_run_in_the_same_folder_is_refused_until_restart_discards_it(world):
    world.train(epochs=1)
    message, fix = refused(lambda: world.train(epochs=1, learning_rate=2e-3, seed=5))
    assert message.endswith("/out holds another run, which differs in: learning_rate, seed")
    assert "--restart" in fix
    before = world.weights()
    world.train(epochs=1, seed=5, restart=True)
    assert world.weights() != before
    assert world.train(epochs=1, seed=5).finished_earlier


def test_scores_that_changed_make_it_another_run(world):
    world.train(epochs=1)
    world.write_scores(soft_label=pa.array([0.5] * PAIRS, pa.float32()))
    assert "differs in: scores" in refused(lambda: world.train(epochs=1))[0]


def test_restart_with_wrong_input_discards_nothing(world):
    world.train(epochs=1)
    before = world.weights()
    refused(lambda: world.train(restart=True, label_column="nothing"))
    assert world.weights() == before
    assert world.train(epochs=1).finished_earlier


def test_a_model_that_is_not_ours_is_not_overwritten(world):
    shutil.copytree(TINY, world.root / "out")
    before = {path.name: path.read_bytes() for path in (world.root / "out").iterdir()}
    for asked in ({}, {"restart": True}):
        message, fix = refused(lambda asked=asked: world.train(**asked))
        assert "is there already, and `train` did not write it" in message
        assert "--overwrite" in fix
    assert {path.name: path.read_bytes() for path in (world.root / "out").iterdir()} == before
    message, _ = refused(lambda: world.train(model=str(world.root / "out")))
    assert "both --model and --out" in message


# Refusals


def test_missing_labels_are_refused_with_shard_count_and_pair(world):
    label = [None, 0.5, None] + [0.5] * (PAIRS - 3)
    world.write_scores("B/00000", soft_label=pa.array(label, pa.float32()))
    message, fix = refused(world.train)
    first = world.data("B/00000")["key"][0].as_py()
    assert message.endswith(f"B/00000.parquet: soft_label is null or nan in 2 of {PAIRS} ok rows (first: {first})")
    assert "--label-column" in fix
    assert not (world.root / "out").exists()


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1.5, "outside [0, 1] in 1 ok row"), (-0.1, "outside [0, 1]"), (float("nan"), "null or nan in 1")],
)
def test_labels_that_are_none_are_refused(world, value, expected):
    world.write_scores(soft_label=pa.array([0.5] * 5 + [value] + [0.5] * (PAIRS - 6), pa.float32()))
    message, _ = refused(world.train)
    assert expected in message
    assert world.data()["key"][5].as_py() in message


def test_labels_that_are_all_zero_are_refused(world):
    for name in ("A/00000", "B/00000"):
        world.write_scores(name, soft_label=pa.array([0.0] * PAIRS, pa.float32()))
    assert refused(world.train)[0] == "every soft_label is 0"


def test_a_label_column_that_is_missing_or_no_number_is_refused_with_what_there_is(world):
    assert "no column trust (found: pair_id" in refused(lambda: world.train(label_column="trust"))[0]
    assert "shard is string, no label" in refused(lambda: world.train(label_column="shard"))[0]


def test_scores_of_another_file_are_refused_unless_the_users_key_joins_them(world):
    world.write("data", "A/00000", world.data().slice(0, PAIRS - 1))
    message, fix = refused(world.train)
    assert "A/00000.parquet was made from another file than" in message
    assert "with --key" in fix
    assert world.train(key="key", epochs=1).accounting.statuses == {"ok": 2 * PAIRS - 1}
    assert "has no pair of" in refused(lambda: world.train(key="caption", out=str(world.root / "other")))[0]


def test_scores_without_provenance_that_know_none_of_the_rows_are_refused(world):
    table = pq.read_table(world.root / "scores/A/00000.parquet").replace_schema_metadata(None)
    other = table.set_column(0, "pair_id", pa.array([f"other/{i}" for i in range(PAIRS)]))
    world.write("scores", "A/00000", other)
    message, _ = refused(world.train)
    assert "has no pair of" in message
    assert "'other/0'" in message


def test_a_shard_without_scores_is_refused(world):
    (world.root / "scores/B/00000.parquet").rename(world.root / "scores/B/00001.parquet")
    assert refused(world.train)[0] == "B/00000.parquet has no score table (1 of 2 shards have none)"


def test_rows_are_joined_by_pair_id_not_by_place(world):
    world.train(val_share=0, epochs=1)
    table = pq.read_table(world.root / "scores/A/00000.parquet")
    pq.write_table(table.take(list(range(PAIRS - 1, -1, -1))), world.root / "scores/A/00000.parquet")
    world.train(val_share=0, epochs=1, out=str(world.root / "reversed"))
    assert world.weights() == world.weights("reversed")


def test_pairs_named_by_shard_and_row_are_found(world):
    for name in ("A/00000", "B/00000"):
        world.write("data", name, world.data(name).drop_columns(["key"]).append_column("key", pa.array(["x"] * PAIRS)))
        rows = pa.array([f"{name}/{i}" for i in range(PAIRS)])
        table = pa.table({"pair_id": rows, "status": ["ok"] * PAIRS, "soft_label": world.data(name)["is_match"]})
        world.write("scores", name, table)
    assert world.train(epochs=1).accounting.statuses == {"ok": 2 * PAIRS}


def test_fewer_pairs_than_a_batch_are_refused(world):
    message, fix = refused(lambda: world.train(batch_pairs=2 * PAIRS + 1, val_share=0))
    assert message == f"{2 * PAIRS} pairs to train on, but a batch takes {2 * PAIRS + 1}"
    assert "--batch-pairs" in fix


def test_a_validation_set_of_one_photo_is_refused(world):
    message, fix = refused(lambda: world.train(val_share=1e-9))
    assert message == "--val-share 1e-09 holds out 0 photos, and recall needs at least 2"
    assert "--val-share 0" in fix
    path = world.write("val", "v", world.data().take([0, 0, 0]))
    told = refused(lambda: world.train(val_data=[str(path)], val_share=TrainOptions.val_share))[0]
    assert "--val-data holds 1 photo," in told


def test_an_unknown_objective_is_refused_before_anything_is_read(world):
    assert "no objective is called 'hinge'" in refused(lambda: world.train(objective="hinge", data=["nowhere"]))[0]


# When it goes wrong on the way


def test_a_loss_that_stops_being_a_number_stops_the_run_and_keeps_the_last_good_epoch(world, monkeypatch):
    real = Tuner.step
    steps = 2 * PAIRS // 12

    def step(self, batch, number):
        done = real(self, batch, number)
        return done if number < steps + 1 else replace(done, loss=float("nan"), finite=False)

    with monkeypatch.context() as patch:
        patch.setattr(Tuner, "step", step)
        message, fix = refused(lambda: world.train(val_share=0, epochs=3))
    keys = {key for name in ("A/00000", "B/00000") for key in world.data(name)["key"].to_pylist()}
    told = re.fullmatch(
        rf"the loss is nan at step {steps + 2}, in epoch 2, on the batch that begins with (.+), (.+), (.+);"
        " the matcher of epoch 1 is kept",
        message,
    )
    assert told is not None
    assert set(told.groups()) <= keys
    assert "--learning-rate below 0.001" in fix
    load_encoder(ModelOptions(model=str(world.root / "out"), device="cpu"))
    assert world.train(val_share=0, epochs=3).resumed_after_epoch == 1


def test_a_learning_rate_that_destroys_the_model_is_told_as_such(world):
    message, _ = refused(lambda: world.train(learning_rate=1e30, clip_norm=1e30, epochs=2))
    assert "step" in message


def test_a_full_disk_leaves_the_epoch_before_to_go_on_from(world, monkeypatch):
    undisturbed = world.train(out=str(world.root / "undisturbed"), val_share=0)
    real = train_module.TrainingFolder.save_epoch
    before = []

    def on_a_small_disk(folder, state, *rest):
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        if state["epoch"] == 2:
            before.append(world.weights())
            resource.setrlimit(
                resource.RLIMIT_FSIZE, (1_000_000, hard)
            )  # bytes a file may have: writing fails half-way
        try:
            real(folder, state, *rest)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))

    with monkeypatch.context() as patch:
        patch.setattr(train_module.TrainingFolder, "save_epoch", on_a_small_disk)
        message, fix = refused(lambda: world.train(val_share=0))
    assert "cannot take the checkpoint: File too large" in message
    assert "make room" in fix
    assert not list((world.root / "out").glob(".*.partial"))
    assert world.weights() == before[0]
    result = world.train(val_share=0)
    assert (result.resumed_after_epoch, result.loss) == (1, undisturbed.loss)
    assert world.weights() == world.weights("undisturbed")


def test_labels_may_be_a_column_of_the_dataset_itself(world):
    by_scores = world.train(val_share=0, epochs=1)
    own = world.train(scores=None, label_column="is_match", val_share=0, epochs=1, out=str(world.root / "own"))
    assert (own.labelled, own.mean_label, own.train_pairs) == (True, by_scores.mean_label, by_scores.train_pairs)
    weights = [(world.root / out / "open_clip_model.safetensors").read_bytes() for out in ("out", "own")]
    assert weights[0] == weights[1]


def test_a_label_column_that_nobody_has_is_a_usage_error_with_what_there_is(world):
    with pytest.raises(UsageError, match=r"--label-column good is none of .*found: key, jpg, caption, is_match"):
        world.train(scores=None, label_column="good")
