"""`score`: embedding tables to score tables. Fits once on a bounded sample, then applies the fit shard by shard.

Knows options, shards and scorers; nothing of Typer or of how a score is computed.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from math import hypot
from time import monotonic
from typing import Any

import pyarrow as pa

from ncaudit import scorers
from ncaudit.core.device import pick_device
from ncaudit.core.parallel import in_order
from ncaudit.counts import counted
from ncaudit.engines.jobs import Does, Site, Task, ThisProcess
from ncaudit.engines.local import Accounting, Outcome, ShardRows
from ncaudit.engines.on_ray.chosen import require_engine, site_of
from ncaudit.engines.pace import computing
from ncaudit.errors import BadTable, NcauditError
from ncaudit.judging import calibrated, choice, fit_sample
from ncaudit.judging.evidence import NOTHING
from ncaudit.judging.saved_fits import SavedFit, options_of_fit
from ncaudit.matchers.heads.projected_tables import projected, training_notes
from ncaudit.options import STREAM, EngineKind, ScoreOptions
from ncaudit.progress import SILENT, Progress
from ncaudit.readable import Readable
from ncaudit.scoring.fits import Applier, PairScores
from ncaudit.scoring.pairs import Pairs
from ncaudit.scoring.same_photo import SamePhotos
from ncaudit.shards.claims.claims import Claim, followed
from ncaudit.shards.claims.commands import made_by
from ncaudit.shards.claims.departed import notes_on_departed
from ncaudit.shards.claims.records import FOLDER_RECORD
from ncaudit.shards.files.locations import dirname, is_file, join
from ncaudit.shards.files.provenance import (
    EarlierOutputs,
    Provenance,
    attach,
    describe,
    fingerprint,
    provenance_at,
)
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.files.writer import atomic_table
from ncaudit.shards.overlap import ahead
from ncaudit.shards.people.verdicts import Verdicts
from ncaudit.shards.readers import open_shard
from ncaudit.shards.rewriting.write_back import DatasetShards, match_dataset
from ncaudit.shards.streams.standard_input import received
from ncaudit.shards.tables.checks import common_schema
from ncaudit.shards.tables.embeddings import (
    EmbeddingBatch,
    EmbeddingTable,
    check_tables_agree,
    left_out_notes,
    open_embeddings,
    with_common_nulls,
)
from ncaudit.shards.tables.other_table import Join, OtherTable, open_join
from ncaudit.shards.tables.repeats.counts import Repeats
from ncaudit.shards.tables.repeats.kept import kept_repeats
from ncaudit.shards.tables.repeats.of_tables import named
from ncaudit.verbs.outputs import (
    accounted,
    expected_of,
    is_folder,
    of_all_parts,
    one_table,
    output_of,
    part_of,
    require_folder,
    settle_left_overs,
    without_outputs,
)
from ncaudit.verbs.score import stages
from ncaudit.verbs.score.claims import claimed, deciding, keep_fit
from ncaudit.verbs.score.counted import shared_names
from ncaudit.verbs.score.fit import applier_of, judged
from ncaudit.verbs.score.judged.heard import Heard
from ncaudit.verbs.score.judged.judged_scores import read_judges
from ncaudit.verbs.score.parts import counted_of, rates_for, repeats_for, repeats_path
from ncaudit.verbs.score.rates import Rated, Rates, keep_rates
from ncaudit.verbs.score.reasons import Family
from ncaudit.verbs.score.reasons import columns as reason_columns
from ncaudit.verbs.score.score_rows import ScoredRows, Tally, score_schema, tally_of
from ncaudit.verbs.score.suggestions import Candidates, Suggester, require_calibration
from ncaudit.verbs.score.worst import WorstPair

BATCHES_AT_ONCE = 4  # on a CPU whose threads have time for so many
JUDGED_PAIRS = "judged_pairs"
# facts of the fit that go into every table's metadata
TOLD = ("noise_rate", "cuts", "power", "rate_of_fit", "null_departure", NOTHING)
NOTHING_SCORED = Accounting(0, 0, ())
SHARDS_TOLD = 5  # by name, of each part of the rows


@dataclass(frozen=True, kw_only=True, repr=False)
class ScoreResult(Readable, first=("noise_rate", "verdicts", "accounting", "out", "seconds")):
    """What `score` did: the accounts, and what its numbers rest on."""

    out: str
    scorer: str
    fit_id: str
    fit_facts: Mapping[str, Any]
    label_means: str
    noise_rate: float | None  # share of random-like mismatches among the rows, with its 90 % interval
    noise_rate_low: float | None
    noise_rate_high: float | None
    rates: Sequence[Mapping[str, Any]]  # where rows came after the fit: the rate of each part, see `_rate_of`
    verdicts: Mapping[str, int]  # rows called clean, unsure, noisy
    reasons: Mapping[str, int]
    suggestions: int | None  # noisy rows with a suggested caption; None without --suggest
    power: Sequence[Mapping[str, Any]]  # per scorer, see `judging.power.Power`; the first is this scorer's
    mean_soft_label: float | None  # over ok rows; None where the scorer gives no label
    mean_similarity: float | None
    share_below_half: float | None  # of labels under .5
    accounting: Accounting
    seconds: float
    fit_only: bool = False  # nothing was scored: fit and counts are there for the parts that will be
    part: str | None = None  # I/N of --slice, of which all numbers are; None: of all shards
    dataset: bool = False  # whether the dataset itself was written, and no score tables
    judged_pairs: int | None = None  # pairs that people judged, on which labels and rate rest; None: on scores alone
    judging: Mapping[str, Any] | None = None  # see `verbs.score.judged_scores.Judging`
    worst: tuple[WorstPair, ...] = ()  # the five lowest soft labels, or scores; not of a stream
    notes: tuple[str, ...] = field(default=())


def score(options: ScoreOptions, progress: Progress = SILENT) -> ScoreResult:
    """Score every pair of the embedding tables; failed rows keep their status and get no score.

    Raises NcauditError when the tables do not belong together, share no space, or hold too few pairs for the scorer.
    """
    scorers.refuse_unread(choice.meant(options.scorer), options)  # told before anything is read, as an unknown name is
    # rows are read twice at least: to count repeats
    reading = received(options.embeddings, options.max_row_bytes)
    with made_by(of_all_parts(options)), computing(options.threads, exact=True), reading as given:
        return _score(replace(options, embeddings=given.sources), given.notes, progress)


@dataclass(frozen=True)
class Ready:
    """All that is settled before anything is touched: what is read, what is written, and that it may be."""

    options: ScoreOptions
    tables: Sequence[EmbeddingTable]
    join: Join | None
    judges: Sequence[Verdicts]
    dataset: DatasetShards | None
    claim: Claim

    @property
    def shards(self) -> list[Shard]:
        """Those that get an output each."""
        return [*self.dataset.shards] if self.dataset else [table.shard for table in self.tables]

    @property
    def own(self) -> list[Shard]:
        """Those of them that this run does: all, or its part."""
        return self.options.own(self.shards)

    def table_of(self, shard: Shard) -> EmbeddingTable:
        """What a shard of `shards` is scored by."""
        return self.dataset.table_of(shard) if self.dataset else self._by_shard[shard]

    def heard(self, site: Site, progress: Progress) -> Heard | None:
        """The judges, who are told before any work what is wrong with their pairs; None where nobody judged."""
        if not self.judges:
            return None
        site.ready(self.tables[0].shard, progress)
        progress.stage(stages.LOOK_UP, sum(table.rows for table in self.tables))
        return Heard.of(site, self.judges, self.tables, progress)

    @cached_property
    def _by_shard(self) -> Mapping[Shard, EmbeddingTable]:
        return {table.shard: table for table in self.tables}


def made_ready(options: ScoreOptions, progress: Progress) -> Ready:
    """Raises NcauditError for whatever is wrong with inputs and outputs; what joined tables lack, too."""
    require_engine(options)
    judges = read_judges(options.verdicts, options.max_row_bytes) if options.verdicts else []
    other = open_join(options.join, str(options.join_key), options.max_row_bytes) if options.join else None
    tables = _open_tables(options, other)
    join = other.beside(tables, options.columns) if other else None
    if join is not None:
        join.refuse_repeats(tables)
    dataset = _dataset(options, tables) if options.data else None
    shards = [*dataset.shards] if dataset else [table.shard for table in tables]
    claim = claimed(options, shards, tables)
    rows = {table.shard: table.rows for table in tables}
    claim.expects = expected_of(shards, lambda shard: rows[dataset.table_of(shard).shard if dataset else shard])
    return Ready(options, tables, join, judges, dataset, claim)


def _score(options: ScoreOptions, notes: Sequence[str], progress: Progress) -> ScoreResult:
    begun = monotonic()
    ready = made_ready(options, progress)
    tables, dataset, claim = ready.tables, ready.dataset, ready.claim
    with claim.held(deciding(options, tables)), site_of(options, options.out) as site:
        progress.job("score", stages.before_fit(options, tables))
        heard = ready.heard(site, progress)
        notes = [*notes, *settle_left_overs(claim, ready.shards, prune=options.prune), *_of_gone_shards(tables)]
        rated = rates_for(options, tables, progress, site)
        progress.job("score", stages.with_fit(options, tables))
        rates = judged(options, tables, rated, progress, site, heard) if heard else rated
        if options.suggest:
            require_calibration(rates.first.saved.fit)
        if options.save_fit:
            keep_fit(_to_keep(rates), options)
        counts = _Counts.of(options, rates.base, tables, progress, site)
        notes = [*notes, *training_notes(tables), *left_out_notes(tables)]
        notes += [] if options.slice else _shared_names(options, tables, site, progress)  # --fit-only has looked
        notes += [*_identity_notes(tables), *_dropped_verdicts(options, rates.first.saved, tables, dataset)]
        notes += options.told_of(len(ready.own), len(ready.shards))
        run = _Run(options, tables, rates, counts, progress, site, ready.join, notes=notes)
        accounts = NOTHING_SCORED if options.fit_only else _write(run, ready)
        keep_rates(rated)
        if options.fit_only:
            for table in tables:
                run.usable[rates.of(table).saved.fit_id] += table.rows
        return _result(run, accounts, monotonic() - begun)


def _of_gone_shards(tables: Sequence[EmbeddingTable]) -> list[str]:
    return notes_on_departed([table.shard for table in tables])


@dataclass
class Scored:
    """What is counted of one shard. joined: rows that were looked for in the joined table; alone: that it lacks."""

    tally: Tally
    joined: int = 0
    alone: int = 0


@dataclass
class _Run:
    """What every shard needs, and the tally that all add to."""

    options: ScoreOptions
    tables: Sequence[EmbeddingTable]
    rates: Rates
    counts: "_Counts"
    progress: Progress
    site: Site
    join: Join | None = None
    candidates: Candidates | None = None  # for suggestions; None where they are drawn when they are asked for
    joined: int = 0  # rows that were looked for in the joined table
    alone: int = 0  # those of them that it does not have
    tally: Tally = field(default_factory=Tally)
    notes: list[str] = field(default_factory=list)
    usable: Counter[str] = field(default_factory=Counter)  # ok rows by the fit that labels them
    appliers: dict[str, Applier] = field(default_factory=dict)

    def apply(self, saved: SavedFit, pairs: Pairs) -> PairScores:
        """The scores of pairs by a fit, with its labels."""
        self.ready(saved)
        return self.appliers[saved.fit_id](pairs)

    def ready(self, saved: SavedFit) -> None:
        """Before several threads ask for it."""
        if saved.fit_id not in self.appliers:
            self.appliers[saved.fit_id] = applier_of(self.options, saved)

    @cached_property
    def earlier(self) -> EarlierOutputs:
        """What earlier runs have left in OUT."""
        return EarlierOutputs(self.progress.note)

    def for_engine(self) -> "_Run":
        """What a shard needs of it, in any process: nothing is added up there, and no table looked at but its own."""
        if not self.site.elsewhere:
            return replace(self, progress=SILENT)
        suggest = self.options.suggest
        drawn = Candidates.drawn(self.site, self.tables, self.options, self.progress) if suggest else None
        told = (self.options, (), self.rates, self.counts.elsewhere(), SILENT)
        return _Run(*told, ThisProcess(), self.join, drawn)

    def rows(self, table: EmbeddingTable, scored: "Scored") -> Iterator[ScoredRows]:
        """The scored rows of a table, batch by batch."""
        saved = self.rates.of(table).saved

        def judge(told: tuple[EmbeddingBatch, Pairs]) -> tuple[EmbeddingBatch, Pairs, PairScores | None]:
            batch, pairs = told
            return batch, pairs, self.apply(saved, pairs) if len(pairs) else None

        self.ready(saved)
        beside = BATCHES_AT_ONCE if pick_device(self.options.device).type == "cpu" else 1
        with closing(ahead(self._sent(table, scored))) as batches:
            for batch, pairs, scores in in_order(judge, batches, beside):
                more = {} if scores is None else self._more(saved, pairs, scores, batch)
                rows = ScoredRows(batch, scores, saved.fit.pair_ids, more)
                self.progress.advance(len(batch), len(batch) - int(batch.ok.sum()))
                yield rows

    def _sent(self, table: EmbeddingTable, scored: "Scored") -> Iterator[tuple[EmbeddingBatch, Pairs]]:
        """Batches with their pairs on the way to the device: read while the batch before is scored."""
        device = pick_device(self.options.device)
        for batch in self._batches(table, scored):
            yield batch, fit_sample.as_pairs(batch).to(device)

    def add(self, table: EmbeddingTable, scored: "Scored") -> None:
        """Count a table that is written."""
        self.tally.add(scored.tally)
        self.joined, self.alone = self.joined + scored.joined, self.alone + scored.alone
        self.usable[self.rates.of(table).saved.fit_id] += scored.tally.ok

    def _batches(self, table: EmbeddingTable, scored: "Scored") -> Iterator[EmbeddingBatch]:
        if self.join is None:
            yield from table.batches()
            return
        beside, first = self.join.rows(table), 0
        scored.joined, scored.alone = len(beside.places), beside.alone
        for batch in table.batches():
            yield beside.beside(batch, first)
            first += len(batch)

    def _more(self, saved: SavedFit, pairs: Pairs, scores: PairScores, batch: EmbeddingBatch) -> dict[str, Any]:
        counts = self.counts.columns(pairs, scores)
        if not self.options.suggest or scores.verdict is None:
            return counts
        captions = batch.caption.filter(pa.array(batch.ok)).to_pylist()
        return counts | self.suggester.columns(pairs, scores, captions)

    @cached_property
    def suggester(self) -> Suggester:
        """Drawn from all tables of this run, when the first shard needs it: a finished run draws nothing."""
        drawn = self.candidates or Candidates.drawn(self.site, self.tables, self.options, self.progress)
        suggester = Suggester.of(self.rates.first.saved.fit, drawn, self.options, self.progress)
        self.progress.stage(stages.SCORE, sum(table.rows for table in self.tables))
        return suggester

    def schema(self, carried: pa.Schema) -> pa.Schema:
        """Of the score tables, joined columns last."""
        joined = self.join.fields if self.join else ()
        return score_schema(pa.schema([*carried, *joined]), suggest=self.options.suggest)

    def provenance(self, table: EmbeddingTable, **more: Any) -> Provenance:
        """As `provenance_of_scores` has it."""
        return provenance_of_scores(self.options, self.rates, self.join, table, **more)


def provenance_of_scores(
    options: ScoreOptions, rates: Rates, join: Join | None, table: EmbeddingTable, **more: Any
) -> Provenance:
    """What a shard's scores are made from; `data` is what its embeddings were made from."""
    made_from, rated = table.provenance or {}, rates.of(table)
    saved = rated.saved
    more |= {"scores_of_fit": rates.base.fit_id} if rated.pairs else {}
    if made_from.get("verb") == "embed" and "shards" in made_from:  # a stream of several shards
        more["shards"] = [{"data": one} for one in made_from["shards"]]
    more |= {"joined": join.provenance(table)} if join else {}
    # what adds columns is told only where it does, so that tables without it stay as they were
    asked = {"suggest": True} if options.suggest else {}
    return describe(
        "score",
        table.shard,
        options={**saved.fit.options, "columns": _listed(options.columns), **asked},
        fit=saved.fit_id,
        model=made_from.get("model"),
        data=made_from.get("source"),
        label_means=label_means(saved),
        **{name: saved.fit.facts[name] for name in TOLD if name in saved.fit.facts},
        **_judged(saved),
        **more,
    )


