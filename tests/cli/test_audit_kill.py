"""Killed at any instant and run again, audit leaves byte for byte what an undisturbed run leaves."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.worlds import processes
from tests.worlds.commands import MODEL
from tests.worlds.sample import SAMPLE

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="sends SIGKILL")]

SHARDS, ROWS = 2, 40
# while a shard is embedded, between the shards, while the fit, the scores and the page are written
MOMENTS = [
    *("embeddings/.0.parquet.*.partial", "embeddings/0.parquet", "scores/_fit/fit.json", "scores/0.parquet"),
    ".report.html.*.partial",
]


@pytest.fixture
def here(tmp_path):
    rows = pq.read_table(SAMPLE / "train.parquet", columns=["key", "jpg", "caption"])
    (tmp_path / "data").mkdir()
    for shard in range(SHARDS):
        pq.write_table(rows.slice(shard * ROWS, ROWS), tmp_path / f"data/{shard}.parquet")
    return tmp_path


COMMAND = [
    *(sys.executable, "-m", "ncaudit", "-q", "audit", "data", "--out", "run", *MODEL, "--batch-pairs", "8"),
    *("--scorer", "clip-score", "--no-check"),
]


def started(here, begin=processes.Popen):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    return begin(COMMAND, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def done(here, begin=processes.Popen):
    process = started(here, begin)
    assert process.wait() == 0, process.stderr.read()


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def killed_when(here, pattern):
    process = started(here)
    while not list((here / "run").glob(pattern)) and process.poll() is None:
        time.sleep(0.0005)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def test_a_killed_audit_resumes_to_the_same_bytes(here):
    done(here, processes.new)
    whole = files(here / "run")
    assert {"report.html", "scores/1.parquet", "embeddings/1.parquet"} <= set(whole)
    (here / "run").rename(here / "before")
    killed = sum(killed_when(here, moment) for moment in MOMENTS)  # each run goes on where the one before it ended
    done(here)
    assert files(here / "run") == whole
    assert killed >= 3  # the others may have been quicker than the eye


def test_ctrl_c_says_how_to_resume_whichever_step_it_meets(here):
    process = started(here)
    while not list((here / "run").glob("scores/.ncaudit.json")) and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    said = process.communicate()[1].decode()
    assert process.returncode == 130, said
    assert "what is finished is kept" in said
    assert "ncaudit -q audit data --out run" in said
