"""Rows that belong together, by what they share: one caption under many photos, one photo with many captions, repeats.

Knows columns of score tables; nothing of files. Bounded: the largest groups are kept, by a count that every row of a
group carries (rows that carry another one are another group), so that what is kept does not depend on how or in which
order the rows come, nor on whether some of them were looked at elsewhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from ncaudit.judging.galleries.cells import Cells, Numbers, texts
from ncaudit.judging.galleries.collector import SHOWN, Row

Key = tuple[Any, ...]
Rank = tuple[float, Key]
CHARACTERS = 500  # of a caption, for telling groups apart


@dataclass(frozen=True)
class Grouping:
    """One kind of group. key: names of the columns that the rows of one share. size: how often it occurs, (n,)."""

    name: str
    title: str
    rule: str
    reason: str
    key: tuple[str, ...]
    size: Callable[[Cells], Numbers]


@dataclass
class Group:
    """Rows that share something. size: how often that occurs among all rows; rows: with this reason."""

    key: Key
    size: int
    rows: int = 0
    shown: list[Row] = field(default_factory=list)


@dataclass(frozen=True)
class FoundGroups:
    """What a grouping holds: how many rows are in any group, and the largest groups."""

    grouping: Grouping
    count: int
    groups: Sequence[Group]


def _both(cells: Cells) -> Numbers:
    """A pair cannot occur more often than its photo or its caption."""
    return np.fmin(cells.number("caption_count"), cells.number("image_count"))


GENERIC_CAPTIONS = Grouping(
    "generic-captions",
    "Generic captions",
    "One caption under ten or more different photos, in pairs that are not clean. The most frequent first.",
    "generic_caption",
    ("caption",),
    lambda cells: cells.number("caption_count"),
)
PLACEHOLDER_IMAGES = Grouping(
    "placeholder-images",
    "Placeholder images",
    "One photo with ten or more different captions, in pairs that are not clean. The most frequent first; "
    "photos that are nearly equal count together and may come several times.",
    "placeholder_image",
    ("image_count", "image_anchor"),  # of one photo they are the same, and hardly ever of two
    lambda cells: cells.number("image_count"),
)
DUPLICATES = Grouping(
    "duplicates",
    "Duplicates",
    "The same photo with the same caption again. The most frequent first.",
    "duplicate",
    ("caption", "image_count", "image_anchor"),
    _both,
)
GROUPINGS = (GENERIC_CAPTIONS, PLACEHOLDER_IMAGES, DUPLICATES)


class Groups:
    """Collects the groups of one kind. most: groups told; kept: while rows pass by; shown: rows of each."""

    def __init__(
        self,
        grouping: Grouping,
        most: int,
        shown: int,
        kept: int = 1_000,
        columns: Sequence[str] = SHOWN,
        *,
        first: int = 0,
    ) -> None:
        self._grouping, self._most, self._shown, self._kept = grouping, most, shown, max(kept, most)
        self._columns = columns
        self._groups: dict[Rank, Group] = {}
        self._count, self._first = 0, first
        self._least: Rank | None = None  # what a group must be before, once some were left out

    def add(self, batch: pa.RecordBatch) -> None:
        """The next rows, in the order of the tables."""
        cells = Cells(batch)
        at = np.flatnonzero(cells.equals("reason", self._grouping.reason))
        self._count += len(at)
        if len(at):
            size = np.nan_to_num(self._grouping.size(cells)[at], nan=0.0)
            if self._least is not None:
                at, size = at[-size <= self._least[0]], size[-size <= self._least[0]]
            self._take(cells, at, size)
        self._first += len(batch)

    def _take(self, cells: Cells, at: Any, size: Any) -> None:
        parts = [texts(cells.words(name).take(pa.array(at))) for name in self._grouping.key]
        wanted: list[tuple[Group, int]] = []
        for place, count, *key in zip(at.tolist(), size.tolist(), *parts, strict=True):
            group = self._group(tuple(_short(part) for part in key), int(count))
            if group is not None:
                group.rows += 1
                if group.rows <= self._shown:
                    wanted.append((group, place))
        rows = cells.rows(np.array([place for _, place in wanted], np.int64), self._columns)
        for (group, place), row in zip(wanted, rows, strict=True):
            group.shown.append(Row(self._first + place, row))
        self._forget()

    def _group(self, key: Key, size: int) -> Group | None:
        rank = _rank(key, size)
        found = self._groups.get(rank)
        if found is None and not (self._least is not None and rank >= self._least):
            found = self._groups[rank] = Group(key, size)
        return found

    def _forget(self) -> None:
        """What is left out never comes back: rows of a group rank alike."""
        if len(self._groups) <= 2 * self._kept:
            return
        ranked = sorted(self._groups)
        self._least = ranked[self._kept]
        self._groups = {rank: self._groups[rank] for rank in ranked[: self._kept]}

    def part(self) -> tuple[int, Sequence[Group]]:
        """What was found so far, for the groups of another process: how many rows, and the largest groups."""
        return self._count, [self._groups[rank] for rank in sorted(self._groups)[: self._kept]]

    def join(self, part: tuple[int, Sequence[Group]]) -> None:
        """Take in what others of this kind have found in other rows."""
        self._count += part[0]
        for other in part[1]:
            if (group := self._group(other.key, other.size)) is not None:
                group.rows += other.rows
                group.shown = sorted([*group.shown, *other.shown], key=lambda row: row.place)[: self._shown]
        self._forget()

    def found(self) -> FoundGroups:
        """The largest groups, those with more flagged rows first."""
        ranked = sorted(self._groups)[: self._kept]
        told = sorted(ranked, key=lambda rank: (-self._groups[rank].rows, rank))
        return FoundGroups(self._grouping, self._count, [self._groups[rank] for rank in told[: self._most]])


def _rank(key: Key, size: int) -> Rank:
    return -float(size), key


def _short(part: str | None) -> str:
    return "" if part is None else part[:CHARACTERS]
