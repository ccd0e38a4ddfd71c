"""`filter`: the pairs worth keeping, in score tables, in the user's own dataset, or as a list for other tools.

Knows options, shards and rules; nothing of Typer or of how a parquet file is written. Loads no torch.
"""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import blake2b
from time import monotonic
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ncaudit.counts import counted
from ncaudit.engines.jobs import Does, Site, Task, ThisProcess
from ncaudit.engines.local import ShardError, ShardRows
from ncaudit.engines.on_ray.chosen import require_engine, site_of
from ncaudit.engines.pace import computing
from ncaudit.errors import BadTable, NcauditError
from ncaudit.options import STREAM, TABLE_SUFFIX, EngineKind, FilterForm, FilterOptions
from ncaudit.progress import SILENT, Progress
from ncaudit.readable import Readable
from ncaudit.schema import DATASET_PREFIX, METADATA_KEY, NOT_SCORED
from ncaudit.shards.claims.claims import Claim, Place, asked, followed, says_of_itself
from ncaudit.shards.claims.commands import made_by
from ncaudit.shards.claims.departed import notes_on_departed
from ncaudit.shards.claims.records import FOLDER_RECORD
from ncaudit.shards.files.formats import Format, format_of
from ncaudit.shards.files.locations import basename, dirname, join, names_in, real
from ncaudit.shards.files.provenance import EarlierOutputs, Provenance, attach, describe, provenance_of
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.files.writer import atomic_file, atomic_table
from ncaudit.shards.rewriting.kept_rows import Target, split_shard
from ncaudit.shards.rewriting.kept_samples import (
    SIZES,
    STATS,
    files_of_tar,
    is_finished_tar,
    sidecar_facts,
    split_samples,
    table_beside,
    tar_beside,
    told_by,
    write_sizes,
)
from ncaudit.shards.rewriting.rewrite import WRITTEN_BACK, require_format
from ncaudit.shards.rewriting.selections import (
    WEIGHT,
    DataCompUids,
    IdList,
    NamedTwice,
    Selection,
    WeightTable,
    key_of,
)
from ncaudit.shards.streams.standard_output import whole_writes
from ncaudit.shards.tables.caption_join import CaptionLists, join_pairs
from ncaudit.shards.tables.checks import cast_to, common_schema, require_column
from ncaudit.shards.tables.key_index import NOWHERE
from ncaudit.shards.tables.made_from import match_by_name
from ncaudit.shards.tables.score_input import FileScores, ScoreInput, StreamedScores
from ncaudit.shards.tables.told_rates import LABELS, any_there, no_labels, rank_notes, why_no_labels
from ncaudit.verbs.filter.keep_rules import KEPT, KEPT_WORD, Chooser, Codes, numbers, ranking_of
from ncaudit.verbs.filter.selected import prepare
from ncaudit.verbs.filter.shared_cuts import CUTS, SharedCuts, is_ours
from ncaudit.verbs.outputs import (
    accounted,
    expected_of,
    inputs_of,
    of_all_parts,
    one_table,
    output_of,
    part_of,
    place_of,
    tables_of,
    versions_of,
    without_outputs,
)
from ncaudit.version import written_by

HERE = ThisProcess()
RANK, WRITE = "rank", "write what is kept"  # stages
RANKED_IN_MEMORY = 1 << 24  # rows: 8 bytes of each; of more, tables are read several times, and no row's rank is held
NO_TABLE = "filter the score tables instead (without --data) and join them by pair_id, or write the dataset as parquet"
REASON = pa.field("drop_reason", pa.string())  # `reason` is why a pair is noisy, and stays
# facts of the scores that hold for some of the rows as for all of them; `source` is what they were made from, and
# `train` asks for it
INHERITED = ("source", "model", "data", "fit", "label_means", "cuts")
ADDED = ("label_sum", "labelled", "unjoined", "several", "tars")
SETTINGS = (
    *("min_soft_label", "verdict", "where", "keep_share", "keep_share_by", "kept_precision"),
    *("key", "repeat_by_weight"),
)
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, repr=False)
class FilterResult(Readable, first=("kept", "dropped", "rows", "out", "seconds")):
    """What was kept, and why the rest was not: rows = kept + dropped, all of pairs.

    With several captions per row the dataset has fewer rows than pairs: input_rows of them, of which rows_kept are in
    `out` with the captions that were kept and rows_dropped have lost some or all, and are in --dropped with those.
    """

    out: str
    rows: int
    kept: int
    dropped: int
    input_rows: int
    rows_kept: int
    rows_dropped: int
    reasons: Mapping[str, int]  # dropped rows by the first rule that refused them, or by their status
    mean_soft_label: float | None  # of the kept rows that have one: their expected precision
    shards: int
    shards_resumed: int
    shard_errors: tuple[ShardError, ...]
    seconds: float
    part: str | None = None  # I/N of --slice, of which all numbers are; None: of all shards
    notes: tuple[str, ...] = ()


