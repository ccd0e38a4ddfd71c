"""Data goes out as it is; words never alter or are altered by a user's text."""

import json
import math
import sys
from dataclasses import dataclass

from ncaudit.cli.shared import output
from ncaudit.cli.shared.tables import Table
from ncaudit.errors import NcauditError


def test_an_error_is_two_lines(capsys):
    output.error(NcauditError("a.parquet has no\ncaption [/red] column", fix="name it"))
    assert capsys.readouterr().err == "ncaudit: a.parquet has no caption [/red] column\n  fix: name it\n"


def test_brackets_in_a_users_text_are_data(capsys):
    output.say("[red]not markup[/i]")
    output.result(None, [Table("[b]title", ["[x]"], [["[/i]"]])], as_json=False)
    said = capsys.readouterr()
    assert said.err == "[red]not markup[/i]\n"
    assert "[b]title" in said.out
    assert "[/i]" in said.out


def test_a_file_name_that_is_no_text_can_still_be_reported(capsys):
    output.say("bad\udcff.parquet")
    assert "bad\\udcff.parquet" in capsys.readouterr().err


def test_lines_and_tables_are_told_in_their_order_on_the_stream_that_is_asked_for(capsys):
    words = ["first", Table("a title", ["", "n"], [["cats", "1"], ["dogs", "1,000"]]), "", "last"]
    output.result(None, words, as_json=False)
    output.result(None, words, as_json=False, to_stderr=True)
    said = capsys.readouterr()
    told = [line.rstrip() for line in said.out.splitlines()]
    assert told == ["first", "a title", "          n", "cats      1", "dogs  1,000", "", "last"]
    assert said.err == said.out


def test_a_wide_table_is_not_folded(capsys):
    output.result(None, [Table("", ["a"], [["long " * 60]])], as_json=False)
    assert "long " * 60 in capsys.readouterr().out


def test_json_is_one_object_instead_of_the_words(capsys):
    @dataclass
    class Result:
        auroc: float

    output.result(Result(math.nan), ["words"], as_json=True)
    said = capsys.readouterr()
    assert json.loads(said.out) == {"auroc": None}
    assert said.err == ""


def test_a_live_display_has_something_to_draw_on_only_on_a_terminal(monkeypatch):
    assert output.terminal() is None
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    console = output.terminal()
    assert console is not None
    assert console.file is sys.stderr


def test_a_terminal_that_only_takes_lines_is_none_to_draw_on(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    assert output.terminal() is None


def test_what_is_drawn_steers_the_terminal_and_what_is_told_does_not(monkeypatch, tmp_path):
    with open(tmp_path / "terminal", "w", encoding="utf-8") as stream:
        stream.isatty = lambda: True
        monkeypatch.setattr(sys, "stderr", output._Visible(stream, last=True))
        console = output.terminal()
        console.file.write("\x1b[2K")
        sys.stderr.write("\x1b[2J")
    assert (tmp_path / "terminal").read_text() == "\x1b[2K\\x1b[2J"
