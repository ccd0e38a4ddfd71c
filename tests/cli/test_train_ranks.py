"""`torchrun -m ncaudit train` with two real processes: the same run as one process makes."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file
from torch.testing import assert_close

from ncaudit.cli.app import main
from ncaudit.cli.shared import loudness
from ncaudit.cli.shared.as_json import plain
from ncaudit.options import Precision, TrainOptions
from ncaudit.verbs.train.train import TrainResult, train
from tests.worlds import processes
from tests.worlds.sample import SAMPLE

PAIRS, EPOCHS = 32, 2
UNEVEN = (0, 1, 7, PAIRS)  # where shards begin: no rank may wait for rows that another one's shards do not have
WEIGHTS, METRICS, STATE = "open_clip_model.safetensors", "metrics.jsonl", "checkpoint.pt"


TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def command(root: Path, out: str, *more: str) -> list[str]:
    return [
        *("-m", "ncaudit", "train", "--scores", str(root / "scores"), "--data", str(root / "data")),
        *("--out", str(root / out), "--model", str(SAMPLE / "tiny-clip"), "--epochs", str(EPOCHS)),
        *("--batch-pairs", "8", "--learning-rate", "1e-4", "--val-share", "0.2", "--workers", "0"),
        *("--device", "cpu", "--precision", "float32", "--json", *more),
    ]


def two_processes(root: Path, out: str, *more: str) -> tuple[dict, str]:
    """The one summary, though there are two processes, and what they tell beside it."""
    both = processes.ranks([sys.executable, *command(root, out, *more)])
    assert [one.returncode for one in both] == [0, 0], both
    return json.loads("".join(one.stdout for one in both)), "".join(one.stderr for one in both)


def one_process(root: Path, out: str, **more: object) -> TrainResult:
    options = TrainOptions(
        scores=[str(root / "scores")], data=[str(root / "data")], out=str(root / out), epochs=EPOCHS, batch_pairs=8,
        model=str(SAMPLE / "tiny-clip"), learning_rate=1e-4, val_share=0.2, workers=0, device="cpu",
        precision=Precision.float32,
    )  # fmt: skip
    return train(replace(options, **more))


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    rows = pq.read_table(SAMPLE / "train.parquet", columns=["key", "jpg", "caption", "is_match"]).slice(0, PAIRS)
    jpg = rows["jpg"].to_pylist()
    jpg[3] = b"no image"
    rows = rows.set_column(1, "jpg", pa.array(jpg, rows.schema.field("jpg").type))
    scores = {"pair_id": rows["key"], "status": ["ok"] * PAIRS, "soft_label": rows["is_match"].cast(pa.float32())}
    for folder, table in (("data", rows), ("scores", pa.table(scores))):
        (tmp_path / folder).mkdir()
        for number, (first, end) in enumerate(pairwise(UNEVEN)):
            pq.write_table(table.slice(first, end - first), tmp_path / folder / f"{number:05}.parquet")
    return tmp_path


def stop_after_epoch(root: Path, out: str, epoch: int) -> None:
    """SIGTERM as soon as the state of `epoch` is on disk: torchrun hands it on, and no process cleans up."""
    process = subprocess.Popen(
        [*TORCHRUN, *command(root, out)], env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    state, metrics = root / out / STATE, root / out / METRICS
    while not (state.exists() and len(metrics.read_text().splitlines()) > epoch):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    process.wait()


def lines(root: Path, out: str) -> list[dict]:
    return [json.loads(line) for line in (root / out / METRICS).read_text().splitlines()]


@pytest.mark.slow
def test_two_processes_that_were_stopped_and_run_again_end_with_the_weights_and_accounts_of_one(root):
    one = plain(one_process(root, "one"))
    stop_after_epoch(root, "two", 1)
    two, told = two_processes(root, "two")
    assert two["resumed_after_epoch"] == 1
    for name in ("accounting", "train_pairs", "val_pairs", "val_photos", "mean_label", "steps", "kept_epoch"):
        assert two[name] == one[name], name
    assert two["accounting"]["statuses"] == {"image_undecodable": 1, "ok": PAIRS - 1}
    assert told.count(f"epoch {EPOCHS} of {EPOCHS}") == 1

    # a learning rate of 1e-4 moves a weight by 1e-4 per step: 1e-6 is rounding, a wrong mean would be seen
    weights = [load_file(root / out / WEIGHTS) for out in ("two", "one")]
    assert_close(*weights, atol=1e-6, rtol=0)
    for ours, theirs in zip(lines(root, "two"), lines(root, "one"), strict=True):
        assert ours.get("loss") == pytest.approx(theirs.get("loss"), abs=1e-5)
        assert ours["val"] == theirs["val"]


@pytest.mark.slow
def test_two_processes_rematch_as_one_does(root):
    rows = pq.read_table(SAMPLE / "train.parquet", columns=["key", "jpg", "caption"]).slice(0, 160)
    told = rows["caption"].to_pylist()
    moved = [*told[50:60], *told[:50], *told[60:]]  # among the noisy, so that their own captions are there
    rows = rows.set_column(rows.schema.names.index("caption"), "caption", pa.array(moved))
    label = pa.array([0.0] * 60 + [1.0] * 100)
    scores = pa.table({"pair_id": rows["key"], "status": ["ok"] * 160, "soft_label": label})
    for folder, table in (("data", rows), ("scores", scores)):
        for old in (root / folder).iterdir():
            old.unlink()
        pq.write_table(table, root / folder / "00000.parquet")
    one = one_process(root, "one", recipe="rematch")
    two, _ = two_processes(root, "two", "--recipe", "rematch")
    assert one.rematched is not None
    assert one.rematched > 0
    assert (two["noisy_pairs"], two["rematched"]) == (one.noisy_pairs, one.rematched)
    assert two["half_there"] == pytest.approx(one.half_there, abs=1e-3)
    weights = [load_file(root / out / WEIGHTS) for out in ("two", "one")]
    assert_close(*weights, atol=1e-5, rtol=0)


@pytest.mark.parametrize("rank", [0, 1])
def test_an_error_that_every_process_meets_is_told_by_the_first(monkeypatch, capsys, rank):
    for name, value in (("RANK", rank), ("WORLD_SIZE", 3), ("LOCAL_RANK", rank), ("LOCAL_WORLD_SIZE", 3)):
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(sys, "argv", ["ncaudit", "train", "--data", "d", "--out", "o", "--batch-pairs", "8"])
    monkeypatch.setattr(loudness, "_quiet", False)
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    told = [
        "ncaudit: --batch-pairs is 8, which 3 processes cannot share",
        "  fix: give a multiple of 3: it is the batch of all processes together",
    ]
    assert capsys.readouterr().err.splitlines() == (told if rank == 0 else [])