def filter_pairs(options: FilterOptions, progress: Progress = SILENT) -> FilterResult:
    """Keep the pairs that every rule agrees on; a row whose status is not ok is dropped, with its status as the reason.

    Raises NcauditError when a rule needs a column that is not there, the dataset is not the one that was scored, or an
    output would be written over an input.
    """
    begun = monotonic()
    ready = made_ready(options, progress)
    run, tables, matched = ready.run, ready.tables, ready.matched
    progress.job("filter", {RANK: 1.0, WRITE: 1.0} if run.chooser.looks_twice else {WRITE: 1.0})
    held = ready.claim.held(_deciding(run, list(matched), tables))
    pace = computing(options.threads)
    with made_by(of_all_parts(options)), pace, held, site_of(options, options.out) as site:
        looked_first(ready, site, keep=True)
        own = {shard: matched[shard] for shard in options.own(list(matched))}
        run.notes += options.told_of(len(own), len(matched))
        if options.engine is EngineKind.ray:
            ready.claim.begin_all()
        accounts = _write_one(run, tables) if options.one_output else _write_shards(run, own, _files(tables), site)
        return _result(run, tables, accounts, monotonic() - begun)


@dataclass(frozen=True)
class Ready:
    """All that is settled before anything is touched: what is read, what is written, and that it may be.

    matched: the shards that are written, each with the scores that decide on it; empty where all go into one output.
    """

    run: "Run"
    tables: Sequence[ScoreInput]
    matched: Mapping[Shard, FileScores]
    claim: Claim

    @property
    def files(self) -> list[FileScores]:
        """The tables, where none of them is a stream."""
        return _files(self.tables)


def made_ready(options: FilterOptions, progress: Progress) -> Ready:
    """Raises NcauditError for whatever is wrong with rules, inputs and outputs, as far as looks can tell."""
    require_engine(options)
    run = Run(options, Chooser(options), progress, earlier=EarlierOutputs(progress.note))
    tables = _open(options)
    for scores in tables:
        run.require(scores)
    matched = {} if options.one_output else _matched(options, _files(tables))
    claim = _claimed(options, list(matched), tables)
    claim.expects = expected_of(matched, lambda shard: None)
    return Ready(run, tables, matched, claim)


def looked_first(ready: Ready, site: Site = HERE, *, keep: bool = False) -> None:
    """What must be known of all tables before any of them is decided. keep: a part keeps it for the others. Raises
    BadTable where the tables have no labels.
    """
    run, tables = ready.run, ready.tables
    run.notes += notes_on_departed([scores.shard for scores in _files(tables)])
    run.notes += _told(tables, run)
    if run.chooser.looks_twice:
        _prepare(run, tables, site, keep=keep)


def _claimed(options: FilterOptions, shards: Sequence[Shard], tables: Sequence[ScoreInput]) -> Claim:
    """Everything that is written, for the shards of the dataset or of the scores. Raises NcauditError as `asked`."""
    places = []
    for flag, folder in _folders(options):
        names = [name for shard in shards for name in outputs(options, shard)]
        sizes = {os.path.join(os.path.dirname(name), SIZES) for name in names if name.endswith(STATS)}
        if options.one_output and folder != STREAM:
            places.append(Place.of_file(flag, folder))
        else:
            shared = [CUTS] if flag == "--out" and options.slice and ranking_of(options) else []
            places += place_of(flag, folder, [*names, *sorted(sizes), *shared], proven=_beside_own)
    _refuse_one_place_twice(places)
    inputs = [file for shard in shards for file in {*shard.files, told_by(shard.path)}]
    return asked("filter", places, [*inputs, *inputs_of(t.shard for t in _files(tables))], overwrite=options.overwrite)


