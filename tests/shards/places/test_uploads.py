"""A file gets to a store whole or not at all, also where the network or the store is against it."""

import errno
import json
import os
import signal
import sys

import pytest

from ncaudit import stores
from ncaudit.errors import NcauditError, Unwritable
from ncaudit.shards.claims import records
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.files.writer import atomic_file
from ncaudit.shards.places import listings, manifest, scratch, uploads
from ncaudit.shards.readers import open_shard
from tests.worlds import processes
from tests.worlds.stores import CUT, Answer, wait_for

MIB = 1 << 20
PLACE = "s3://pairs/out/x.bin"


@pytest.fixture(autouse=True)
def at_once(monkeypatch, tmp_path):
    """Nobody waits: of the tries within tries only our own are left. Scratch is nobody else's."""
    monkeypatch.setenv(scratch.PLACE, str(tmp_path))
    monkeypatch.setattr("ncaudit.stores.sleep", lambda seconds: None)
    monkeypatch.setattr("ncaudit.stores.PATIENCE", {"retries": {"max_attempts": 1}})
    monkeypatch.setattr(pytest.importorskip("s3fs").S3FileSystem, "retries", 1)


@pytest.fixture
def in_parts(monkeypatch):
    monkeypatch.setattr(uploads, "ONE_REQUEST", 5 * MIB)
    monkeypatch.setattr(uploads, "PART", 5 * MIB)


def write(content, path=PLACE):
    with atomic_file(path) as file:
        file.write(content)


def first_times(number, answer, *, method="PUT", having=""):
    """A fault that the first requests of a kind meet, and no later one."""
    left = [number]

    def fault(asked, path):
        if asked == method and having in path and left[0]:
            left[0] -= 1
            return answer
        return None

    return fault


def test_a_file_appears_when_the_block_ends(store):
    with atomic_file(PLACE) as file:
        file.write(b"one")
        assert store.objects() == {}
    assert store.objects() == {"out/x.bin": b"one"}


