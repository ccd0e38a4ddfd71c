"""The only module that prints. Data goes to standard output as it is; words go to people, never through markup.

Knows streams and rich's console; nothing of what results mean. Words are made in `cli/words`, the live display is drawn
by `live` on the console that is given here. Whatever words hold of a user's data, a terminal only shows it.
"""

import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any, TextIO

import rich.table
from rich.console import Console
from rich.text import Text

from ncaudit.cli.shared.as_json import json_object
from ncaudit.cli.shared.tables import Table, visible_table
from ncaudit.cli.shared.user_text import one_line, visible
from ncaudit.errors import NcauditError


def take_streams() -> None:
    """Once, before all else: streams that the caller has closed are there, and take nothing or tell so."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # the lowest free number: else a file of ours would get it, and with it what strangers print
            os.open(os.devnull, os.O_RDWR)
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")
    sys.stdout = _Closed(1) if sys.stdout is None else _Visible(sys.stdout)
    sys.stderr = _Closed(2) if sys.stderr is None else _Visible(sys.stderr, last=True)


def forget(stream: Any) -> None:
    """Nobody reads it any more, or it takes no more: Python would complain again when it flushes it at exit."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def gives_rows() -> bool:
    """Whether rows go, or went, to standard output."""
    return isinstance(sys.stdout, _Visible) and sys.stdout.gives_rows


def data(text: str) -> None:
    """One line on standard output, exactly as it is."""
    if isinstance(sys.stdout, _Closed):
        raise _closed()
    _write(sys.stdout, text)


def say(text: str) -> None:
    """One line for people, on standard error. Captions and paths are text: no markup, no folding, no commands."""
    _write_words(sys.stderr, text)


def error(problem: NcauditError) -> None:
    """What is wrong, and what to do: two lines."""
    say(f"ncaudit: {one_line(problem.message)}")
    say(f"  fix: {one_line(problem.fix)}")


def interrupted(command: str, *, kept: bool) -> None:
    """Ctrl-C: nothing finished is lost, if there is anything."""
    if kept:
        say("ncaudit: interrupted; what is finished is kept. Resume with:")
    else:
        say("ncaudit: interrupted before anything was finished. Begin again with:")
    say(f"  {command}")


def result(value: Any, words: Sequence[str | Table], *, as_json: bool, to_stderr: bool = False) -> None:
    """The end of a command: one JSON object for programs, or words for people."""
    if as_json:
        data(json_object(value))
        return
    stream = sys.stderr if to_stderr else sys.stdout
    for each in words:
        _draw(stream, each) if isinstance(each, Table) else _write_words(stream, each)


def terminal() -> Console | None:
    """What a live display draws on: standard error; None where that is no terminal, or one that only takes lines."""
    if not sys.stderr.isatty():
        return None
    file: Any = sys.stderr.as_it_is() if isinstance(sys.stderr, _Visible) else sys.stderr
    console = Console(file=file, highlight=False, markup=False)
    return None if console.is_dumb_terminal else console


def notebook() -> Any:
    """IPython's `display`, where this process is a notebook's; else None."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if getattr(shell, "kernel", None) is None:
        return None
    return import_module("IPython.display").display


def _draw(stream: Any, given: Table) -> None:
    table = visible_table(given)
    if table.title:
        _write_words(stream, table.title)  # rich would fold it at the table's width
    drawn = rich.table.Table(box=None, pad_edge=False)
    for index, name in enumerate(table.header):
        drawn.add_column(Text(name), justify="left" if index == 0 else "right", no_wrap=True)
    for row in table.rows:
        drawn.add_row(*(Text(cell) for cell in row))
    held = io.StringIO()
    Console(file=held, width=max(80, table.width), highlight=False).print(drawn)
    for line in held.getvalue().splitlines():
        _write_words(stream, line)


def _write_words(stream: Any, text: str) -> None:
    # a lone surrogate in a user's file name must not end the run while it is being reported
    encoding = stream.encoding or "utf-8"
    _write(stream, visible(text).encode(encoding, "backslashreplace").decode(encoding))


def _write(stream: Any, line: str) -> None:
    try:
        stream.write(line + "\n")
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        forget(stream)
        if stream is not sys.stderr:  # else nobody is left who could be told
            fix = "make room where it goes, or send it elsewhere"
            raise NcauditError(f"standard output: {error.strerror}", fix=fix) from error


def _closed() -> NcauditError:
    return NcauditError("standard output is closed", fix="leave it open, send it to a file, or give --out a file")


class TakesNoMore(OSError):
    """A standard stream on a full disk, or whose terminal is gone."""


class _Visible:
    """A stream for text by anybody, Python's tracebacks and Typer's usage errors among it: a terminal only shows it."""

    def __init__(self, stream: TextIO, *, last: bool = False) -> None:
        """last: what it does not take is nobody's any more."""
        self._stream, self._last, self.gives_rows = stream, last, False
        self.rich_proxied_file: Any = stream  # by which rich finds the terminal that its bar is drawn on

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def as_it_is(self) -> "_AsItIs":
        """The same stream for what we draw: it does steer the terminal."""
        return _AsItIs(self._stream, last=self._last)

    @property
    def buffer(self) -> Any:
        """What rows go to, as they are."""
        self.gives_rows = True
        return self._stream.buffer

    def write(self, text: str) -> int:
        """As a text file's."""
        shown = visible(text, keep="\n\t").encode(self._stream.encoding, "backslashreplace")
        with self._taking():
            self._stream.write(shown.decode(self._stream.encoding))
        return len(text)

    def flush(self) -> None:
        """As a text file's."""
        with self._taking():
            self._stream.flush()

    @contextmanager
    def _taking(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            if not self._last:
                raise TakesNoMore(error.errno, error.strerror) from error
            forget(self._stream)


class _AsItIs(_Visible):
    """The same for text of our own, control sequences and all."""

    def __init__(self, stream: TextIO, *, last: bool = False) -> None:
        super().__init__(stream, last=last)
        self.rich_proxied_file = self

    def write(self, text: str) -> int:
        """As a text file's."""
        with self._taking():
            self._stream.write(text)
        return len(text)


class _Closed(io.TextIOBase):
    """A standard stream that the caller has closed: words are for nobody, and rows have nowhere to go."""

    encoding = "utf-8"

    def __init__(self, number: int) -> None:
        self._number = number

    def write(self, text: str) -> int:
        """As a text file's."""
        return len(text)

    def fileno(self) -> int:
        """The stream's number, which is taken."""
        return self._number

    @property
    def buffer(self) -> Any:
        """Where rows would go. Raises NcauditError."""
        raise _closed()
