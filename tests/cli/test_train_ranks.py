"""`torchrun -m ncaudit train` with two real processes: the same run as one process makes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file
from torch.testing import assert_close

SAMPLE = Path(__file__).parents[2] / "sample_data"
PAIRS, EPOCHS = 32, 2
WEIGHTS, METRICS, STATE = "open_clip_model.safetensors", "metrics.jsonl", "checkpoint.pt"
TWO_RANKS = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def command(root: Path, out: str, *more: str, launch: tuple[str, ...] = ()) -> list[str]:
    return [
        *(sys.executable, *launch, "-m", "ncaudit", "train", "--scores", str(root / "scores")),
        *("--data", str(root / "data"), "--out", str(root / out), "--model", str(SAMPLE / "tiny-clip")),
        *("--epochs", str(EPOCHS), "--batch-pairs", "8", "--learning-rate", "1e-4", "--val-share", "0.2"),
        *("--workers", "0", "--device", "cpu", "--precision", "float32", "--json", *more),
    ]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def run(*arguments, **more) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments, **more), env=environment(), capture_output=True, text=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    rows = pq.read_table(SAMPLE / "train.parquet", columns=["key", "jpg", "caption", "is_match"]).slice(0, PAIRS)
    jpg = rows["jpg"].to_pylist()
    jpg[3] = b"no image"
    rows = rows.set_column(1, "jpg", pa.array(jpg, rows.schema.field("jpg").type))
    scores = {"pair_id": rows["key"], "status": ["ok"] * PAIRS, "soft_label": rows["is_match"].cast(pa.float32())}
    for folder, table in (("data", rows), ("scores", pa.table(scores))):
        (tmp_path / folder).mkdir()
        pq.write_table(table, tmp_path / folder / "00000.parquet")
    return tmp_path


def stop_after_epoch(root: Path, out: str, epoch: int, *more: str) -> None:
    """SIGTERM as soon as the state of `epoch` is on disk: torchrun hands it on, and no process cleans up."""
    process = subprocess.Popen(
        command(root, out, *more, launch=TWO_RANKS), env=environment(), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    state, metrics = root / out / STATE, root / out / METRICS
    while not (state.exists() and len(metrics.read_text().splitlines()) > epoch):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    process.wait()


def facts(done: subprocess.CompletedProcess[str]) -> dict:
    """The one summary on standard output, but for what two runs never share."""
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    return {
        name: told[name] for name in ("accounting", "train_pairs", "val_pairs", "val_photos", "mean_label", "steps")
    }


def same_weights(root: Path, out: str, other: str) -> None:
    """A learning rate of 1e-4 moves a weight by 1e-4 per step: 1e-6 is rounding, a wrong mean would be seen."""
    assert_close(load_file(root / out / WEIGHTS), load_file(root / other / WEIGHTS), atol=1e-6, rtol=0)


@pytest.mark.slow
def test_two_processes_make_the_run_of_one_also_in_chunks_and_after_being_stopped(root):
    one = run(root, "one")
    two = run(root, "two", launch=TWO_RANKS)
    assert facts(two) == facts(one)
    assert facts(two)["accounting"]["statuses"] == {"image_undecodable": 1, "ok": PAIRS - 1}
    assert two.stderr.count(f"epoch {EPOCHS} of {EPOCHS}") == 1  # the second process keeps quiet
    same_weights(root, "two", "one")
    lines = [[json.loads(line) for line in (root / out / METRICS).read_text().splitlines()] for out in ("one", "two")]
    for ours, theirs in zip(*lines, strict=True):
        assert ours.get("loss") == pytest.approx(theirs.get("loss"), abs=1e-5)
        assert ours["val"] == theirs["val"]

    chunks = ("--chunk-pairs", "3")
    stop_after_epoch(root, "chunks", 1, *chunks)
    again = run(root, "chunks", *chunks, launch=TWO_RANKS)
    assert facts(again) == facts(one)
    assert json.loads(again.stdout)["resumed_after_epoch"] == 1
    same_weights(root, "chunks", "one")

    other = run(root, "two", "--seed", "1", launch=TWO_RANKS)
    assert other.returncode == 1
    assert other.stderr.count("ncaudit: ") == 1  # one process tells the error
    assert "holds a run with another seed" in other.stderr


def test_a_batch_that_the_processes_cannot_share_is_refused():
    alone = {"RANK": "0", "WORLD_SIZE": "3", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "3"}
    done = subprocess.run(
        command(Path("nowhere"), "out"), env={**environment(), **alone}, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "ncaudit: --batch-pairs is 8, which 3 processes cannot share",
        "  fix: give a multiple of 3: it is the batch of all processes together",
    ]
