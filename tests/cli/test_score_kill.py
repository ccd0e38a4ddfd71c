"""Killed at any instant and run again, score leaves byte for byte what an undisturbed run leaves."""

import signal
import subprocess
import sys
import time

import pytest

from tests.worlds import processes
from tests.worlds.made import made_in

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="sends SIGKILL")]

SHARDS, ROWS = 4, 200


@pytest.fixture
def embeddings(write_embeddings):
    for shard in range(SHARDS):
        folder = write_embeddings(f"{shard:05}", n=ROWS, dims=32, failed=5, seed=shard)
    return folder


def command(embeddings, out):
    return [sys.executable, "-m", "ncaudit", "-q", "score", str(embeddings), "--out", str(out), "--no-check"]


def kill_when(folder, pattern, process):
    while not list(folder.glob(pattern)) and process.poll() is None:
        time.sleep(0.0005)
    process.send_signal(signal.SIGKILL)
    return process.wait()


# while the fit is written, while the first shard is, and in the middle: each moment a file that then appears
MOMENTS = [
    *("_fit/.fit.safetensors.*.partial", "_fit/fit.json"),
    *(".00000.parquet.*.partial", "00001.parquet", "00002.parquet"),
]


def test_a_killed_run_resumes_to_the_same_bytes(embeddings, tmp_path):
    assert subprocess.run(command(embeddings, tmp_path / "whole"), capture_output=True, check=False).returncode == 0
    whole = made_in(tmp_path / "whole")
    assert len(whole) == SHARDS + 3  # the fit and the record
    killed, out = 0, tmp_path / "out"
    for moment in MOMENTS:  # each run goes on where the one before it ended
        code = kill_when(out, moment, processes.Popen(command(embeddings, out), stdout=subprocess.DEVNULL))
        killed += code == -signal.SIGKILL
    assert processes.run(command(embeddings, out), capture_output=True, check=False).returncode == 0
    assert made_in(out) == whole
    assert killed >= 3  # the others may have been quicker than the eye


def test_ctrl_c_says_how_to_resume(embeddings, tmp_path):
    out = tmp_path / "out"
    running = processes.Popen(command(embeddings, out), stderr=subprocess.PIPE, text=True)
    while not (out / "_fit/fit.json").exists() and running.poll() is None:
        time.sleep(0.001)
    running.send_signal(signal.SIGINT)
    said = running.communicate()[1]
    assert running.returncode == 130
    assert f"ncaudit -q score {embeddings} --out {out}" in said.replace("'", "")
    assert "Traceback" not in said
