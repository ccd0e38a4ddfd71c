"""Keeps the first rows of every gallery while all rows pass by once: bounded, and alike however the rows are cut.

Knows galleries and batches of columns; nothing of files. A row's place is its number among all rows, from 0. What was
kept of some rows elsewhere is joined in any order, and gives what one pass over all of them would have.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ncaudit.judging.galleries.cells import Cells, Numbers
from ncaudit.judging.galleries.rules import Gallery

# of a row that is kept; what of them a table lacks is left out
SHOWN = (
    *("pair_id", "shard", "row", "status", "soft_label", "similarity", "score", "verdict", "reason", "caption"),
    *("image_anchor", "text_anchor", "caption_count", "image_count"),
    *("suggested_caption", "suggested_pair", "suggested_probability"),
)


@dataclass(frozen=True)
class Row:
    """One row that is kept. place: its number among all rows. cells: its columns, as far as they are there."""

    place: int
    cells: Mapping[str, Any]

    def get(self, name: str) -> Any:
        """A cell, or None."""
        return self.cells.get(name)


Kept = tuple[float, float, Row]  # rank, tie


@dataclass(frozen=True)
class Found:
    """What a gallery holds: how many rows qualify, and the first of them."""

    gallery: Gallery
    count: int
    rows: Sequence[Row]


class Best:
    """The `most` rows of lowest rank; equal ranks by place, rows without a rank (nan) last."""

    def __init__(self, most: int, columns: Sequence[str] = SHOWN) -> None:
        self._most, self._columns = most, columns
        self._kept: list[Kept] = []

    def add(self, cells: Cells, at: npt.NDArray[np.int64], rank: Numbers, tie: Numbers, first: int) -> None:
        """Offer rows of a batch. at: (m,) which ones, ascending. rank, tie: (m,) theirs. first: the batch's place."""
        rank, tie = (np.nan_to_num(each, nan=np.inf) for each in (rank, tie))
        if len(self._kept) == self._most and self._most:
            likely = rank <= self._kept[-1][0]
            at, rank, tie = at[likely], rank[likely], tie[likely]
        order = np.lexsort((at, tie, rank))[: self._most]
        rows = cells.rows(at[order], self._columns) if len(order) else []
        entries = zip(rank[order].tolist(), tie[order].tolist(), at[order].tolist(), rows, strict=True)
        self.join([(r, t, Row(first + place, row)) for r, t, place, row in entries])

    def join(self, kept: Sequence[Kept]) -> None:
        """Offer rows with their ranks and ties, such as others have kept."""
        self._kept = sorted([*self._kept, *kept], key=lambda one: (one[0], one[1], one[2].place))[: self._most]

    @property
    def kept(self) -> Sequence[Kept]:
        """The rows with their ranks and ties, in order."""
        return self._kept

    @property
    def rows(self) -> list[Row]:
        """Those that are kept, in order."""
        return [row for _, _, row in self._kept]


class Collector:
    """All galleries of one pass. most: rows kept of each. columns: kept of each row. first: the first row's place."""

    def __init__(
        self, galleries: Sequence[Gallery], most: int, columns: Sequence[str] = SHOWN, *, first: int = 0
    ) -> None:
        self._galleries = galleries
        self._best = {gallery.name: Best(most, columns) for gallery in galleries}
        self._count = {gallery.name: 0 for gallery in galleries}
        self._rows = first

    def add(self, batch: pa.RecordBatch) -> None:
        """The next rows, in the order of the tables."""
        cells = Cells(batch)
        score = cells.number("score")
        for gallery in self._galleries:
            at = np.flatnonzero(gallery.qualifies(cells))
            self._count[gallery.name] += len(at)
            if len(at):
                self._best[gallery.name].add(cells, at, gallery.rank(cells)[at], score[at], self._rows)
        self._rows += len(batch)

    def part(self) -> Mapping[str, tuple[int, Sequence[Kept]]]:
        """What was found so far, for the collector of another process: of each gallery the count, and what is kept."""
        return {name: (self._count[name], best.kept) for name, best in self._best.items()}

    def join(self, part: Mapping[str, tuple[int, Sequence[Kept]]]) -> None:
        """Take in what another collector of these galleries has found in other rows."""
        for name, (count, kept) in part.items():
            self._count[name] += count
            self._best[name].join(kept)

    def found(self) -> list[Found]:
        """Every gallery, in the order in which they were named."""
        return [Found(one, self._count[one.name], self._best[one.name].rows) for one in self._galleries]

    def __getitem__(self, gallery: Gallery) -> Found:
        return Found(gallery, self._count[gallery.name], self._best[gallery.name].rows)
