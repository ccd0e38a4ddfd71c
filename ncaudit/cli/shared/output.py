"""The only module that prints. Data goes to standard output as it is; words go to people, never through markup.

Knows streams, terminals and their colours; nothing of what results mean. Words are made in `cli/words`, their lines in
`cli/layout`, the live display is drawn by `live` on the console that is given here. Whatever words hold of a user's
data, a terminal only shows it. Only terminals get wrapped lines and colours.
"""

import io
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any, TextIO

from rich.color import ColorSystem
from rich.console import Console
from rich.style import Style

from ncaudit.cli.layout.rendering import plain, rendered
from ncaudit.cli.layout.vocabulary import Command, Meaning, Word, failure, fix, mapped
from ncaudit.cli.layout.wrapping import Line
from ncaudit.cli.shared import log
from ncaudit.cli.shared.as_json import json_object
from ncaudit.cli.shared.loudness import is_verbose
from ncaudit.cli.shared.user_text import one_line, visible
from ncaudit.errors import NcauditError

LOOKS = {
    Meaning.answer: Style(bold=True),
    Meaning.clean: Style(color="green"),
    Meaning.unsure: Style(color="yellow"),
    Meaning.noisy: Style(color="red"),
    Meaning.warning: Style(color="yellow"),
    Meaning.error: Style(color="red", bold=True),
}
USUAL_WIDTH = 80  # of a terminal that does not tell


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


def say(word: Word) -> None:
    """Something for people, on standard error. Captions and paths are text: no markup, no commands to a terminal."""
    _tell(sys.stderr, [word])


def error(problem: NcauditError) -> None:
    """What is wrong, and what to do."""
    words = [failure(one_line(problem.message), "ncaudit: "), fix(one_line(problem.fix))]
    for line in plain(words):
        log.line(line)
    _tell(sys.stderr, words)


def interrupted(command: str, *, kept: bool) -> None:
    """Ctrl-C: nothing finished is lost, if there is anything."""
    log.line("interrupted")
    if kept:
        say("ncaudit: interrupted; what is finished is kept. Resume with:")
    else:
        say("ncaudit: interrupted before anything was finished. Begin again with:")
    say(Command(command, lead="  "))


def result(value: Any, words: Iterable[Word], *, as_json: bool, to_stderr: bool = False) -> None:
    """The end of a command: one JSON object for programs, or words for people."""
    if as_json:
        data(json_object(value))
    else:
        _tell(sys.stderr if to_stderr else sys.stdout, words)


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


def _tell(stream: Any, words: Iterable[Word]) -> None:
    encoding = stream.encoding or "utf-8"

    def shown(text: str) -> str:
        # a lone surrogate in a user's file name must not end the run while it is being reported
        return visible(text).encode(encoding, "backslashreplace").decode(encoding)

    colours = _colours(stream)
    for line in rendered((mapped(word, shown) for word in words), _width(stream), verbose=is_verbose()):
        if colours is not None and any(span.meaning for span in line):
            stream.write_coloured(_coloured(line, colours))
        else:
            _write(stream, "".join(span.text for span in line))


def _width(stream: Any) -> int | None:
    """Of the terminal; None where there is none: nobody knows how wide the reader of a pipe or a log is."""
    if not stream.isatty():
        return None
    asked = os.environ.get("COLUMNS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    try:
        return os.get_terminal_size(stream.fileno()).columns or USUAL_WIDTH
    except (OSError, ValueError):
        return USUAL_WIDTH


def _colours(stream: Any) -> ColorSystem | None:
    """What the terminal can show; None without one, and where its user wants none (NO_COLOR, TERM=dumb)."""
    if not isinstance(stream, _Visible) or not stream.isatty():
        return None
    console = Console(file=stream)  # type: ignore[arg-type]
    known = console.color_system not in (None, "windows") and not console.no_color
    return ColorSystem.STANDARD if known else None


def _coloured(line: Line, colours: ColorSystem) -> str:
    return "".join(
        LOOKS[span.meaning].render(span.text, color_system=colours) if span.meaning else span.text for span in line
    )


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

    def write_coloured(self, line: str) -> None:
        """A line of words that are harmless already, with the colours that are ours."""
        with self._taking():
            self._stream.write(line + "\n")
            self._stream.flush()

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
