"""`eval retrieval` and `eval scores`: how good a matcher retrieves, how well scores find known mismatches, and how
they stand to the scores that the pairs came with.

Knows tables, truth and metrics; nothing of Typer or of how embeddings and scores were made.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from ncaudit.core.metrics.detection import (
    ReliabilityBin,
    auroc,
    average_precision,
    calibration_error,
    precision_at_true_count,
    reliability,
)
from ncaudit.engines.local import Accounting
from ncaudit.errors import BadTable
from ncaudit.options import EvalScoresOptions
from ncaudit.progress import SILENT, Progress
from ncaudit.schema import OK
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.people.truth import MATCH, MISMATCH, MISSING, Truths, TruthTable, as_truth, read_truth
from ncaudit.shards.tables.checks import is_word, refuse_unscored
from ncaudit.shards.tables.key_index import NOWHERE
from ncaudit.shards.tables.scores import ScoreTable, open_scores
from ncaudit.shards.tables.told_rates import rank_notes
from ncaudit.verbs.evaluate.exact_order import is_number, rounded
from ncaudit.verbs.evaluate.prior_scores import OURS, PriorScore, compare, prior_columns

Numbers = npt.NDArray[np.float64]
JUDGED = ("soft_label", "similarity", "score")


@dataclass(frozen=True, kw_only=True)
class Detection:
    """How well one column finds mismatches: all in [0, 1], higher is better; None with a note where undefined."""

    pairs: int  # with truth and a value
    mismatched: int
    auroc: float | None  # chance that a mismatch has the lower value; 0.5 is guessing
    average_precision: float | None  # of mismatches, read from the lowest value up; guessing gives their share
    precision_at_true_count: float | None  # among as many lowest values as there are mismatches
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class ScoresResult:
    """How the scores stand to the prior scores that were asked about."""

    accounting: Accounting
    against: tuple[PriorScore, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DetectionResult(ScoresResult):
    """What the scores know of the truth. A column that is not there, or all null, is None."""

    truth: str
    judged: int  # ok rows whose truth is known
    mismatched: int
    truth_missing: int  # ok rows without truth
    truth_unused: int  # pairs of the truth table that no score table has
    soft_label: Detection | None
    similarity: Detection | None
    score: Detection | None
    calibration_error: float | None  # of soft_label, [0, 1], lower is more honest
    reliability: tuple[ReliabilityBin, ...] | None


def eval_scores(options: EvalScoresOptions, progress: Progress = SILENT) -> ScoresResult:
    """How well the score tables' columns find the pairs that the truth calls mismatched, and how they stand to others.

    With a truth the result is a `DetectionResult`. Memory: 8 bytes per ok row for each of score, soft_label and the
    columns compared, with a truth 9 more, and while one column is ranked some 60 bytes per row.
    Raises BadTable when there is no truth to be had, it is of another kind, a column is not there or is no number.
    """
    tables = [open_scores(shard) for shard in find_shards(options.scores, max_row_bytes=options.max_row_bytes)]
    for table in tables:
        _require_scores(table, judged=options.truth is not None)
    priors = prior_columns(tables, options.against) if options.against else []
    truth_table = _truth_table(options)
    progress.job("eval scores", {"read the scores": 1.0} | ({"compare": 0.0} if priors else {}))
    progress.stage("read the scores", sum(table.rows for table in tables))
    rows = _Rows([*(OURS if options.truth is None else JUDGED), *priors])
    beside = None if truth_table is None else _TruthBeside(truth_table)
    for table in tables:
        rows.add(table, options.truth, beside, progress)
    if beside is not None:
        rows.take(beside)
    if priors:
        progress.stage("compare", len(priors), "columns")
    truth = None if options.truth is None else rows.truth()
    ours = {name: rows.values(name) for name in OURS}
    against = []
    for name in priors:
        against.append(compare(name, ours, rows.parts(name), truth, tables, rows.ok()))
        progress.advance(1)
    accounting = Accounting(len(tables), 0, (), dict(rows.statuses))
    notes = tuple(rank_notes((table.shard.path, table.provenance) for table in tables))
    result = ScoresResult(accounting=accounting, against=tuple(against), notes=notes)
    return result if options.truth is None else _detection_result(options, rows, result)


def _truth_table(options: EvalScoresOptions) -> TruthTable | None:
    if options.truth_table is None or options.truth is None:
        return None
    return read_truth(options.truth_table, options.truth, options.max_row_bytes)


class _Rows:
    """The ok rows of all score tables: their values and their truth."""

    def __init__(self, names: Sequence[str]) -> None:
        self.statuses: Counter[str] = Counter()
        self.truth_unused = 0
        self._truth: list[Truths] = []
        self._values: dict[str, list[pa.Array]] = {name: [] for name in names}
        self._ok: list[npt.NDArray[np.bool_]] = []

    def add(self, table: ScoreTable, truth: str | None, beside: "_TruthBeside | None", progress: Progress) -> None:
        wanted = [name for name in self._values if name in table.schema.names]
        if beside is not None:
            wanted += beside.open(table)
        elif truth is not None:
            _require_truth(table, truth)
            wanted.append(truth)
        for batch in table.batches(list(dict.fromkeys(wanted))):
            ok = pc.equal(batch["status"], OK).fill_null(False)
            self._count(batch)
            self._ok.append(ok.to_numpy(zero_copy_only=False))
            if beside is not None:
                beside.add(batch)
            elif truth is not None:
                self._truth.append(as_truth(batch[truth], f"{table.shard.path}: {truth}")[self._ok[-1]])
            for name, parts in self._values.items():
                parts.append(_numbers(batch, table, name).filter(ok))
            progress.advance(len(batch))

    def take(self, beside: "_TruthBeside") -> None:
        """The truth of all rows, from a table beside."""
        truth, self.truth_unused = beside.found()
        self._truth = [truth[self.ok()]]

    def truth(self) -> Truths:
        return np.concatenate([*self._truth, np.empty(0, np.int8)])

    def ok(self) -> npt.NDArray[np.bool_]:
        """(n,) over the rows of all tables."""
        return np.concatenate([*self._ok, np.empty(0, bool)])

    def values(self, name: str) -> Numbers:
        return np.concatenate([np.empty(0), *(rounded(part) for part in self._values[name])])

    def parts(self, name: str) -> Sequence[pa.Array]:
        """The values as they are in the tables."""
        return self._values[name]

    def _count(self, batch: pa.RecordBatch) -> None:
        for entry in batch["status"].value_counts().to_pylist():
            self.statuses[entry["values"] or "no status"] += entry["counts"]


class _TruthBeside:
    """The truth of a table beside the scores, looked for row by row."""

    def __init__(self, table: TruthTable) -> None:
        self._table, self._finder = table, table.finder()
        self._rows, self._first_id = 0, "none"
        self._place: list[str] = []

    def open(self, table: ScoreTable) -> list[str]:
        """What is needed of the next table's columns."""
        self._finder.table(table.shard.path, self._rows)
        fields = {field.name: field.type for field in table.schema}
        placed = is_word(fields.get("shard", pa.null())) and pa.types.is_integer(fields.get("row", pa.null()))
        self._place = ["shard", "row"] if placed else []
        return [*self._place, *(["caption"] if is_word(fields.get("caption", pa.null())) else [])]

    def add(self, batch: pa.RecordBatch) -> None:
        """The next rows of that table."""
        numbers = np.arange(self._rows, self._rows + len(batch))
        self._first_id = batch["pair_id"][0].as_py() if len(batch) and not self._rows else self._first_id
        self._rows += len(batch)
        shard, row = (batch[name] for name in self._place) if self._place else (None, None)
        caption = batch["caption"] if "caption" in batch.schema.names else None
        self._finder.add(numbers, batch["pair_id"], shard, row, caption)

    def found(self) -> tuple[Truths, int]:
        """The truth of all rows, and how many pairs of the table no row is. Raises BadTable where there is none."""
        found = self._finder.found()
        if (found.row == NOWHERE).all():
            raise self._strangers()
        return self._table.of(found, self._rows), self._table.unused(found)

    def _strangers(self) -> BadTable:
        there = next(iter(self._table.rows.pair_id), "none")
        return BadTable(
            f"{self._table.path} knows no pair of the score tables (pair_id there: {there}; in the scores: "
            f"{self._first_id})",
            fix="give a truth table with the pair_id of the score tables; of names that a spreadsheet program changed "
            "(007 to 7), the columns shard and row tell which they are",
        )


