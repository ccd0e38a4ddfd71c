"""Progress that goes to the log, too: when stages begin and end, how much they did, notes. Knows stages and counts."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import monotonic

from ncaudit.cli.shared import log
from ncaudit.progress import Progress


@contextmanager
def logged(progress: Progress) -> Iterator[Progress]:
    """The same progress, heard by the log where there is one."""
    if not log.is_kept():
        yield progress
        return
    heard = Logged(progress)
    try:
        yield heard
    finally:
        heard.end()


class Logged:
    """Hands on what it is told, and writes it down."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._name, self._unit, self._begun, self._done, self._failed = "", "", 0.0, 0, 0

    def job(self, name: str, stages: Mapping[str, float]) -> None:
        """As Progress has it."""
        log.line(f"job: {name}, {', '.join(stages)}")
        self._progress.job(name, stages)

    def stage(self, name: str, total: int | None, unit: str = "rows") -> None:
        """As Progress has it."""
        self.end()
        self._name, self._unit, self._begun, self._done, self._failed = name, unit, monotonic(), 0, 0
        log.line(f"stage: {name}" + ("" if total is None else f", {total:,} {unit}"))
        self._progress.stage(name, total, unit)

    def begins(self) -> None:
        """As Progress has it."""
        self._progress.begins()

    def advance(self, done: int, failed: int = 0) -> None:
        """As Progress has it."""
        self._done, self._failed = self._done + done, self._failed + failed
        self._progress.advance(done, failed)

    def kept(self, done: int, failed: int = 0) -> None:
        """As Progress has it."""
        self._done, self._failed = self._done + done, self._failed + failed
        self._progress.kept(done, failed)

    def status(self, text: str) -> None:
        """As Progress has it."""
        self._progress.status(text)

    def note(self, text: str) -> None:
        """As Progress has it."""
        log.line(f"note: {text}")
        self._progress.note(text)

    def end(self) -> None:
        """The stage that runs is over."""
        if self._name:
            failed = f", {self._failed:,} failed" if self._failed else ""
            spent = monotonic() - self._begun
            log.line(f"stage ended: {self._name}, {self._done:,} {self._unit}{failed}, {spent:.3f} s")
        self._name = ""
