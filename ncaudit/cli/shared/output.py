"""The only module that prints. Data goes to standard output as it is; words go to people, never through markup.

Knows rich and result dataclasses; nothing of what they mean.
"""

import json
import math
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import timedelta
from enum import Enum
from time import monotonic
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ncaudit.engines.local import Accounting
from ncaudit.errors import NcauditError

PLAIN_LINE_EVERY_S = 10.0
TOO_MANY_FAILED = 3

_quiet = False


def set_quiet(quiet: bool) -> None:
    """No progress and no notes from now on; errors and results are still told."""
    global _quiet
    _quiet = quiet


def data(text: str) -> None:
    """One line on standard output, exactly as it is."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """One line for people, on standard error. Captions and paths are printed as they are: no markup, no folding."""
    _write_words(sys.stderr, text)


def shown(text: str, limit: int = 100) -> str:
    r"""A user's text as one line that a terminal only displays: what would steer it is spelled out, and its end is cut.

    Control characters could move the cursor or set the window's title; those that turn the direction of writing could
    make a line read as another.

    >>> shown("red\x1b[2Jcar\n")
    'red\\x1b[2Jcar\\n'
    """
    plain = "".join(c if _only_shows(c) else c.encode("unicode_escape").decode("ascii") for c in text[: limit + 1])
    return plain if len(plain) <= limit else f"{plain[: limit - 1]}…"


def _only_shows(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"  # spaces of other scripts


def error(problem: NcauditError) -> None:
    """What is wrong, and what to do: two lines."""
    say(f"ncaudit: {_one_line(problem.message)}")
    say(f"  fix: {_one_line(problem.fix)}")


def interrupted(command: str) -> None:
    """Ctrl-C: nothing finished is lost."""
    say(f"ncaudit: interrupted; what is finished is kept. Resume with:\n  {command}")


def result(value: Any, lines: Sequence[str], *, as_json: bool, to_stderr: bool = False) -> None:
    """The end of a command: one JSON object for programs, or lines for people."""
    if as_json:
        data(json.dumps(plain(value), ensure_ascii=False, allow_nan=False))
        return
    for line in lines:
        _write_words(sys.stderr if to_stderr else sys.stdout, line)


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], *, to_stderr: bool = False) -> None:
    """A table for people; cells are data and are never read as markup."""
    stream = sys.stderr if to_stderr else sys.stdout
    if title:
        _write_words(stream, title)  # rich would fold it at the table's width
    drawn = Table(box=None, pad_edge=False)
    for index, name in enumerate(header):
        drawn.add_column(Text(name), justify="left" if index == 0 else "right", no_wrap=True)
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    Console(file=stream, width=max(80, _width(header, rows)), highlight=False).print(drawn)


def accounting(accounts: Accounting) -> list[str]:
    """The lines that every command over shards ends with: rows in = rows ok + rows failed."""
    shards = f"{accounts.shards:,} shard{'s' * (accounts.shards != 1)}"
    resumed = f", {accounts.shards_resumed:,} finished earlier" if accounts.shards_resumed else ""
    lines = [f"{accounts.rows:,} rows = {accounts.ok:,} ok + {accounts.failed:,} failed ({shards}{resumed})"]
    lines += [
        f"  {status}: {count:,}" for status, count in sorted(accounts.statuses.items()) if status != "ok" and count
    ]
    for failure in accounts.shard_errors:
        lines += [f"failed shard: {failure.message}", f"  fix: {failure.fix}"]
    return lines


def exit_code(accounts: Accounting, max_failed: float) -> int:
    """0, or 3 when some shard failed or more rows failed than the user allows."""
    return TOO_MANY_FAILED if accounts.too_many_failed(max_failed) else 0


def plain(value: Any) -> Any:
    """A result as JSON knows it: dataclasses as objects, enums by value, NaN and infinities as null."""
    if isinstance(value, Accounting):
        return {**_object(value), "rows": value.rows, "ok": value.ok, "failed": value.failed}
    if is_dataclass(value) and not isinstance(value, type):
        return _object(value)
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _object(value: Any) -> dict[str, Any]:
    return {field.name: plain(getattr(value, field.name)) for field in fields(value)}


def _write_words(stream: Any, text: str) -> None:
    # a lone surrogate in a user's file name must not end the run while it is being reported
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())


def _width(header: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    return sum(max(len(cell) for cell in column) + 2 for column in zip(header, *rows, strict=True))


@contextmanager
def progress() -> Iterator["Bar | Lines | Mute"]:
    """Draws a verb's progress on standard error: a bar on a terminal, a plain line now and then elsewhere."""
    if _quiet:
        yield Mute()
    elif sys.stderr.isatty():
        with Bar() as bar:
            yield bar
    else:
        yield Lines()