@dataclass(frozen=True)
class _Counts:
    """How often photos and captions occur in all tables of this run. kept: the file of that, and what it counts."""

    repeats: Repeats | None
    photos: SamePhotos
    family: Family
    kept: tuple[str, str] | None = None

    @classmethod
    def of(
        cls, options: ScoreOptions, saved: SavedFit, tables: Sequence[EmbeddingTable], progress: Progress, site: Site
    ) -> "_Counts":
        photos = calibrated.same_photos(saved.fit, pick_device(options.device))
        repeats = repeats_for(options, tables, progress, site)
        path = repeats_path(options) if site.elsewhere else None
        return cls(repeats, photos, Family.of(photos, repeats), None if path is None else (path, counted_of(tables)))

    def elsewhere(self) -> "_Counts":
        """What other processes are told: where the counts are, which are not sent to each."""
        return replace(self, repeats=None) if self.kept else self

    def opened(self) -> "_Counts":
        """The same, with the counts at hand. Raises BadTable where their file is gone, or another one."""
        if self.repeats is not None or self.kept is None:
            return self
        if (repeats := kept_repeats(*self.kept)) is None:
            what = f"{self.kept[0]} is gone, or counts other tables"
            raise NcauditError(what, fix="another run may write to the same folder: run the same command again")
        return replace(self, repeats=repeats)

    def columns(self, pairs: Pairs, scores: PairScores) -> dict[str, Any]:
        """caption_count, image_count and reason of ok pairs."""
        merged = self.photos.of(pairs).image_id
        assert self.repeats is not None
        raw, merged_id, captions = (ids.cpu().numpy() for ids in (pairs.image_id, merged, pairs.caption_id))
        verdict = None if scores.verdict is None else scores.verdict.cpu().numpy()
        return reason_columns(raw, merged_id, captions, verdict, self.family, self.repeats)