def outputs(options: FilterOptions, shard: Shard) -> list[str]:
    """What is written of a shard, below each folder."""
    table = tables_of([shard])[0]
    return files_of_tar(table, shard) if _writes_tar(options, shard) else [table]


def _writes_tar(options: FilterOptions, shard: Shard) -> bool:
    try:
        return bool(options.data) and format_of(shard.path) is Format.tar
    except BadTable:  # what cannot be read is told when it is that shard's turn
        return False


def _beside_own(path: str) -> bool:
    """Whether the tables beside a file that says nothing of itself say that `filter` wrote it with them."""
    folder, name = dirname(path), basename(path)
    if name == CUTS:
        return is_ours(path)
    tables = [name for name in names_in(folder) if name.endswith(TABLE_SUFFIX)] if name == SIZES else []
    beside = [join(folder, table) for table in tables] or [table_beside(path)]
    return any(says_of_itself(table, "filter") for table in beside)


def _refuse_one_place_twice(places: Sequence[Place]) -> None:
    paths = [real(place.at(name)) for place in places for name in place.files]
    if len(set(paths)) < len(paths):
        raise NcauditError("--out and --dropped are the same place", fix="give two")


def _deciding(run: "Run", shards: Sequence[Shard], tables: Sequence[ScoreInput]) -> dict[str, Any]:
    """What outputs rest on: each on its own shard, where a rule ranks on all."""
    inputs = [*shards, *(scores.shard for scores in _files(tables))] if run.chooser.looks_twice else []
    return {"options": _settings(run.options), "data": bool(run.options.data), "inputs": versions_of(inputs)}


def _matched(options: FilterOptions, tables: Sequence[FileScores]) -> dict[Shard, FileScores]:
    """For each shard that is written the scores that decide on it: of the dataset, or the score tables themselves."""
    if not options.data:
        return {scores.shard: scores for scores in tables}
    matched = match_by_name(_inputs(options.data, options), tables, "score table")
    require_format(list(matched), WRITTEN_BACK, "filter", NO_TABLE)
    return dict(matched)


@dataclass(frozen=True)
class _Decided:
    """Some rows, and per row its code and its label (nan where it has none)."""

    batch: pa.RecordBatch
    codes: Codes
    labels: Floats


@dataclass
class _Accounts:
    shards: int
    resumed: int = 0
    errors: tuple[ShardError, ...] = ()
    counts: Counter[str] = field(default_factory=Counter)


@dataclass
class Run:
    """What every shard needs, and what all of them add to."""

    options: FilterOptions
    chooser: Chooser
    progress: Progress
    label_sum: float = 0.0
    labelled: int = 0
    unjoined: int = 0  # rows of the score tables that the dataset lacks
    cuts_known: bool = False  # another part has found where the kept rows end
    several: Counter[str] = field(default_factory=Counter)  # of shards with lists of captions: pairs, and rows
    notes: list[str] = field(default_factory=list)
    tars: list[str] = field(default_factory=list)  # written by this run or an earlier one

    earlier: EarlierOutputs = field(default_factory=lambda: EarlierOutputs(SILENT.note))  # where this one writes

    @property
    def counted(self) -> dict[str, Any]:
        """What is added up over shards."""
        return {name: getattr(self, name) for name in ADDED}

    def add(self, counted: Mapping[str, Any]) -> None:
        """Take over what a shard has counted."""
        for name in ADDED:
            setattr(self, name, getattr(self, name) + counted[name])

    def require(self, scores: ScoreInput) -> None:
        """Raises NcauditError when a table lacks what is asked of it."""
        self.chooser.require(scores)
        form = self.options.write_as
        wanted = [] if form is FilterForm.rows else [key_of(form, self.options.key, scores.schema)]
        wanted += [WEIGHT] if form is FilterForm.weights else []
        for name in [*wanted, *([self.options.repeat_by_weight] if self.options.repeat_by_weight else [])]:
            require_column(scores.path, scores.schema, name)

    def decided(self, scores: ScoreInput, number: int, columns: Sequence[str] | None) -> Iterator["_Decided"]:
        """A table's rows, in order, with what is decided about each."""
        first = 0
        for batch in scores.batches(columns):
            yield _Decided(batch, self.chooser.codes(batch, scores.path, number, first), _labels(batch))
            first += len(batch)

    def count(self, codes: Codes, labels: Floats) -> dict[str, int]:
        """How many rows have each reason (`kept` among them); adds up the labels of those that are kept."""
        known = labels[(codes == KEPT) & ~np.isnan(labels)]
        self.label_sum += float(known.sum(dtype=np.float64))
        self.labelled += len(known)
        words = self.chooser.reasons.words
        return {words[code]: int(count) for code, count in enumerate(np.bincount(codes)) if count}