class Mute:
    """--quiet."""

    def stage(self, name: str, total: int | None, unit: str = "rows") -> None: ...

    def advance(self, done: int, failed: int = 0) -> None: ...

    def status(self, text: str) -> None: ...

    def note(self, text: str) -> None: ...


class Bar(Mute):
    """A live bar: rows done, rows per second, failures so far, the work's own figures, time left."""

    def __init__(self) -> None:
        columns = (
            "{task.completed:,.0f}/{task.fields[of]} {task.fields[unit]}",
            "{task.fields[speed]}",
            "{task.fields[failed]}",
            "{task.fields[status]}",
        )
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            *(TextColumn(c, markup=False) for c in columns),
            TimeRemainingColumn(),
            console=Console(stderr=True, highlight=False, markup=False),
        )
        self._task: TaskID | None = None
        self._failed = 0

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def stage(self, name: str, total: int | None, unit: str = "rows") -> None:
        if self._task is not None:
            self._progress.stop_task(self._task)
        of = "?" if total is None else f"{total:,}"
        self._failed = 0
        self._task = self._progress.add_task(name, total=total, of=of, unit=unit, speed="", failed="", status="")

    def advance(self, done: int, failed: int = 0) -> None:
        if self._task is None:
            return
        self._failed += failed
        self._progress.advance(self._task, done)
        speed = self._progress._tasks[self._task].speed  # rich keeps its estimate here only
        said = f"{self._failed:,} failed" if self._failed else ""
        self._progress.update(self._task, speed=f"{speed:,.0f}/s" if speed else "", failed=said)

    def status(self, text: str) -> None:
        if self._task is not None:
            self._progress.update(self._task, status=text)

    def note(self, text: str) -> None:
        self._progress.console.print(Text(f"note: {_one_line(text)}"), soft_wrap=True)


class Lines(Mute):
    """Not a terminal: one line per stage, and one every ten seconds of long work."""

    def __init__(self) -> None:
        self._name, self._unit, self._status = "", "rows", ""
        self._total: int | None = None
        self._done = self._failed = 0
        self._begun = self._last = monotonic()

    def stage(self, name: str, total: int | None, unit: str = "rows") -> None:
        self._name, self._unit, self._total, self._status = name, unit, total, ""
        self._done = self._failed = 0
        self._begun = self._last = monotonic()
        say(f"{name}: {self._of()} {unit}")

    def advance(self, done: int, failed: int = 0) -> None:
        self._done += done
        self._failed += failed
        now = monotonic()
        if now - self._last >= PLAIN_LINE_EVERY_S:
            self._last = now
            said = [f"{self._name}: {self._done:,}/{self._of()} {self._unit}", *self._speed(now - self._begun)]
            said += [f"{self._failed:,} failed"] if self._failed else []
            say(", ".join([*said, self._status] if self._status else said))

    def status(self, text: str) -> None:
        self._status = text

    def _of(self) -> str:
        return "?" if self._total is None else f"{self._total:,}"

    def _speed(self, seconds: float) -> list[str]:
        """Per second, and what is left at that speed."""
        speed = self._done / seconds
        if self._total is None or not self._done:
            return [f"{speed:,.0f}/s"]
        left = timedelta(seconds=round(max(0, self._total - self._done) / speed))
        return [f"{speed:,.0f}/s, {left} left"]

    def note(self, text: str) -> None:
        say(f"note: {_one_line(text)}")
