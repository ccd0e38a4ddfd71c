"""Several processes do what one does, with the same accounts; one that is lost costs its shard and nothing else."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from ncaudit.engines.local import ShardRows, account, run_shards
from ncaudit.engines.workers import Workers
from ncaudit.errors import BadTable, NcauditError
from ncaudit.shards.files.shard import Shard

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sends signals and reads /proc")

# What a shard's name says is what becomes of it.
WORKER = """
    import os, signal, time
    from contextlib import contextmanager
    from pathlib import Path
    from ncaudit.engines.local import ShardRows
    from ncaudit.engines.worker_process import serve
    from ncaudit.errors import BadTable

    @contextmanager
    def set_up(orders, progress):
        if orders.get("refuse"):
            raise BadTable("no such model", fix="name another")
        if orders.get("die"):
            os.kill(os.getpid(), signal.SIGKILL)

        def work(shard):
            print("nobody hears this")
            kind = shard.name.partition("-")[0]
            if kind == "damaged":
                raise BadTable(f"{shard.name} is damaged", fix="fetch it again")
            if kind == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if kind == "bug":
                raise RuntimeError("the device is gone\\nand more")
            if kind == "wordless":
                raise PermissionError("nobody knows of what")
            if kind == "denied":
                raise PermissionError(13, "Access Denied", "s3://pairs/a")
            if kind == "full":
                raise OSError(28, "No space left on device", shard.path)
            if kind == "endless":
                Path(shard.path).touch()
                progress.note("begun")
                try:
                    time.sleep(60)
                finally:
                    os.remove(shard.path)
            while kind == "patient" and not os.path.exists(shard.path):  # until another worker has come that far
                time.sleep(0.001)
            if kind == "last":
                Path(shard.path).touch()
            progress.advance(10, 2)
            progress.note(f"{shard.name} by {orders['name']}")
            return ShardRows({"ok": 8, "caption_missing": 2})

        yield {"found": orders["name"]}, work

    def main():
        serve(set_up)
