"""`sample`: draws pairs for people to judge, so that a few hundred verdicts tell the rate of mismatches.

Knows score tables, strata and the review file; nothing of Typer or of what becomes of the verdicts.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ncaudit.core.statistics.stratified_sample import allocate, score_strata
from ncaudit.engines.local import Accounting
from ncaudit.errors import BadTable
from ncaudit.hashing import fit_sample_keys, hash_values
from ncaudit.options import STREAM, SampleOptions
from ncaudit.progress import SILENT, Progress
from ncaudit.schema import OK, SCORE, SUGGESTION
from ncaudit.shards.claims.claims import Place, claim
from ncaudit.shards.columns import carried_type
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.people.verdicts import (
    IS_MATCH,
    STRATUM,
    STRATUM_ROWS,
    looks_like_formula,
    write_review,
)
from ncaudit.shards.tables.checks import require_column
from ncaudit.shards.tables.scores import ScoreTable, open_scores
from ncaudit.shards.tables.told_rates import rank_notes
from ncaudit.verbs.outputs import inputs_of

Numbers = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]

STRATUM_DRAWN = "stratum_drawn"
ADDED = (STRATUM, STRATUM_ROWS, STRATUM_DRAWN, IS_MATCH)
FIRST = ("pair_id", IS_MATCH, "caption")  # what a reviewer needs
PLACE = ("shard", "row")  # by these a pair is found whose name a spreadsheet program has changed
NUMBERS = ("similarity", "soft_label", "score", STRATUM, STRATUM_ROWS, STRATUM_DRAWN)  # last: a judge is to be blind
SHOWN = {*FIRST, *PLACE, *NUMBERS}


@dataclass(frozen=True, kw_only=True)
class Stratum:
    """One range of the score. Number 0, the first, holds the lowest scores."""

    rows: int  # ok rows with a score
    drawn: int
    low: float  # lowest score
    high: float  # highest
    mean_soft_label: float | None  # what its share of the draw was decided by; None where there are no labels


@dataclass(frozen=True, kw_only=True)
class SampleResult:
    """What was drawn, of what."""

    out: str
    rows: int  # ok rows with a score: what the verdicts will speak for
    drawn: int
    strata: tuple[Stratum, ...]
    without_score: int  # ok rows that could not be drawn
    accounting: Accounting
    notes: tuple[str, ...]


def sample(options: SampleOptions, progress: Progress = SILENT) -> SampleResult:
    """Draw `options.n` ok rows of the score tables, from every stratum of the score, and write them for review.

    The draw depends on pair ids, scores and seed only, not on how the rows lie in files. Memory: some 60 bytes per
    row, whatever else the tables hold. Raises NcauditError when OUT exists, a table has no score, or a pair_id is drawn
    twice.
    """
    shards = find_shards(options.scores, max_row_bytes=options.max_row_bytes)
    places = [] if options.out == STREAM else [Place.of_file("--out", options.out, kept="verdicts")]
    with claim("sample", places, inputs_of(shards), overwrite=options.overwrite).held({}):
        return _sample(options, shards, progress)


def _sample(options: SampleOptions, shards: Sequence[Shard], progress: Progress) -> SampleResult:
    tables = [open_scores(shard) for shard in shards]
    for table in tables:
        require_column(table.shard.path, table.schema, "score")
    progress.stage("read scores", sum(table.rows for table in tables))
    rows, statuses = _read(tables, options.seed, progress)
    if not len(rows.score):
        raise BadTable(f"{', '.join(options.scores)} holds no ok row with a score", fix="see the status column there")
    design = _designed(rows, options)
    progress.stage("read drawn pairs", None)
    review = _review(tables, rows, design, options.seed)
    write_review(options.out, review)
    accounting = Accounting(len(tables), 0, (), dict(statuses))
    notes = rank_notes((table.shard.path, table.provenance) for table in tables)
    return _result(options, rows, design, review, accounting, notes)


@dataclass(frozen=True)
class _Rows:
    """The rows that may be drawn, (n,) each."""

    place: Places  # counted over all rows of all tables
    score: Numbers
    soft_label: Numbers  # nan where there is none
    key: Keys  # random; of the pair_id and the seed alone

    def put(self, where: slice, some: "_Rows") -> None:
        """Write rows into arrays that were made large enough: joining parts would hold all rows twice."""
        self.place[where], self.score[where] = some.place, some.score
        self.soft_label[where], self.key[where] = some.soft_label, some.key

    def upto(self, end: int) -> "_Rows":
        """The first rows."""
        return _Rows(self.place[:end], self.score[:end], self.soft_label[:end], self.key[:end])


@dataclass(frozen=True)
class _Design:
    """What is drawn."""

    stratum: Places  # (n,) of all rows
    sizes: Places  # (H,)
    mean_label: npt.NDArray[np.float64]  # (H,)
    drawn: Places  # (H,)
    chosen: Places  # (sum of drawn,) among the n rows, ascending


def _read(tables: Sequence[ScoreTable], seed: int, progress: Progress) -> tuple[_Rows, Counter[str]]:
    """The rows that may be drawn, and the counts of all rows by status."""
    most = sum(table.rows for table in tables)
    rows = _Rows(
        np.empty(most, np.int64), np.empty(most, np.float32), np.empty(most, np.float32), np.empty(most, np.uint64)
    )
    statuses: Counter[str] = Counter()
    first = end = 0
    for table in tables:
        for batch in table.batches([name for name in ("score", "soft_label") if name in table.schema.names]):
            for entry in batch["status"].value_counts().to_pylist():
                statuses[entry["values"] or "no status"] += entry["counts"]
            begin, drawable = end, _drawable(batch, table, first, seed)
            end += len(drawable.place)
            rows.put(slice(begin, end), drawable)
            first += len(batch)
            progress.advance(len(batch))
    return rows.upto(end), statuses


def _drawable(batch: pa.RecordBatch, table: ScoreTable, first: int, seed: int) -> _Rows:
    """The ok rows of a batch that have a score."""
    ok = pc.fill_null(pc.equal(batch["status"], OK), False).to_numpy(zero_copy_only=False)
    score = _numbers(batch, "score", table)
    use = ok & ~np.isnan(score)
    ids = batch["pair_id"].filter(pa.array(use))
    label = _numbers(batch, "soft_label", table)[use]
    return _Rows(first + np.flatnonzero(use), score[use], label, _keys("draw", ids, seed))


def _keys(purpose: str, ids: pa.Array, seed: int) -> Keys:
    return fit_sample_keys(purpose, hash_values(ids), seed)


def _numbers(batch: pa.RecordBatch, name: str, table: ScoreTable) -> Numbers:
    """A column as float32; nan where it is null or not there."""
    if name not in batch.schema.names:
        return np.full(len(batch), np.nan, dtype=np.float32)
    kind = batch[name].type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
        raise BadTable(f"{table.shard.path}: {name} is {kind}, not a number", fix="rename or convert the column")
    numbers: Numbers = batch[name].cast(pa.float64()).to_numpy(zero_copy_only=False).astype(np.float32)
    return numbers


def _designed(rows: _Rows, options: SampleOptions) -> _Design:
    n = len(rows.score)
    strata = max(1, min(options.strata, options.n // 2, n // 2))  # at least two verdicts of each
    stratum = score_strata(rows.score, strata, tie=rows.key)
    sizes = np.bincount(stratum, minlength=strata)
    labelled = ~np.isnan(rows.soft_label)
    labels = np.bincount(stratum[labelled], minlength=strata)
    sums = np.bincount(stratum[labelled], weights=rows.soft_label[labelled], minlength=strata)
    mean_label = np.where(labels > 0, sums / np.maximum(labels, 1), np.nan)
    drawn = allocate(sizes, mean_label, options.n)
    chosen = [_smallest(np.flatnonzero(stratum == h), rows.key, int(drawn[h])) for h in range(strata)]
    return _Design(stratum, sizes, mean_label, drawn, np.sort(np.concatenate(chosen)))


def _smallest(members: Places, key: Keys, count: int) -> Places:
    """The members with the smallest random keys: a random part of them."""
    return members[np.argpartition(key[members], count - 1)[:count]]


def _review(tables: Sequence[ScoreTable], rows: _Rows, design: _Design, seed: int) -> pa.Table:
    """The drawn rows as people get them, in random order."""
    pairs = _fetched(tables, rows.place[design.chosen])
    _require_unique(pairs["pair_id"])
    stratum = design.stratum[design.chosen]
    added: dict[str, pa.Array] = {
        STRATUM: pa.array(stratum),
        STRATUM_ROWS: pa.array(design.sizes[stratum]),
        STRATUM_DRAWN: pa.array(design.drawn[stratum]),
        IS_MATCH: pa.nulls(len(pairs), pa.bool_()),
    }
    for name, column in added.items():
        pairs = pairs.append_column(name, column)
    pairs = pairs.select(_in_order(pairs.schema))
    order = np.argsort(_keys("order", pairs["pair_id"].combine_chunks(), seed), kind="stable")
    return pairs.take(pa.array(order)).combine_chunks()


def _fetched(tables: Sequence[ScoreTable], places: Places) -> pa.Table:
    """The rows at these places of all tables, in that order, with their light columns."""
    parts, first = [], 0
    for table in tables:
        low, high = np.searchsorted(places, [first, first + table.rows])
        if low < high:
            shown = _shown(table)
            parts.append(_plain(table.rows_at(places[low:high] - first, shown).select(shown)))
        first += table.rows
    try:
        pairs = pa.concat_tables(parts, promote_options="permissive")
    except pa.ArrowException as error:
        raise BadTable(
            f"the score tables have columns of different types: {str(error).splitlines()[0]}",
            fix="draw from them separately, or convert the column",
        ) from error
    return pairs


def _in_order(schema: pa.Schema) -> list[str]:
    """What is to be judged, the user's columns, where the pair is; then all that might tell a judge what to say."""
    own = [field for field in schema if field.name not in SHOWN]
    telling = [field.name for field in own if _may_tell(field.type)]
    order = [*FIRST, *(field.name for field in own if field.name not in telling), *PLACE, *telling, *NUMBERS]
    return [name for name in order if name in schema.names]