def label_means(saved: SavedFit) -> str:
    """What the soft label of this fit is, in words that go into every table."""
    return str(saved.fit.facts["label_means"])


def _judged(saved: SavedFit) -> dict[str, Any]:
    """From how many judged pairs labels and rate are; not told where nobody judged."""
    pairs = judged_pairs(saved)
    return {} if pairs is None else {JUDGED_PAIRS: pairs}


def judged_pairs(saved: SavedFit) -> int | None:
    """How many pairs people judged for this fit; None where nobody did."""
    return saved.fit.facts.get("verdicts")


def _open_tables(options: ScoreOptions, other: OtherTable | None) -> list[EmbeddingTable]:
    found = find_shards(options.embeddings, options.features, options.max_row_bytes)
    shards = without_outputs(found, "score", options.out)
    column = _stratum_column(options)
    columns = other.own(options.columns, shards) if other else options.columns
    tables = with_common_nulls([open_embeddings(shard, columns, _there(column, shard, options)) for shard in shards])
    check_tables_agree(tables)
    if not sum(table.rows for table in tables):
        raise BadTable(f"{', '.join(options.embeddings)} holds no rows", fix="give tables with at least one pair")
    if not (options.data or is_folder(options.out)):
        _common_carried(tables)  # told before any work
    return projected(tables, options.model, pick_device(options.device))