def test_an_error_in_the_block_leaves_what_was_there(store):
    write(b"before")
    with pytest.raises(ZeroDivisionError), atomic_file(PLACE) as file:
        file.write(bytes(1 // 0))
    assert store.objects() == {"out/x.bin": b"before"}
    assert os.listdir(scratch.folder()) == []


def test_a_large_file_goes_in_parts(store, in_parts):
    content = os.urandom(12 * MIB)
    write(content)
    assert store.objects() == {"out/x.bin": content}
    assert store.uploads() == []
    assert os.listdir(scratch.folder()) == []


@pytest.mark.parametrize("answer", [CUT, Answer(503, "SlowDown"), Answer(500, "InternalError")])
def test_what_passes_is_tried_again(proxy, store, answer):
    proxy.fault = first_times(2, answer)
    write(b"whole")
    assert store.objects() == {"out/x.bin": b"whole"}


def test_a_connection_that_is_cut_within_a_part_costs_that_part(proxy, store, in_parts):
    content = os.urandom(12 * MIB)
    proxy.fault = first_times(2, CUT, having="partNumber=2")
    write(content)
    assert store.objects() == {"out/x.bin": content}
    assert store.uploads() == []


def test_an_answer_that_is_lost_after_all_was_done_is_no_error(proxy, store, in_parts, monkeypatch):
    content, done = os.urandom(6 * MIB), uploads.again
    lost = []

    def again(path, action):
        made = done(path, action)
        if isinstance(made, dict) and "Location" in made and not lost:  # of `complete_multipart_upload`
            lost.append(made)
            raise FileNotFoundError("The specified upload does not exist")
        return made

    monkeypatch.setattr(uploads, "again", again)
    write(content)
    assert lost
    assert store.objects() == {"out/x.bin": content}


@pytest.mark.parametrize(
    ("answer", "words", "fix"),
    [
        (Answer(403, "AccessDenied", "Access Denied"), "cannot be written: Access Denied", "s3:PutObject"),
        (Answer(301, "PermanentRedirect"), "another region", "AWS_REGION"),
        (Answer(404, "NoSuchBucket", "The specified bucket does not exist"), "does not exist", "make the bucket"),
        (Answer(503, "SlowDown", "Reduce your request rate"), "cannot be written: Reduce", "rerun"),
    ],
)
def test_what_does_not_pass_is_told_in_two_lines(proxy, store, answer, words, fix):
    proxy.fault = lambda method, path: answer if method == "PUT" else None
    with pytest.raises(Unwritable, match=words) as told:
        write(b"never")
    assert fix in told.value.fix
    assert "\n" not in told.value.message + told.value.fix
    assert store.objects() == {}
    assert os.listdir(scratch.folder()) == []


def test_a_failed_upload_in_parts_is_aborted(proxy, store, in_parts):
    proxy.fault = lambda method, path: Answer(403, "AccessDenied") if "partNumber=2" in path else None
    with pytest.raises(Unwritable):
        write(os.urandom(12 * MIB))
    assert (store.objects(), store.uploads()) == ({}, [])


KILLED = """
import sys
from ncaudit.shards.places import uploads
from ncaudit.shards.claims import records
from ncaudit.shards.files.writer import atomic_file
uploads.ONE_REQUEST = uploads.PART = 5 << 20
with atomic_file("s3://pairs/out/x.bin") as file:
    file.write(bytes(20 << 20))
"""


@pytest.mark.slow
def test_what_a_killed_process_began_is_swept_and_nothing_of_others(proxy, store, tmp_path, monkeypatch):
    proxy.fault = lambda method, path: Answer(503, "SlowDown") if "partNumber=4" in path else None  # it never ends
    monkeypatch.setenv(scratch.PLACE, str(tmp_path))
    monkeypatch.setattr(uploads, "ABANDONED_S", float("inf"))  # this server calls all uploads years old
    with processes.Popen([sys.executable, "-c", KILLED], env=store.environment(proxy.url)) as process:
        wait_for(lambda: any("partNumber=4" in one for one in proxy.seen))
        process.send_signal(signal.SIGKILL)
    proxy.fault = lambda method, path: None
    others = store.client().create_multipart_upload(Bucket="pairs", Key="out2/y.bin")
    fresh = store.client().create_multipart_upload(Bucket="pairs", Key="out/of-another-machine.bin")
    assert store.objects() == {}
    assert "out/x.bin" in store.uploads()
    uploads.sweep("s3://pairs/out")
    assert sorted(store.uploads()) == sorted([others["Key"], fresh["Key"]])
    assert os.listdir(scratch.folder()) == []  # the note and the half-made file are gone, too


def test_what_somebody_left_long_ago_is_swept(store):
    store.client().create_multipart_upload(Bucket="pairs", Key="out/x.bin")
    uploads.sweep("s3://pairs/elsewhere")
    assert store.uploads() == ["out/x.bin"]
    uploads.sweep("s3://pairs/out/x.bin", alone=True)
    assert store.uploads() == []


def test_a_place_is_asked_whether_it_takes_files_and_keeps_nothing(store, proxy):
    uploads.require_writable("s3://pairs/out/x", "s3://pairs/out")
    assert (store.objects(), store.uploads()) == ({}, [])
    with pytest.raises(NcauditError, match="bucket does not exist"):
        uploads.require_writable("s3://nobody/out/x", "s3://nobody/out")
    with pytest.raises(NcauditError, match="names no bucket"):
        uploads.require_writable("s3://", "s3://")
    proxy.fault = lambda method, path: Answer(403, "AccessDenied", "Access Denied") if method == "POST" else None
    with pytest.raises(Unwritable, match="Access Denied"):
        uploads.require_writable("s3://pairs/out/x", "s3://pairs/out")


def test_a_full_scratch_disk_is_told(store, monkeypatch):
    class Full:
        def write(self, data):
            raise OSError(28, "No space left on device")

    with pytest.raises(Unwritable, match="No space left on device") as told, scratch.held(PLACE) as (_, _name):
        Full().write(b"")
    assert "--scratch" in told.value.fix


def test_a_note_is_data(store):
    with scratch.note(json.dumps({"path": PLACE, "upload": "1"}).encode()):
        assert [scratch.is_note(name) for name in os.listdir(scratch.folder())] == [True]
    assert os.listdir(scratch.folder()) == []


RECORD = "s3://pairs/out/_run.json"


def test_of_two_runs_that_begin_at_one_moment_one_is_first_and_both_go_by_its_record(store, monkeypatch):
    send_first = uploads.send_first

    def behind_another(path, data):
        """Between this run's look, which found nothing, and its own record."""
        records.write_record(path, {"verb": "embed", "batch_pairs": 16})
        send_first(path, data)

    monkeypatch.setattr(uploads, "send_first", behind_another)
    assert records.write_first(RECORD, {"verb": "embed", "batch_pairs": 64})["batch_pairs"] == 16
    assert records.read_record(RECORD)["batch_pairs"] == 16


def test_a_store_that_knows_no_conditions_takes_a_record_too(store, proxy):
    proxy.fault = first_times(1, Answer(501, "NotImplemented"), having="_run.json")
    assert records.write_first(RECORD, {"verb": "embed"}) == {"verb": "embed"}
    assert json.loads(store.objects("out")["_run.json"]) == {"verb": "embed"}


def test_a_damaged_record_is_no_first_one(store):
    write(b"{", RECORD)
    assert records.write_first(RECORD, {"verb": "embed"}) == {"verb": "embed"}
    assert json.loads(store.objects("out")["_run.json"]) == {"verb": "embed"}


@pytest.mark.parametrize(
    ("answer", "told", "fix"),
    [
        (Answer(403, "AccessDenied", "Access Denied"), "cannot be written: Access Denied", "s3:PutObject"),
        (Answer(404, "NoSuchBucket", "The bucket is gone"), "cannot be written: The bucket is gone", "make the bucket"),
        (Answer(503, "SlowDown", "Reduce your rate"), "cannot be written: Reduce your rate", "then rerun"),
        (Answer(507, "XMinioStorageFull", "The store is full"), "cannot be written: ", "--storage-option"),
    ],
)
def test_a_manifest_that_is_not_taken_any_more_ends_all_and_names_itself(proxy, monkeypatch, answer, told, fix):
    monkeypatch.setattr(manifest, "_own", {})
    monkeypatch.setattr("ncaudit.stores.WAITS_S", (0.0,))
    entry = listings.Entry(3, "v")
    manifest.tell("s3://pairs/out", "s3://pairs/out/0.parquet", entry, {})
    proxy.fault = first_times(10**6, answer, having="_manifest/part.")
    with pytest.raises(Unwritable) as caught:
        manifest.tell("s3://pairs/out", "s3://pairs/out/1.parquet", entry, {})
    assert caught.value.message.startswith("s3://pairs/out/_manifest/part.")
    assert told in caught.value.message
    assert fix in caught.value.fix


def test_what_may_not_be_read_any_more_is_called_by_its_name(proxy, store):
    store.client().put_object(Bucket="pairs", Key="in/x.json", Body=b"{}")
    proxy.fault = lambda method, path: Answer(403, "AccessDenied", "Access Denied")
    with pytest.raises(PermissionError) as caught:
        stores.read("s3://pairs/in/x.json")
    error = caught.value
    assert (error.errno, error.filename) == (errno.EACCES, "s3://pairs/in/x.json")
    with pytest.raises(NcauditError, match=r"^s3://pairs/in cannot be looked at: Access Denied$"):
        listings.look("s3://pairs/in")
    with pytest.raises(NcauditError, match=r"^s3://pairs/in/x\.parquet cannot be read: ") as denied:
        open_shard(Shard("s3://pairs/in/x.parquet", "x.parquet"))
    assert "s3:GetObject" in denied.value.fix
