"""`sample`: draws pairs for people to judge, so that a few hundred verdicts tell the rate of mismatches.

Knows score tables, strata and the review file; nothing of Typer or of what becomes of the verdicts.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ncaudit.counts import counted
from ncaudit.engines.local import Accounting
from ncaudit.errors import BadTable
from ncaudit.judging.draw import Design, Drawable, Places, designed, drawable, fetched, keys, require_unique
from ncaudit.options import STREAM, SampleOptions
from ncaudit.progress import SILENT, Progress
from ncaudit.schema import SCORE, SUGGESTION
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
    progress.job("sample", {"read the scores": 1.0, "read the drawn pairs": 0.0})
    progress.stage("read the scores", sum(table.rows for table in tables))
    rows, statuses = _read(tables, options.seed, progress)
    if not len(rows.score):
        raise BadTable(f"{', '.join(options.scores)} holds no ok row with a score", fix="see the status column there")
    design = designed(rows, options.n, options.strata)
    progress.stage("read the drawn pairs", None)
    review = _review(tables, rows, design, options.seed)
    write_review(options.out, review)
    accounting = Accounting(len(tables), 0, (), dict(statuses))
    notes = rank_notes((table.shard.path, table.provenance) for table in tables)
    return _result(options, rows, design, review, accounting, notes)


def _read(tables: Sequence[ScoreTable], seed: int, progress: Progress) -> tuple[Drawable, Counter[str]]:
    """The rows that may be drawn, and the counts of all rows by status."""
    most = sum(table.rows for table in tables)
    rows = Drawable.room(most)
    statuses: Counter[str] = Counter()
    first = end = 0
    for table in tables:
        for batch in table.batches([name for name in ("score", "soft_label") if name in table.schema.names]):
            for entry in batch["status"].value_counts().to_pylist():
                statuses[entry["values"] or "no status"] += entry["counts"]
            begin, some = end, drawable(batch, table.shard.path, first, seed)
            end += len(some.place)
            rows.put(slice(begin, end), some)
            first += len(batch)
            progress.advance(len(batch))
    return rows.upto(end), statuses


def _review(tables: Sequence[ScoreTable], rows: Drawable, design: Design, seed: int) -> pa.Table:
    """The drawn rows as people get them, in random order."""
    pairs = fetched(tables, rows.place[design.chosen], _part)
    require_unique(pairs["pair_id"])
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
    order = np.argsort(keys("order", pairs["pair_id"].combine_chunks(), seed), kind="stable")
    return pairs.take(pa.array(order)).combine_chunks()


def _part(table: ScoreTable, places: Places) -> pa.Table:
    shown = _shown(table)
    return _plain(table.rows_at(places, shown).select(shown))


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


def _result(
    options: SampleOptions,
    rows: Drawable,
    design: Design,
    review: pa.Table,
    accounting: Accounting,
    notes: Sequence[str],
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


def _strata(rows: Drawable, design: Design) -> Iterator[Stratum]:
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
        yield f"{counted(without_score, 'ok row has', 'ok rows have')} no score and cannot be drawn"
    formulas = looks_like_formula(review["pair_id"])
    if formulas and options.out.endswith((".csv", "-")):
        yield f"{formulas:,} pair ids begin like a formula and are kept: tell your spreadsheet program to read text"
