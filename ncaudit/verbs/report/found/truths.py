"""How the labels stand to what is known of the pairs: in a column of the tables, or in a file that people filled in.

Knows truth and labels; nothing of charts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ncaudit.core.statistics.wilson import wilson_interval
from ncaudit.errors import BadTable
from ncaudit.judging.galleries.cells import Cells
from ncaudit.nearest import did_you_mean
from ncaudit.options import ReportOptions
from ncaudit.shards.people.truth import MATCH, MISSING, TruthTable, as_truth, read_truth
from ncaudit.shards.people.verdicts import IS_MATCH
from ncaudit.shards.tables.key_index import NOWHERE
from ncaudit.shards.tables.scores import ScoreTable

BINS = 10
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ReliabilityBin:
    """Pairs whose labels are about alike: what the labels promise, and how many do match, with its 90 % interval."""

    low: float
    high: float
    count: int
    promised: float
    observed: float
    observed_low: float
    observed_high: float


@dataclass
class Reliability:
    """Sums over the rows whose truth is known, in bins of the label of equal width."""

    rows: Numbers = field(default_factory=lambda: np.zeros(BINS))
    promised: Numbers = field(default_factory=lambda: np.zeros(BINS))
    matched: Numbers = field(default_factory=lambda: np.zeros(BINS))

    def add(self, label: Numbers, match: npt.NDArray[np.bool_]) -> None:
        """(n,) labels, and whether the pairs match."""
        known = ~np.isnan(label)
        label, match = label[known], match[known]
        place = np.minimum((label * BINS).astype(np.int64), BINS - 1).clip(min=0)
        for sums, weight in ((self.rows, np.ones(len(label))), (self.promised, label), (self.matched, match)):
            sums += np.bincount(place, weight, BINS)

    @property
    def judged(self) -> int:
        """How many rows."""
        return int(self.rows.sum())

    def bins(self) -> list[ReliabilityBin]:
        """Those that hold any row, from the lowest label up."""
        return [self._bin(place) for place in np.flatnonzero(self.rows).tolist()]

    def _bin(self, place: int) -> ReliabilityBin:
        count, share = float(self.rows[place]), float(self.matched[place] / self.rows[place])
        promised = float(self.promised[place] / count)
        ends = wilson_interval(share, count)
        return ReliabilityBin(place / BINS, (place + 1) / BINS, int(count), promised, share, *ends)


class TruthSource(Protocol):
    """Where the truth comes from, asked batch by batch and once at the end."""

    def add(self, batch: pa.RecordBatch, table: ScoreTable, cells: Cells, into: Reliability) -> None:
        """The next rows."""

    def settle(self, into: Reliability) -> None:
        """There are no more."""


@dataclass(frozen=True)
class TruthInTables:
    """A column of the score tables themselves. asked: whether the user named it."""

    column: str
    asked: bool

    def add(self, batch: pa.RecordBatch, table: ScoreTable, cells: Cells, into: Reliability) -> None:
        """The next rows."""
        if self.column not in batch.schema.names:
            return
        try:
            truth = as_truth(batch[self.column], f"{table.shard.path}: {self.column}")
        except BadTable:
            if self.asked:
                raise
            return  # a column of that name that says something else
        known = (truth != MISSING) & cells.ok
        into.add(cells.number("soft_label")[known], truth[known] == MATCH)

    def settle(self, into: Reliability) -> None:
        """Nothing is left to do."""


class TruthBeside:
    """A file with the truth of some pairs, found by pair_id, or by shard and row."""

    column = ""

    def __init__(self, table: TruthTable) -> None:
        self._table, self._finder = table, table.finder()
        self._labels: dict[int, float] = {}
        self._rows, self._path = 0, ""

    def add(self, batch: pa.RecordBatch, table: ScoreTable, cells: Cells, into: Reliability) -> None:
        """The next rows."""
        if table.shard.path != self._path:
            self._path = table.shard.path
            self._finder.table(self._path, self._rows)
        numbers = np.arange(self._rows, self._rows + len(batch))
        shard, row = (batch[n] if {"shard", "row"} <= set(batch.schema.names) else None for n in ("shard", "row"))
        caption = batch["caption"] if "caption" in batch.schema.names else None
        found = self._finder.add(numbers, batch["pair_id"], shard, row, caption)
        label = cells.number("soft_label")[np.asarray(found, np.int64) - self._rows]
        self._labels.update(zip(np.asarray(found).tolist(), label.tolist(), strict=True))
        self._rows += len(batch)

    def settle(self, into: Reliability) -> None:
        """Raises BadTable where the file knows none of the pairs."""
        found = self._finder.found()
        if (found.row == NOWHERE).all():
            what = f"{self._table.path} knows no pair of the score tables"
            raise BadTable(what, fix="give a file with the pair_id of these tables, as `ncaudit sample` wrote it")
        truth = self._table.of(found, self._rows)
        rows = np.flatnonzero(truth != MISSING)
        label = np.array([self._labels.get(row, np.nan) for row in rows.tolist()])
        into.add(label, truth[rows] == MATCH)


def truth_for(options: ReportOptions, tables: Sequence[ScoreTable]) -> Any:
    """Where it is known which pairs match; None where nothing tells."""
    if options.truth is not None and options.truth_table is not None:
        return TruthBeside(read_truth(options.truth_table, options.truth))
    column, asked = options.truth or IS_MATCH, options.truth is not None
    lacking = [table for table in tables if column not in table.schema.names]
    if asked and lacking:
        raise BadTable(
            f"{lacking[0].shard.path} has no column {column} (found: {', '.join(lacking[0].schema.names)})",
            fix=f"{did_you_mean(column, lacking[0].schema.names)}name the truth column with --truth, or "
            "give --truth-table a file with pair_id and that column",
        )
    return None if lacking else TruthInTables(column, asked)
