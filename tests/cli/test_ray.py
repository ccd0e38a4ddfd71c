"""Commands on a Ray of two machines, of which one is killed, and then the command itself: the bytes of a local run."""

import os
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest

from tests.worlds.clusters import of_two_machines
from tests.worlds.commands import run
from tests.worlds.sample import SAMPLE, TINY

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="sends SIGKILL"),
    pytest.mark.filterwarnings("ignore"),
]

SHARDS, ROWS = 10, 40
EMBED = ["--model", TINY, "--device", "cpu", "--workers", "0", "--batch-pairs", "16", "--precision", "float32"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    rows = pq.read_table(SAMPLE / "train.parquet")
    for shard in range(SHARDS):
        pq.write_table(rows.slice(shard * ROWS, ROWS), folder / f"{shard}.parquet")
    return folder


@pytest.fixture(scope="module")
def cluster():
    with of_two_machines() as found:
        yield found


def tables(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.parquet")}


def until(count, folder, process):
    while len(tables(folder)) < count and process.poll() is None:
        time.sleep(0.02)


def test_a_machine_and_then_the_command_are_killed_and_the_same_command_ends_in_the_same_bytes(
    data, cluster, tmp_path
):
    out, here = tmp_path / "out", tmp_path / "here"
    line = ["embed", data, "--out", out, *EMBED, "--engine", "ray", "--ray-address", cluster.address]
    words = [sys.executable, "-m", "ncaudit", *map(str, line)]
    first = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(1, out, first)
    cluster.remove_node(cluster.machines.pop(), allow_graceful=False)
    until(3, out, first)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    again = subprocess.run(words, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "Ray" not in again.stdout
    assert "raylet" not in again.stdout + again.stderr
    assert run("embed", data, "--out", here, *EMBED).exit_code == 0
    assert tables(out) == tables(here)
    assert run("status", out, "--verify").exit_code == 0
    assert not list(out.glob("*.partial"))


def test_a_cluster_that_nobody_answers_at_is_told_in_two_lines(data, tmp_path):
    pytest.importorskip("ray", reason="needs the extra ncaudit[ray]")
    line = ["embed", data, "--out", tmp_path / "out", *EMBED, "--engine", "ray", "--ray-address", "127.0.0.1:9"]
    told = run(*line)
    assert told.exit_code == 1
    assert told.output.count("fix:") == 1
    assert not list((tmp_path / "out").glob("*.parquet"))