def _stratum_column(options: ScoreOptions) -> str | None:
    """The column whose values labels are calibrated by: what was asked for, or what the fit that was given rests on."""
    told = options_of_fit(options.fit).get("stratify", "auto") if options.fit else options.stratify
    return None if told in ("auto", "none") else str(told)


def _there(column: str | None, shard: Shard, options: ScoreOptions) -> str | None:
    """The column, but of tables that a fit never saw only where they have it: their rows are of no stratum of its."""
    unseen = column is not None and options.fit and column not in open_shard(shard, choosing=True).schema.names
    return None if unseen else column


def _identity_notes(tables: Sequence[EmbeddingTable]) -> Iterator[str]:
    """What must be said where a column that tells photos or captions apart is alike in all rows."""
    for name, what in (("image_hash", "photos"), ("caption", "captions")):
        alike = [table.shard.name for table in tables if name in table.names_nothing]
        if alike:
            more = f" and {len(alike) - 1:,} more" if len(alike) > 1 else ""
            yield (
                f"{alike[0]}{more}: {name} is empty or the same in all rows, and the embeddings differ: {what} are told"
                " apart by their embeddings"
            )


def _dataset(options: ScoreOptions, tables: Sequence[EmbeddingTable]) -> DatasetShards:
    """The user's shards that the tables were made from."""
    require_folder(options.out, "--data")
    return match_dataset(options.data or (), tables, options.max_row_bytes)


