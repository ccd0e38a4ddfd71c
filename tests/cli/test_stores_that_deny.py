"""A store that takes nothing any more in the middle of a run: two lines, and the same command finishes it afterwards.

Real commands to a real store, whoever writes: this process, workers, processes of a cluster.
"""

import os
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.worlds import clusters, processes, stores
from tests.worlds.embeddings import embedding_table
from tests.worlds.images import drawn
from tests.worlds.sample import TINY
from tests.worlds.stores import Answer

pytestmark = pytest.mark.slow
DENIED = Answer(403, "AccessDenied", "Access Denied")


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A folder of each kind of input."""
    folder = tmp_path_factory.mktemp("given")
    for name in ("images", "embeddings", "classes"):
        (folder / name).mkdir()
    for number in range(3):
        pairs = {"jpg": [drawn(i, (24, 24), "JPEG") for i in range(6)], "caption": [f"picture {i}" for i in range(6)]}
        pq.write_table(pa.table(pairs), folder / f"images/{number:05}.parquet")
        table = embedding_table(100, seed=number)
        pq.write_table(table, folder / f"embeddings/{number:05}.parquet")
        classes = table.append_column("kind", pa.array([str(i % 4) for i in range(100)]))
        pq.write_table(classes, folder / f"classes/{number:05}.parquet")
    ran = ncaudit(dict(os.environ), "score", folder / "embeddings", "--out", folder / "scores", "-q")
    assert ran.returncode == 0, ran.stderr
    return folder


def ncaudit(environment, *words):
    command = [sys.executable, "-m", "ncaudit", *map(str, words)]
    return processes.run(command, env=environment, capture_output=True, text=True, check=False)


def from_the_first(having, number=1):
    """From the number-th request to put such a thing on, nothing may be put any more; and which was the first."""
    met, denied = [], []

    def fault(method, path):
        if method == "PUT" and having in path:
            met.append(path)
        if method == "PUT" and len(met) >= number:
            denied.append(path)
            return DENIED
        return None

    return fault, denied


EMBED = ("embed", "images", "--model", TINY, "--workers", 0, "--batch-pairs", 6)
TRAIN = ("train", "--embeddings", "embeddings", "--tune", "heads", "--epochs", 2, "--batch-pairs", 64)
CASES = {
    "a record": (("score", "embeddings"), "/.ncaudit.json", 1),
    "a fit": (("score", "embeddings"), "/_fit/fit.json", 1),
    "a table": (("score", "embeddings"), "/00001.parquet", 1),
    "a manifest": (("score", "embeddings"), "/_manifest/part", 4),
    "the last manifest": (("filter", "scores", "--keep-share", 0.5), "/_manifest/all", 1),
    "a manifest of embed": ((*EMBED, "--device", "cpu"), "/_manifest/part", 2),
    "a manifest of workers": ((*EMBED, "--devices", "cpu,cpu"), "/_manifest/part", 2),
    "a table of workers": ((*EMBED, "--devices", "cpu,cpu"), "/00001.parquet", 1),
    "classes": (("labels", "classes", "--label-column", "kind"), "/00001.parquet", 1),
    "a page": (("report", "scores"), "/out.html", 1),
    "a checkpoint": (TRAIN, "/checkpoint.pt", 2),
}


def refused(proxy, store, given, words, having, number, *, more=()):
    """The two lines of a command to a store that denies; then the store takes everything again."""
    out = "s3://pairs/out" + (".html" if words[0] == "report" else "")
    named = [given / word if (given / str(word)).is_dir() else word for word in words]
    command = [*named, "--out", out, *more, "-q"]
    proxy.fault, denied = from_the_first(having, number)
    ran = ncaudit(store.environment(proxy.url), *command)
    assert denied, "nothing was denied"
    assert ran.returncode == 1, ran.stderr
    proxy.fault = lambda method, path: None
    return ran.stderr.splitlines(), denied[0], command


@pytest.mark.parametrize("case", CASES)
def test_it_is_told_in_two_lines_and_the_same_command_finishes_it(store, proxy, given, tmp_path, case):
    words, having, number = CASES[case]
    lines, path, command = refused(proxy, store, given, words, having, number)
    assert lines[0] == f"ncaudit: s3:/{path.partition('?')[0]} cannot be written: Access Denied"
    assert lines[1].startswith("  fix: get the right to put objects there (s3:PutObject)")
    assert len(lines) == 2
    ran = ncaudit(store.environment(proxy.url), *command)
    assert ran.returncode == 0, ran.stderr
    here = [tmp_path / "out" if word == "s3://pairs/out" else word for word in command]
    if words[0] not in ("report", "train"):  # these tell of times, and of paths
        assert ncaudit(dict(os.environ), *here).returncode == 0
        made = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.parquet")}
        assert {name: data for name, data in store.objects("out").items() if name in made} == made


def test_processes_of_a_cluster_tell_it_too(store, proxy, given, tmp_path):
    with clusters.of_two_machines() as cluster:
        ray = ("--engine", "ray", "--ray-address", cluster.address)
        for words, number in (((*EMBED, "--device", "cpu"), 2), (("score", "embeddings"), 5)):
            lines, path, command = refused(proxy, store, given, words, "/_manifest/part", number, more=ray)
            assert lines[0] == f"ncaudit: s3:/{path} cannot be written: Access Denied"
            assert len(lines) == 2
            ran = ncaudit(store.environment(proxy.url), *command)
            assert ran.returncode == 0, ran.stderr
            stores.fresh_bucket(store)


@pytest.mark.parametrize("words", [("status", "s3://pairs/out"), ("inspect", "s3://pairs/out")])
def test_who_may_not_look_is_told(store, proxy, words):
    proxy.fault = lambda method, path: DENIED
    ran = ncaudit(store.environment(proxy.url), *words)
    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 2, ran.stderr
    assert "s3://pairs/out" in ran.stderr
    assert "Denied" in ran.stderr or "Forbidden" in ran.stderr
