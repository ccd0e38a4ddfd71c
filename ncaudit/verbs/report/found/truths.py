"""How the labels stand to what is known of the pairs: in a column of the tables, or in a file that people filled in.

Knows truth and labels; nothing of charts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

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
from ncaudit.verbs.report.found.placed import Placed

BINS = 10
OF_NAMED = ("pair_id", "shard", "row", "caption", "soft_label")
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
    """Sums over the rows whose truth is known, in bins of the label of equal width; exact, in whatever order."""

    rows: Numbers = field(default_factory=lambda: np.zeros(BINS))
    promised: list[Fraction] = field(default_factory=lambda: [Fraction(0)] * BINS)
    matched: Numbers = field(default_factory=lambda: np.zeros(BINS))

    def add(self, label: Numbers, match: npt.NDArray[np.bool_]) -> None:
        """(n,) labels, and whether the pairs match."""
        known = np.isfinite(label)
        label, match = label[known], match[known]
        place = np.minimum((label * BINS).astype(np.int64), BINS - 1).clip(min=0)
        self.rows += np.bincount(place, minlength=BINS)
        self.matched += np.bincount(place, match, BINS)
        self._promise([Fraction(promised) for promised in np.bincount(place, label, BINS).tolist()])

    def join(self, other: "Reliability") -> None:
        """Take in the same sums over other rows."""
        self.rows += other.rows
        self.matched += other.matched
        self._promise(other.promised)

    def _promise(self, more: Sequence[Fraction]) -> None:
        self.promised = [own + other for own, other in zip(self.promised, more, strict=True)]

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


@dataclass(frozen=True)
class Named:
    """Rows of a table that a file of truth may be about. numbers: (m,) counted through all tables, ascending."""

    numbers: npt.NDArray[np.int64]
    rows: pa.RecordBatch


class TruthBeside:
    """A file with the truth of some pairs, found by pair_id, or by shard and row.

    Which rows it may be about each table tells by itself; which of them it is about, all of them in their order.
    """

    column = ""

    def __init__(self, table: TruthTable) -> None:
        self._table, self._finder = table, table.finder()
        self._labels: dict[int, float] = {}
        self._number: int | None = None  # of the table whose rows came last

    def apart(self) -> "TruthBeside":
        """The same file, for the rows of one table alone."""
        return TruthBeside(self._table)

    def named(self, batch: pa.RecordBatch, first: int, of: Placed) -> Named:
        """Those of some rows, of which the first has this number, that the file may be about."""
        found = self.take(Named(np.arange(first, first + len(batch)), batch), of)
        names = [name for name in OF_NAMED if name in batch.schema.names]
        return Named(found, batch.select(names).take(pa.array(found - first)))

    def take(self, some: Named, of: Placed) -> npt.NDArray[np.int64]:
        """The next rows, all of them or those that `named` has given; the numbers of those that it may be about."""
        batch, names = some.rows, set(some.rows.schema.names)
        if of.number != self._number:
            self._number = of.number
            self._finder.table(of.table.shard.path, of.first)
        shard, row = (batch[name] if {"shard", "row"} <= names else None for name in ("shard", "row"))
        caption = batch["caption"] if "caption" in names else None
        found = np.asarray(self._finder.add(some.numbers, batch["pair_id"], shard, row, caption), np.int64)
        label = Cells(batch).number("soft_label")[np.searchsorted(some.numbers, found)]
        self._labels.update(zip(found.tolist(), label.tolist(), strict=True))
        return found

    def settle(self, into: Reliability) -> None:
        """Raises BadTable where the file knows none of the pairs."""
        found = self._finder.found()
        if (found.row == NOWHERE).all():
            what = f"{self._table.path} knows no pair of the score tables"
            raise BadTable(what, fix="give a file with the pair_id of these tables, as `ncaudit sample` wrote it")
        there = found.row != NOWHERE
        rows, among = np.unique(found.row[there], return_inverse=True)
        place = np.full(len(found.row), NOWHERE, dtype=np.int64)
        place[there] = among
        truth = self._table.of(replace(found, row=place), len(rows))
        known = truth != MISSING
        label = np.array([self._labels.get(row, np.nan) for row in rows[known].tolist()])
        into.add(label, truth[known] == MATCH)


TruthSource = TruthInTables | TruthBeside


def truth_for(options: ReportOptions, tables: Sequence[ScoreTable]) -> TruthSource | None:
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
