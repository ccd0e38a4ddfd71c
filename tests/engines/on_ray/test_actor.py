"""The life of a process on a cluster, in this one."""

import os
import threading
import time
from contextlib import contextmanager
from functools import partial

import pytest

from ncaudit.engines.local import ShardRows
from ncaudit.engines.on_ray.actor import Hand
from ncaudit.stores import OPTIONS, environment, options
from tests.worlds.counted_work import refused, writing


@pytest.fixture
def hand(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = Hand(str(tmp_path), 1, {})
    yield found
    found.stop()


def test_it_is_set_up_once_and_answers_shard_after_shard(hand, tmp_path):
    assert hand.set_up(writing(tmp_path))[0] == "ready"
    (kind, rows), (done, failed, notes) = hand.do("a")
    assert (kind, rows.statuses, rows.more, done, failed, notes) == ("rows", {"ok": 1}, "A", 1, 0, [])


def test_what_is_refused_and_what_is_a_bug_are_told_apart(hand, tmp_path):
    hand.set_up(writing(tmp_path))
    assert [hand.do(name)[0][0] for name in ("bad", "bug", "a")] == ["refused", "bug", "rows"]
    assert "ZeroDivisionError" in hand.do("bug")[0][1]


def test_what_a_store_denies_keeps_its_words_and_what_has_no_number_is_a_bug(hand):
    hand.set_up(_denied)
    assert hand.do("s3://pairs/a")[0] == ("system", 13, "Access Denied", "s3://pairs/a")
    kind, told = hand.do("")[0]
    assert kind == "bug"
    assert told.startswith("PermissionError: nobody knows of what (test_actor.py, line ")


@contextmanager
def _denied(progress):
    def does(item):
        raise PermissionError(13, "Access Denied", item) if item else PermissionError("nobody knows of what")

    yield None, does


def test_a_set_up_that_is_refused_is_told(hand):
    kind, error = hand.set_up(refused)
    assert (kind, error.fix) == ("refused", "go elsewhere")


def test_stopped_in_the_middle_it_leaves_nothing_half_written(hand, tmp_path):
    hand.set_up(writing(tmp_path, seconds=0.3))
    doing = threading.Thread(target=hand.do, args=("a",))
    doing.start()
    while not (tmp_path / "seen-a").exists():
        time.sleep(0.01)
    hand.stop()
    doing.join()
    assert not list(tmp_path.glob("*.partial"))


def test_what_the_driver_was_told_of_stores_is_in_its_environment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("OMP_NUM_THREADS", OPTIONS):
        monkeypatch.setenv(name, "1")  # as it was, afterwards
    Hand(str(tmp_path), 1, {OPTIONS: '{"anon": true}'})
    assert options() == {"anon": True}


def test_a_key_of_this_machine_is_not_mixed_with_a_token_of_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of the driver")
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    told = environment()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of the machine")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of the machine")
    Hand(str(tmp_path), 1, told)
    assert os.environ["AWS_ACCESS_KEY_ID"] == "of the driver"
    assert "AWS_SESSION_TOKEN" not in os.environ


def test_another_job_can_be_set_up_when_the_one_before_it_is_done(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hand = Hand(str(tmp_path), 1, {})
    for word in ("first", "second"):
        assert hand.set_up(partial(_telling, word))[0] == "ready"
        assert hand.do("x")[0][1].more == f"{word} x"
    hand.stop()


def test_of_two_jobs_that_are_ordered_at_one_time_the_later_one_is_done(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hand, begun, go = Hand(str(tmp_path), 1, {}), threading.Event(), threading.Event()

    @contextmanager
    def slow(progress):
        begun.set()
        assert go.wait(60)
        yield None, lambda item: ShardRows({}, more="first")

    first = threading.Thread(target=hand.set_up, args=(slow, 1))
    first.start()
    assert begun.wait(60)
    later = threading.Thread(target=hand.set_up, args=(partial(_telling, "later"), 2))
    later.start()
    go.set()
    first.join(60)
    later.join(60)
    assert not first.is_alive()
    assert not later.is_alive()
    assert hand.set_up(slow, 1) == ("ready", None)  # its turn comes late, and is over
    assert hand.do("x")[0][1].more == "later x"
    hand.stop()


@contextmanager
def _telling(word, progress):
    yield None, lambda item: ShardRows({}, more=f"{word} {item}")
