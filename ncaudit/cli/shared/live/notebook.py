"""The two lines in a notebook's cell, written again as the work goes on; afterwards one line with the time it took.

Knows the work and how a notebook shows a thing anew; nothing of terminals. Drawn as the verb tells, not by a thread of
its own: what a thread shows may land in another cell.
"""

from collections.abc import Mapping
from typing import Any

from ncaudit.cli.shared.live.listeners import Listener
from ncaudit.cli.shared.live.two_lines import GAP, Second, clock, first_line, second_line
from ncaudit.cli.shared.live.work import Work
from ncaudit.cli.shared.user_text import one_line, visible

COLUMNS = 100
EVERY_S = 0.25


class Shown(Listener):
    """The display of the verbs that run within one block."""

    def __init__(self, work: Work, display: Any) -> None:
        """display: as IPython's, with a display_id."""
        super().__init__(work)
        self._display, self._last, self._notes = display, 0.0, list[str]()
        self._handle: Any = None
        self._draw(at_once=True)

    def job(self, name: str, stages: Mapping[str, float]) -> None:
        before, had, took = self.work.name, bool(self.work.begun_stages()), self.work.elapsed_s()
        super().job(name, stages)
        if had and not self.work.begun_stages():  # the verb before it is done
            self._notes.append(f"{before}: done in {clock(took)}")
        self._draw(at_once=True)

    def stage(self, name: str, total: int | None, unit: str = "rows") -> None:
        super().stage(name, total, unit)
        self._draw(at_once=True)

    def advance(self, done: int, failed: int = 0) -> None:
        super().advance(done, failed)
        self._draw()

    def status(self, text: str) -> None:
        super().status(text)
        self._draw()

    def note(self, text: str) -> None:
        self._notes.append(f"note: {visible(one_line(text))}")
        self._draw(at_once=True)

    def close(self, *, whole: bool) -> None:
        super().close(whole=whole)
        ending = "done in" if whole else "stopped after"
        self._show([*self._notes, f"{self.work.name}: {ending} {clock(self.work.elapsed_s())}"])

    def _draw(self, *, at_once: bool = False) -> None:
        now = self.work.clock()
        if not at_once and now - self._last < EVERY_S:
            return
        self._last = now
        second = second_line(self.work, COLUMNS)
        self._show([*self._notes, first_line(self.work, COLUMNS), *([as_text(second)] if second else [])])

    def _show(self, lines: list[str]) -> None:
        text = Plain("\n".join(lines))
        if self._handle is None:
            self._handle = self._display(text, display_id=True)
        else:
            self._handle.update(text)


class Plain:
    """Text that a notebook shows as it is."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def as_text(second: Second) -> str:
    """The second line without colours."""
    if not second.bar:
        return GAP + second.words
    full = round(second.bar * min(1.0, second.done / second.total)) if second.total else 0
    bar = "━" * full + "╌" * (second.bar - full)
    return f"{GAP}{bar}{GAP}{second.words}"