def _require_scores(table: ScoreTable, *, judged: bool) -> None:
    """Raises BadTable where there is nothing to judge, or to compare with."""
    refuse_unscored(table.shard.path, table.schema)
    if judged and not set(JUDGED) & set(table.schema.names):
        raise BadTable(
            f"{table.shard.path} has none of {', '.join(JUDGED)} (found: {', '.join(table.schema.names)})",
            fix="give score tables: what `ncaudit score` wrote, or any with one of these columns",
        )


def _require_truth(table: ScoreTable, truth: str) -> None:
    if truth not in table.schema.names:
        raise BadTable(
            f"{table.shard.path} has no column {truth} (found: {', '.join(table.schema.names)})",
            fix="name the truth column with --truth, or give --truth-table a file with pair_id and that column",
        )


def _numbers(batch: pa.RecordBatch, table: ScoreTable, name: str) -> pa.Array:
    """One column of numbers; all null where the table does not have it."""
    if name not in batch.schema.names:
        return pa.nulls(len(batch), pa.float64())
    values = batch[name]
    if not is_number(values.type):
        raise BadTable(f"{table.shard.path}: {name} is {values.type}, not a number", fix="rename or convert the column")
    if name == "soft_label":
        _require_probability(values.cast(pa.float64(), safe=False), table)
    return values