def _common_carried(tables: Sequence[EmbeddingTable]) -> pa.Schema:
    return common_schema([(table.shard.path, table.carried) for table in tables])


def _write(run: _Run, ready: Ready) -> Accounting:
    own, dataset, options = ready.own, ready.dataset, run.options
    run.progress.stage(stages.SCORE, sum(ready.table_of(shard).rows for shard in own))
    if not is_folder(options.out):
        return _write_one(run, ready.tables)

    earlier = ((shard, _resumed(run, ready, shard)) for shard in own)
    became: dict[Shard, Outcome] = {shard: found for shard, found in earlier if found is not None}
    tables = {shard: ready.table_of(shard) for shard in own if shard not in became}
    tasks = [Task(shard, (shard, table), table.rows) for shard, table in tables.items()]
    if tasks and options.engine is EngineKind.ray:
        ready.claim.begin_all()
    if tasks:
        became |= _scored(run, tasks, back=dataset is not None)
    for shard in own:
        if isinstance(outcome := became[shard], ShardRows):
            run.add(ready.table_of(shard), outcome.more)
    return accounted(options.out, output_of, [(shard, became[shard]) for shard in own], alone=options.slice is None)


def _scored(run: _Run, tasks: Sequence[Task], *, back: bool) -> dict[Shard, Outcome]:
    own = run.for_engine()
    if own.candidates is not None:  # they have just been drawn
        run.progress.stage(stages.SCORE, sum(task.rows for task in tasks))
    engine = run.site.engine(partial(_scoring, own, back))
    return {task.shard: outcome for task, outcome in engine.run(tasks, run.progress)}


