"""Parts of one run, and processes on Ray, from and to a real store: bytes and accounts of one run in a folder."""

import json
import os
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from tests.worlds import processes, stores
from tests.worlds.clusters import apart
from tests.worlds.commands import run
from tests.worlds.embeddings import embedding_table
from tests.worlds.sample import SAMPLE, TINY

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="two processes at one time, as stores are tested here"),
]

SHARDS, ROWS = 4, 24
EMBED = ["--model", TINY, "--device", "cpu", "--workers", "0", "--batch-pairs", "8", "--precision", "float32"]
SCORE = ["--scorer", "clip-score", "--no-check", "--device", "cpu"]
KEEP = ["--keep-share", "0.5"]
ON_RAY = ["--engine", "ray", "--ray-address", "local", "--actors", "2"]


@pytest.fixture(scope="module")
def store():
    with stores.served() as server, pytest.MonkeyPatch.context() as patch:
        stores.fresh_bucket(server)
        for name, value in {**stores.KEYS, "AWS_ENDPOINT_URL": server.url}.items():
            patch.setenv(name, value)
        stores.forget_stores()
        yield server
        stores.forget_stores()


@pytest.fixture(scope="module")
def here(store, tmp_path_factory):
    """What one run of each command leaves in a folder, of data that lie in the store, too."""
    root = tmp_path_factory.mktemp("here")
    (root / "data").mkdir()
    rows = pq.read_table(SAMPLE / "train.parquet").slice(0, SHARDS * ROWS)
    for number in range(SHARDS):
        pq.write_table(rows.slice(number * ROWS, ROWS), root / f"data/{number}.parquet")
        put(store, f"data/{number}.parquet", (root / f"data/{number}.parquet").read_bytes())
    ran("embed", root / "data", *EMBED, "--out", root / "emb")
    ran("score", root / "emb", *SCORE, "--out", root / "scores")
    ran("filter", root / "scores", *KEEP, "--out", root / "kept")
    return root


def put(store, name, content):
    store.client().put_object(Bucket=stores.BUCKET, Key=name, Body=content)


def ran(*words, code=0):
    told = run(*words)
    assert told.exit_code == code, told.output
    return told


def begun(*words, environment=None):
    line = [sys.executable, "-m", "ncaudit", *map(str, words)]
    return processes.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def ended(process, code=0):
    told, _ = process.communicate(timeout=300)
    assert process.returncode == code, told


def parts(*words, codes=(0, 0)):
    """Two real processes at one time."""
    both = [begun(*words, "--slice", f"{number}/2") for number in range(2)]
    for one, code in zip(both, codes, strict=True):
        ended(one, code)


def status(folder, *words, code=0):
    return json.loads(ran("status", folder, "--json", "-q", *words, code=code).stdout)


def tables(files):
    return {name: content for name, content in files.items() if name.endswith(".parquet")}


def in_folder(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.parquet")}


def manifests(store, folder):
    listed = store.client().list_objects_v2(Bucket=stores.BUCKET, Prefix=f"{folder}/_manifest/")
    return [each["Key"].rpartition("/")[2].partition(".")[0] for each in listed.get("Contents", ())]


def test_parts_at_one_time_leave_in_a_store_what_one_run_leaves_in_a_folder(store, here):
    parts("embed", "s3://pairs/data", *EMBED, "--out", "s3://pairs/emb")
    score = ["score", "s3://pairs/emb", *SCORE, "--out", "s3://pairs/scores"]
    assert "--fit-only" in ran(*score, "--slice", "0/2", code=1).output
    assert tables(store.objects("scores")) == {}
    ran(*score, "--fit-only")
    assert len(status("s3://pairs/scores", code=3)["missing"]) == SHARDS
    parts(*score)
    for part in ("0/2", "1/2"):
        ran("filter", "s3://pairs/scores", *KEEP, "--out", "s3://pairs/kept", "--slice", part)
    for folder in ("emb", "scores", "kept"):
        assert tables(store.objects(folder)) == in_folder(here / folder)
        assert set(manifests(store, folder)) == {"all"}
        assert status(f"s3://pairs/{folder}", "--verify")["complete"]
    again = ran("embed", "s3://pairs/data", *EMBED, "--out", "s3://pairs/emb", "--json", "-q")
    assert json.loads(again.stdout)["accounting"]["shards_resumed"] == SHARDS


def test_a_part_that_fails_is_told_to_all_until_it_is_done(store, tmp_path):
    for number in range(SHARDS):
        path = tmp_path / f"{number}.parquet"
        pq.write_table(embedding_table(30, seed=number), path)
        put(store, f"given/{number}.parquet", path.read_bytes())
    ran("score", "s3://pairs/given", *SCORE, "--out", "s3://pairs/scored")
    whole = store.objects("scored")["1.parquet"]
    put(store, "scored/1.parquet", with_other_pages(whole))
    words = ["filter", "s3://pairs/scored", "--where", "score > -9", "--out", "s3://pairs/chosen"]
    parts(*words, codes=(0, 3))
    found = status("s3://pairs/chosen", code=3)
    assert ([each["shard"] for each in found["failed"]], found["finished"]) == (["1.parquet"], SHARDS - 1)
    put(store, "scored/1.parquet", whole)
    put(store, "chosen/mine.parquet", whole)
    ran(*words, "--slice", "1/2")
    found = status("s3://pairs/chosen")
    assert (found["complete"], found["failed"], found["foreign"]) == (True, [], ["mine.parquet"])
    assert not [name for name in store.objects("chosen") if name.startswith("_failed/")]
    changed = bytearray(store.objects("chosen")["0.parquet"])
    changed[200] ^= 0xFF
    put(store, "chosen/0.parquet", bytes(changed))
    store.client().delete_object(Bucket=stores.BUCKET, Key="chosen/2.parquet")
    found = status("s3://pairs/chosen", "--verify", code=3)
    assert ([each["shard"] for each in found["damaged"]], found["missing"]) == (["0.parquet"], ["2.parquet"])
    assert "one of those in it: s3://pairs/chosen" in ran("status", "s3://pairs", code=1).output


def with_other_pages(table):
    """Every byte before the footer another one: what the footer tells holds, and no page can be read."""
    footer = len(table) - 8 - int.from_bytes(table[-8:-4], "little")
    return table[:4] + bytes(byte ^ 0xFF for byte in table[4:footer]) + table[footer:]


def test_processes_on_ray_reach_the_store_that_the_command_was_told_of(store, here):
    pytest.importorskip("ray", reason="needs the extra ncaudit[ray]")
    options = [f"endpoint_url={store.url}", "key=testing", "secret=s3cr3t", "client_kwargs.region_name=us-east-1"]
    told = [word for option in options for word in ("--storage-option", option)]
    line = ["embed", "s3://pairs/data", *EMBED, "--out", "s3://pairs/ray-emb", *told]
    with apart():
        plain = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        ended(begun(*line, *ON_RAY, environment=plain))
    stores.forget_stores()
    again = json.loads(ran(*line[: -len(told)], "--json", "-q").stdout)
    assert again["accounting"]["shards_resumed"] == SHARDS
    assert status("s3://pairs/ray-emb", "--verify")["complete"]
    assert tables(store.objects("ray-emb")) == in_folder(here / "emb")
    assert manifests(store, "ray-emb") == ["all"]
    assert not [name for name, content in store.objects("ray-emb").items() if b"s3cr3t" in content]