def _open(options: FilterOptions) -> Sequence[ScoreInput]:
    if STREAM in options.scores:
        return [StreamedScores(sys.stdin.buffer, options.max_row_bytes)]
    return [FileScores(shard) for shard in _inputs(options.scores, options)]


def _told(tables: Sequence[ScoreInput], run: Run) -> list[str]:
    """What the tables say of themselves that matters here. Raises BadTable where labels are asked for, and none has
    any."""
    named, ranked = [(scores.path, provenance_of(scores.schema)) for scores in tables], run.chooser.looks_twice
    weights = run.options.write_as is FilterForm.weights
    asked = weights or run.options.by_label or run.chooser.compares_labels
    none = why_no_labels(named, partial(_labelled_since, tables)) if asked else None
    if none and len(none[0]) == len(tables):
        raise no_labels(*none, "write as its weight" if weights else "filter by soft_label or verdict")
    of_all = counted(len(tables), "table has no labels", "tables have no labels")
    told = [f"{len(none[0]):,} of {of_all} ({none[0][0]}: {none[1]})"] if none else []
    return [*told, *(rank_notes(named) if ranked else [])]


def _labelled_since(tables: Sequence[ScoreInput], path: str) -> bool:
    """Whether somebody has filled in the labels that this table says it has not."""
    scores = next(scores for scores in tables if scores.path == path)
    names = [name for name in LABELS if name in scores.schema.names]
    scores.spool()  # a stream is read once more
    return any_there(batch.select(names) for batch in scores.batches(names))


def _files(tables: Sequence[ScoreInput]) -> list[FileScores]:
    """The tables, where none of them is a stream, as what comes in on one goes out as one."""
    return [scores for scores in tables if isinstance(scores, FileScores)]


def _known_rows(tables: Sequence[ScoreInput]) -> int | None:
    """Of all tables; None where nobody knows them yet."""
    return sum(scores.rows or 0 for scores in tables) or None


def _inputs(sources: Sequence[str], options: FilterOptions) -> list[Shard]:
    """The shards of an input, without what an earlier run may have written below it."""
    found = find_shards(sources, max_row_bytes=options.max_row_bytes)
    return without_outputs(found, "filter", options.out, options.dropped)


def _prepare(run: Run, tables: Sequence[ScoreInput], site: Site, *, keep: bool) -> None:
    """The first look at all rows, that a ranking rule needs; a part of an array job goes by what another has found."""
    options = run.options
    shards = [scores.shard for scores in _files(tables)]
    shared = SharedCuts(options.out, _settings(options), shards) if options.slice else None
    run.cuts_known = shared is not None and shared.take(run.chooser.best)
    if not run.cuts_known:
        _rank(run, tables, site)
        if shared is not None and keep:
            shared.keep(run.chooser.best)
            run.notes.append("this part read all tables to rank their rows; those that begin from now on go by that")
    _tell_of_empty(run)


def _rank(run: Run, tables: Sequence[ScoreInput], site: Site) -> None:
    for scores in tables:
        scores.spool()
    many = len(_files(tables)) == len(tables) and (_known_rows(tables) or 0) > RANKED_IN_MEMORY
    if site.elsewhere:
        site.ready(_files(tables)[0].shard, run.progress)
    run.progress.stage(RANK, _known_rows(tables))
    if site.elsewhere or many:
        prepare(site, run.chooser, _files(tables), run.progress)
    else:
        run.chooser.prepare(tables, run.progress.advance)


