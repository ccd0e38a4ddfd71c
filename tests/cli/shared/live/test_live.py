"""Who draws: the terminal that there is, a notebook, a log, or nobody with --quiet; from a command's start on."""

import sys
from types import SimpleNamespace

import pytest

from ncaudit.cli.shared import live, loudness, output
from ncaudit.cli.shared.live.listeners import Mute


@pytest.fixture(autouse=True)
def _loud(monkeypatch):
    monkeypatch.setattr(loudness, "_quiet", False)  # commands of other tests, in this process, may have set it


def test_quiet_tells_nothing(capsys):
    loudness.set_loudness(quiet=True)
    with live.progress() as progress:
        progress.stage("embed", 5)
        progress.advance(5, 1)
        progress.note("look")
    assert isinstance(progress, Mute)
    assert capsys.readouterr().err == ""


def test_a_block_that_ends_before_any_stage_leaves_nothing(capsys):
    with pytest.raises(ZeroDivisionError), live.progress("score"):
        raise ZeroDivisionError
    assert capsys.readouterr().err == ""


class Cell:
    """A notebook's output, as IPython gives it."""

    def __init__(self):
        self.shown = []

    def display(self, text, display_id):
        self.shown.append(repr(text))
        return SimpleNamespace(update=lambda text: self.shown.append(repr(text)))


def test_in_a_notebook_the_cell_shows_the_lines_and_then_how_long_it_took(monkeypatch):
    cell = Cell()
    monkeypatch.setattr(output, "notebook", lambda: cell.display)
    with live.progress() as progress:
        progress.job("score", {"fit": 1.0, "score the rows": 1.0})
        progress.stage("fit", 4, "steps")
        progress.note("a \x1b[2J note")
        progress.advance(2)
        progress.stage("score the rows", 2_000)
    assert cell.shown[0] == "ncaudit: starting  0:00"
    assert cell.shown[2].startswith("score: 1 of 2, fit  0:00\n  ╌╌")
    note, first, second = cell.shown[-2].splitlines()
    assert note == "note: a \\x1b[2J note"
    assert first.startswith("score: 2 of 2, score the rows")
    assert "0/2,000 rows" in second
    assert cell.shown[-1].splitlines()[-1] == "score: done in 0:00"


def test_several_verbs_in_one_cell_each_leave_a_line(monkeypatch):
    cell = Cell()
    monkeypatch.setattr(output, "notebook", lambda: cell.display)
    with live.progress() as progress:
        for job in ("embed", "score"):
            progress.job(job, {"all of it": 1.0})
            progress.stage("all of it", 1)
    assert cell.shown[-1].splitlines() == ["embed: done in 0:00", "score: done in 0:00"]


def test_a_notebook_is_known_by_its_kernel(monkeypatch):
    assert output.notebook() is None
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display="display"))
    assert output.notebook() == "display"
    shell.kernel = None
    assert output.notebook() is None
