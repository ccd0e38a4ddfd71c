"""`python -m ncaudit train` killed without warning, in the middle of its work, then run again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.worlds import processes
from tests.worlds.made import made
from tests.worlds.sample import SAMPLE

PAIRS, EPOCHS = 32, 3


def command(root: Path, out: str, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "ncaudit", "train", "--scores", str(root / "scores"), "--data", str(root / "data")),
        *("--out", str(root / out), "--model", str(SAMPLE / "tiny-clip"), "--epochs", str(EPOCHS)),
        *("--batch-pairs", "8", "--learning-rate", "1e-3", "--val-share", "0.2", "--workers", "1", "--device", "cpu"),
        *more,
    ]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def run(root: Path, out: str, *more: str) -> subprocess.CompletedProcess[str]:
    return processes.run(command(root, out, *more), env=environment(), capture_output=True, text=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    rows = pq.read_table(SAMPLE / "train.parquet", columns=["key", "jpg", "caption", "is_match"]).slice(0, PAIRS)
    scores = {"pair_id": rows["key"], "status": ["ok"] * PAIRS, "soft_label": rows["is_match"].cast(pa.float32())}
    for folder, table in (("data", rows), ("scores", pa.table(scores))):
        (tmp_path / folder).mkdir()
        pq.write_table(table, tmp_path / folder / "00000.parquet")
    return tmp_path


def kill_after_epoch(root: Path, out: str, epoch: int) -> None:
    """SIGKILL as soon as the state of `epoch` is on disk: somewhere in the epoch after it."""
    process = processes.Popen(command(root, out), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    state, metrics = root / out / "checkpoint.pt", root / out / "metrics.jsonl"
    while not (state.exists() and len(metrics.read_text().splitlines()) > epoch):
        assert process.poll() is None, process.stderr.read().decode() if process.stderr else ""
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_a_killed_run_run_again_ends_with_the_bytes_of_an_undisturbed_one(root):
    whole = command(root, "undisturbed")
    undisturbed = subprocess.run(whole, env=environment(), capture_output=True, text=True)  # a new interpreter
    assert undisturbed.returncode == 0, undisturbed.stderr
    kill_after_epoch(root, "out", 1)
    assert (root / "out" / "checkpoint.pt").exists()
    again = run(root, "out")
    assert again.returncode == 0, again.stderr
    assert "epoch 1 of" not in again.stderr
    for name in ("open_clip_model.safetensors", "metrics.jsonl", "run.json", "open_clip_config.json"):
        assert made(root / "out" / name) == made(root / "undisturbed" / name), name
    assert sorted(p.name for p in (root / "out").iterdir()) == sorted(p.name for p in (root / "undisturbed").iterdir())

    third = run(root, "out")
    assert third.returncode == 0
    assert "nothing to do" in third.stdout

    other = run(root, "out", "--seed", "1")
    assert other.returncode == 1
    assert other.stderr.splitlines() == [
        f"ncaudit: {root / 'out'} holds another run, which differs in: seed",
        "  fix: give another folder with --out, or --restart to discard that run",
    ]
