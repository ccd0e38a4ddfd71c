"""`python -m ncaudit train --tune heads` killed without warning, in the middle of its work, then run again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.worlds import processes
from tests.worlds.embeddings import lists
from tests.worlds.made import made

PAIRS, EPOCHS = 2_000, 12
LEARNS = {  # the options that say what from
    "labels": ("--scores", "{root}/scores.parquet"),
    "classes": ("--objective", "nirnl", "--label-column", "kind", "--neighbours", "5", "--epochs", "5"),
}


def command(root: Path, out: str, learns: str) -> list[str]:
    return [
        *(sys.executable, "-m", "ncaudit", "train", "--tune", "heads", "--embeddings", str(root / "emb.parquet")),
        *("--out", str(root / out), "--epochs", str(EPOCHS), "--head", "mlp"),
        *(word.format(root=root) for word in LEARNS[learns]),
        *("--hidden", "64", "--batch-pairs", "64", "--device", "cpu", "--precision", "float32"),
    ]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    seen = generator.standard_normal((PAIRS, 8))
    columns = {"pair_id": [str(i) for i in range(PAIRS)], "status": ["ok"] * PAIRS}
    columns["kind"] = generator.integers(0, 4, PAIRS)
    pq.write_table(pa.table({**columns, "soft_label": generator.random(PAIRS)}), tmp_path / "scores.parquet")
    for name, width in (("image_embedding", 32), ("text_embedding", 24)):
        rows = seen @ generator.standard_normal((8, width)) + generator.standard_normal((PAIRS, width))
        columns[name] = lists(rows, dtype=np.float64)
    pq.write_table(pa.table(columns), tmp_path / "emb.parquet")
    return tmp_path


def kill_after_epoch(root: Path, out: str, learns: str, epoch: int) -> None:
    """SIGKILL as soon as the state of `epoch` is on disk: somewhere in the epochs after it."""
    process = processes.Popen(
        command(root, out, learns), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    state, metrics = root / out / "checkpoint.pt", root / out / "metrics.jsonl"
    while not (state.exists() and len(metrics.read_text().splitlines()) > epoch):
        assert process.poll() is None, process.stderr.read().decode() if process.stderr else ""
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize("learns", LEARNS)
def test_a_killed_run_run_again_ends_with_the_bytes_of_an_undisturbed_one(root, learns):
    kill_after_epoch(root, "out", learns, 2)
    for out, begin in (("undisturbed", subprocess.run), ("out", processes.run)):
        done = begin(command(root, out, learns), env=environment(), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert "epoch 1 of" not in done.stderr
    names = sorted(path.name for path in (root / "undisturbed").iterdir())
    assert names == ["heads.json", "heads.safetensors", "metrics.jsonl", "run.json"]
    assert sorted(path.name for path in (root / "out").iterdir()) == names
    for name in names:
        assert made(root / "out" / name) == made(root / "undisturbed" / name), name
