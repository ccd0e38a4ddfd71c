"""`train --tune heads` as a whole: what heads learn, what is refused, and that a rerun changes nothing."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch.testing import assert_close

from ncaudit.errors import NcauditError, UsageError
from ncaudit.matchers.heads.projection import HEAD_WEIGHTS, load_heads
from ncaudit.matchers.steps.tuner import Tuner
from ncaudit.matchers.training_folder import STATE
from ncaudit.options import TrainOptions
from ncaudit.progress import Silent
from ncaudit.shards.files.provenance import attach, fingerprint_of_file
from ncaudit.verbs.train.data import embedded_pairs
from ncaudit.verbs.train.train import train
from tests.worlds.made import made

PAIRS = 300  # of each of the two tables
NAMES = ("A/00000", "B/00000")
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Notes(Silent):
    """Remembers what it was told."""

    def __init__(self, stop_at: str = "never") -> None:
        self.notes: list[str] = []
        self._stop_at = stop_at

    def note(self, text: str) -> None:
        self.notes.append(text)

    def stage(self, name: str, total: int | None, unit: str = "rows") -> None:
        if name.startswith(self._stop_at):
            raise KeyboardInterrupt


class World:
    """Two tables of unaligned embeddings with known mismatches, a clean one to validate on, and score tables."""

    def __init__(self, root: Path, *, noise: float = 0.4, space: str = "none") -> None:
        self.root = root
        self._generator = np.random.default_rng(0)
        image = self._generator.standard_normal((10, 24))
        text = {"none": self._generator.standard_normal((10, 20)), "shared": image, "opposite": -image}[space]
        self._maps = (image, text)
        for name in NAMES:
            self.write_pairs(f"emb/{name}", PAIRS, noise)
            self.write_scores(name)
        self.write_pairs("val/00000", 150, 0.0)
        self.options = TrainOptions(
            out=str(root / "out"), tune="heads", embeddings=[str(root / "emb")], scores=[str(root / "scores")],
            val_data=[str(root / "val")], epochs=4, batch_pairs=100, device="cpu", precision="float32",
        )  # fmt: skip

    def write_pairs(self, name: str, n: int, noise: float) -> None:
        seen = self._generator.standard_normal((n, 10))
        matches = np.arange(n) >= noise * n
        told = np.where(matches[:, None], seen, self._generator.standard_normal((n, 10)))
        image = seen @ self._maps[0] + self._generator.standard_normal((n, 24))
        text = np.tanh(told) @ self._maps[1]
        text += self._generator.standard_normal(text.shape)
        names = {"pair_id": [f"{name}/{i}" for i in range(n)], "status": ["ok"] * n}
        self.write(name, {**names, "image_embedding": lists(image), "text_embedding": lists(text), "match": matches})

    def write(self, name: str, columns: dict[str, Any], made_from: dict[str, Any] | None = None) -> None:
        path = self.root / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        table = pa.table(columns)
        pq.write_table(table if made_from is None else table.cast(attach(table.schema, made_from)), path)

    def table(self, name: str) -> pa.Table:
        return pq.read_table(self.root / f"{name}.parquet")

    def write_scores(self, name: str, **columns: Any) -> None:
        emb = self.table(f"emb/{name}")
        labels = {"soft_label": emb["match"].cast(pa.float32())}
        made_from = {"source": {"fingerprint": fingerprint_of_file(str(self.root / f"emb/{name}.parquet"))}}
        rows = {"pair_id": emb["pair_id"], "status": ["ok"] * len(emb), **labels, **columns}
        self.write(f"scores/{name}", rows, made_from)

    def train(self, **changes: Any):
        return train(replace(self.options, **changes))

    def weights(self, out: str = "out") -> bytes:
        return (self.root / out / HEAD_WEIGHTS).read_bytes()

    def run(self, out: str = "out") -> dict[str, Any]:
        return json.loads((self.root / out / "run.json").read_text())


def lists(rows: np.ndarray) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.astype(np.float16).reshape(-1)), rows.shape[1])


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def refused(run) -> tuple[str, str]:
    with pytest.raises(NcauditError) as error:
        run()
    assert "\n" not in error.value.message + error.value.fix
    return error.value.message, error.value.fix


# What heads learn


def test_heads_learn_and_permuted_labels_do_not_help(world):
    told = world.train(epochs=20, head="mlp", hidden=128)
    assert told.kept.rsum > told.start.rsum + 10
    blind = world.train(epochs=20, head="mlp", hidden=128, scores=None, out=str(world.root / "blind"))
    for name in NAMES:
        labels = world.table(f"emb/{name}")["match"].cast(pa.float32()).to_numpy()
        world.write_scores(name, soft_label=np.random.default_rng(1).permutation(labels))
    permuted = world.train(epochs=20, head="mlp", hidden=128, out=str(world.root / "permuted"))
    assert told.kept.rsum > max(blind.kept.rsum, permuted.kept.rsum) + 10
    assert permuted.kept.rsum < blind.kept.rsum + 10


def test_the_folder_gives_the_heads_of_the_kept_epoch(world):
    result = world.train()
    saved = load_heads(str(world.root / "out"), CPU)
    val = world.table("val/00000")
    sides = [np.stack(val[name].to_numpy()).astype(np.float32) for name in ("image_embedding", "text_embedding")]
    similarity = saved.heads.image(torch.from_numpy(sides[0])) @ saved.heads.text(torch.from_numpy(sides[1])).T
    right = (similarity.argmax(dim=1) == torch.arange(len(val))).double().mean()
    assert float(right) * 100 == pytest.approx(result.kept.i2t_r1)
    told = {"model": None, "start": "cca", "image_width": 24, "text_width": 20}
    tables = {f"{name}.parquet": fingerprint_of_file(str(world.root / f"emb/{name}.parquet")) for name in NAMES}
    assert saved.description == {**told, "tables": tables, "sources": [], "encoder_folder": None}


@pytest.mark.parametrize(
    ("space", "model", "start"),
    [
        ("shared", None, "identity"),
        ("opposite", None, "cca"),
        ("opposite", {"name": "x"}, "identity"),
        ("none", {"name": "x"}, "cca"),
    ],
)
def test_auto_starts_as_the_identity_where_the_embeddings_share_a_space_or_one_model_made_them(
    tmp_path, space, model, start
):
    world = World(tmp_path, space=space)
    for name in (*(f"emb/{name}" for name in NAMES), "val/00000"):
        table = world.table(name)
        world.write(name, dict(zip(table.column_names, table.columns, strict=True)), {"model": model})
    world.train(epochs=1, scores=None)
    saved = load_heads(str(tmp_path / "out"), CPU)
    assert (saved.description["start"], saved.description["model"]) == (start, model)


def test_the_identity_start_has_the_recall_of_the_embeddings_themselves(tmp_path):
    world = World(tmp_path, space="shared")
    result = world.train(epochs=1, head_start="identity")
    val = world.table("val/00000")
    image, text = (
        torch.nn.functional.normalize(torch.from_numpy(np.stack(val[name].to_numpy()).astype(np.float32)), dim=1)
        for name in ("image_embedding", "text_embedding")
    )
    right = ((image @ text.T).argmax(dim=1) == torch.arange(len(val))).double().mean()
    assert result.start.i2t_r1 == pytest.approx(float(right) * 100)


def test_the_labels_of_each_pair_find_it_by_its_id(world):
    world.train(epochs=1)
    for name in NAMES:
        scores = world.table(f"scores/{name}")
        pq.write_table(scores.take(list(range(PAIRS - 1, -1, -1))), world.root / f"scores/{name}.parquet")
    world.train(epochs=1, out=str(world.root / "reversed"))
    assert world.weights() == world.weights("reversed")


def test_the_split_is_by_photo(world, monkeypatch):
    for name in NAMES:
        table = world.table(f"emb/{name}")
        photo = pa.array([f"{name}{i // 3}".encode() for i in range(PAIRS)])
        world.write(f"emb/{name}", {**dict(zip(table.column_names, table.columns, strict=True)), "image_hash": photo})
        world.write_scores(name)
    trained = set()
    real = Tuner.step
    monkeypatch.setattr(Tuner, "step", lambda self, *a: trained.update(a[0].photo.tolist()) or real(self, *a))
    result = world.train(val_data=None, val_share=0.2, batch_pairs=2, epochs=1)
    assert result.val_pairs == 3 * result.val_photos > 60
    assert len(trained) <= 200 - result.val_photos
    assert result.train_pairs + result.val_pairs == result.accounting.ok == 2 * PAIRS


def test_what_the_objective_refuses_is_counted_and_not_learnt_from(world, monkeypatch):
    seen = []
    real = Tuner.step
    monkeypatch.setattr(Tuner, "step", lambda self, *a: seen.append(a[0].label) or real(self, *a))
    result = world.train(objective="drop", epochs=1)
    assert (result.train_pairs, result.dropped_pairs) == (360, 240)
    assert float(torch.cat(seen).min()) == 1
    assert result.mean_label == 1


def test_settings_of_the_objective_reach_it_and_those_of_another_are_refused(world):
    all_but_the_worst = world.train(objective="drop", drop_below=0.0, epochs=1)
    assert all_but_the_worst.dropped_pairs == 0
    what, fix = refused(lambda: world.train(objective="drop", margin=0.1))
    assert (what, fix) == ("objective 'drop' has no setting 'margin'", "leave it out; it has: drop_below")


def test_defaults_are_those_of_heads_and_are_recorded(world):
    world.train(epochs=1)
    recorded = world.run()["run"]["options"]
    assert (recorded["learning_rate"], recorded["epochs"], recorded["batch_pairs"]) == (1e-3, 1, 100)
    assert replace(world.options, batch_pairs=None).pace.batch_pairs == 1_024
    assert replace(world.options, epochs=None).pace.epochs == 20
    assert TrainOptions(out="o", data=["d"]).pace.batch_pairs == 128


# Accounts


def test_every_row_is_trained_on_or_counted_with_its_reason(world):
    emb = world.table("emb/A/00000")
    status = ["image_missing", "ok"] + ["ok"] * (PAIRS - 2)
    world.write("emb/A/00000", {**dict(zip(emb.column_names, emb.columns, strict=True)), "status": status})
    world.write_scores("A/00000", status=["ok"] * (PAIRS - 1) + ["caption_missing"])
    scores = world.table("scores/A/00000")
    extra = scores.slice(0, 2).set_column(0, "pair_id", pa.array(["only/1", "only/2"]))
    pq.write_table(
        pa.concat_tables([scores.slice(0, 5), scores.slice(8), extra]), world.root / "scores/A/00000.parquet"
    )
    progress = Notes()
    result = train(replace(world.options, epochs=1), progress)
    assert result.accounting.statuses == {
        "ok": 2 * PAIRS - 5, "not_scored": 3, "not_embedded": 2, "caption_missing": 1, "image_missing": 1,
    }  # fmt: skip
    assert result.train_pairs == 2 * PAIRS - 5
    told = next(note for note in progress.notes if "only one of" in note)
    assert told.startswith("5 pairs are in only one of embeddings and scores; the first: ")
    assert told.endswith("scores/A/00000.parquet has no pair emb/A/00000/5")


# Resuming


@pytest.mark.parametrize("held", [2**30, 0], ids=["held", "spooled"])
@pytest.mark.parametrize("epoch", [1, 3])
def test_a_run_that_was_stopped_and_rerun_gives_the_bytes_of_an_undisturbed_one(world, monkeypatch, held, epoch):
    undisturbed = world.train(out=str(world.root / "undisturbed"), head="mlp", hidden=16)
    monkeypatch.setattr(embedded_pairs, "HELD_BYTES", held)
    options = replace(world.options, head="mlp", hidden=16)
    with pytest.raises(KeyboardInterrupt):
        train(options, Notes(stop_at=f"epoch {epoch} "))
    result = train(options)
    assert result.resumed_after_epoch == (epoch - 1 or None)
    assert result.kept == undisturbed.kept
    files = sorted(path.name for path in (world.root / "out").iterdir())
    assert files == ["heads.json", "heads.safetensors", "metrics.jsonl", "run.json"]
    for name in files:
        assert made(world.root / "out" / name) == made(world.root / "undisturbed" / name), name


def test_a_finished_run_is_not_done_again_and_another_is_refused_until_restart(world):
    world.train(epochs=1)
    assert world.train(epochs=1).finished_earlier
    assert not (world.root / "out" / STATE).exists()
    message, fix = refused(lambda: world.train(epochs=1, learning_rate=1e-2, head="mlp"))
    assert message.endswith("holds another run, which differs in: head, learning_rate")
    assert "--restart" in fix
    before = world.weights()
    world.train(epochs=1, learning_rate=1e-2, restart=True)
    assert world.weights() != before


def test_heads_that_are_not_ours_are_not_overwritten(world):
    world.train(epochs=1)
    (world.root / "out" / "run.json").unlink()
    for restart in (False, True):
        message, _ = refused(lambda restart=restart: world.train(restart=restart))
        assert "heads.json is there already, and `train` did not write it" in message
    assert not world.train(epochs=1, overwrite=True).finished_earlier


def test_a_loss_that_stops_being_a_number_stops_the_run_and_keeps_the_last_good_epoch(world, monkeypatch):
    real = Tuner.step

    def step(self, batch, number):
        done = real(self, batch, number)
        return done if number < 7 else replace(done, loss=float("nan"), finite=False)

    with monkeypatch.context() as patch:
        patch.setattr(Tuner, "step", step)
        message, _ = refused(world.train)
    assert "the loss is nan at step 8, in epoch 2" in message
    assert load_heads(str(world.root / "out"), CPU).heads.dims == 20
    assert world.train().resumed_after_epoch == 1


def test_weights_that_are_not_finite_are_never_written(world):
    message, _ = refused(lambda: world.train(learning_rate=1e30, clip_norm=1e30))
    assert "step" in message


def test_two_equal_runs_write_equal_bytes_and_another_seed_others(world):
    for out, seed in (("a", 0), ("b", 0), ("c", 1)):
        world.train(out=str(world.root / out), seed=seed, epochs=1)
    assert world.weights("a") == world.weights("b") != world.weights("c")
    assert (world.root / "a/metrics.jsonl").read_bytes() == (world.root / "b/metrics.jsonl").read_bytes()


# Refusals


@pytest.mark.parametrize(
    ("changes", "what", "fix"),
    [
        ({"tune": "towers"}, "--tune towers learns from images, and there is no --data", "--tune heads"),
        ({"tune": "towers", "data": ["d"]}, "--embeddings is for --tune heads, not for --tune towers", "leave it out"),
        ({"embeddings": None}, "--tune heads learns from embeddings, and there are none", "--embeddings"),
        ({"data": ["d"]}, "--tune heads reads no images, but there is --data", "leave out --data"),
        ({"tune": "towers", "embeddings": None, "data": ["d"], "dims": 8}, "--dims is for --tune heads", "leave it"),
        ({"tune": "towers", "embeddings": None, "data": ["d"], "head": "mlp"}, "--head is for --tune heads", "leave"),
        ({"model": "RN50"}, "--model and --pretrained are for --tune towers", "leave them out"),
        ({"train_batchnorm": True}, "--train-batchnorm is for --tune towers", "leave it out"),
        ({"hidden": 8}, "--hidden is for --head mlp", "--head mlp"),
        ({"head_start": "identity", "dims": 8}, "--head-start identity keeps the width of", "leave out --dims"),
    ],
)
def test_flags_that_contradict_each_other_are_a_usage_error(tmp_path, changes, what, fix):
    good = TrainOptions(out=str(tmp_path), tune="heads", embeddings=["e"])
    with pytest.raises(UsageError) as error:
        replace(good, **changes)
    assert what in error.value.message
    assert fix in error.value.fix


def test_an_unknown_tune_is_refused_with_the_known_ones():
    message, fix = refused(lambda: TrainOptions(out="o", data=["d"], tune="tails"))
    assert "--tune is tails" in message
    assert "heads" in fix


def test_more_dimensions_than_there_are_is_refused(world):
    assert refused(lambda: world.train(dims=25))[0] == (
        "--dims is 25, but these embeddings give 20: they have no more in common"
    )
    assert world.train(dims=5, epochs=1).kept
    assert load_heads(str(world.root / "out"), CPU).heads.dims == 5


def test_scores_of_other_embeddings_are_refused(world):
    world.write_pairs("emb/A/00000", PAIRS, 0.1)
    assert "A/00000.parquet was made from another file than" in refused(world.train)[0]


def test_scores_without_a_pair_of_the_table_are_refused(world):
    rows = world.table("scores/A/00000").replace_schema_metadata(None)
    pq.write_table(rows.set_column(0, "pair_id", pa.array([f"o/{i}" for i in range(PAIRS)])), world.root / "x.parquet")
    (world.root / "x.parquet").rename(world.root / "scores/A/00000.parquet")
    message, _ = refused(world.train)
    assert "has no pair of" in message
    assert "'o/0'" in message


def test_labels_that_are_none_are_refused_before_anything_is_written(world):
    world.write_scores("B/00000", soft_label=pa.array([1.5] + [0.5] * (PAIRS - 1), pa.float32()))
    assert "soft_label is outside [0, 1] in 1 ok row (first: emb/B/00000/0, 1.5)" in refused(world.train)[0]
    assert not (world.root / "out").exists()


def test_a_table_without_scores_and_too_few_pairs_are_refused(world):
    assert refused(lambda: world.train(batch_pairs=601))[0] == "600 pairs to train on, but a batch takes 601"
    (world.root / "scores/B/00000.parquet").rename(world.root / "scores/B/1.parquet")
    assert refused(world.train)[0] == "B/00000.parquet has no score table (1 of 2 shards have none)"


def test_a_validation_table_of_another_width_is_refused(world):
    rows = lists(np.ones((3, 5)))
    world.write("val/00000", {"image_embedding": rows, "text_embedding": rows})
    assert "do not belong together: image dimensions 24 against 5" in refused(world.train)[0]


def test_validation_photos_that_are_also_trained_on_are_told(world):
    progress = Notes()
    train(replace(world.options, epochs=1, val_data=[str(world.root / "emb/A")]), progress)
    assert f"{PAIRS} of {PAIRS} validation photos are also trained on" in progress.notes


def test_the_mlp_starts_where_the_linear_heads_start(world):
    linear, mlp = world.train(epochs=1), world.train(epochs=1, head="mlp", out=str(world.root / "mlp"))
    assert_close(torch.tensor(linear.start.rsum), torch.tensor(mlp.start.rsum))


def test_labels_may_be_a_column_of_the_embedding_tables_themselves(world):
    by_scores = world.train(epochs=1)
    own = world.train(scores=None, label_column="match", epochs=1, out=str(world.root / "own"))
    assert world.weights("own") == world.weights()
    assert (own.labelled, own.mean_label) == (True, by_scores.mean_label)


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("nothere", None, r"--label-column nothere is none of .*00000\.parquet \(found: pair_id, "),
        ("own", [None] * PAIRS, r"own is .*no label|every own is 0"),
        ("own", [0.0] * PAIRS, "every own is 0"),
        ("own", [0.5, None] * (PAIRS // 2), r"own is null or nan in \d+ of \d+ ok rows"),
        ("own", [2.0] * PAIRS, r"own is outside \[0, 1\] in \d+ ok rows"),
        ("own", ["a"] * PAIRS, "own is string, no label"),
        ("status", None, "status is a column of ncaudit's own"),
    ],
)
def test_a_column_of_the_data_that_holds_no_labels_is_refused(world, column, values, said):
    for name in NAMES if values else ():
        table = world.table(f"emb/{name}")
        world.write(f"emb/{name}", {**dict(zip(table.column_names, table.columns, strict=True)), "own": values})
    with pytest.raises(NcauditError, match=said) as told:
        world.train(scores=None, label_column=column)
    assert isinstance(told.value, UsageError) == (column == "nothere")


def test_a_name_of_several_rows_has_no_label_of_its_own(world):
    names = [f"photo{row // 2}" for row in range(PAIRS)]
    world.write_scores(NAMES[0], pair_id=names)
    what, _ = refused(world.train)
    assert "has the pair_id 'photo0' more than once (rows 0 and 1)" in what
    table = world.table(f"emb/{NAMES[0]}")
    world.write(f"emb/{NAMES[0]}", {**dict(zip(table.column_names, table.columns, strict=True)), "pair_id": names})
    world.write_scores(NAMES[0], pair_id=[f"photo{row}" for row in range(PAIRS)])
    what, _ = refused(world.train)
    assert "has the pair_id 'photo0' in several rows" in what


def test_embeddings_given_for_scores_are_to_be_scored_first(world):
    what, fix = refused(lambda: world.train(scores=world.options.embeddings))
    assert "holds embeddings, and no scores yet" in what
    assert fix.startswith("score them first: ncaudit score ")