@contextmanager
def _scoring(run: _Run, back: bool, progress: Progress) -> Iterator[tuple[None, Does]]:
    """The work on a shard and its table, in any process. back: whether the user's dataset is written."""
    own = replace(run, progress=progress, counts=run.counts.opened())
    write = _write_dataset_shard if back else _write_shard
    with followed(join(run.options.out, FOLDER_RECORD)):
        yield None, lambda item: write(own, *item)


def _resumed(run: _Run, ready: Ready, shard: Shard) -> ShardRows | None:
    """The accounts of a shard that an earlier run has finished."""
    try:
        table, back = ready.table_of(shard), ready.dataset is not None
        provenance = run.provenance(table, **({"dataset": fingerprint(shard)} if back else {}))
        tally = _finished(run, shard.output(run.options.out), provenance, prefixed=back)
    except BadTable:  # of the input: told when it is its turn
        return None
    if tally is None:
        return None
    run.progress.kept(table.rows)
    return ShardRows(tally.statuses, resumed=True, more=Scored(tally))


def _write_shard(run: _Run, shard: Shard, table: EmbeddingTable) -> ShardRows:
    path, provenance = shard.output(run.options.out), run.provenance(table)
    scored = Scored(Tally())
    schema = attach(run.schema(table.carried), provenance)
    with atomic_table(path, schema) as writer:
        for rows in run.rows(table, scored):
            writer.write(scored.tally.scored(rows, schema))
    return ShardRows(scored.tally.statuses, more=scored)


def _finished(run: _Run, path: str, provenance: Provenance, *, prefixed: bool = False) -> Tally | None:
    """The tally of what an earlier run has left, where it still holds."""
    if run.options.refit:
        return None
    return run.earlier.told_by(path, provenance, partial(tally_of, prefixed=prefixed))


