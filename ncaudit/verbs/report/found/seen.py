"""What is counted and kept of score tables while all their rows pass by once; no picture, and no word on it yet.

Knows score tables' columns and galleries; nothing of pictures or pages. Bounded, but for the draw of pairs to judge:
24 bytes per row.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ncaudit.errors import BadTable
from ncaudit.hashing import fit_sample_keys
from ncaudit.judging.draw import Drawable, drawable
from ncaudit.judging.galleries import rules
from ncaudit.judging.galleries.cells import Cells
from ncaudit.judging.galleries.collector import SHOWN, Collector
from ncaudit.judging.galleries.groups import GROUPINGS, Groups
from ncaudit.judging.galleries.per_stratum import PerStratum
from ncaudit.options import ReportOptions
from ncaudit.progress import Progress
from ncaudit.schema import REASONS, VERDICTS
from ncaudit.shards.tables.checks import refuse_unscored
from ncaudit.shards.tables.scores import ScoreTable
from ncaudit.verbs.report.found.truths import Reliability, TruthInTables, TruthSource

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


class ChartSample:
    """Keeps the rows with the smallest keys: a random sample that depends on shard names and rows alone."""

    def __init__(self, most: int = CHART_ROWS) -> None:
        self._most, self._keys = most, np.zeros(0, np.uint64)
        self._values = np.zeros((3, 0))

    def add(self, cells: Cells, name: str, first: int) -> None:
        """The next rows of a table."""
        ok = cells.ok
        keys = fit_sample_keys(f"chart/{name}", first + np.flatnonzero(ok), 0)
        values = np.stack([cells.number(column)[ok] for column in ("score", "soft_label", "similarity")])
        self._keys = np.concatenate([self._keys, keys])
        self._values = np.concatenate([self._values, values], axis=1)
        if len(self._keys) > 2 * self._most:
            self._cut()

    def _cut(self) -> None:
        order = np.argsort(self._keys, kind="stable")[: self._most]
        self._keys, self._values = self._keys[order], self._values[:, order]

    def rows(self) -> ChartRows:
        """What is kept."""
        self._cut()
        return ChartRows(*self._values)


@dataclass
class Counts:
    """Of all rows."""

    statuses: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    labelled: int = 0
    of_table: list[int] = field(default_factory=list)  # ok rows of each

    def add(self, cells: Cells) -> None:
        """The next rows of the last table."""
        for entry in cells.words("status").value_counts().to_pylist():
            self.statuses[entry["values"] or "no status"] += entry["counts"]
        for counts, column, words in ((self.verdicts, "verdict", VERDICTS), (self.reasons, "reason", REASONS)):
            counts.update({word: int(cells.equals(column, word).sum()) for word in words})
        self.labelled += int((~np.isnan(cells.number("soft_label"))).sum())
        self.of_table[-1] += int(cells.ok.sum())


@dataclass
class Seen:
    """All that one pass over score tables has found."""

    counts: Counts
    galleries: Collector
    groups: Sequence[Groups]
    strata: PerStratum
    charts: ChartSample
    reliability: Reliability | None
    drawable: Drawable | None  # None: no pairs are to be judged


def look_at(
    tables: Sequence[ScoreTable], options: ReportOptions, truth: TruthSource | None, progress: Progress
) -> Seen:
    """One pass over all rows. truth: where it is known which pairs match."""
    for table in tables:
        refuse_unscored(table.shard.path, table.schema)
    _require_column(tables, options)
    progress.stage(READ, sum(table.rows for table in tables))
    seen = _nothing_yet(options, truth)
    draw = _Draw(sum(table.rows for table in tables), options.seed) if options.judge else None
    for table in tables:
        seen.counts.of_table.append(0)
        first = 0
        for batch in table.batches(_columns(table, options, truth), BATCH_ROWS):
            _add(seen, batch, table, first, truth)
            if draw is not None:
                draw.add(batch, table)
            first += len(batch)
            progress.advance(len(batch))
    seen.drawable = draw.drawn() if draw is not None else None
    if truth is not None and seen.reliability is not None:
        truth.settle(seen.reliability)
    return seen


def _nothing_yet(options: ReportOptions, truth: TruthSource | None) -> Seen:
    return Seen(
        Counts(),
        Collector(GALLERIES, options.cards),
        [Groups(grouping, GROUPS, GROUP_ROWS) for grouping in GROUPINGS],
        PerStratum(options.by, STRATUM_ROWS),
        ChartSample(),
        None if truth is None else Reliability(),
        None,
    )


def _add(seen: Seen, batch: pa.RecordBatch, table: ScoreTable, first: int, truth: TruthSource | None) -> None:
    cells = Cells(batch)
    seen.counts.add(cells)
    seen.charts.add(cells, table.shard.name, first)
    seen.galleries.add(batch)
    seen.strata.add(batch)
    for groups in seen.groups:
        groups.add(batch)
    if truth is not None and seen.reliability is not None:
        truth.add(batch, table, cells, seen.reliability)


class _Draw:
    """The rows that may be drawn for people to judge, as they pass by."""

    def __init__(self, most: int, seed: int) -> None:
        self._rows, self._seed = Drawable.room(most), seed
        self._first = self._end = 0

    def add(self, batch: pa.RecordBatch, table: ScoreTable) -> None:
        if "score" in batch.schema.names:
            some = drawable(batch, table.shard.path, self._first, self._seed)
            self._rows.put(slice(self._end, self._end + len(some.place)), some)
            self._end += len(some.place)
        self._first += len(batch)

    def drawn(self) -> Drawable:
        return self._rows.upto(self._end)


def _columns(table: ScoreTable, options: ReportOptions, truth: TruthSource | None) -> list[str]:
    wanted = [*SHOWN, options.by, *([truth.column] if isinstance(truth, TruthInTables) else [])]
    return [name for name in dict.fromkeys(wanted) if name in table.schema.names]


def _require_column(tables: Sequence[ScoreTable], options: ReportOptions) -> None:
    lacking = [table for table in tables if options.by not in table.schema.names]
    if options.by != ReportOptions.by and lacking:
        found = ", ".join(lacking[0].schema.names)
        raise BadTable(
            f"{lacking[0].shard.path} has no column {options.by} (found: {found})", fix="name another with --by"
        )
