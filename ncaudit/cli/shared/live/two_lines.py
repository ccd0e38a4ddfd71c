"""The two lines that tell how far the work has come, for any width: what matters least is left out first.

Knows the work and a width in columns; nothing of terminals. Numbers are never cut.
"""

import re
from dataclasses import dataclass

from rich.cells import cell_len

from ncaudit.cli.shared.live.work import Stage, Work
from ncaudit.cli.shared.user_text import one_line, visible

GAP = "  "
STARTING = "starting"
BARS = (30, 20, 10)  # columns: one of a few lengths, as a bar that changes with every number is unquiet
FEWEST_HEAD = 24  # columns that the job and its stage keep beside the times
PACED_FROM = 100  # units: of a handful of fits nobody wants the number per second
COUNTS_ITSELF = re.compile(r".*\d+ of \d+")  # a stage's name, such as "epoch 3 of 8"
MINUTE, HOUR = 60, 3600


@dataclass(frozen=True)
class Second:
    """The second line: `bar` columns of a bar (0: none) that is `done` of `total` full, then words."""

    bar: int
    done: int
    total: int | None
    words: str

    @property
    def columns(self) -> int:
        """All that it takes."""
        return len(GAP) + (self.bar + len(GAP) if self.bar else 0) + cell_len(self.words)


def first_line(work: Work, width: int, more: str = "…") -> str:
    """The job: which stage of how many, how long it has taken, and how long all the rest will. more: what was cut."""
    head, fewest = _head(work)
    rooms = [(width - len(tail) - len(GAP), tail) for tail in _times(work)]
    for least in (len(head), max(fewest, FEWEST_HEAD)):  # shorter words rather than a shorter name
        for room, tail in rooms:
            if room >= least:
                return GAP.join([_cut(head, room, more), tail])
    return _cut(head, width, more)


def second_line(work: Work, width: int) -> Second | None:
    """The stage: done of total, pace, time, failures, and its own figures; None before there is one."""
    stage = work.stage
    if stage is None:
        return None
    room = width - len(GAP)
    words = _fitting(_counted(stage, steady=True), _more(stage, work.clock()), room)
    free = room - cell_len(words) - len(GAP)
    bar = next((columns for columns in BARS if columns <= free), 0)
    return Second(bar, stage.done, stage.total, words)


def ended_line(stage: Stage) -> str:
    """A stage that is over, in one line."""
    seconds = stage.elapsed_s(stage.begun)
    counts = [_counted(stage)] if stage.total is not None or stage.done else []
    speed = [_pace(stage, stage.begun)] if seconds >= 1 else []
    status = [visible(one_line(stage.status))] if stage.status else []
    told = [*counts, *_failed(stage), *speed, *status, f"in {clock(seconds)}"]
    return f"{visible(one_line(stage.name))}: {', '.join(part for part in told if part)}"


def plain_line(work: Work) -> str:
    """Where the work stands, as a line of a log."""
    stage, now = work.stage, work.clock()
    if stage is None:
        return f"{work.name}: {clock(work.elapsed_s())}"
    status = [visible(one_line(stage.status))] if stage.status else []
    told = [_counted(stage), *_failed(stage), _pace(stage, now), *status, clock(stage.elapsed_s(now))]
    left = work.left_s()
    told += [] if left is None else [f"{about(left)} left in all"]
    return f"{visible(one_line(stage.name))}: {', '.join(part for part in told if part)}"


def clock(seconds: float) -> str:
    """
    >>> clock(62), clock(3725)
    ('1:02', '1:02:05')
    """
    minutes, left = divmod(int(seconds), MINUTE)
    hours, minutes = divmod(minutes, MINUTE)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def about(seconds: float) -> str:
    """No more exact than it is known.

    >>> about(2), about(58), about(200), about(4000)
    ('about 5 s', 'about 1 min', 'about 4 min', 'about 1 h 10 min')
    """
    if seconds <= 55:
        return f"about {max(1, -(-int(seconds) // 5)) * 5} s"
    minutes = -(-int(seconds) // MINUTE)
    if minutes < 60:
        return f"about {minutes} min"
    tens = -(-minutes // 10)
    return f"about {tens // 6} h" + (f" {tens % 6 * 10} min" if tens % 6 else "")


def _head(work: Work) -> tuple[str, int]:
    """The job and its stage; and how much of that must stand there."""
    if work.stage is None:
        return f"{work.name}: {STARTING}", len(work.name)
    name = visible(one_line(work.stage.name))
    number, count = work.place()
    if COUNTS_ITSELF.fullmatch(name.split(": ")[0]):
        return f"{work.name}: {name}", len(work.name)
    if count == 1:
        return work.name if name == work.name else f"{work.name}: {name}", len(work.name)
    places = f"{work.name}: {number} of {count}"
    return f"{places}, {name}", len(places)


def _times(work: Work) -> list[str]:
    """What is told of time, in the order in which it is given up."""
    elapsed, left = clock(work.elapsed_s()), work.left_s()
    if left is None:
        return [elapsed]
    short = about(left).replace("about ", "~")
    return [f"{elapsed}, {about(left)} left", f"{elapsed}, {short} left", f"{short} left"]


def _counted(stage: Stage, *, steady: bool = False) -> str:
    """steady: as wide at its begin as at its end."""
    if stage.total is None:
        return f"{stage.done:,} {stage.unit}" if stage.done else ""
    total = f"{stage.total:,}"
    unit = stage.unit.removesuffix("s") if stage.total == 1 else stage.unit
    return f"{stage.done:{len(total) if steady else 1},}/{total} {unit}"


def _failed(stage: Stage) -> list[str]:
    return [f"{stage.failed:,} failed"] if stage.failed else []


def _pace(stage: Stage, now: float) -> str:
    speed = stage.per_s(now)
    if speed is None or (stage.total is not None and stage.total < PACED_FROM):
        return ""
    if speed < 1:
        return f"{speed * MINUTE:,.0f}/min"
    return f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.1f}/s"


def _more(stage: Stage, now: float) -> list[tuple[int, str]]:
    """What stands behind the count, each with its rank: the highest go first where there is no room."""
    figures = visible(one_line(stage.status)).split(", ") if stage.status else []
    return [
        (20, _pace(stage, now)),
        (10, clock(stage.elapsed_s(now))),
        *((0, failed) for failed in _failed(stage)),
        *((1 + place, figure) for place, figure in enumerate(figures)),
    ]


def _fitting(first: str, more: list[tuple[int, str]], room: int) -> str:
    """As many of these words as there is room for; those that stay keep their order."""
    kept = [each for each in [(-1, first), *more] if each[1]]
    while len(kept) > 1 and len(GAP.join(words for _, words in kept)) > room:
        kept.remove(max(kept, key=lambda each: each[0]))
    told = GAP.join(words for _, words in kept)
    return told if len(told) <= room else told.lstrip()[:room]


def _cut(text: str, room: int, more: str) -> str:
    return text if len(text) <= room else text[: max(0, room - len(more))].rstrip(" ,:") + more