def _tell_of_empty(run: Run) -> None:
    cuts = run.chooser.cuts
    empty = [value for value, cut in cuts.items() if not cut.kept]
    if empty and run.options.keep_share_by:
        told = ", ".join(str(value) for value in empty[:3])
        run.notes.append(f"{len(empty):,} of {len(cuts):,} values of {run.options.keep_share_by} keep no row: {told}")
    elif empty:
        run.notes.append("no row is kept: the share is less than one row, or no label is as high as the precision")


def _write_shards(
    run: Run, matched: Mapping[Shard, FileScores], tables: Sequence[FileScores], site: Site
) -> _Accounts:
    """One file per shard: of the dataset, or of the score tables themselves."""
    numbered = {scores.shard: number for number, scores in enumerate(tables)}
    for shard in [*matched][:1]:
        site.ready(shard, run.progress)
    run.progress.stage(WRITE, sum(scores.rows for scores in matched.values()))

    options, alone = run.options, run.options.slice is None
    tasks = [Task(shard, (shard, one, numbered[one.shard]), one.rows) for shard, one in matched.items()]
    engine = site.engine(partial(_filtering, options, run.chooser))
    tried = [(task.shard, outcome) for task, outcome in engine.run(tasks, run.progress)]
    for _, outcome in tried:
        if isinstance(outcome, ShardRows):
            run.add(outcome.more)
    done = accounted(options.out, output_of, tried, alone=alone)
    write_sizes(run.tars)
    return _Accounts(done.shards, done.shards_resumed, done.shard_errors, Counter(done.statuses))


@contextmanager
def _filtering(options: FilterOptions, chooser: Chooser, progress: Progress) -> Iterator[tuple[None, Does]]:
    """The work on a shard, its scores and the number of those, in any process."""
    earlier = EarlierOutputs(progress.note)

    def does(item: tuple[Shard, FileScores, int]) -> ShardRows:
        shard, scores, number = item
        run = Run(options, chooser, progress, earlier=earlier)
        found = _write_shard(run, shard, scores.opened(), number)
        return replace(found, more=run.counted)

    with followed(join(options.out, FOLDER_RECORD)):
        yield None, does


def _folders(options: FilterOptions) -> list[tuple[str, str]]:
    return [("--out", options.out), *([("--dropped", options.dropped)] if options.dropped else [])]


@dataclass(frozen=True)
class DecidedShard:
    """What becomes of a shard's rows, and where; whether an earlier run has written just that."""

    codes: Codes
    labels: Floats
    lists: CaptionLists | None
    targets: Sequence[Target]
    is_tar: bool
    finished: bool


def decided_shard(run: Run, shard: Shard, scores: FileScores, number: int) -> DecidedShard:
    """Every row of a shard decided. number: which of all tables the scores are."""
    codes, labels = _decided_table(run, scores, number)
    lists = None
    if run.options.data:
        codes, labels, lists = _joined(run, shard, scores, codes, labels)
    tar = bool(run.options.data) and format_of(shard.path) is Format.tar
    if tar and lists is not None:
        raise BadTable(f"{shard.path} has several captions per sample, and tars are split by samples", fix=NO_TABLE)
    provenance = _provenance(run, shard, scores, codes)
    targets = [Target(shard.output(place), provenance) for _, place in _folders(run.options)]
    hold = partial(is_finished_tar, shard, earlier=run.earlier) if tar else partial(_holds, run)
    return DecidedShard(codes, labels, lists, targets, tar, all(hold(target) for target in targets))


def _holds(run: Run, target: Target) -> bool:
    return run.earlier.hold(target.path, target.provenance)


def _write_shard(run: Run, shard: Shard, scores: FileScores, number: int) -> ShardRows:
    """Decide every row of the shard, then write what is not finished."""
    found = decided_shard(run, shard, scores, number)
    if not found.finished:
        dropped = found.targets[1] if len(found.targets) > 1 else None
        split = split_samples if found.is_tar else partial(split_shard, captions=found.lists)
        reason = REASON.with_name(DATASET_PREFIX + REASON.name) if run.options.data else REASON
        split(shard, found.codes, found.targets[0], dropped, reason, run.chooser.reasons.words)
    run.tars += [tar_beside(target.path, shard) for target in found.targets if found.is_tar]
    (run.progress.kept if found.finished else run.progress.advance)(scores.rows)
    return ShardRows(run.count(found.codes, found.labels), resumed=found.finished)


