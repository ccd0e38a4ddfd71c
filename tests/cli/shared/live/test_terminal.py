"""What stands on a terminal while the display is drawn: an emulator reads it, at widths of 40 to 120 columns."""

import sys

import pyte
import pytest
from rich.console import Console

from ncaudit.cli.shared import loudness
from ncaudit.cli.shared.live import terminal
from ncaudit.cli.shared.live.terminal import Drawn
from ncaudit.cli.shared.live.work import Work


class Paper:
    """A terminal that rich takes for one."""

    encoding = "utf-8"

    def __init__(self, columns):
        self.screen = pyte.Screen(columns, 10)
        self.stream = pyte.Stream(self.screen)

    def write(self, text):
        self.stream.feed(text.replace("\n", "\r\n"))
        return len(text)

    def flush(self): ...

    def isatty(self):
        return True

    @property
    def lines(self):
        return [line.rstrip() for line in self.screen.display if line.strip()]


@pytest.fixture
def open_display(monkeypatch):
    """A display on a new terminal of so many columns, frames only when a test asks for them."""
    opened = []
    monkeypatch.setattr(terminal, "FRAMES_PER_S", 0.01)

    def display(columns=80):
        paper = Paper(columns)
        monkeypatch.setattr(terminal, "columns_of", lambda console: paper.screen.columns)
        console = Console(file=paper, force_terminal=True, width=columns, highlight=False, markup=False)
        drawn = Drawn(Work("score", lambda: 0.0), console)
        drawn.start()
        opened.append(drawn)
        return drawn, paper

    yield display
    for drawn in opened:
        drawn.close(whole=False)


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_two_lines_are_drawn_and_when_it_is_over_nothing_of_them_is_left(open_display, columns):
    drawn, paper = open_display(columns)
    assert paper.lines == ["score: starting  0:00"]
    assert paper.screen.cursor.hidden
    drawn.job("score", {"draw the sample": 1.0, "fit": 1.0})
    drawn.stage("draw the sample", 2_000)
    drawn.advance(500, 2)
    drawn._live.refresh()
    first, second = paper.lines
    assert first.startswith("score: 1 of 2, draw the sa")
    assert "500/2,000 rows" in second
    assert "2 failed" in second
    assert ("━" in second) == (columns >= 60)
    drawn.close(whole=True)
    assert paper.lines == []
    assert not paper.screen.cursor.hidden


def test_notes_stand_above_whole_and_are_no_markup(open_display):
    drawn, paper = open_display(60)
    drawn.stage("fit", 4, "steps")
    drawn.note("[red]a\nb[/i] " + "long " * 20 + "end")
    assert paper.lines[0].startswith("note: [red]a b[/i] long")
    assert " ".join(paper.lines[:-2]).endswith("long end")
    assert paper.lines[-2].startswith("score: fit")


def test_what_others_write_stands_above_in_whole_lines(open_display):
    drawn, paper = open_display()
    print("half", end="", file=sys.stderr)
    assert paper.lines == ["score: starting  0:00"]
    print(" a line \x1b[2J", file=sys.stderr)
    print("10%\r20%\r100%", file=sys.stderr)
    assert paper.lines == ["half a line \\x1b[2J", "100%", "score: starting  0:00"]
    print("never ended", end="", file=sys.stderr)
    drawn.close(whole=True)
    assert paper.lines == ["half a line \\x1b[2J", "100%", "never ended"]


def test_finished_stages_are_told_only_when_all_is_to_be_told(open_display, monkeypatch):
    drawn, paper = open_display()
    drawn.stage("draw the sample", 10)
    drawn.advance(10)
    drawn.stage("fit", 4, "steps")
    assert len(paper.lines) == 2
    monkeypatch.setattr(loudness, "_verbose", True)
    drawn.advance(4)
    drawn.stage("score the rows", 10)
    assert paper.lines[0] == "fit: 4/4 steps, in 0:00"


def test_in_a_window_that_became_narrower_no_old_line_is_left(open_display):
    drawn, paper = open_display(100)
    drawn.note("what stands above stays")
    drawn.stage("draw the sample", 2_000)
    drawn._live.refresh()
    folded = [row.rstrip() for row in paper.screen.display[: paper.screen.cursor.y + 1]]
    paper.screen.resize(10, 30)
    paper.screen.erase_in_display(2)
    paper.screen.cursor_position()
    paper.stream.feed("\r\n".join(folded))  # as terminals do it: long lines go on in the next row
    drawn._live.refresh()
    assert paper.lines[0] == "note: what stands above stays"
    assert len(paper.lines) == 3
    assert "0/2,000 rows" in paper.lines[2]


def test_an_error_while_it_is_closed_still_gives_the_cursor_back(open_display, monkeypatch):
    drawn, paper = open_display()
    monkeypatch.setattr(drawn._live, "refresh", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        drawn.close(whole=False)
    assert not paper.screen.cursor.hidden
