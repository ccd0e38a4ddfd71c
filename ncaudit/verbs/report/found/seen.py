"""What is counted and kept of score tables while all their rows pass by once; no picture, and no word on it yet.

Knows score tables' columns and galleries; nothing of pictures or pages. Bounded. What is found in one table is joined
with what is found in the others in any order, and is the same wherever that is done.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ncaudit.engines.jobs import Site
from ncaudit.errors import BadTable
from ncaudit.hashing import fit_sample_keys
from ncaudit.judging.galleries import rules
from ncaudit.judging.galleries.cells import Cells
from ncaudit.judging.galleries.collector import SHOWN, Collector
from ncaudit.judging.galleries.groups import GROUPINGS, Groups
from ncaudit.judging.galleries.per_stratum import PerStratum
from ncaudit.nearest import did_you_mean
from ncaudit.options import ReportOptions
from ncaudit.progress import Progress
from ncaudit.schema import REASONS, VERDICTS
from ncaudit.shards.tables.checks import refuse_unscored
from ncaudit.shards.tables.scores import ScoreTable
from ncaudit.verbs.report.found.drawn import Draw, Elsewhere, Held
from ncaudit.verbs.report.found.placed import Placed, found_in_each, placed
from ncaudit.verbs.report.found.truths import Named, Reliability, TruthBeside, TruthInTables, TruthSource

READ = "read the scores"  # a stage
GALLERIES = (rules.WORST, rules.UNSURE, rules.SUGGESTED, *rules.AGAINST_SIMILARITY, rules.FAILED)
BATCH_ROWS = 8_192  # captions may be long
CHART_ROWS = 20_000  # that charts are drawn of
GROUPS, GROUP_ROWS = 8, 6  # told of each kind, and rows of each
STRATUM_ROWS = 4  # worst pairs of each stratum
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ChartRows:
    """Up to CHART_ROWS ok rows in random order of their keys: what charts are drawn of. (n,) each, nan for none."""

    score: Numbers
    soft_label: Numbers
    similarity: Numbers


ChartPart = tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64], Numbers]


class ChartSample:
    """Keeps the rows with the smallest keys: a random sample that depends on shard names and rows alone."""

    def __init__(self, most: int = CHART_ROWS) -> None:
        self._most, self._values = most, np.zeros((3, 0))
        self._keys: npt.NDArray[np.uint64] = np.zeros(0, np.uint64)
        self._places: npt.NDArray[np.int64] = np.zeros(0, np.int64)

    def add(self, cells: Cells, first: int, of: Placed) -> None:
        """The next rows of a table, from its row number `first` on."""
        rows = first + np.flatnonzero(cells.ok)
        keys = fit_sample_keys(f"chart/{of.table.shard.name}", rows, 0)
        values = np.stack([cells.number(column)[cells.ok] for column in ("score", "soft_label", "similarity")])
        self.join((keys, of.first + rows, values))

    def part(self) -> ChartPart:
        """What is kept, for the sample of another process."""
        self._cut()
        return self._keys, self._places, self._values

    def join(self, part: ChartPart) -> None:
        """Offer rows: their keys, places and numbers."""
        self._keys = np.concatenate([self._keys, part[0]])
        self._places = np.concatenate([self._places, part[1]])
        self._values = np.concatenate([self._values, part[2]], axis=1)
        if len(self._keys) > 2 * self._most:
            self._cut()

    def _cut(self) -> None:
        order = np.lexsort((self._places, self._keys))[: self._most]
        self._keys, self._places, self._values = self._keys[order], self._places[order], self._values[:, order]

    def rows(self) -> ChartRows:
        """What is kept."""
        self._cut()
        return ChartRows(*self._values)


@dataclass
class Counts:
    """Of all rows. of_table: ok rows of each table, by its number. scored: of which there are scores."""

    statuses: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    of_table: Counter[int] = field(default_factory=Counter)
    labelled: int = 0
    scored: int = 0

    def add(self, cells: Cells, of: Placed) -> None:
        """The next rows of a table."""
        for entry in cells.words("status").value_counts().to_pylist():
            self.statuses[entry["values"] or "no status"] += entry["counts"]
        for counts, column, words in ((self.verdicts, "verdict", VERDICTS), (self.reasons, "reason", REASONS)):
            counts.update({word: int(cells.equals(column, word).sum()) for word in words})
        self.labelled += int((~np.isnan(cells.number("soft_label"))).sum())
        self.of_table[of.number] += int(cells.ok.sum())
        self.scored += int((cells.ok & ~np.isnan(cells.number("score"))).sum())

    def join(self, other: "Counts") -> None:
        """Take in those of other rows."""
        for own, more in zip(self._counters, other._counters, strict=True):
            own.update(more)
        self.labelled, self.scored = self.labelled + other.labelled, self.scored + other.scored

    @property
    def _counters(self) -> tuple[Counter[Any], ...]:
        return self.statuses, self.verdicts, self.reasons, self.of_table


@dataclass(frozen=True)
class Part:
    """What one table adds to `Seen`, as it is sent. named: the rows that a file of truth may be about."""

    of: int
    counts: Counts
    galleries: Any
    groups: Sequence[Any]
    strata: Any
    charts: ChartPart
    reliability: Reliability | None
    named: Sequence[Named]


@dataclass
class Seen:
    """All that one pass over score tables has found. draw: of so many pairs to judge, those; None: none are wanted."""

    counts: Counts
    galleries: Collector
    groups: Sequence[Groups]
    strata: PerStratum
    charts: ChartSample
    reliability: Reliability | None
    draw: Draw | None = None

    @classmethod
    def nothing(cls, options: ReportOptions, truth: TruthSource | None, first: int = 0) -> "Seen":
        """Before any row. first: the place of the first one that will come."""
        return cls(
            Counts(),
            Collector(GALLERIES, options.cards, first=first),
            [Groups(grouping, GROUPS, GROUP_ROWS, first=first) for grouping in GROUPINGS],
            PerStratum(options.by, STRATUM_ROWS, first=first),
            ChartSample(),
            None if truth is None else Reliability(),
        )

    def add(self, batch: pa.RecordBatch, first: int, of: Placed) -> None:
        """The next rows of a table, from its row number `first` on; what is true of them comes apart."""
        cells = Cells(batch)
        self.counts.add(cells, of)
        self.charts.add(cells, first, of)
        self.galleries.add(batch)
        self.strata.add(batch)
        for groups in self.groups:
            groups.add(batch)

    def part(self, of: Placed, named: Sequence[Named]) -> Part:
        """What was found in the rows of one table."""
        groups = [one.part() for one in self.groups]
        return Part(
            of.number, self.counts, self.galleries.part(), groups, self.strata.part(), self.charts.part(),
            self.reliability, named,
        )  # fmt: skip

    def join(self, part: Part) -> None:
        """Take in what was found in another table."""
        self.counts.join(part.counts)
        self.galleries.join(part.galleries)
        for own, other in zip(self.groups, part.groups, strict=True):
            own.join(other)
        self.strata.join(part.strata)
        self.charts.join(part.charts)
        if self.reliability is not None and part.reliability is not None:
            self.reliability.join(part.reliability)


def look_at(
    site: Site,
    tables: Sequence[ScoreTable],
    options: ReportOptions,
    truth: TruthSource | None,
    progress: Progress,
) -> Seen:
    """One pass over all rows. truth: where it is known which pairs match."""
    for table in tables:
        refuse_unscored(table.shard.path, table.schema)
    _require_column(tables, options)
    site.ready(tables[0].shard, progress)
    progress.stage(READ, sum(table.rows for table in tables))
    seen = Seen.nothing(options, truth)
    if site.elsewhere:
        _join_all(seen, site, tables, options, truth, progress)
    else:
        _look(seen, tables, options, truth, progress)
    if isinstance(truth, TruthBeside) and seen.reliability is not None:
        truth.settle(seen.reliability)
    return seen


def _look(
    seen: Seen, tables: Sequence[ScoreTable], options: ReportOptions, truth: TruthSource | None, progress: Progress
) -> None:
    """In this process, every table into what is there."""
    held = Held(sum(table.rows for table in tables), options.seed) if options.judge else None
    for of in placed(tables):
        for first, batch in _batches(of, options, truth):
            seen.add(batch, first, of)
            if held is not None:
                held.add(batch, first, of)
            if isinstance(truth, TruthBeside):
                numbers = of.first + first + np.arange(len(batch))
                truth.take(Named(numbers, batch), of)
            elif truth is not None and seen.reliability is not None:
                truth.add(batch, of.table, Cells(batch), seen.reliability)
            progress.advance(len(batch))
    seen.draw = held


def _join_all(
    seen: Seen,
    site: Site,
    tables: Sequence[ScoreTable],
    options: ReportOptions,
    truth: TruthSource | None,
    progress: Progress,
) -> None:
    """By other processes, a part of each table; what a file says of their rows is told apart once all are there."""
    named: dict[int, Sequence[Named]] = {}
    find = partial(_part_of, options=options, truth=truth.apart() if isinstance(truth, TruthBeside) else truth)
    for part in found_in_each(site, tables, find, progress):
        seen.join(part)
        named[part.of] = part.named
    if isinstance(truth, TruthBeside):
        for of in placed(tables):
            for some in named[of.number]:
                truth.take(some, of)
    if options.judge:
        seen.draw = Elsewhere(site, tables, options.seed, seen.counts.scored)


def _part_of(of: Placed, progress: Progress, *, options: ReportOptions, truth: TruthSource | None) -> Part:
    seen, named = Seen.nothing(options, truth, of.first), list[Named]()
    own = truth.apart() if isinstance(truth, TruthBeside) else truth
    for first, batch in _batches(of, options, truth):
        seen.add(batch, first, of)
        if isinstance(own, TruthBeside):
            named.append(own.named(batch, of.first + first, of))
        elif own is not None and seen.reliability is not None:
            own.add(batch, of.table, Cells(batch), seen.reliability)
        progress.advance(len(batch))
    return seen.part(of, [some for some in named if len(some.numbers)])


def _batches(of: Placed, options: ReportOptions, truth: TruthSource | None) -> Iterator[tuple[int, pa.RecordBatch]]:
    """All rows of a table, each batch with the number of its first row there."""
    first = 0
    for batch in of.table.batches(_columns(of.table, options, truth), BATCH_ROWS):
        yield first, batch
        first += len(batch)


def _columns(table: ScoreTable, options: ReportOptions, truth: TruthSource | None) -> list[str]:
    wanted = [*SHOWN, options.by, *([truth.column] if isinstance(truth, TruthInTables) else [])]
    return [name for name in dict.fromkeys(wanted) if name in table.schema.names]


def _require_column(tables: Sequence[ScoreTable], options: ReportOptions) -> None:
    lacking = [table for table in tables if options.by not in table.schema.names]
    if options.by != ReportOptions.by and lacking:
        found = ", ".join(lacking[0].schema.names)
        raise BadTable(
            f"{lacking[0].shard.path} has no column {options.by} (found: {found})",
            fix=f"{did_you_mean(options.by, lacking[0].schema.names)}name another with --by",
        )
