"""The pairs that people judge on the page: drawn as `sample` draws them, and told without anything that gives a hint.

Knows drawn rows and their pictures; nothing of HTML. Strata have the numbers that `sample` gives them, which the page
does not show: a stratum that nobody has judged yet counts with its neighbours, and two judges of one drawing, one with
the page and one with a table, are to speak of the same strata.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class JudgePair:
    """One pair to be judged. image: a data URL, or None where there is no picture."""

    pair_id: str
    shard: str | None
    row: int | None
    caption: str | None
    image: str | None
    stratum: int  # of JudgeSample.strata
    caption_characters: int | None = None  # of the whole caption, where it was cut


@dataclass(frozen=True, kw_only=True)
class JudgeStratum:
    """Pairs that are drawn alike. rows: how many there are; drawn: how many of them are in the sample."""

    rows: int
    drawn: int


@dataclass(frozen=True, kw_only=True)
class JudgeSample:
    """What the page's judge tab shows. key: under which the browser keeps the verdicts, the report's own.

    name: of the CSV file that it exports. pairs: in random order. command: what to run with that file. again: what
    makes the page of what came of it. alone: the page is for judging only, and its keys work from the start.
    """

    key: str
    name: str
    pairs: Sequence[JudgePair]
    strata: Sequence[JudgeStratum]
    command: str
    again: str = ""
    alone: bool = False

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)