"""


class Told:
    """Remembers what is told."""

    def __init__(self, on_note=lambda: None):
        self.done = self.failed = 0
        self.notes = []
        self.on_note = on_note

    def stage(self, *_): ...

    def status(self, *_): ...

    def advance(self, done, failed=0):
        self.done, self.failed = self.done + done, self.failed + failed

    def note(self, text):
        self.notes.append(text)
        self.on_note()


@pytest.fixture
def workers(tmp_path, monkeypatch):
    (tmp_path / "some_work.py").write_text(textwrap.dedent(WORKER))
    monkeypatch.syspath_prepend(tmp_path)
    opened, others = [], set(children(os.getpid()))

    def start(*names):
        opened.append(Workers("some_work", names))
        return opened[-1]

    yield start
    for each in opened:
        each.close()
    assert set(children(os.getpid())) <= others


def shards(tmp_path, *names):
    return [Shard(str(tmp_path / "flag"), f"{name}-{i}") for i, name in enumerate(names)]


def orders(number):
    return {"name": f"worker {number}"}


def done(workers, work, told=None):
    told = told or Told()
    assert workers.set_up_first(orders(0), told) == {"found": "worker 0"}
    return workers.run(work, orders, told)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(pid) for pid in file.read().split()]


def wait_for(holds):
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_shards_are_accounted_for_in_their_order_whoever_did_them(workers, tmp_path):
    work = shards(tmp_path, "patient", "damaged", "fine", "last")
    told = Told()

    def here(shard):
        if shard == work[1]:
            raise BadTable("damaged-1 is damaged", fix="fetch it again")
        return ShardRows({"ok": 8, "caption_missing": 2})

    assert account(done(workers("a", "b"), work, told)) == run_shards(work, here)
    assert (told.done, told.failed) == (30, 6)


def test_a_worker_takes_the_next_shard_when_it_is_free(workers, tmp_path):
    work = shards(tmp_path, "patient", "fine", "fine", "last")  # the first ends only after the last has begun
    told = Told()
    done(workers("a", "b"), work, told)
    by_other = ["fine-1 by worker 1", "fine-2 by worker 1", "last-3 by worker 1"]
    assert sorted(told.notes) == [*by_other, "patient-0 by worker 0"]


def test_a_worker_that_is_lost_costs_its_shard(workers, tmp_path):
    work = shards(tmp_path, "killed", "bug", "fine", "fine")
    killed, bug, *fine = done(workers("cuda:0", "cuda:1", "cuda:2"), work)
    assert killed[1].message == (
        "killed-0: the worker on cuda:0 ended with signal 9 (the system sends it when memory runs out)"
    )
    assert re.fullmatch(
        r"bug-1: .* on cuda:[12] ended with exit code 1 \(RuntimeError: the device is gone \(\S+, line \d+\)\)",
        bug[1].message,
    )
    assert "rerun to resume" in bug[1].fix
    assert [(shard, rows.statuses["ok"]) for shard, rows in fine] == [(work[2], 8), (work[3], 8)]


def test_when_all_workers_are_lost_the_command_ends(workers, tmp_path):
    with pytest.raises(NcauditError, match=r"all workers are lost: killed-\d: .*; killed-\d: the"):
        done(workers("a", "b"), shards(tmp_path, "killed", "killed", "fine"))


def test_a_worker_lost_before_its_first_shard_costs_nothing(workers, tmp_path):
    told = Told(on_note=(tmp_path / "flag").touch)  # the shard ends after the loss was told
    crew = workers("a", "b")
    crew.set_up_first(orders(0), told)
    outcomes = crew.run(shards(tmp_path, "patient", "fine"), lambda _: {"die": True}, told)
    assert account(outcomes).ok == 16
    assert told.notes[0].startswith("the worker on b ended with signal 9")


def test_what_cannot_be_set_up_is_a_wrong_command(workers, tmp_path):
    with pytest.raises(BadTable, match="no such model") as caught:
        workers("a", "b").set_up_first({"refuse": True}, Told())
    assert caught.value.fix == "name another"
    crew = workers("a", "b")
    crew.set_up_first(orders(0), Told())
    with pytest.raises(BadTable, match="no such model"):
        crew.run(shards(tmp_path, "patient", "fine"), lambda _: {"refuse": True}, Told())


def test_a_first_worker_that_is_lost_at_once_is_told(workers):
    with pytest.raises(NcauditError, match="the worker on a ended with signal 9"):
        workers("a").set_up_first({"die": True}, Told())


def test_a_full_disk_ends_the_run_as_it_does_in_one_process(workers, tmp_path):
    with pytest.raises(OSError, match="No space left") as caught:
        done(workers("a"), shards(tmp_path, "full", "fine"))
    assert (caught.value.errno, caught.value.filename) == (28, str(tmp_path / "flag"))


def test_what_a_store_denies_ends_the_run_with_its_words_and_what_has_no_number_costs_its_worker(workers, tmp_path):
    with pytest.raises(PermissionError, match="Access Denied") as caught:
        done(workers("a"), shards(tmp_path, "denied", "fine"))
    assert (caught.value.errno, caught.value.filename) == (13, "s3://pairs/a")
    (_, wordless), (_, fine) = done(workers("a", "b"), shards(tmp_path, "wordless", "fine"))
    assert "PermissionError: nobody knows of what" in str(wordless)
    assert isinstance(fine, ShardRows)


PARENT = """
    import sys
    from contextlib import closing
    from ncaudit.engines.workers import Workers
    from ncaudit.progress import SILENT
    from ncaudit.shards.files.shard import Shard

    with closing(Workers("some_work", ["a", "b"])) as workers:
        workers.set_up_first({"name": "a"}, SILENT)
        workers.run([Shard(sys.argv[1], "endless-0")], dict, SILENT)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_its_parent_and_none_leaves_a_half_written_file(workers, tmp_path, how):
    flag = tmp_path / "flag"
    program = textwrap.dedent(PARENT)
    search = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(flag)], env=search, stderr=subprocess.PIPE, preexec_fn=hears_ctrl_c
    )
    wait_for(flag.exists)
    both = children(parent.pid)
    assert len(both) == 2
    parent.send_signal(how)
    _, words = parent.communicate()
    assert parent.returncode == -how
    assert (b"KeyboardInterrupt" in words) == (how == signal.SIGINT)
    wait_for(lambda: not any(os.path.exists(f"/proc/{worker}") for worker in both))
    assert not flag.exists()


def hears_ctrl_c():
    """Tests that run in the background of a shell are deaf to it, and what they start would be so, too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
