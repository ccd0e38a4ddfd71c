"""The pairs that fit worst of all that were scored: bounded, alike however rows are cut, and without a second pass.

Knows galleries and score tables; nothing of scorers. Of a table that an earlier run has finished, numbers and places
are kept, and names and captions are read of those few rows alone that are among the worst of all.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any

import numpy as np
import pyarrow as pa

from ncaudit.judging.galleries.cells import Cells
from ncaudit.judging.galleries.rules import WORST
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.tables.scores import open_scores

MOST = 5
NUMBERS, NAMES = ("soft_label", "score"), ("pair_id", "caption")


@dataclass(frozen=True, kw_only=True)
class WorstPair:
    """A pair, and how badly its caption fits."""

    pair_id: str
    caption: str | None
    soft_label: float | None
    score: float | None


@dataclass(frozen=True)
class _Kept:
    """A row in the order of badness. unread: the finished table that has its name, and its row there."""

    rank: float
    tie: float
    place: int
    cells: dict[str, Any]
    unread: tuple[str, int] | None


class Worst:
    """The worst of the rows that were offered, those of equal numbers in their order."""

    def __init__(self) -> None:
        self._kept: list[_Kept] = []
        self._rows, self._unknown = 0, False

    def add(self, batch: pa.RecordBatch, caption: pa.Array | None = None, *, unread: str | None = None) -> None:
        """The next rows of a table. unread: its path, where the batch has no names."""
        given = batch if caption is None or "caption" in batch.schema.names else batch.append_column("caption", caption)
        cells = Cells(given)
        at = np.flatnonzero(WORST.qualifies(cells))
        rank, tie = (np.nan_to_num(each[at], nan=np.inf) for each in (WORST.rank(cells), cells.number("score")))
        first = np.lexsort((at, tie, rank))[:MOST]
        rows = cells.rows(at[first], NUMBERS if unread else (*NAMES, *NUMBERS)) if len(first) else []
        places = (self._rows + at[first]).tolist()
        told = zip(rank[first].tolist(), tie[first].tolist(), places, rows, strict=True)
        self._keep(_Kept(*one, (unread, one[2]) if unread else None) for one in told)
        self._rows += len(batch)

    def add_unknown(self) -> None:
        """Rows that nobody has looked at: which pairs are the worst is not known then."""
        self._unknown = True

    def take(self, other: "Worst") -> None:
        """The rows of another table, behind all that were offered."""
        self._keep(replace(one, place=self._rows + one.place) for one in other._kept)
        self._rows += other._rows
        self._unknown |= other._unknown

    def _keep(self, more: Iterable[_Kept]) -> None:
        self._kept = sorted([*self._kept, *more], key=attrgetter("rank", "tie", "place"))[:MOST]

    def pairs(self) -> tuple[WorstPair, ...]:
        """The worst first; none where some rows are not known."""
        if self._unknown:
            return ()
        named = {one.place: one.cells for one in self._kept} | self._read()
        return tuple(_pair(named[one.place].get) for one in self._kept)

    def _read(self) -> dict[int, dict[str, Any]]:
        """The rows of finished tables with their names, by place."""
        found, unread = {}, sorted((*one.unread, one) for one in self._kept if one.unread is not None)
        for path, rows in groupby(unread, itemgetter(0)):
            those = list(rows)
            for (*_, one), names in zip(those, _names(path, [row for _, row, _ in those]), strict=True):
                found[one.place] = one.cells | names
        return found


def _pair(cell: Callable[[str], Any]) -> WorstPair:
    told = {name: cell(name) for name in ("caption", *NUMBERS)}
    return WorstPair(pair_id=str(cell("pair_id")), **told)


def _names(path: str, places: Sequence[int]) -> list[dict[str, Any]]:
    table = open_scores(Shard.of_file(path))
    names = [name for name in NAMES if name in table.schema.names]
    rows = table.rows_at(np.array(places, np.int64), names).select(names)
    return [row for batch in rows.to_batches() for row in Cells(batch).rows(np.arange(len(batch)), names)]