def _may_tell(kind: pa.DataType) -> bool:
    """Whether a column of the user's may be a score or a truth."""
    return bool(pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_boolean(kind))


def _shown(table: ScoreTable) -> list[str]:
    """The user's columns and the few of ours that say what a pair is; the rest would only lengthen the rows."""
    ours = {*SCORE.names, *SUGGESTION.names}
    return [name for name in table.light_columns() if name in SHOWN or name not in ours]


def _plain(pairs: pa.Table) -> pa.Table:
    """Text as plain text; the user's own `is_match` as `input_is_match`, which leaves room for ours."""
    pairs = pairs.cast(pa.schema([field.with_type(carried_type(field.type)) for field in pairs.schema]))
    names = pairs.column_names
    for ours in ADDED:
        free = f"input_{ours}"
        while free in names:
            free = f"input_{free}"
        names = [free if name == ours else name for name in names]
    return pairs.rename_columns(names)


def _require_unique(ids: pa.ChunkedArray) -> None:
    counts = Counter(ids.to_pylist())
    pair_id, times = counts.most_common(1)[0]
    if times > 1:
        raise BadTable(
            f"pair_id {pair_id} names {times} different rows: a verdict on it could not be told apart",
            fix="give the score tables of one dataset, each once, with a pair_id per row",
        )


