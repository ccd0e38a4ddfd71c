"""Who listens to a verb where nothing is drawn: nobody (`--quiet`), or a log, a line now and then.

Knows the work and `output`; nothing of terminals. All of them mind Ctrl-C whose exception a library has kept to itself.
"""

from collections.abc import Mapping

from ncaudit.cli.shared import output
from ncaudit.cli.shared.live.two_lines import ended_line, plain_line
from ncaudit.cli.shared.live.work import Stage, Work
from ncaudit.cli.shared.user_text import one_line
from ncaudit.interruption import heed

PLAIN_LINE_EVERY_S = 30.0


class Mute:
    """--quiet."""

    def job(self, name: str, stages: Mapping[str, float]) -> None:
        heed()

    def stage(self, name: str, total: int | None, unit: str = "rows") -> None:
        heed()

    def begins(self) -> None:
        heed()

    def advance(self, done: int, failed: int = 0) -> None:
        heed()

    def kept(self, done: int, failed: int = 0) -> None:
        heed()

    def status(self, text: str) -> None: ...

    def note(self, text: str) -> None: ...

    def close(self, *, whole: bool) -> None:
        """The verb is done. whole: it came to its end."""


class Listener(Mute):
    """Keeps account of the work; what is made of that, others say."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def job(self, name: str, stages: Mapping[str, float]) -> None:
        super().job(name, stages)
        self.work.job(name, stages)

    def stage(self, name: str, total: int | None, unit: str = "rows") -> None:
        super().stage(name, total, unit)
        self._ended(self.work.begin(name, total, unit))

    def begins(self) -> None:
        super().begins()
        self.work.begins()

    def advance(self, done: int, failed: int = 0) -> None:
        super().advance(done, failed)
        if self.work.stage is not None:
            self.work.stage.advance(self.work.clock(), done, failed)

    def kept(self, done: int, failed: int = 0) -> None:
        super().kept(done, failed)
        if self.work.stage is not None:
            self.work.stage.keep(done, failed)

    def status(self, text: str) -> None:
        if self.work.stage is not None:
            self.work.stage.status = text

    def close(self, *, whole: bool) -> None:
        ended = self.work.end()
        self._ended(ended if whole else None)

    def _ended(self, stage: Stage | None) -> None:
        """A stage is over, if it is one that had begun."""


class Log(Listener):
    """Not a terminal: a line when a stage has ended, and one every half minute of long work."""

    def __init__(self, work: Work) -> None:
        super().__init__(work)
        self._last = work.clock()

    def advance(self, done: int, failed: int = 0) -> None:
        super().advance(done, failed)
        now = self.work.clock()
        if now - self._last >= PLAIN_LINE_EVERY_S:
            self._last = now
            output.say(plain_line(self.work))

    def note(self, text: str) -> None:
        output.say(f"note: {one_line(text)}")

    def _ended(self, stage: Stage | None) -> None:
        if stage is not None and is_worth_a_line(stage):
            self._last = self.work.clock()
            output.say(ended_line(stage))


def is_worth_a_line(stage: Stage) -> bool:
    """Not where another stage came before its first row."""
    return bool(stage.done) or not stage.total
