"""Where no terminal is: a line when a stage has ended, one every half minute of long work, nothing with --quiet."""

from itertools import count

import pytest

from ncaudit import interruption
from ncaudit.cli.shared.live.listeners import Log, Mute
from ncaudit.cli.shared.live.work import Work


def test_a_log_is_told_of_ended_stages_and_of_long_ones_every_half_minute(capsys):
    now = [0.0]
    log = Log(Work("train", lambda: now[0]))
    log.job("train", {"epoch 1 of 2": 1.0, "epoch 2 of 2": 1.0})
    log.stage("epoch 1 of 2", 1000, "pairs")
    for _ in range(10):
        now[0] += 8.0
        log.status("loss 1.250, R@1 40.0/38.5")
        log.advance(100)
    log.stage("read", None)
    now[0] += 2.0
    log.close(whole=True)
    assert capsys.readouterr().err.splitlines() == [
        "epoch 1 of 2: 400/1,000 pairs, 12/s, loss 1.250, R@1 40.0/38.5, 0:32, about 3 min left in all",
        "epoch 1 of 2: 800/1,000 pairs, 12/s, loss 1.250, R@1 40.0/38.5, 1:04, about 2 min left in all",
        "epoch 1 of 2: 1,000/1,000 pairs, 12/s, loss 1.250, R@1 40.0/38.5, in 1:20",
        "read: in 0:02",
    ]


def test_one_is_told_as_one(capsys):
    log = Log(Work("look", lambda: 0.0))
    for total, unit in ((1, "shards"), (2, "shards"), (1, "rows")):
        log.stage("look", total, unit)
        log.advance(1)
    log.close(whole=True)
    assert capsys.readouterr().err.splitlines() == [
        "look: 1/1 shard, in 0:00",
        "look: 1/2 shards, in 0:00",
        "look: 1/1 row, in 0:00",
    ]


def test_a_stage_that_gave_way_to_another_before_its_first_row_is_not_told(capsys):
    log = Log(Work("score", lambda: 0.0))
    log.stage("score the rows", 100)
    log.stage("suggestions", None)
    log.close(whole=False)
    assert capsys.readouterr().err == ""


def test_notes_are_told_at_once_in_one_line(capsys):
    Log(Work("score", lambda: 0.0)).note("[red]a\nb[/i]")
    assert capsys.readouterr().err == "note: [red]a b[/i]\n"


@pytest.mark.parametrize("listener", [Mute(), Log(Work("x", count().__next__))], ids=["mute", "log"])
def test_ctrl_c_that_a_library_kept_to_itself_is_minded(listener, monkeypatch):
    monkeypatch.setattr(interruption, "_asked", True)
    monkeypatch.setattr(interruption, "_at_once", True)
    for told in (lambda: listener.job("x", {}), lambda: listener.stage("x", 1), lambda: listener.advance(1)):
        with pytest.raises(KeyboardInterrupt):
            told()
