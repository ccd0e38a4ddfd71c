"""Two lines at the lower end of a terminal, drawn again several times a second, with all else above them.

Knows rich's live display and what terminals do when their window changes; nothing of what the lines say.
"""

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.control import Control
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.segment import ControlType, Segment
from rich.text import Text

from ncaudit.cli.shared.live.listeners import Listener, is_worth_a_line
from ncaudit.cli.shared.live.two_lines import GAP, Second, ended_line, first_line, second_line
from ncaudit.cli.shared.live.work import Stage, Work
from ncaudit.cli.shared.loudness import is_verbose
from ncaudit.cli.shared.user_text import one_line, visible

FRAMES_PER_S = 8
SPARE_COLUMNS = 2  # for the ^C that a terminal itself writes behind the cursor: it must not begin a new row


class Drawn(Listener):
    """The display of one command, from where it starts."""

    def __init__(self, work: Work, console: Console) -> None:
        super().__init__(work)
        self._live = _Live(TwoLines(work), console)
        self._streams = (sys.stdout, sys.stderr)

    def start(self) -> None:
        """Draw, and from now on let what others write stand above."""
        self._live.start(refresh=True)
        if sys.stdout.isatty():
            sys.stdout = _Above(sys.stdout, self._live)
        sys.stderr = _Above(sys.stderr, self._live)

    def job(self, name: str, stages: Mapping[str, float]) -> None:
        super().job(name, stages)
        self._live.refresh()

    def stage(self, name: str, total: int | None, unit: str = "rows") -> None:
        super().stage(name, total, unit)
        self._live.refresh()  # at once: what comes now may keep the drawing thread waiting

    def note(self, text: str) -> None:
        self._live.above(f"note: {visible(one_line(text))}")

    def close(self, *, whole: bool) -> None:
        try:
            super().close(whole=whole)
            for stream in (sys.stdout, sys.stderr):
                if isinstance(stream, _Above):
                    stream.rest()
        finally:
            sys.stdout, sys.stderr = self._streams
            self._live.end()

    def _ended(self, stage: Stage | None) -> None:
        if stage is not None and is_verbose() and is_worth_a_line(stage):
            self._live.above(ended_line(stage))


class TwoLines:
    """What is drawn. columns: that each of the lines took when it was drawn last."""

    def __init__(self, work: Work) -> None:
        self._work, self.columns = work, (0, 0)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = max(1, columns_of(console) - SPARE_COLUMNS)
        first = first_line(self._work, width, "..." if options.ascii_only else "…")
        second = second_line(self._work, width)
        self.columns = (cell_len(first), second.columns if second else 0)
        yield Text(first, no_wrap=True, overflow="crop", end="\n" if second else "")
        if second is not None:
            yield Segment(GAP)
            yield from self._bar(second, console, options)
            yield Text(second.words, no_wrap=True, overflow="crop", end="")

    def _bar(self, second: Second, console: Console, options: ConsoleOptions) -> RenderResult:
        if second.bar:
            # of work without parts only a moving bar tells that it goes on
            bar = ProgressBar(second.total, second.done, width=second.bar, pulse=second.total is None)
            yield from console.render(bar, options.update_width(second.bar))
            yield Segment(GAP)


def columns_of(console: Console) -> int:
    """What the user asks for (COLUMNS), but no more than the window has."""
    with suppress(OSError, ValueError):
        return min(console.width, os.get_terminal_size(console.file.fileno()).columns or console.width)
    return console.width


class _Live(Live):
    """Rich's display, which also finds its lines again in a window that has become narrower."""

    def __init__(self, drawn: TwoLines, console: Console) -> None:
        super().__init__(
            get_renderable=lambda: drawn, console=console, transient=True, redirect_stdout=False, redirect_stderr=False,
            refresh_per_second=FRAMES_PER_S, vertical_overflow="crop",
        )  # fmt: skip
        self._drawn, self._columns = drawn, columns_of(console)

    def refresh(self) -> None:
        """As rich does it."""
        with self._lock:
            self._reach_back()
            super().refresh()

    def above(self, text: str) -> None:
        """A line that stays. Text by anybody: no markup; long ones go on in the next row, at a word."""
        with self._lock:
            self._reach_back()
            self.console.print(Text(text), overflow="fold", width=columns_of(self.console))

    def end(self) -> None:
        """Nothing is left behind, and the user sees the cursor again, whatever happens meanwhile."""
        try:
            self.stop()
        finally:
            self.console.show_cursor(True)

    def _reach_back(self) -> None:
        """A narrower window has folded the lines that were drawn: they take more rows than rich will clear."""
        before, self._columns = self._columns, columns_of(self.console)
        if self._columns >= before or not self._live_render.last_render_height:
            return
        extra = sum(max(0, -(-columns // self._columns) - 1) for columns in self._drawn.columns)
        self.console.control(Control(*(_ONE_ROW_UP * extra)))


_ONE_ROW_UP: tuple[Any, ...] = ((ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1))


class _Above:
    """A standard stream while the lines are drawn: whole lines stand above them."""

    encoding = property(lambda self: self._stream.encoding)

    def __init__(self, stream: Any, live: _Live) -> None:
        self._stream, self._live, self._held = stream, live, ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @property
    def buffer(self) -> Any:
        """Rows go to the terminal themselves: nothing can be drawn below them."""
        self._live.end()
        return self._stream.buffer

    def write(self, text: str) -> int:
        """As a text file's. Of what others draw over again (a carriage return) the last is held."""
        *lines, held = (self._held + text).split("\n")
        self._held = held.rpartition("\r")[2]
        for line in lines:
            self._live.above(visible(line.rstrip("\r").rpartition("\r")[2], keep="\t"))
        return len(text)

    def flush(self) -> None:
        """Half a line waits for its end."""

    def rest(self) -> None:
        """What has had no end."""
        if self._held.strip():
            self.write("\n")
