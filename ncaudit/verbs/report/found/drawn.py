"""The pairs that people are to judge, drawn of all rows: as they pass by here, or by whoever does the shards.

Knows tables, sites and strata of scores; nothing of pages. Both draw the same. Elsewhere no process holds all rows:
rows are ordered by score, key and place, and where a stratum ends is found digit by digit. Each table tells how many of
its rows begin as that end does, by their next digit; once few do, they are sent themselves. Then each tells, of every
stratum, the sum of its labels and the rows with the smallest keys.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ncaudit.core.statistics.stratified_sample import allocate
from ncaudit.engines.jobs import Site
from ncaudit.judging.draw import (
    Drawable,
    Drawn,
    Places,
    designed,
    drawable,
    mean_labels,
    smallest,
    strata_for,
    summed_labels,
)
from ncaudit.progress import SILENT, Progress
from ncaudit.shards.tables.scores import ScoreTable
from ncaudit.verbs.report.found.placed import Placed, found_in_each

DIGIT_BITS, OF_SCORE, OF_KEY = 16, 2, 4  # digits, of which a score and a key have so many
FEW = 1 << 18  # rows that are sent themselves, 20 bytes each
COLUMNS = ("score", "soft_label")
Begin = tuple[int, ...]  # digits, the highest first
Order = tuple[int, int, int]  # of a row: its score as a number, its key, its place
Bools = npt.NDArray[np.bool_]


class Draw(Protocol):
    """The rows that may be drawn."""

    def drawn(self, count: int, strata: int) -> Drawn | None:
        """So many pairs of so many strata at most; None where no row has a score."""


class Held:
    """Of rows that pass by in this process: 24 bytes of each."""

    def __init__(self, most: int, seed: int) -> None:
        self._rows, self._seed, self._end = Drawable.room(most), seed, 0

    def add(self, batch: pa.RecordBatch, first: int, of: Placed) -> None:
        """The next rows of a table, from its row number `first` on."""
        if "score" in batch.schema.names:
            some = drawable(batch, of.table.shard.path, of.first + first, self._seed)
            self._rows.put(slice(self._end, self._end + len(some.place)), some)
            self._end += len(some.place)

    def drawn(self, count: int, strata: int) -> Drawn | None:
        """As `Draw` has it."""
        rows = self._rows.upto(self._end)
        return Drawn.of(designed(rows, count, strata), rows) if self._end else None


@dataclass
class Search:
    """The end of a stratum, while it is looked for: its last row is the `wanted`th of the `at` that begin so."""

    wanted: int
    at: int
    begin: Begin = ()

    def descend(self, digits: Mapping[int, int]) -> None:
        """Take the next digit. digits: how many rows have each of its values."""
        for digit in sorted(digits):
            if self.wanted <= digits[digit]:
                self.begin, self.at = (*self.begin, digit), digits[digit]
                return
            self.wanted -= digits[digit]
        raise AssertionError("what is wanted is there")


@dataclass(frozen=True)
class Elsewhere:
    """Of rows that other processes read once more."""

    site: Site
    tables: Sequence[ScoreTable]
    seed: int
    rows: int  # that may be drawn

    def drawn(self, count: int, strata: int) -> Drawn | None:
        """As `Draw` has it."""
        if not self.rows:
            return None
        strata = strata_for(self.rows, count, strata)
        ends = -(-np.arange(strata + 1) * self.rows // strata)
        cuts = self._cuts([Search(int(end), self.rows) for end in ends[1:-1]]) if strata > 1 else []
        told = _Told.none(strata)
        for each in self._each(partial(_told_of, cuts=cuts, count=count)):
            told.join(each, count)
        return _allocated(told, np.diff(ends), count)

    def _cuts(self, ends: Sequence[Search]) -> list[Order]:
        """The last row of each stratum but the highest."""
        while sum({one.begin: one.at for one in ends}.values()) > FEW and len(ends[0].begin) < OF_SCORE + OF_KEY:
            digits: dict[Begin, Counter[int]] = {one.begin: Counter() for one in ends}
            for found in self._each(partial(_digits_of, begins=tuple(digits))):
                for begin, counts in found.items():
                    digits[begin].update(counts)
            for one in ends:
                one.descend(digits[one.begin])
        rows: dict[Begin, list[_Rows]] = {one.begin: [] for one in ends}
        for found in self._each(partial(_rows_beginning, begins=tuple(rows))):
            for begin, some in found.items():
                rows[begin].append(some)
        return [_nth(rows[one.begin], one.wanted) for one in ends]

    def _each(self, find: Any) -> Iterator[Any]:
        return found_in_each(self.site, self.tables, partial(find, seed=self.seed), SILENT)


@dataclass(frozen=True)
class _Rows:
    """Rows that may be drawn, (n,) each: their scores as numbers of the same order, keys, places and labels."""

    score: npt.NDArray[np.uint32]
    key: npt.NDArray[np.uint64]
    place: Places
    label: npt.NDArray[np.float32]

    def those(self, which: Any) -> "_Rows":
        return _Rows(self.score[which], self.key[which], self.place[which], self.label[which])

    @classmethod
    def joined(cls, parts: Sequence["_Rows"]) -> "_Rows":
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__annotations__))

    def digit(self, number: int) -> npt.NDArray[np.int64]:
        """The number-th digit of each, from the highest."""
        if number < OF_SCORE:
            return (self.score >> np.uint32(DIGIT_BITS * (OF_SCORE - 1 - number)) & np.uint32(0xFFFF)).astype(np.int64)
        shift = np.uint64(DIGIT_BITS * (OF_SCORE + OF_KEY - 1 - number))
        return (self.key >> shift & np.uint64(0xFFFF)).astype(np.int64)

    def begin(self, begin: Begin) -> Bools:
        """Which of them begin so."""
        so = np.ones(len(self.place), bool)
        for number, digit in enumerate(begin):
            so &= self.digit(number) == digit
        return so

    def behind(self, cut: Order) -> Bools:
        """Which of them come after this one."""
        score, key, place = cut
        later = (self.key > np.uint64(key)) | ((self.key == np.uint64(key)) & (self.place > place))
        behind: Bools = (self.score > np.uint32(score)) | ((self.score == np.uint32(score)) & later)
        return behind


@dataclass
class _Told:
    """What is known of each stratum: (H,) sums of labels and how many, and the rows with the smallest keys."""

    sums: Places
    labels: Places
    rows: list[_Rows] = field(default_factory=list)

    @classmethod
    def none(cls, strata: int) -> "_Told":
        return cls(np.zeros(strata, np.int64), np.zeros(strata, np.int64), [_NO_ROWS] * strata)

    def join(self, other: "_Told", count: int) -> None:
        """Take in that of other rows; of each stratum so many are kept."""
        self.sums, self.labels = self.sums + other.sums, self.labels + other.labels
        both = zip(self.rows, other.rows, strict=True)
        self.rows = [_smallest(_Rows.joined(pair), count) for pair in both]


_NO_ROWS = _Rows(np.zeros(0, np.uint32), np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(0, np.float32))


def _allocated(told: _Told, sizes: Places, count: int) -> Drawn:
    drawn = allocate(sizes, mean_labels(told.sums, told.labels), count)
    chosen = [_smallest(rows, int(most)).place for rows, most in zip(told.rows, drawn, strict=True)]
    place = np.concatenate(chosen)
    order = np.argsort(place)
    return Drawn(sizes, drawn, place[order], np.repeat(np.arange(len(sizes)), drawn)[order])


def _smallest(rows: _Rows, count: int) -> _Rows:
    """Those with the smallest keys, in the order of their places."""
    rows = rows.those(np.argsort(rows.place))
    return rows.those(np.sort(smallest(np.arange(len(rows.place)), rows.key, min(count, len(rows.place)))))


def _nth(parts: Sequence[_Rows], number: int) -> Order:
    """The number-th of these rows, from 1, in their order."""
    rows = _Rows.joined(parts)
    at = np.lexsort((rows.place, rows.key, rows.score))[number - 1]
    return int(rows.score[at]), int(rows.key[at]), int(rows.place[at])


def _read(of: Placed, seed: int) -> Iterator[_Rows]:
    """The rows of a table that may be drawn."""
    if "score" not in of.table.schema.names:
        return
    first = of.first
    for batch in of.table.batches([name for name in COLUMNS if name in of.table.schema.names]):
        some = drawable(batch, of.table.shard.path, first, seed)
        yield _Rows(_as_whole(some.score), some.key, some.place, some.soft_label)
        first += len(batch)


def _as_whole(score: npt.NDArray[np.float32]) -> npt.NDArray[np.uint32]:
    """Whole numbers in the order of these, -0 being 0."""
    bits = (score + np.float32(0)).view(np.uint32)
    negative = bits >> np.uint32(31) == 1
    return np.where(negative, ~bits, bits | np.uint32(1 << 31))


def _digits_of(of: Placed, progress: Progress, *, begins: Sequence[Begin], seed: int) -> dict[Begin, Counter[int]]:
    """How many rows that begin so have which next digit."""
    found: dict[Begin, Counter[int]] = {begin: Counter() for begin in begins}
    for rows in _read(of, seed):
        for begin in begins:
            values, counts = np.unique(rows.digit(len(begin))[rows.begin(begin)], return_counts=True)
            found[begin].update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
    return found


def _rows_beginning(of: Placed, progress: Progress, *, begins: Sequence[Begin], seed: int) -> dict[Begin, _Rows]:
    parts: dict[Begin, list[_Rows]] = {begin: [_NO_ROWS] for begin in begins}
    for rows in _read(of, seed):
        for begin in begins:
            parts[begin].append(rows.those(rows.begin(begin)))
    return {begin: _Rows.joined(some) for begin, some in parts.items()}


def _told_of(of: Placed, progress: Progress, *, cuts: Sequence[Order], count: int, seed: int) -> _Told:
    told = _Told.none(len(cuts) + 1)
    for rows in _read(of, seed):
        stratum = sum((rows.behind(cut).astype(np.int64) for cut in cuts), np.zeros(len(rows.place), np.int64))
        strata = [rows.those(stratum == number) for number in range(len(cuts) + 1)]
        told.join(_Told(*summed_labels(rows.label, stratum, len(strata)), strata), count)
    return told