def _write_dataset_shard(run: _Run, shard: Shard, table: EmbeddingTable) -> ShardRows:
    path, provenance = shard.output(run.options.out), run.provenance(table, dataset=fingerprint(shard))
    scored = Scored(Tally())
    schema = run.schema(pa.schema([]))
    rows = [scored.tally.scored(rows, schema) for rows in run.rows(table, scored)]
    DatasetShards({shard: table}).write(shard, path, pa.Table.from_batches(rows, schema=schema), provenance)
    return ShardRows(scored.tally.statuses, more=scored)


def _write_one(run: _Run, tables: Sequence[EmbeddingTable]) -> Accounting:
    """All shards into one table or one stream, in their order."""
    carried = _common_carried(tables)
    provenance = {"shards": [run.provenance(table) for table in tables]}
    schema = attach(run.schema(carried), provenance)
    options = run.options
    with one_table(options.out, schema, options.format, csv_safe=options.csv_safe) as writer:
        for table in tables:
            scored = Scored(Tally())
            for rows in run.rows(table, scored):
                writer.write(scored.tally.scored(rows, schema))
            run.add(table, scored)
    return Accounting(len(tables), 0, (), dict(run.tally.statuses))


def _result(run: _Run, accounts: Accounting, seconds: float) -> ScoreResult:
    tally, first = run.tally, run.rates.first.saved
    fit, parts = first.fit, [_rate_of(run, group) for group in run.rates.groups]
    rate, low, high = _together(parts)
    return ScoreResult(
        out=run.options.out,
        scorer=fit.scorer,
        fit_id=first.fit_id,
        fit_facts=fit.facts,
        label_means=label_means(first),
        noise_rate=rate,
        noise_rate_low=low,
        noise_rate_high=high,
        rates=parts if any(group.later for group in run.rates.groups) else (),
        fit_only=run.options.fit_only,
        part=part_of(run.options),
        dataset=bool(run.options.data),
        judged_pairs=judged_pairs(first),
        judging=fit.facts.get("judging"),
        worst=() if run.options.out == STREAM else tally.worst.pairs(),
        verdicts=dict(tally.verdicts),
        reasons=dict(tally.reasons),
        suggestions=tally.suggested if run.options.suggest and not run.options.fit_only else None,
        power=fit.facts.get("power", ()),
        mean_soft_label=tally.mean("soft_label"),
        mean_similarity=tally.mean("similarity"),
        share_below_half=tally.share_below_half(),
        accounting=accounts,
        seconds=seconds,
        notes=(*_fallbacks(run), *run.notes),
    )


def _rate_of(run: _Run, group: Rated) -> dict[str, Any]:
    """The rate of one part of the rows. seen_by_fit: False where they came later, and the rate is their own.

    estimated: False where there were too few of them, and the fit's rate was taken. rate_of_fit: of the rows that the
    fit saw. null_departure: KS distance of their random pairs from the fit's, None where nothing departs.
    """
    facts, names = group.saved.fit.facts, sorted(group.shards)
    rate, departed = facts.get("noise_rate") or {}, facts.get("null_departure") or {}
    return {
        "shards": names[:SHARDS_TOLD],
        "shard_count": len(names),
        "rows": run.usable[group.saved.fit_id],
        "noise_rate": rate.get("rate"),
        "noise_rate_low": rate.get("low"),
        "noise_rate_high": rate.get("high"),
        "seen_by_fit": not group.later,
        "estimated": not group.later or bool(group.pairs),
        "rate_of_fit": (facts.get("rate_of_fit") or rate).get("rate"),
        "null_departure": departed.get("distance") if departed.get("significant") else None,
        "label_means": facts["label_means"],
    }


def _together(parts: Sequence[Mapping[str, Any]]) -> tuple[float | None, float | None, float | None]:
    """The rate of all rows with its 90 % interval, the parts' errors being independent; None where a part has none."""
    if len(parts) == 1:
        return parts[0]["noise_rate"], parts[0]["noise_rate_low"], parts[0]["noise_rate_high"]
    rows = sum(part["rows"] for part in parts)
    if not rows or any(part["noise_rate"] is None for part in parts if part["rows"]):
        return None, None, None
    shares = [(part["rows"] / rows, part) for part in parts if part["rows"]]
    rate = sum(share * part["noise_rate"] for share, part in shares)
    below = hypot(*(share * (part["noise_rate"] - part["noise_rate_low"]) for share, part in shares))
    above = hypot(*(share * (part["noise_rate_high"] - part["noise_rate"]) for share, part in shares))
    return rate, max(0.0, rate - below), min(1.0, rate + above)


