"""Which pairs are worth keeping: rules that look at one row, and rules that rank all rows and need a first pass.

Knows score tables' columns; nothing of files or of the user's dataset.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ncaudit.core.statistics.digits import ordered, unordered
from ncaudit.errors import BadTable
from ncaudit.options import FilterOptions
from ncaudit.schema import OK
from ncaudit.shards.tables.checks import require_column, require_plain
from ncaudit.shards.tables.score_input import ScoreInput
from ncaudit.verbs.filter.best_rows import BestRows, Cut, Flags, Keys, Place
from ncaudit.verbs.filter.where import Condition, parse

KEPT, KEPT_WORD = 0, ""  # the code of a row that is kept; every other code is the place of a reason
LABEL_STEP = 5e-8  # half of float32's step below 1: ten labels of .9 have a mean of .9
LABELS = {"soft_label", "verdict"}
ASKS_FOR_NONE = re.compile(rf"\b({'|'.join(sorted(LABELS))})\W+is\s+null\b", re.IGNORECASE)
STEPS = 1 << 40  # of a label, from 0 to 1: those of float32 from 2**-16 up are whole ones
MOST_LABEL = 4.0  # no soft label is as large: a million of them add up without leaving int64
MOST_SURPLUS = 1 << 62
Codes = npt.NDArray[np.int16]
Surplus = npt.NDArray[np.int64]


class Reasons:
    """Words for why rows are dropped, and their codes; code 0 is kept."""

    def __init__(self) -> None:
        self.words = [KEPT_WORD]
        self._codes: dict[str, int] = {}

    def code(self, word: str) -> int:
        """The code of a reason, a new one for a new word."""
        word = word or "no_status"
        if word not in self._codes:
            self._codes[word] = len(self.words)
            self.words.append(word)
        return self._codes[word]


class RowRules:
    """The rules that look at one row: its status, --min-soft-label, --verdict, --where. All must agree."""

    def __init__(self, options: FilterOptions, reasons: Reasons) -> None:
        self._low, self._reasons = options.min_soft_label, reasons
        self._verdicts = list(options.verdict or ())
        self._where: Condition | None = None if options.where is None else parse(options.where)
        self._bound: dict[str, Callable[[pa.RecordBatch], Flags]] = {}

    @property
    def columns(self) -> list[str]:
        """What must be read to decide."""
        named = ["soft_label"] * (self._low is not None) + ["verdict"] * bool(self._verdicts)
        return ["status", *named, *(self._where.columns if self._where else ())]

    @property
    def compares_labels(self) -> bool:
        """Whether --where compares labels with something; who asks for rows without one gets them."""
        where = self._where
        return where is not None and bool(LABELS & {*where.columns}) and not ASKS_FOR_NONE.search(where.text)

    def require(self, scores: ScoreInput) -> None:
        """Raises NcauditError when a table lacks a column, or has one of a type that the rule cannot use."""
        for name in ("pair_id", *self.columns):
            if self._where is None or name not in self._where.columns:
                require_column(scores.path, scores.schema, name)
        if self._low is not None:
            require_number(scores, "soft_label")
        if self._where is not None:
            self._bound[scores.path] = self._where.bind(scores.schema, scores.path)

    def codes(self, batch: pa.RecordBatch, path: str) -> Codes:
        """(n,): KEPT, or the code of the first reason to drop the row."""
        codes = self._status_codes(batch["status"])
        for reason, failing in self._failing(batch, path):
            codes[(codes == KEPT) & failing] = self._reasons.code(reason)
        return codes

    def _failing(self, batch: pa.RecordBatch, path: str) -> Iterator[tuple[str, Flags]]:
        if self._low is not None:
            label = numbers(batch["soft_label"])
            yield "soft_label_missing", np.isnan(label)
            yield "min_soft_label", label < min(self._low, float(np.float32(self._low)))
        if self._verdicts:
            known = pc.is_in(batch["verdict"].cast(pa.string()), value_set=pa.array(self._verdicts, pa.string()))
            yield "verdict", ~np.asarray(known.to_numpy(zero_copy_only=False), dtype=bool)
        if self._where is not None:
            yield "where", ~self._bound[path](batch)

    def _status_codes(self, column: pa.Array) -> Codes:
        words = column.cast(pa.string()).fill_null("embedding_invalid").dictionary_encode()
        of_word = [KEPT if word == OK else self._reasons.code(word) for word in words.dictionary.to_pylist()]
        codes: Codes = np.array([*of_word, KEPT], dtype=np.int16)[words.indices.to_numpy()]
        return codes


class Ranking(Protocol):
    """A rule that keeps the best rows of all."""

    @property
    def reason(self) -> str: ...

    @property
    def columns(self) -> list[str]: ...

    def keys(self, batch: pa.RecordBatch) -> tuple[Keys, Flags]:
        """(n,): larger is better; and (n,): whether the row can be ranked at all."""

    def count(self, descending: Keys) -> int:
        """How many of these rows are kept, best first."""


@dataclass(frozen=True)
class KeepShare:
    """floor(share * rows) rows with the best scores. The share is taken as it is written: .29 of 100 are 29."""

    share: float
    reason = "keep_share"
    columns = ["score"]  # noqa: RUF012

    def keys(self, batch: pa.RecordBatch) -> tuple[Keys, Flags]:
        """The score, in an order that whole numbers have."""
        score = numbers(batch["score"])
        return ordered(score), ~np.isnan(score)

    def count(self, descending: Keys) -> int:
        """floor(share * rows)."""
        return self.of(len(descending))

    def of(self, rows: int) -> int:
        """The same of so many rows."""
        return int(Fraction(repr(self.share)) * rows)


@dataclass(frozen=True)
class KeptPrecision:
    """The largest set of rows whose mean soft label is at least `precision`: best label first, then best score."""

    precision: float
    reason = "kept_precision"
    columns = ["soft_label", "score"]  # noqa: RUF012

    def keys(self, batch: pa.RecordBatch) -> tuple[Keys, Flags]:
        """The label in the upper half, the score (lowest where there is none) in the lower, both as float32."""
        label, score = (numbers(batch[name]).astype(np.float32) for name in self.columns)
        known = ~np.isnan(label)
        score[np.isnan(score)] = -np.inf
        return (ordered(label).astype(np.uint64) << np.uint64(32)) | ordered(score).astype(np.uint64), known

    def count(self, descending: Keys) -> int:
        """As many as have the mean; it falls from row to row."""
        reached, total, step = 0, 0, 1 << 20
        for first in range(0, len(descending), step):  # in pieces: no second array of the size of the first
            sums = np.cumsum(self.surplus(descending[first : first + step]))
            enough = np.flatnonzero(sums >= -min(total, MOST_SURPLUS))
            if not len(enough):
                break
            reached = first + int(enough[-1]) + 1
            total += int(sums[-1])
        return reached

    def surplus(self, keys: Keys) -> Surplus:
        """(n,) how far each label is above the mean that is asked for, in whole steps: whoever adds them up, and in
        whatever order, gets the same sum.
        """
        label = unordered((keys >> np.uint64(32)).astype(np.uint32)).astype(np.float64)
        least = round((self.precision - LABEL_STEP) * STEPS)
        return np.rint(np.clip(label, -MOST_LABEL, MOST_LABEL) * STEPS).astype(np.int64) - least


def ranking_of(options: FilterOptions) -> Ranking | None:
    """The ranking rule among the options, if there is one."""
    if options.keep_share is not None:
        return KeepShare(options.keep_share)
    return None if options.kept_precision is None else KeptPrecision(options.kept_precision)


class Chooser:
    """Every rule together: the code of each row of each table."""

    def __init__(self, options: FilterOptions) -> None:
        self.reasons = Reasons()
        self._rules = RowRules(options, self.reasons)
        self._ranking = ranking_of(options)
        self.best = BestRows(options.keep_share_by)

    @property
    def looks_twice(self) -> bool:
        """Whether all rows must have been seen before the first can be decided."""
        return self._ranking is not None

    @property
    def compares_labels(self) -> bool:
        """Whether --where does, see `RowRules`."""
        return self._rules.compares_labels

    @property
    def columns(self) -> list[str]:
        """What must be read to decide."""
        ranked = self._ranking.columns if self._ranking else []
        by = [self.best.column] if self.best.column else []
        return list(dict.fromkeys([*self._rules.columns, *ranked, *by]))

    @property
    def cuts(self) -> Mapping[Any, Cut]:
        """Where the kept rows end, by the stratum's value; nothing where no rule ranks."""
        return self.best.cuts

    def require(self, scores: ScoreInput) -> None:
        """Raises NcauditError when a table lacks a column that a rule needs."""
        self._rules.require(scores)
        for name in self._ranking.columns if self._ranking else ():
            require_number(scores, name)
        if self.best.column:
            require_plain(scores.path, scores.schema, self.best.column, "--keep-share-by")

    def prepare(self, tables: Sequence[ScoreInput], advance: Callable[[int], None] = lambda rows: None) -> None:
        """Find where the kept rows end. Does nothing where no rule ranks."""
        if self._ranking is None:
            return
        for scores in tables:
            for keys, batch, rows in self.rankable(scores):
                self.best.add(keys, batch)
                advance(rows)
        self.best.cut(self._ranking.count)
        if self.best.has_open_ties:
            for number, scores in enumerate(tables):
                self._add_tied(scores, number)
            self.best.break_ties()

    @property
    def ranking(self) -> KeepShare | KeptPrecision:
        """The rule that ranks, where one does."""
        assert isinstance(self._ranking, (KeepShare, KeptPrecision))
        return self._ranking

    def rankable(self, scores: ScoreInput) -> Iterator[tuple[Keys, pa.RecordBatch, int]]:
        """The keys of a table's rows that can be ranked, and these rows; and how many rows there were."""
        for batch in scores.batches(self.columns):
            keys, codes = self._ranked(batch, scores.path)
            yield keys[codes == KEPT], batch.filter(pa.array(codes == KEPT)), len(batch)

    def tied_places(self, scores: ScoreInput, number: int) -> Mapping[int, list[Place]]:
        """Where in a table rows are at a cut that not all of its rows pass: see `BestRows.take_places`."""
        self._add_tied(scores, number)
        return self.best.take_places()

    def codes(self, batch: pa.RecordBatch, path: str, table: int, first: int) -> Codes:
        """(n,): KEPT, or the code of the reason to drop the row. `first`: the batch's first row in table `table`."""
        if self._ranking is None:
            return self._rules.codes(batch, path)
        keys, codes = self._ranked(batch, path)
        worse = ~self.best.kept(keys, batch, table, first)
        codes[(codes == KEPT) & worse] = self.reasons.code(self._ranking.reason)
        return codes

    def _ranked(self, batch: pa.RecordBatch, path: str) -> tuple[Keys, Codes]:
        """The keys of all rows, and their codes before they are ranked: a row without a key is dropped."""
        assert self._ranking is not None
        codes = self._rules.codes(batch, path)
        keys, known = self._ranking.keys(batch)
        codes[(codes == KEPT) & ~known] = self.reasons.code(f"{self._ranking.columns[0]}_missing")
        return keys, codes

    def _add_tied(self, scores: ScoreInput, number: int) -> None:
        first = 0
        for batch in scores.batches([*self.columns, "pair_id"]):
            keys, codes = self._ranked(batch, scores.path)
            self.best.add_tied(keys, codes == KEPT, batch, number, first)
            first += len(batch)


def numbers(column: pa.Array) -> npt.NDArray[np.float64]:
    """A column of numbers, (n,) float64; null is nan."""
    return np.array(pc.fill_null(column.cast(pa.float64(), safe=False), float("nan")).to_numpy(zero_copy_only=False))


def require_number(scores: ScoreInput, name: str) -> None:
    """Raises BadTable unless the table has the column and it holds numbers."""
    require_column(scores.path, scores.schema, name)
    kind = scores.schema.field(name).type
    if not (t.is_floating(kind) or t.is_integer(kind) or t.is_decimal(kind) or t.is_null(kind)):
        raise BadTable(f"{scores.path}: {name} is {kind}, no number", fix="rename or convert the column")
