"""Killed at any instant and run again, embed leaves byte for byte what an undisturbed run leaves."""

import io
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.worlds import processes
from tests.worlds.made import made_in
from tests.worlds.sample import TINY

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="sends SIGKILL and reads /proc"),
]

SHARDS, ROWS = 5, 120
BEGUN = (".00000.parquet.*.partial", "00001.parquet", ".00002.parquet.*.partial")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    draw = np.random.default_rng(0)
    for shard in range(SHARDS):
        images = []
        for _ in range(ROWS):
            buffer = io.BytesIO()
            Image.fromarray(draw.integers(0, 256, (72, 72, 3), np.uint8)).save(buffer, "JPEG")
            images.append(buffer.getvalue())
        images[3], images[4] = b"<html>", None
        captions = [f"a blue square {shard} {i}" for i in range(ROWS)]
        pq.write_table(
            pa.table({"jpg": images, "caption": captions}), folder / f"{shard:05}.parquet", row_group_size=50
        )
    return folder


def command(data, out):
    flags = [
        "--model",
        TINY,
        "--device",
        "cpu",
        "--precision",
        "float32",
        "--batch-pairs",
        "32",
        "--workers",
        "1",
    ]
    return [sys.executable, "-m", "ncaudit", "embed", str(data), "--out", str(out), *flags]


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "out"
    done = subprocess.run(command(data, out), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert f"{SHARDS * ROWS:,} rows = {SHARDS * (ROWS - 2):,} ok + {SHARDS * 2} failed" in done.stdout
    return made_in(out)


def begin(data, out):
    return processes.Popen(command(data, out), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(path, process):
    while not list(path.parent.glob(path.name)) and process.poll() is None:
        time.sleep(0.001)


def alive_with(text):
    """Processes whose command line holds the text."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/cmdline") as file:
                found += [entry] if text in file.read() else []
        except OSError:
            continue
    return found


def test_killed_again_and_again_the_folder_ends_the_same(data, undisturbed, tmp_path):
    out, draw = tmp_path / "out", random.Random(0)
    # before the first table, while one is being written, just after one appeared, and anywhere
    for moment in ("_run.json", *BEGUN, "00003.parquet"):
        process = begin(data, out)
        wait_for(out / moment, process)
        time.sleep(draw.random() * 0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    done = processes.run(command(data, out), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "finished earlier" in done.stdout
    assert made_in(out) == undisturbed
    assert not [name for name in made_in(out) if not name.endswith((".parquet", "_run.json"))]


def test_ctrl_c_ends_at_once_with_130_and_the_way_to_resume(data, undisturbed, tmp_path):
    out = tmp_path / "out"
    process = begin(data, out)
    wait_for(out / "00000.parquet", process)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Resume with" in words
    assert "Traceback" not in words
    assert not list(out.glob(".*.partial"))
    assert processes.run(command(data, out), capture_output=True, timeout=300).returncode == 0
    assert made_in(out) == undisturbed


def test_a_killed_run_leaves_no_process(data, tmp_path):
    process = begin(data, tmp_path / "out")
    wait_for(tmp_path / "out" / "00000.parquet", process)
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
        children = file.read().split()
    assert children
    process.send_signal(signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + 10
    while set(children) & set(alive_with("decode_pool")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not set(children) & set(alive_with("decode_pool"))