def _decided_table(run: Run, scores: FileScores, number: int) -> tuple[Codes, Floats]:
    """(rows,) codes and (rows,) labels of one score table."""
    parts = list(run.decided(scores, number, [*run.chooser.columns, WEIGHT]))
    codes = np.concatenate([np.zeros(0, np.int16), *(part.codes for part in parts)])
    return codes, np.concatenate([np.zeros(0, np.float32), *(part.labels for part in parts)])


def _joined(
    run: Run, shard: Shard, scores: FileScores, codes: Codes, labels: Floats
) -> tuple[Codes, Floats, CaptionLists | None]:
    """Codes and labels of the dataset's pairs, and which of them share a row; one that was not scored is dropped."""
    joined = join_pairs(shard, scores, run.options.key)
    found = joined.places != NOWHERE
    run.unjoined += len(codes) - int(found.sum())
    of_pair = np.full(len(found), run.chooser.reasons.code(NOT_SCORED), dtype=np.int16)
    label = np.full(len(found), np.nan, dtype=np.float32)
    of_pair[found], label[found] = codes[joined.places[found]], labels[joined.places[found]]
    if joined.lists is not None:
        run.several.update(_rows_of(joined.lists, of_pair))
    return of_pair, label, joined.lists


def _rows_of(lists: CaptionLists, codes: Codes) -> dict[str, int]:
    """How many rows there are, and how many of them have a pair that is kept, or one that is not."""
    kept, dropped = (len(np.unique(lists.row[mine])) for mine in (codes == KEPT, codes != KEPT))
    pairs = {"pairs": len(codes), "kept": int((codes == KEPT).sum()), "dropped": int((codes != KEPT).sum())}
    return {**pairs, "rows": lists.rows, "rows_kept": kept, "rows_dropped": dropped}


def _labels(batch: pa.RecordBatch) -> Floats:
    if WEIGHT not in batch.schema.names or not pa.types.is_floating(batch[WEIGHT].type):
        return np.full(len(batch), np.nan, dtype=np.float32)
    return numbers(batch[WEIGHT]).astype(np.float32)


def _provenance(run: Run, shard: Shard, scores: FileScores, codes: Codes) -> Provenance:
    """What an output rests on: its shard, its scores, and, as rules may rank, all other tables: hence the decisions."""
    made_from = scores.provenance or {}
    inherited = {} if run.options.data else {name: made_from[name] for name in INHERITED if name in made_from}
    source = {"name": scores.shard.name, "fingerprint": scores.fingerprint}
    facts = {"decisions": _digest(run, codes), "scores": source, "scored": scores.provenance, **sidecar_facts(shard)}
    return describe("filter", shard, options=_settings(run.options), **inherited, **facts)


def _digest(run: Run, codes: Codes) -> str:
    """Of the decisions in words: codes are numbered in the order in which reasons are met."""
    words = run.chooser.reasons.words
    order = sorted(range(len(words)), key=words.__getitem__)
    present = [code for code in order if (codes == code).any()]
    renumbered = np.zeros(len(words), dtype=np.int16)
    renumbered[present] = np.arange(len(present))
    named = "\n".join(words[code] for code in present).encode()
    return blake2b(named + renumbered[codes].astype("<i2").tobytes(), digest_size=16).hexdigest()


def _settings(options: FilterOptions) -> dict[str, Any]:
    """The options that say which rows are kept."""
    asked = {name: value for name in SETTINGS if (value := getattr(options, name)) is not None}
    return {name: list(value) if isinstance(value, (list, tuple)) else value for name, value in asked.items()}


def _write_one(run: Run, tables: Sequence[ScoreInput]) -> _Accounts:
    """All rows to one file or stream, in the order of the tables."""
    accounts = _Accounts(len(tables))
    run.progress.stage(WRITE, _known_rows(tables))
    schema = common_schema([(scores.path, scores.schema) for scores in tables])
    made_from = {"shards": [scores.source for scores in tables]}
    provenance = {**written_by("filter"), "verb": "filter", "options": _settings(run.options), **made_from}
    with (
        _kept_writer(run.options, attach(schema, provenance), run.notes) as keep,
        _dropped_writer(run, schema, provenance) as drop,
    ):
        for number, scores in enumerate(tables):
            for rows in run.decided(scores, number, None):
                keep(rows.batch.filter(pa.array(rows.codes == KEPT)), scores.path)
                drop(rows, scores.path)
                accounts.counts.update(run.count(rows.codes, rows.labels))
                run.progress.advance(len(rows.batch))
    return accounts


