"""How far the work has come: the job, its stages, what is done of each; and how long all the rest will take.

Knows names, counts and a clock; nothing of how they are shown.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from time import monotonic

CLOSE_S = 0.1  # what is told within so long is one piece of work: a loop may tell thousands a second
RECENT_S = 20.0  # the pace is that of the last seconds,
FEWEST_PIECES = 5  # but of so many pieces at least: a batch may take a minute
WARM_FROM = 3
SURE_SHARE, SURE_S = 0.05, 20.0  # the rest is foretold when so much of the work has been seen, or after so long
FOLLOWED_IN_S = 5.0  # a new estimate takes the place of the one shown within about so long


@dataclass
class Pace:
    """Units per second, lately."""

    begun: float
    pieces: deque[tuple[float, int]] = field(default_factory=deque)  # when, and how many units were done in all

    def __post_init__(self) -> None:
        self.pieces.append((self.begun, 0))

    def done(self, now: float, units: int) -> None:
        """`units` are done in all."""
        if len(self.pieces) > 1 and now - self.pieces[-2][0] < CLOSE_S:
            self.pieces.pop()
        self.pieces.append((now, units))
        while len(self.pieces) > FEWEST_PIECES + 1 and self.pieces[1][0] < now - RECENT_S:
            self.pieces.popleft()

    def per_s(self, now: float) -> float | None:
        """None as long as nothing can be said. When the next piece is overdue the pace falls."""
        warm = len(self.pieces) > WARM_FROM  # the first piece is often slow: memory is taken, files are opened
        (first, before), (last, units) = self.pieces[int(warm)], self.pieces[-1]
        usual = (last - first) / max(1, len(self.pieces) - 1 - warm)
        seconds = max(last, now - usual) - first
        return (units - before) / seconds if units > before and seconds > 0 else None

    def left_s(self, now: float, units: int) -> float | None:
        """Seconds for so many more units."""
        speed = self.per_s(now)
        return None if speed is None else max(0.0, units / speed - (now - self.pieces[-1][0]))


@dataclass
class Stage:
    """One stage, from where it began."""

    name: str
    total: int | None
    unit: str
    begun: float
    done: int = 0  # kept ones included
    kept: int = 0
    failed: int = 0
    status: str = ""
    waited_s: float = 0.0  # before its work began
    ended: float | None = None
    pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        self.pace = Pace(self.begun)

    def advance(self, now: float, done: int, failed: int) -> None:
        self.done, self.failed = self.done + done, self.failed + failed
        if done:
            self.pace.done(now, self.done - self.kept)

    def keep(self, done: int, failed: int) -> None:
        """Done by an earlier run."""
        self.done, self.kept, self.failed = self.done + done, self.kept + done, self.failed + failed

    def begins(self, now: float) -> None:
        """Its work does, unless some of it has been done: what came before was waiting."""
        if self.done == self.kept:
            self.waited_s, self.pace = now - self.begun, Pace(now)

    def elapsed_s(self, now: float) -> float:
        return (now if self.ended is None else self.ended) - self.begun

    def worked_s(self, now: float) -> float:
        """The same without waiting: what its pace is told by."""
        return self.elapsed_s(now) - self.waited_s

    def per_s(self, now: float) -> float | None:
        """Lately; of a stage that has ended, all in all."""
        if self.ended is None:
            return self.pace.per_s(now)
        seconds, worked = self.worked_s(now), self.done - self.kept
        return worked / seconds if seconds > 0 and worked else None

    def left_s(self, now: float) -> float | None:
        if self.total is None:
            return None
        return 0.0 if self.done >= self.total else self.pace.left_s(now, self.total - self.done)

    def worked(self) -> float:
        """The share of it that this run has worked at, 0 to 1."""
        if not self.total:
            return float(self.ended is not None)
        return min(1.0, (self.done - self.kept) / self.total)


class Work:
    """A job and its stages, as they are told."""

    def __init__(self, name: str, clock: Callable[[], float] = monotonic) -> None:
        self.name, self.clock, self.begun = name, clock, clock()
        self.plan: dict[str, float] = {}
        self.over: list[Stage] = []
        self.stage: Stage | None = None
        self._ends_at: float | None = None  # when all will be over, as it was foretold last
        self._foretold: float | None = None  # when that was

    def job(self, name: str, stages: Mapping[str, float]) -> None:
        """As `Progress` has it. Stages that began, and are in no plan any more, keep their place.

        Another job, or the same once more, begins at nothing.
        """
        done = {stage.name for stage in self.begun_stages()}
        if done and (name != self.name or done.issuperset(stages)):
            self.over, self.stage, self.plan, self._ends_at, self.begun = [], None, {}, None, self.clock()
        names, at = list(stages), 0
        for begun in dict.fromkeys(stage.name for stage in self.begun_stages()):
            if begun not in stages:
                names.insert(at, begun)
            at = names.index(begun) + 1
        self.name, self.plan = name, {each: stages.get(each, self.plan.get(each, 0.0)) for each in names}

    def begin(self, name: str, total: int | None, unit: str) -> Stage | None:
        """A stage begins; the one that thereby ends, if any. One that was left for another goes on in a new one."""
        ended = self.end()
        if name not in self.plan:
            self._put(name)
        self.stage = Stage(name, total, unit, self.clock())
        return ended

    def end(self) -> Stage | None:
        """The stage that runs is over."""
        ended, self.stage = self.stage, None
        if ended is not None:
            ended.ended = self.clock()
            self.over.append(ended)
        return ended

    def begins(self) -> None:
        """The work of the stage that runs does; it had waited."""
        if self.stage is not None:
            self.stage.begins(self.clock())

    def begun_stages(self) -> list[Stage]:
        return self.over if self.stage is None else [*self.over, self.stage]

    def elapsed_s(self) -> float:
        return self.clock() - self.begun

    def place(self) -> tuple[int, int]:
        """Which of the job's parts runs, from 1, and of how many."""
        parts = list(dict.fromkeys(part_of(name) for name in self.plan))
        return (parts.index(part_of(self.stage.name)) + 1 if self.stage else 0), len(parts)

    def left_s(self) -> float | None:
        """Seconds until all is over; None as long as nothing can be said. What is told moves on without leaps."""
        now, estimate = self.clock(), self._estimate()
        if estimate is None:
            self._ends_at = None
            return None
        ends_at = now + estimate
        if self._ends_at is not None and self._foretold is not None:
            weight = min(1.0, (now - self._foretold) / FOLLOWED_IN_S)
            ends_at = self._ends_at + weight * (ends_at - self._ends_at)
        self._ends_at, self._foretold = ends_at, now
        return max(0.0, ends_at - now)

    def _put(self, name: str) -> None:
        """A stage that no plan has told comes after the one before it."""
        before = self.over[-1].name if self.over else None
        names = list(self.plan)
        at = names.index(before) + 1 if before in names else 0
        names.insert(at, name)
        self.plan = {each: self.plan.get(each, 0.0) for each in names}

    def _estimate(self) -> float | None:
        """What is left of this stage at its own pace, and the later ones by their shares, at what shares have taken."""
        stage, now = self.stage, self.clock()
        if stage is None:
            return None
        left, later = stage.left_s(now), sum(self._later())
        if not later and left is not None and not self._is_guess(now, stage):
            return left
        seconds, shares = self._seen(now, left)
        if shares <= 0 or self._is_guess(now, stage):
            return None
        if left is None:
            left = max(0.0, self.plan.get(stage.name, 0.0) * seconds / shares - stage.worked_s(now))
        return left + later * seconds / shares

    def _seen(self, now: float, left: float | None) -> tuple[float, float]:
        """Seconds, and the shares that took them; the stage that runs is taken as a whole where its pace is known."""
        seconds = shares = 0.0
        for stage in self.over:
            if (share := self.plan.get(stage.name, 0.0) * stage.worked()) > 0:
                seconds, shares = seconds + stage.worked_s(now), shares + share
        if self.stage is not None and left is not None and self.plan.get(self.stage.name):
            unkept = 1 - self.stage.kept / self.stage.total if self.stage.total else 1.0
            seconds += self.stage.worked_s(now) + left
            shares += self.plan[self.stage.name] * unkept
        return seconds, shares

    def _is_guess(self, now: float, stage: Stage) -> bool:
        """Whether too little of the work has been seen."""
        whole = sum(self.plan.values())
        seen = sum(self.plan.get(each.name, 0.0) * each.worked() for each in self.begun_stages())
        shown = seen / whole if whole else stage.worked()
        waited = sum(each.waited_s for each in self.begun_stages())
        return shown < SURE_SHARE and now - self.begun - waited < SURE_S

    def _later(self) -> Iterator[float]:
        """The shares of the stages that have not begun, behind the one that runs."""
        running = self.stage.name if self.stage else None
        done = {stage.name for stage in self.over}
        behind = list(takewhile(lambda name: name != running, reversed(self.plan)))
        yield from (self.plan[name] for name in behind if name not in done)


def part_of(name: str) -> str:
    """The part of the job that a stage belongs to: itself, where the job has no parts."""
    return name.split(": ")[0]
