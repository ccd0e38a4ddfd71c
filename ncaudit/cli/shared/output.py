"""The only module that prints. Data goes to standard output as it is; words go to people, never through markup.

Knows streams and rich's console; nothing of what results mean. Words are made in `cli/words`, the live display is drawn
by `live.py` on the console that is given here.
"""

import sys
from collections.abc import Sequence
from typing import Any

import rich.table
from rich.console import Console
from rich.text import Text

from ncaudit.cli.shared.as_json import json_object
from ncaudit.cli.shared.tables import Table
from ncaudit.cli.shared.user_text import one_line
from ncaudit.errors import NcauditError


def data(text: str) -> None:
    """One line on standard output, exactly as it is."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """One line for people, on standard error. Captions and paths are printed as they are: no markup, no folding."""
    _write_words(sys.stderr, text)


def error(problem: NcauditError) -> None:
    """What is wrong, and what to do: two lines."""
    say(f"ncaudit: {one_line(problem.message)}")
    say(f"  fix: {one_line(problem.fix)}")


def interrupted(command: str, *, kept: bool) -> None:
    """Ctrl-C: nothing finished is lost, if there is anything."""
    if kept:
        say(f"ncaudit: interrupted; what is finished is kept. Resume with:\n  {command}")
    else:
        say(f"ncaudit: interrupted before anything was finished. Begin again with:\n  {command}")


def result(value: Any, words: Sequence[str | Table], *, as_json: bool, to_stderr: bool = False) -> None:
    """The end of a command: one JSON object for programs, or words for people."""
    if as_json:
        data(json_object(value))
        return
    stream = sys.stderr if to_stderr else sys.stdout
    for each in words:
        _draw(stream, each) if isinstance(each, Table) else _write_words(stream, each)


def terminal() -> Console | None:
    """What a live display draws on: standard error; None where that is no terminal."""
    return Console(stderr=True, highlight=False, markup=False) if sys.stderr.isatty() else None


def _draw(stream: Any, table: Table) -> None:
    if table.title:
        _write_words(stream, table.title)  # rich would fold it at the table's width
    drawn = rich.table.Table(box=None, pad_edge=False)
    for index, name in enumerate(table.header):
        drawn.add_column(Text(name), justify="left" if index == 0 else "right", no_wrap=True)
    for row in table.rows:
        drawn.add_row(*(Text(cell) for cell in row))
    Console(file=stream, width=max(80, table.width), highlight=False).print(drawn)


def _write_words(stream: Any, text: str) -> None:
    # a lone surrogate in a user's file name must not end the run while it is being reported
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()
