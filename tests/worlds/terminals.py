"""A real terminal, and what stands on it: the command in a pseudo-terminal, whose output an emulator reads.

Knows processes, sizes, keys and screens; nothing of what a command tells. `watched` runs a command to its end; within
`opened` a test looks, presses keys and resizes while the command runs. A command is forked from a
process that has the libraries loaded already (see `processes`), unless it is to be seen `loading` them.
"""

import os
import pty
import select
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ
from typing import Any

import pyte

from tests.worlds import processes

QUIET_S = 0.01  # a frame is whole when so long nothing follows it
PATIENCE_S = 120.0
KEPT_LINES = 10_000
CTRL_C = b"\x03"
NCAUDIT = (sys.executable, "-m", "ncaudit")
REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Snapshot:
    """What a user saw at one moment."""

    at: float  # seconds after the command began
    columns: int
    screen: tuple[str, ...]  # rows of the screen, without blanks at their ends
    above: int  # lines that have left the screen at its top
    cursor_visible: bool

    @property
    def text(self) -> str:
        """The rows that hold anything, as one text."""
        return "\n".join(line for line in self.screen if line)


@dataclass
class Terminal:
    """A terminal in which one command runs, or has run."""

    process: "subprocess.Popen[bytes]"
    master: int
    screen: pyte.HistoryScreen
    began: float = field(default_factory=time.monotonic)
    snapshots: list[Snapshot] = field(default_factory=list)
    raw: bytes = b""  # what came, control sequences included
    folds: bool = True  # lines that are longer than a narrower window go on in its next row, as in most terminals

    def __post_init__(self) -> None:
        self._stream = pyte.ByteStream(self.screen)

    @property
    def code(self) -> int | None:
        """The exit code; None while it runs; negative: the signal that ended it."""
        return self.process.poll()

    @property
    def cursor_visible(self) -> bool:
        """Whether the user sees where they type."""
        return not self.screen.cursor.hidden

    @property
    def scrolled(self) -> list[str]:
        """The lines that have left the screen at its top."""
        return [_row(line, self.screen.columns) for line in self.screen.history.top]

    @property
    def lines(self) -> list[str]:
        """All that stands there, what scrolling back shows included, without blanks at the ends of lines and below."""
        lines = [*self.scrolled, *(line.rstrip() for line in self.screen.display)]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    @property
    def text(self) -> str:
        """The same as one text."""
        return "\n".join(self.lines)

    def until(self, seen: Callable[[Snapshot], bool], *, patience_s: float = PATIENCE_S) -> Snapshot:
        """Read on until the user sees it. Fails when the command ends first, or patience does."""
        ends = time.monotonic() + patience_s
        while time.monotonic() < ends:
            running = self._read()
            if self.snapshots and seen(self.snapshots[-1]):
                return self.snapshots[-1]
            if not running:
                break
        raise AssertionError(f"never seen; exit code {self.code}, and this stood there:\n{self.text}")

    def to_the_end(self, *, patience_s: float = PATIENCE_S) -> "Terminal":
        """Read all, until the command has ended."""
        ends = time.monotonic() + patience_s
        while self._read():
            assert time.monotonic() < ends, f"still running, and this stands there:\n{self.text}"
        self.process.wait()
        return self

    def press(self, keys: bytes = CTRL_C) -> None:
        """As the user does; Ctrl-C is a key whose signal the terminal itself sends."""
        os.write(self.master, keys)

    def resize(self, columns: int, rows: int | None = None) -> None:
        """Drag the window's edge: the command is sent SIGWINCH."""
        rows = self.screen.lines if rows is None else rows
        before = [] if not self.folds else [line.rstrip() for line in self.screen.display[: self.screen.cursor.y + 1]]
        self.screen.resize(rows, columns)
        if before:
            self._fold(before, columns)
        ioctl(self.master, TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _fold(self, lines: Sequence[str], columns: int) -> None:
        """What stood there, written again at the new width; the cursor behind it."""
        self.screen.erase_in_display(2)
        self.screen.cursor_position()
        self._stream.feed("\r\n".join(lines).encode())

    def _read(self) -> bool:
        """One frame, or a twentieth of a second without any. Whether more may come."""
        patience, changed = 0.05, False
        while select.select([self.master], [], [], patience)[0]:
            try:
                chunk = os.read(self.master, 65536)
            except OSError:  # so Linux tells that nobody holds the other end any more
                chunk = b""
            if not chunk:
                self._look()
                return False
            self.raw += chunk
            self._stream.feed(chunk)
            patience, changed = QUIET_S, True
        if changed:
            self._look()
        return True

    def _look(self) -> None:
        screen = tuple(line.rstrip() for line in self.screen.display)
        above, at = len(self.screen.history.top), time.monotonic() - self.began
        seen = Snapshot(at, self.screen.columns, screen, above, self.cursor_visible)
        if not self.snapshots or self.snapshots[-1].screen != screen:
            self.snapshots.append(seen)


@contextmanager
def opened(
    words: Sequence[object],
    *,
    columns: int = 80,
    rows: int = 24,
    cwd: Path | None = None,
    env: Mapping[str, str | None] | None = None,
    stdout: Path | None = None,
    command: Sequence[str] = NCAUDIT,
    loading: bool = False,
) -> Iterator[Terminal]:
    """The command with these words, running in a terminal of that size; ended, at the latest, with the block.

    env: besides this process's; None takes a variable away. stdout: a file instead of the terminal (`> FILE`).
    """
    master, slave = pty.openpty()
    ioctl(slave, TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    began, begin = time.monotonic(), processes.new if loading else processes.Popen
    out = None if stdout is None else os.open(stdout, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    process = begin(
        [*command, *words], stdin=slave, stdout=slave if out is None else out, stderr=slave, cwd=cwd,
        env=_environment(env or {}), terminal=True,
    )  # fmt: skip
    for ours in {slave, out} - {None}:
        os.close(ours)
    try:
        yield Terminal(process, master, pyte.HistoryScreen(columns, rows, history=KEPT_LINES), began)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(master)


def watched(words: Sequence[object], **how: Any) -> Terminal:
    """The same, to its end."""
    with opened(words, **how) as terminal:
        return terminal.to_the_end()


def _environment(given: Mapping[str, str | None]) -> dict[str, str]:
    """An ordinary terminal's: no width, colour or kind that the tests' own one has."""
    strange = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "CI")
    inherited = {name: value for name, value in os.environ.items() if name not in strange}
    known = [str(REPOSITORY), *filter(None, [inherited.get("PYTHONPATH")])]
    ours = {**inherited, "PYTHONPATH": os.pathsep.join(known), "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    ours = {"OMP_NUM_THREADS": "1", **ours, **given}  # several tests share a machine
    return {name: value for name, value in ours.items() if value is not None}


def _row(line: Mapping[int, pyte.screens.Char], columns: int) -> str:
    return "".join(line[column].data for column in range(columns)).rstrip()
