"""How far a verb has come, while it works: a bar on a terminal, a plain line now and then elsewhere, or nothing.

Knows stages and counts; nothing of what is counted. Prints nothing by itself: lines go through `output`, and the bar is
drawn on the console that `output` gives.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from ncaudit.cli.shared import output
from ncaudit.cli.shared.loudness import is_quiet
from ncaudit.cli.shared.user_text import one_line, visible
from ncaudit.interruption import heed

PLAIN_LINE_EVERY_S = 10.0


@contextmanager
def progress(*, one_line: bool = False) -> Iterator["Bar | Lines | Mute"]:
    """Draws a verb's progress on standard error: a bar on a terminal, a plain line now and then elsewhere.

    one_line: a stage takes the place of the one before it.
    """
    if is_quiet():
        yield Mute()
    elif console := output.terminal():
        with Bar(console, one_line=one_line) as bar:
            yield bar
    else:
        yield Lines()


class Mute:
    """--quiet. Like all others, it minds Ctrl-C whose exception a library has kept to itself."""

    def stage(self, name: str, total: int | None, unit: str = "rows") -> None:
        heed()

    def advance(self, done: int, failed: int = 0) -> None:
        heed()

    def status(self, text: str) -> None: ...

    def note(self, text: str) -> None: ...


class _Speed(ProgressColumn):
    """Units per second, by rich's own estimate over the last half minute."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")


class Bar(Mute):
    """A live bar: rows done, rows per second, failures so far, the work's own figures, time left."""

    def __init__(self, console: Console, *, one_line: bool = False) -> None:
        self._one_line = one_line
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed:,.0f}/{task.fields[of]} {task.fields[unit]}", markup=False),
            _Speed(Column(no_wrap=True)),
            TextColumn("{task.fields[failed]}", markup=False),
            TextColumn("{task.fields[status]}", markup=False),
            TimeRemainingColumn(),
            console=console,
        )
        self._task: TaskID | None = None
        self._failed = 0

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def stage(self, name: str, total: int | None, unit: str = "rows") -> None:
        super().stage(name, total, unit)
        if self._task is not None:
            self._progress.stop_task(self._task)
            if self._one_line:
                self._progress.remove_task(self._task)
        of = "?" if total is None else f"{total:,}"
        self._failed = 0
        self._task = self._progress.add_task(visible(name), total=total, of=of, unit=unit, failed="", status="")

    def advance(self, done: int, failed: int = 0) -> None:
        super().advance(done, failed)
        if self._task is None:
            return
        self._failed += failed
        said = f"{self._failed:,} failed" if self._failed else ""
        self._progress.advance(self._task, done)
        self._progress.update(self._task, failed=said)

    def status(self, text: str) -> None:
        if self._task is not None:
            self._progress.update(self._task, status=visible(text))

    def note(self, text: str) -> None:
        self._progress.console.print(Text(f"note: {visible(one_line(text))}"), soft_wrap=True)


class Lines(Mute):
    """Not a terminal: one line per stage, and one every ten seconds of long work."""

    def __init__(self) -> None:
        self._name, self._unit, self._status = "", "rows", ""
        self._total: int | None = None
        self._done = self._failed = 0
        self._begun = self._last = monotonic()

    def stage(self, name: str, total: int | None, unit: str = "rows") -> None:
        super().stage(name, total, unit)
        self._name, self._unit, self._total, self._status = name, unit, total, ""
        self._done = self._failed = 0
        self._begun = self._last = monotonic()
        many = f": {total:,} {unit.removesuffix('s') if total == 1 else unit}" if total is not None else ""
        output.say(f"{name}{many}")

    def advance(self, done: int, failed: int = 0) -> None:
        super().advance(done, failed)
        self._done += done
        self._failed += failed
        now = monotonic()
        if now - self._last >= PLAIN_LINE_EVERY_S:
            self._last = now
            said = [f"{self._name}: {self._done:,}{self._of()} {self._unit}", *self._speed(now - self._begun)]
            said += [f"{self._failed:,} failed"] if self._failed else []
            output.say(", ".join([*said, self._status] if self._status else said))

    def status(self, text: str) -> None:
        self._status = text

    def _of(self) -> str:
        return "" if self._total is None else f"/{self._total:,}"

    def _speed(self, seconds: float) -> list[str]:
        """Per second, and what is left at that speed."""
        speed = self._done / seconds
        if self._total is None or not self._done:
            return [f"{speed:,.0f}/s"]
        left = timedelta(seconds=round(max(0, self._total - self._done) / speed))
        return [f"{speed:,.0f}/s, {left} left"]

    def note(self, text: str) -> None:
        output.say(f"note: {one_line(text)}")