def _require_probability(values: pa.Array, table: ScoreTable) -> None:
    limits = pc.min_max(values)
    low, high = limits["min"].as_py(), limits["max"].as_py()
    if low is not None and not 0 <= low <= high <= 1:
        raise BadTable(
            f"{table.shard.path}: soft_label goes from {low:g} to {high:g}, but it is a probability",
            fix="give numbers from 0 to 1, or call the column score",
        )


def _detection_result(options: EvalScoresOptions, rows: _Rows, result: ScoresResult) -> DetectionResult:
    assert options.truth is not None
    truth = rows.truth()
    found = {name: _detection(rows.values(name), truth) for name in JUDGED}
    label, match = _judged(rows.values("soft_label"), truth)
    return DetectionResult(
        accounting=result.accounting,
        against=result.against,
        notes=result.notes,
        truth=options.truth,
        judged=int((truth != MISSING).sum()),
        mismatched=int((truth == MISMATCH).sum()),
        truth_missing=int((truth == MISSING).sum()),
        truth_unused=rows.truth_unused,
        soft_label=found["soft_label"],
        similarity=found["similarity"],
        score=found["score"],
        calibration_error=calibration_error(label, match, options.bins) if len(label) else None,
        reliability=tuple(reliability(label, match, options.bins)) if len(label) else None,
    )


def _judged(values: Numbers, truth: Truths) -> tuple[Tensor, Tensor]:
    """The values that can be judged, (n,) float64, and whether their pairs match, (n,) bool."""
    use = (truth != MISSING) & ~np.isnan(values)
    return torch.from_numpy(values[use]), torch.from_numpy(truth[use] == MATCH)


def _detection(values: Numbers, truth: Truths) -> Detection | None:
    if np.isnan(values).all():
        return None
    score, match = _judged(values, truth)
    mismatch, note = ~match, _one_sided(match)
    return Detection(
        pairs=len(score),
        mismatched=int(mismatch.sum()),
        auroc=None if note else auroc(-score, mismatch),
        average_precision=None if note else average_precision(-score, mismatch),
        precision_at_true_count=None if note else precision_at_true_count(score, mismatch),
        note=note,
    )


def _one_sided(match: Tensor) -> str | None:
    if not len(match):
        return "no pair has both a value and a truth"
    if match.all() or not match.any():
        kind = "match" if match.all() else "are mismatched"
        if len(match) == 1:
            return f"the only judged pair {'matches' if match.all() else 'is mismatched'}: ranking needs both kinds"
        return f"all {len(match):,} judged pairs {kind}: ranking them needs both kinds"
    return None
