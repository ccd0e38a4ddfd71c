"""Real commands to a real store: killed in the middle of an upload, told what is wrong, and no secret in any word."""

import json
import os
import signal
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.worlds import processes
from tests.worlds.embeddings import embedding_table
from tests.worlds.stores import Answer, wait_for

pytestmark = pytest.mark.slow
OUT = "s3://pairs/scores"


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    for number in range(3):
        pq.write_table(embedding_table(100, seed=number), folder / f"{number:05}.parquet")
    return folder


def command(*words):
    return [sys.executable, "-m", "ncaudit", *map(str, words)]


def run(environment, *words, code=0):
    ran = processes.run(command(*words), env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == code, ran.stderr
    return ran


def as_here(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def without_command(files):
    told = dict(files)
    record = json.loads(told.pop(".ncaudit.json"))
    record.pop("command")
    return told, record


def test_a_run_that_is_killed_in_an_upload_is_finished_by_the_next(store, proxy, tables, tmp_path):
    def fault(method, path):
        """The second table never gets through; what can be seen meanwhile is whole."""
        return Answer(503, "SlowDown") if method == "PUT" and "00001.parquet" in path else None

    proxy.fault = fault
    scratch = {**store.environment(proxy.url), "TMPDIR": str(tmp_path)}
    with processes.Popen(command("score", tables, "--out", OUT, "-q"), env=scratch) as process:
        wait_for(lambda: any("PUT /pairs/scores/00001.parquet" in one for one in proxy.seen), 300)
        process.send_signal(signal.SIGKILL)
    seen = store.objects("scores")
    assert "00000.parquet" in seen
    assert not {name for name in seen if "00001" in name or "partial" in name}
    proxy.fault = lambda method, path: None
    ran = run(scratch, "score", tables, "--out", OUT, "--json")
    assert json.loads(ran.stdout)["accounting"]["shards_resumed"] == 1
    run(scratch, "score", tables, "--out", tmp_path / "here", "-q")
    assert without_command(store.objects("scores")) == without_command(as_here(tmp_path / "here"))
    (scratch_folder,) = (tmp_path / each for each in os.listdir(tmp_path) if each.startswith("ncaudit-scratch"))
    assert os.listdir(scratch_folder) == []


SECRET = "s3cr3t-never-told"


def test_secrets_are_in_no_word_that_is_kept(store, tables, tmp_path):
    environment = {name: value for name, value in store.environment().items() if not name.startswith("AWS_")}
    log = tmp_path / "run.log"
    options = [f"endpoint_url={store.url}", "key=testing", f"secret={SECRET}", "client_kwargs.region_name=us-east-1"]
    given = [word for option in options for word in ("--storage-option", option)]
    ran = run(environment, "score", tables, "--out", OUT, *given, "--log", log, "--json", "-v")
    objects = store.objects()
    assert "scores/00002.parquet" in objects
    for name, data in {**objects, "stdout": ran.stdout.encode(), "log": log.read_bytes()}.items():
        assert SECRET.encode() not in data, name
    assert SECRET not in ran.stderr
    assert "secret=***" in log.read_text()
    manifests = store.client().list_objects_v2(Bucket="pairs", Prefix="scores/_manifest/")["Contents"]
    assert len(manifests) == 1


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Answer(403, "AccessDenied", "Access Denied"), "ncaudit: s3://pairs/scores cannot be written: Access Denied"),
        (Answer(301, "PermanentRedirect"), "ncaudit: s3://pairs/scores: the bucket lies in another region"),
    ],
)
def test_a_store_that_says_no_is_told_before_any_work(store, proxy, tables, fault, words):
    proxy.fault = lambda method, path: fault if method in ("PUT", "POST") else None
    ran = run(store.environment(proxy.url), "score", tables, "--out", OUT, "-q", code=1)
    assert len(ran.stderr.splitlines()) == 2
    assert ran.stderr.startswith(words)
    assert store.objects() == {}


def test_what_cannot_be_meant_is_told(store, tables):
    environment = store.environment()
    ran = run(environment, "score", tables, "--out", "s3://nobody/scores", "-q", code=1)
    assert ran.stderr.splitlines()[0].endswith("The specified bucket does not exist")
    for words in (["inspect", "s3://nobody/data"], ["score", "s3://nobody/data/*.parquet", "--out", OUT]):
        ran = run(environment, *words, "-q", code=1)
        assert f"there is no bucket nobody at {store.url}" in ran.stderr
        assert "AWS_ENDPOINT_URL" in ran.stderr.splitlines()[1]
    assert "s3://pairs/data does not exist" in run(environment, "inspect", "s3://pairs/data", "-q", code=1).stderr
    ran = run(environment, "score", tables, "--out", OUT, "--storage-option", "secert=1", code=2)
    assert "has no such option" in ran.stderr
    assert "secret" in ran.stderr  # which was meant
    ran = run(environment, "score", tables, "--out", OUT, "--storage-option", SECRET, code=2)
    assert SECRET not in ran.stderr


def test_workers_write_to_a_store_too(store, tmp_path):
    from tests.worlds.images import drawn
    from tests.worlds.sample import TINY

    for number in range(2):
        pairs = {"jpg": [drawn(i, (24, 24), "JPEG") for i in range(6)], "caption": [f"picture {i}" for i in range(6)]}
        (tmp_path / "images").mkdir(exist_ok=True)
        import pyarrow as pa

        pq.write_table(pa.table(pairs), tmp_path / f"images/{number:05}.parquet")
    words = ["embed", tmp_path / "images", "--model", TINY, "--workers", 0, "--batch-pairs", 6, "-q"]
    run(store.environment(), *words, "--devices", "cpu,cpu", "--out", "s3://pairs/embeddings")
    run(store.environment(), *words, "--out", tmp_path / "here")
    told = store.objects("embeddings")
    mine = as_here(tmp_path / "here")
    assert {name: data for name, data in told.items() if name != "_run.json"} == {
        name: data for name, data in mine.items() if name != "_run.json"
    }
    ran = run(store.environment(), *words, "--out", "s3://pairs/embeddings", "--json")
    assert json.loads(ran.stdout)["accounting"]["shards_resumed"] == 2