def _result(
    options: SampleOptions, rows: _Rows, design: _Design, review: pa.Table, accounting: Accounting, notes: Sequence[str]
) -> SampleResult:
    without_score = accounting.ok - len(rows.score)
    return SampleResult(
        out=options.out,
        rows=len(rows.score),
        drawn=len(review),
        strata=tuple(_strata(rows, design)),
        without_score=without_score,
        accounting=accounting,
        notes=(*_notes(options, review, without_score), *_fewer_strata(options, len(design.sizes)), *notes),
    )


def _strata(rows: _Rows, design: _Design) -> Iterator[Stratum]:
    for h, (size, drawn, label) in enumerate(zip(design.sizes, design.drawn, design.mean_label, strict=True)):
        score = rows.score[design.stratum == h]
        yield Stratum(
            rows=int(size),
            drawn=int(drawn),
            low=float(score.min()),
            high=float(score.max()),
            mean_soft_label=None if np.isnan(label) else float(label),
        )


def _fewer_strata(options: SampleOptions, strata: int) -> Iterator[str]:
    if strata < options.strata:
        yield f"{strata:,} strata instead of {options.strata:,}: at least two verdicts are needed from each"


def _notes(options: SampleOptions, review: pa.Table, without_score: int) -> Iterator[str]:
    if len(review) < options.n:
        yield f"that is every pair there is; --n asked for {options.n:,}"
    if without_score:
        yield f"{without_score:,} ok rows have no score and cannot be drawn"
    formulas = looks_like_formula(review["pair_id"])
    if formulas and options.out.endswith((".csv", "-")):
        yield f"{formulas:,} pair ids begin like a formula and are kept: tell your spreadsheet program to read text"
