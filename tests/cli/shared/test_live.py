"""How far the work has come: a bar on a terminal, plain lines elsewhere, nothing with --quiet."""

from io import StringIO
from itertools import count

import pytest
from rich.console import Console

from ncaudit.cli.shared import live, loudness, output


@pytest.fixture
def drawn(monkeypatch) -> StringIO:
    """What a bar leaves on a terminal, 200 wide."""
    paper = StringIO()
    console = Console(file=paper, force_terminal=True, width=200, highlight=False, markup=False, color_system=None)
    monkeypatch.setattr(output, "terminal", lambda: console)
    monkeypatch.setattr(loudness, "_quiet", False)  # commands of other tests, in this process, may have set it
    return paper


def last_line(paper: StringIO) -> str:
    return [line for line in paper.getvalue().splitlines() if "/" in line][-1]


def test_plain_lines_tell_the_speed_the_time_left_and_the_works_own_figures(capsys, monkeypatch):
    clock = count(0, 20)  # every look at it is 20 s later
    monkeypatch.setattr(live, "monotonic", lambda: next(clock))
    lines = live.Lines()
    lines.stage("epoch 1 of 2", 1000, "pairs")
    lines.status("loss 1.250, R@1 40.0/38.5")
    lines.advance(200)
    lines.advance(200, 3)
    lines.stage("read", None)
    lines.advance(100)
    assert capsys.readouterr().err.splitlines() == [
        "epoch 1 of 2: 1,000 pairs",
        "epoch 1 of 2: 200/1,000 pairs, 10/s, 0:01:20 left, loss 1.250, R@1 40.0/38.5",
        "epoch 1 of 2: 400/1,000 pairs, 10/s, 0:01:00 left, 3 failed, loss 1.250, R@1 40.0/38.5",
        "read",
        "read: 100 rows, 5/s",
    ]


def test_one_is_told_as_one(capsys):
    lines = live.Lines()
    for total, unit in ((1, "shards"), (2, "shards"), (1, "rows"), (None, "images")):
        lines.stage("look", total, unit)
    said = capsys.readouterr().err.splitlines()
    assert said == ["look: 1 shard", "look: 2 shards", "look: 1 row", "look"]


def test_a_bar_tells_the_speed_the_failures_and_the_works_own_figures(drawn, monkeypatch):
    with live.progress() as bar:
        clock = count(0, 10)  # every look at it is 10 s later; pieces of work are one look apart
        monkeypatch.setattr(bar._progress, "get_time", lambda: next(clock))
        bar.stage("embed", 5_000, "rows")
        bar.status("[red]loss 1.25[/i]")
        for _ in range(4):
            bar.advance(1_000, 1)
    told = last_line(drawn)
    assert "4,000/5,000 rows" in told
    assert "4 failed" in told
    assert "[red]loss 1.25[/i]" in told
    assert "/s" in told


def test_a_bar_knows_no_speed_before_the_second_piece_of_work(drawn):
    with live.progress() as bar:
        bar.stage("embed", None)
        bar.advance(1_000)
    assert "1,000/? rows" in last_line(drawn)
    assert "/s" not in last_line(drawn)


def test_a_note_on_a_bar_is_one_line_and_no_markup(drawn):
    with live.progress() as bar:
        bar.note("[red]a\nb[/i] " + "long " * 60)
    assert "note: [red]a b[/i] " + "long " * 60 in drawn.getvalue()


def test_quiet_draws_nothing(drawn, capsys):
    loudness.set_loudness(quiet=True)
    with live.progress() as progress:
        progress.stage("embed", 5)
        progress.advance(5, 1)
        progress.note("look")
    assert (drawn.getvalue(), capsys.readouterr().err) == ("", "")