def _to_keep(rates: Rates) -> SavedFit:
    """For --save-fit: what labels all rows, or, where there are several, the fit itself."""
    return rates.groups[0].saved if len(rates.groups) == 1 else rates.base


def _fallbacks(run: _Run) -> Iterator[str]:
    facts = run.rates.first.saved.fit.facts
    if run.join and run.joined:
        yield from _join_notes(run.join, run.joined, run.alone)
    if "too few" in (rule := str(facts.get("anchor_rule", ""))):
        yield f"anchors are the {rule}"
    if "warning" in facts:
        yield str(facts["warning"])
    for group in run.rates.groups:
        yield from _of_group(group)


def _of_group(group: Rated) -> Iterator[str]:
    """What must be said of rows that came after the fit."""
    facts = group.saved.fit.facts
    which = _named(group) if group.later else "these rows"
    if facts.get("null_departure", {}).get("significant"):
        yield (
            f"random pairs of {which} score otherwise than those of the fit (KS distance "
            f"{facts['null_departure']['distance']:.2f}): its labels do not fit them, fit anew (--refit)"
        )
    if group.later and not group.pairs and "noise_rate" in facts:
        yield (
            f"{which}: fewer than {calibrated.FEWEST_PAIRS} usable pairs, too few for a rate of their own; they take"
            f" that of the fit ({facts['noise_rate']['rate']:.1%})"
        )
    if group.later and "noise_rate" not in facts and "rate_of_fit" not in facts:
        yield f"{which} came after a fit that gives no labels: --refit fits anew, on all rows"


def _named(group: Rated) -> str:
    names = sorted(group.shards)
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _join_notes(join: Join, rows: int, alone: int) -> Iterator[str]:
    brought = [name if name == new else f"{name} as {new}" for name, new in zip(join.columns, join.names, strict=True)]
    matched, others = counted(rows, "row has", "rows have"), counted(alone, "gets", "get")
    yield (
        f"joined by {join.other.key}: {rows - alone:,} of {matched} a match, the other {others} nulls"
        f" ({', '.join(brought) or 'no column'})"
    )


def _shared_names(
    options: ScoreOptions, tables: Sequence[EmbeddingTable], site: Site, progress: Progress
) -> Iterator[str]:
    if not (looked := named(tables)):
        return
    folder = dirname(kept) if (kept := repeats_path(options)) else None
    if (shared := shared_names(site, looked, counted_of(looked), folder, progress)) is not None:
        first, path = shared.name(looked), looked[shared.table].shard.path
        yield (
            f"{shared.rows:,} rows share their pair_id with another row (first: {first}, in {path}): "
            "they are scored one by one, but verdicts, truth and training labels, which go by pair_id, cannot be joined"
        )


def _dropped_verdicts(
    options: ScoreOptions, saved: SavedFit, tables: Sequence[EmbeddingTable], dataset: DatasetShards | None
) -> Iterator[str]:
    """Whether an earlier run asked people, and this one does not: looked up before anything is written over."""
    if judged_pairs(saved) is not None or options.out == STREAM:
        return
    shards = [table.shard for table in tables] if dataset is None else list(dataset.shards)
    places = [shard.output(options.out) for shard in shards] if is_folder(options.out) else [options.out]
    found = next((path for path in places if is_file(path)), None)
    if found is not None and (pairs := _judged_before(found)):
        dropped = "it is" if pairs == 1 else "they are"
        yield (
            f"{found} rested on {counted(pairs, 'judged pair')}, and this run has no --verdicts: {dropped} dropped, "
            "and labels and rate are those of the scores alone (with --verdicts again they come back)"
        )


def _judged_before(path: str) -> int | None:
    try:
        told = provenance_at(path) or {}
    except BadTable:  # it is written anew
        return None
    first = next(iter(told.get("shards") or ()), told)
    return first.get(JUDGED_PAIRS) if isinstance(first, dict) else None


def _listed(columns: Sequence[str] | None) -> list[str] | None:
    return None if columns is None else list(columns)
