"""Commands on a Ray of two machines, of which one is killed, and then the command itself: the bytes of a local run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.worlds import clusters, stores
from tests.worlds.clusters import of_two_machines
from tests.worlds.commands import run
from tests.worlds.embeddings import embedding_table
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


def test_a_machine_and_then_the_command_are_killed_and_the_same_command_ends_in_the_same_bytes(data, cluster, tmp_path):
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


def started(folder, *line):
    """The command, from this folder: by it its processes on the cluster are known."""
    words = [sys.executable, "-m", "ncaudit", *map(str, line)]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    return subprocess.Popen(words, cwd=folder, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)


def test_verdicts_are_heard_though_a_process_and_then_the_command_are_killed_in_the_middle(cluster, tmp_path):
    for number in range(8):
        (tmp_path / "given").mkdir(exist_ok=True)
        pq.write_table(embedding_table(700, seed=number), tmp_path / f"given/{number}.parquet")
    judged = "".join(
        f"{number}/{row},{'yes' if row > 170 else 'no'}\n" for number in range(8) for row in (20, 300, 600)
    )
    (tmp_path / "any.csv").write_text(f"pair_id,is_match\n{judged}")
    asked = ["--verdicts", tmp_path / "any.csv", "--scorer", "bicro", "--no-check", "--device", "cpu"]
    assert run("score", tmp_path / "given", "--out", tmp_path / "here", *asked).exit_code == 0
    out, aside = tmp_path / "out", tmp_path / "out/_fit/judging"
    line = ["score", tmp_path / "given", "--out", out, *asked, "--engine", "ray", "--ray-address", cluster.address]
    first = started(tmp_path, *line)

    def laid(count):
        while len(list(aside.glob("table-*.bin"))) < count and first.poll() is None:
            time.sleep(0.01)

    laid(1)
    os.kill(clusters.hands(tmp_path)[0], signal.SIGKILL)
    laid(4)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert list(aside.glob("table-*.bin"))
    assert not tables(out)
    again = started(tmp_path, *line)
    _, said = again.communicate()
    assert again.returncode == 0, said
    assert tables(out) == tables(tmp_path / "here")
    assert not aside.exists()


def test_judged_classes_are_written_though_a_process_and_then_the_command_are_killed(cluster, tmp_path):
    (tmp_path / "given").mkdir()
    for number in range(12):
        table = embedding_table(150, seed=number)
        kind = pa.array([("ant", "bee", "cat")[row % 3] for row in range(len(table))])
        pq.write_table(table.append_column("kind", kind), tmp_path / f"given/{number:02}.parquet")
    asked = ["--label-column", "kind", "--device", "cpu"]
    assert run("labels", tmp_path / "given", "--out", tmp_path / "here", *asked).exit_code == 0
    out = tmp_path / "out"
    line = ["labels", tmp_path / "given", "--out", out, *asked, "--engine", "ray", "--ray-address", cluster.address]
    first = started(tmp_path, *line)
    until(1, out, first)
    for hand in clusters.hands(tmp_path)[:1]:  # all may be written before it is found
        os.kill(hand, signal.SIGKILL)
    until(4, out, first)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    again = started(tmp_path, *line)
    _, said = again.communicate()
    assert again.returncode == 0, said
    assert tables(out) == tables(tmp_path / "here")
    assert (out / "audit.json").read_bytes() == (tmp_path / "here/audit.json").read_bytes()


def test_a_cluster_that_nobody_answers_at_is_told_in_two_lines(data, tmp_path):
    pytest.importorskip("ray", reason="needs the extra ncaudit[ray]")
    line = ["embed", data, "--out", tmp_path / "out", *EMBED, "--engine", "ray", "--ray-address", "127.0.0.1:9"]
    told = run(*line)
    assert told.exit_code == 1
    assert told.output.count("fix:") == 1
    assert not list((tmp_path / "out").glob("*.parquet"))


def test_processes_elsewhere_open_the_store_of_the_command_and_no_log_has_its_keys(cluster, tmp_path):
    here, words = tmp_path / "here", ["--scorer", "bicro", "--no-check", "--device", "cpu"]
    given = tmp_path / "given"
    given.mkdir()
    for number in range(4):
        pq.write_table(embedding_table(100, seed=number), given / f"{number:05}.parquet")
    assert run("score", given, "--out", here, *words).exit_code == 0
    with stores.served() as store:
        stores.fresh_bucket(store)
        for path in given.iterdir():
            store.client().put_object(Bucket="pairs", Key=f"given/{path.name}", Body=path.read_bytes())
        line = ["score", "s3://pairs/given", "--out", "s3://pairs/scores", *words]
        line += ["--engine", "ray", "--ray-address", cluster.address]
        ran = subprocess.run(
            [sys.executable, "-m", "ncaudit", *map(str, line)],
            env=store.environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        there = {name: data for name, data in store.objects("scores").items() if name.endswith(".parquet")}
    assert there == tables(here)
    secret = stores.KEYS["AWS_SECRET_ACCESS_KEY"].encode()
    logs = [path for path in Path(os.environ["RAY_TMPDIR"]).rglob("*") if path.is_file()]
    assert any("worker" in path.name for path in logs)
    assert [path.name for path in logs if secret in path.read_bytes()] == []