@contextmanager
def _kept_writer(
    options: FilterOptions, schema: pa.Schema, notes: list[str]
) -> Iterator[Callable[[pa.RecordBatch, str], None]]:
    """Takes the kept rows of a table, in the schema of all. notes: what must be said of them is put there."""
    if options.write_as is FilterForm.rows:
        with one_table(options.out, schema, options.format, csv_safe=options.csv_safe) as rows:
            yield lambda batch, path: rows.write(_as(batch, schema, path)) if len(batch) else None
    else:
        with ExitStack() as stack:
            streams = options.out == STREAM
            file = whole_writes(sys.stdout.buffer) if streams else stack.enter_context(atomic_file(options.out))
            selection = _selection(options, file, schema)
            counted = NamedTwice(selection, key_of(options.write_as, options.key, schema))
            try:
                yield counted.write
            except BaseException:
                selection.abandon()
                raise
            selection.close()
            notes += counted.notes


def _selection(options: FilterOptions, file: Any, schema: pa.Schema) -> Selection:
    key = key_of(options.write_as, options.key, schema)
    if options.write_as is FilterForm.ids:
        return IdList(file, key)
    if options.write_as is FilterForm.datacomp_uids:
        return DataCompUids(file, key, options.repeat_by_weight)
    return WeightTable(file, key, {METADATA_KEY: schema.metadata[METADATA_KEY]})


@contextmanager
def _dropped_writer(
    run: Run, schema: pa.Schema, provenance: Provenance
) -> Iterator[Callable[[_Decided, str], None]]:
    """Takes decided rows and writes those that are dropped, with the reason."""
    if run.options.dropped is None:
        yield lambda rows, path: None
        return
    if REASON.name in schema.names:
        raise BadTable(f"the scores already have a column {REASON.name}", fix="rename or drop that column first")
    wide = attach(schema.append(REASON), provenance)
    with atomic_table(run.options.dropped, wide) as table:

        def drop(rows: _Decided, path: str) -> None:
            gone = np.flatnonzero(rows.codes != KEPT)
            words = pa.array(run.chooser.reasons.words, pa.string()).take(pa.array(rows.codes[gone]))
            batch = _as(rows.batch.take(pa.array(gone)), schema, path)
            table.write(pa.RecordBatch.from_arrays([*batch.columns, words], schema=wide))

        yield drop


def _as(batch: pa.RecordBatch, schema: pa.Schema, path: str) -> pa.RecordBatch:
    """The batch in the schema of all tables: columns that it lacks are null."""
    found = {f.name: batch[f.name] if f.name in batch.schema.names else pa.nulls(len(batch)) for f in schema}
    arrays = [cast_to(field.type, found[field.name], field.name, path) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _result(run: Run, tables: Sequence[ScoreInput], accounts: _Accounts, seconds: float) -> FilterResult:
    reasons = {word: count for word, count in accounts.counts.items() if word != KEPT_WORD}
    kept, dropped = accounts.counts[KEPT_WORD], sum(reasons.values())
    notes = [*run.notes, *(note for scores in tables for note in scores.notes)]
    if run.unjoined:
        notes.append(f"{counted(run.unjoined, 'scored pair has', 'scored pairs have')} no row in --data")
    return FilterResult(
        out=run.options.out,
        rows=kept + dropped,
        kept=kept,
        dropped=dropped,
        input_rows=kept + dropped - run.several["pairs"] + run.several["rows"],
        rows_kept=kept - run.several["kept"] + run.several["rows_kept"],
        rows_dropped=dropped - run.several["dropped"] + run.several["rows_dropped"],
        reasons=reasons,
        mean_soft_label=run.label_sum / run.labelled if run.labelled else None,
        shards=accounts.shards,
        shards_resumed=accounts.resumed,
        shard_errors=accounts.errors,
        seconds=seconds,
        part=part_of(run.options),
        notes=tuple(notes),
    )
