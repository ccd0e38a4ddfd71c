"""The life of a process on a cluster, in this one."""

import threading
import time

import pytest

from ncaudit.engines.on_ray.actor import Hand
from ncaudit.stores import OPTIONS, options
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
