"""`score`: embedding tables to score tables. Fits once on a bounded sample, then applies the fit shard by shard.

Knows options, shards and scorers; nothing of Typer or of how a score is computed.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from time import monotonic
from typing import Any

import pyarrow as pa

from ncaudit.core.device import pick_device
from ncaudit.engines.local import Accounting, ShardRows, run_shards
from ncaudit.errors import BadTable, NcauditError
from ncaudit.judging import calibrated, choice, fit_sample, power
from ncaudit.judging.fit_sample import Sample
from ncaudit.judging.power import KINDS, sentence
from ncaudit.judging.saved_fits import SavedFit, has_fit, load_fit, save_fit
from ncaudit.matchers.heads.projected_tables import projected, training_notes
from ncaudit.options import AUTO_SCORER, ScoreOptions
from ncaudit.progress import SILENT, Progress
from ncaudit.schema import VERDICTS
from ncaudit.scoring.fits import Applier, PairScores
from ncaudit.scoring.pairs import Pairs
from ncaudit.scoring.same_photo import SamePhotos
from ncaudit.shards.files.provenance import EarlierOutputs, Provenance, attach, describe, fingerprint
from ncaudit.shards.files.sources import SUFFIX, Shard, find_shards
from ncaudit.shards.files.writer import atomic_table
from ncaudit.shards.people.verdicts import read_verdicts
from ncaudit.shards.rewriting.write_back import DatasetShards, match_dataset
from ncaudit.shards.streams.standard_input import received
from ncaudit.shards.streams.standard_output import StreamWriter
from ncaudit.shards.tables.embeddings import (
    EmbeddingBatch,
    EmbeddingTable,
    check_tables_agree,
    common_schema,
    open_embeddings,
)
from ncaudit.shards.tables.other_table import Join, OtherTable, open_join
from ncaudit.shards.tables.repeats import Repeats, count_repeats
from ncaudit.verbs.score.judged_scores import JudgedScores
from ncaudit.verbs.score.reasons import Family
from ncaudit.verbs.score.reasons import columns as reason_columns
from ncaudit.verbs.score.score_rows import ScoredRows, Tally, score_schema, scored_batch, tally_of
from ncaudit.verbs.score.suggestions import Suggester, require_calibration
from ncaudit.version import FORMATS

FIT_FOLDER = "_fit"  # readers of a folder of parquet pass over names with an underscore
STREAM = "-"
TOLD = ("noise_rate", "cuts", "power")  # facts of the fit that go into every table's metadata


@dataclass(frozen=True, kw_only=True)
class ScoreResult:
    """What `score` did: the accounts, and what its numbers rest on."""

    out: str
    scorer: str
    fit_id: str
    fit_facts: Mapping[str, Any]
    label_means: str
    noise_rate: float | None  # share of random-like mismatches among the fit's pairs, with its 90 % interval
    noise_rate_low: float | None
    noise_rate_high: float | None
    verdicts: Mapping[str, int]  # rows called clean, unsure, noisy
    reasons: Mapping[str, int]
    suggestions: int | None  # noisy rows with a suggested caption; None without --suggest
    power: Sequence[Mapping[str, Any]]  # per scorer, see `judging.power.Power`; the first is this scorer's
    mean_soft_label: float | None  # over ok rows; None where the scorer gives no label
    mean_similarity: float | None
    share_below_half: float | None  # of labels under .5
    accounting: Accounting
    seconds: float
    notes: tuple[str, ...] = field(default=())

    def lines(self) -> list[str]:
        """The summary for people."""
        head = f"{self.scorer} (fit {self.fit_id}): {self.label_means}"
        if self.noise_rate is None or self.mean_soft_label is None:
            return [head, f"mean similarity {self.mean_similarity or 0:.3f}", *_noted(self.notes)]
        rate = (
            f"noise rate {self.noise_rate:.1%} (90 % interval {self.noise_rate_low:.1%} to {self.noise_rate_high:.1%})"
        )
        cuts = self.fit_facts["cuts"]
        called = [f"{self.verdicts.get(word, 0):,} {word}" for word in VERDICTS]
        verdicts = f"{', '.join(called)} (noisy below {cuts['noisy_below']:.2f}, clean from {cuts['clean_from']:.2f})"
        return [head, rate, f"mean soft label {self.mean_soft_label:.3f}: {verdicts}", *self._details()]

    def _details(self) -> list[str]:
        facts = self.fit_facts
        lines = _chosen(facts.get("compared", {}))
        lines += [f"space: {facts['space']}; {facts['regime']}"] if "space" in facts else []
        if facts.get("strata"):
            lines += [
                f"calibrated by {facts['stratified_by']}, as they differ beyond chance:",
                *_strata(facts["strata"], facts["noise_rate"]["rate"]),
            ]
        reasons = [f"{count:,} {reason}" for reason, count in sorted(self.reasons.items())]
        lines += [f"reasons: {', '.join(reasons)}"] if reasons else []
        if self.suggestions is not None:
            noisy = self.verdicts.get("noisy", 0)
            lines.append(f"captions suggested for {self.suggestions:,} of {noisy:,} noisy pairs")
        return [*lines, *power_lines(self.power), *_noted(self.notes)]


def _chosen(compared: Mapping[str, float]) -> list[str]:
    """Which scorer `auto` took, and how the others did."""
    if not compared:
        return []
    told = ", ".join(f"{name} {value:.3f}" for name, value in compared.items())
    return [f"chosen on these data (AUROC of the pairs against random and same-topic ones): {told}"]


def _strata(strata: Sequence[Mapping[str, Any]], pool: float) -> list[str]:
    """The sources whose rate or whose random pairs differ; how many are like the pool is told in one line."""
    apart = [one for one in strata if one["noise_rate"] != pool or one["null_shift"]]
    lines = [
        f"  {one['name']}: noise rate {one['noise_rate']:.1%} of {one['rows']:,} pairs, "
        f"its random pairs score {one['null_shift']:+.2f}"
        for one in apart
    ]
    return [*lines, f"  {len(strata) - len(apart)} more like the pool"] if len(apart) < len(strata) else lines


def power_lines(power: Sequence[Mapping[str, Any]]) -> list[str]:
    """The power table and what follows from it."""
    if not power:
        return []
    head = "power on these data      AUROC, random*   topic   near   caught: random  topic   near"
    rows = [
        f"  {one['scorer']:22} {_told(one['estimated_auroc_random'])} ± {_told(one['standard_error'])}"
        f"  {_told(one['auroc'].get('topic'))}  {_told(one['auroc'].get('near'))}"
        f"          {'   '.join(_told(one['caught'].get(kind)) for kind in KINDS)}"
        for one in power
    ]
    return [
        head,
        *rows,
        "  * estimated without labels; the rest on mismatches made for the purpose",
        *sentence(power),
    ]


def _told(value: float | None) -> str:
    return "    -" if value is None else f"{value:.3f}"


def score(options: ScoreOptions, progress: Progress = SILENT) -> ScoreResult:
    """Score every pair of the embedding tables; failed rows keep their status and get no score.

    Raises NcauditError when the tables do not belong together, share no space, or hold too few pairs for the scorer.
    """
    choice.require_known(options.scorer)  # an unknown name is told before anything is read
    with received(options.embeddings) as given:  # rows are read twice at least: to count repeats
        return _score(replace(options, embeddings=given.sources), given.notes, progress)


def _score(options: ScoreOptions, notes: Sequence[str], progress: Progress) -> ScoreResult:
    begun = monotonic()
    other = open_join(options.join, str(options.join_key)) if options.join else None
    tables = _open_tables(options, other)
    join = other.beside(tables, options.columns) if other else None
    dataset = match_dataset(options.data, tables, options.out) if options.data else None
    saved = _judged(options, tables, _the_fit(options, tables, progress), progress)
    if options.suggest:
        require_calibration(saved.fit)
    if options.save_fit:
        save_fit(saved, options.save_fit)
    counts = _Counts.of(options, saved, tables)
    notes = [*notes, *training_notes(tables)]
    run = _Run(options, tables, saved, _applier(options, saved), counts, progress, join, notes=notes)
    progress.stage("score", sum(table.rows for table in tables))
    accounts = _write(run, tables, dataset)
    return _result(run, accounts, monotonic() - begun)


@dataclass
class _Run:
    """What every shard needs, and the tally that all add to."""

    options: ScoreOptions
    tables: Sequence[EmbeddingTable]
    saved: SavedFit
    apply: Applier
    counts: "_Counts"
    progress: Progress
    join: Join | None = None
    joined: int = 0  # rows that were looked for in the joined table
    alone: int = 0  # those of them that it does not have
    tally: Tally = field(default_factory=Tally)
    notes: list[str] = field(default_factory=list)

    @cached_property
    def earlier(self) -> EarlierOutputs:
        """What earlier runs have left in OUT."""
        return EarlierOutputs(self.progress.note)

    def rows(self, table: EmbeddingTable) -> Iterator[ScoredRows]:
        """The scored rows of a table, batch by batch."""
        device = pick_device(self.options.device)
        for batch in self._batches(table):
            pairs = fit_sample.as_pairs(batch).to(device)
            scores = self.apply(pairs) if len(pairs) else None
            more = {} if scores is None else self._more(pairs, scores, batch)
            scored = ScoredRows(batch, scores, self.saved.fit.pair_ids, more)
            self.progress.advance(len(batch), len(batch) - int(batch.ok.sum()))
            yield scored

    def _batches(self, table: EmbeddingTable) -> Iterator[EmbeddingBatch]:
        if self.join is None:
            yield from table.batches()
            return
        beside, first = self.join.rows(table), 0
        self.joined, self.alone = self.joined + len(beside.places), self.alone + beside.alone
        for batch in table.batches():
            yield beside.beside(batch, first)
            first += len(batch)

    def _more(self, pairs: Pairs, scores: PairScores, batch: EmbeddingBatch) -> dict[str, Any]:
        counts = self.counts.columns(pairs, scores)
        if not self.options.suggest:
            return counts
        captions = batch.caption.filter(pa.array(batch.ok)).to_pylist()
        return counts | self.suggester.columns(pairs, scores, captions)

    @cached_property
    def suggester(self) -> Suggester:
        """Drawn from all tables of this run, when the first shard needs it: a finished run draws nothing."""
        suggester = Suggester.drawn(self.saved.fit, self.tables, self.options, self.progress)
        self.progress.stage("score", sum(table.rows for table in self.tables))
        return suggester

    def schema(self, carried: pa.Schema) -> pa.Schema:
        """Of the score tables, joined columns last."""
        joined = self.join.fields if self.join else ()
        return score_schema(pa.schema([*carried, *joined]), suggest=self.options.suggest)

    def provenance(self, table: EmbeddingTable, **more: Any) -> Provenance:
        """What this shard's scores are made from; `data` is what its embeddings were made from."""
        made_from = table.provenance or {}
        if made_from.get("verb") == "embed" and "shards" in made_from:  # a stream of several shards
            more["shards"] = [{"data": one} for one in made_from["shards"]]
        more |= {"joined": self.join.provenance(table)} if self.join else {}
        return describe(
            "score",
            table.shard,
            options={**self.saved.fit.options, "columns": _listed(self.options.columns), **self._asked()},
            fit=self.saved.fit_id,
            model=made_from.get("model"),
            data=made_from.get("source"),
            label_means=label_means(self.saved),
            **{name: self.saved.fit.facts[name] for name in TOLD if name in self.saved.fit.facts},
            **more,
        )

    def _asked(self) -> dict[str, Any]:
        """What adds columns; not told where it does not, so that tables without it stay as they were."""
        return {"suggest": True} if self.options.suggest else {}


@dataclass(frozen=True)
class _Counts:
    """How often photos and captions occur in all tables of this run."""

    repeats: Repeats
    photos: SamePhotos
    family: Family

    @classmethod
    def of(cls, options: ScoreOptions, saved: SavedFit, tables: Sequence[EmbeddingTable]) -> "_Counts":
        photos = calibrated.same_photos(saved.fit, pick_device(options.device))
        repeats = count_repeats(tables)
        return cls(repeats, photos, Family.of(photos, repeats))

    def columns(self, pairs: Pairs, scores: PairScores) -> dict[str, Any]:
        """caption_count, image_count and reason of ok pairs."""
        merged = self.photos.of(pairs).image_id
        raw, merged_id, captions = (ids.cpu().numpy() for ids in (pairs.image_id, merged, pairs.caption_id))
        verdict = None if scores.verdict is None else scores.verdict.cpu().numpy()
        return reason_columns(raw, merged_id, captions, verdict, self.family, self.repeats)


def label_means(saved: SavedFit) -> str:
    """What the soft label of this fit is, in words that go into every table."""
    return str(saved.fit.facts["label_means"])


def _open_tables(options: ScoreOptions, other: OtherTable | None) -> list[EmbeddingTable]:
    found = find_shards(options.embeddings, options.features)
    shards = [shard for shard in found if not _is_own_output(shard, options.out)]
    column = None if options.stratify in ("auto", "none") else options.stratify
    columns = other.own(options.columns, shards) if other else options.columns
    tables = [open_embeddings(shard, columns, column) for shard in shards]
    check_tables_agree(tables)
    if not sum(table.rows for table in tables):
        raise BadTable(f"{', '.join(options.embeddings)} holds no rows", fix="give tables with at least one pair")
    if not (options.data or _writes_folder(options)):
        _common_carried(tables)  # told before any work
    return projected(tables, options.model, pick_device(options.device))


def _common_carried(tables: Sequence[EmbeddingTable]) -> pa.Schema:
    return common_schema([(table.shard.path, table.carried) for table in tables])


def _is_own_output(shard: Shard, out: str) -> bool:
    """Scores written below the embeddings' folder must not be read as embeddings by the next run."""
    return out != STREAM and shard.path.startswith(os.path.abspath(out) + os.sep)


def _the_fit(options: ScoreOptions, tables: Sequence[EmbeddingTable], progress: Progress) -> SavedFit:
    """The fit asked for, the one that an earlier run left in OUT if it still holds, or a new one."""
    if options.fit:
        return _rerated(options, tables, _asked_for(options, tables), progress)
    folder = os.path.join(options.out, FIT_FOLDER)
    if not _writes_folder(options):
        return _new_fit(options, tables, progress)
    if not options.refit and has_fit(folder):
        saved = load_fit(folder)
        if _still_holds(saved, options, tables):
            return saved
    saved = _new_fit(options, tables, progress)
    save_fit(saved, folder)
    return saved


def _asked_for(options: ScoreOptions, tables: Sequence[EmbeddingTable]) -> SavedFit:
    saved = load_fit(str(options.fit))
    if saved.format != FORMATS["score"]:
        raise BadTable(
            f"the fit in {options.fit} is in format {saved.format}, and this ncaudit scores in format"
            f" {FORMATS['score']}, with other results",
            fix="fit anew, or score with the version of ncaudit that made the fit",
        )
    if options.scorer not in (saved.fit.scorer, AUTO_SCORER):
        raise NcauditError(
            f"the fit in {options.fit} is for --scorer {saved.fit.scorer}, not {options.scorer}",
            fix=f"add --scorer {saved.fit.scorer}",
        )
    model, fitted = _model(tables) or {}, saved.model or {}
    keys = {*model, *fitted} if "name" in model and "name" in fitted else {"heads"}  # these count on any table
    if different := sorted(key for key in keys if model.get(key) != fitted.get(key)):
        behind = "give the heads of the fit with --model" if "heads" in fitted else "leave out --model"
        raise BadTable(
            f"the fit in {options.fit} and {tables[0].shard.path} differ in their model's {', '.join(different)}",
            fix=f"{behind if 'heads' in different else 'embed with the model of the fit'}, or fit anew",
        )
    _require_width(saved, tables)
    return saved


def _require_width(saved: SavedFit, tables: Sequence[EmbeddingTable]) -> None:
    widths = {tensor.shape[1] for name, tensor in saved.fit.tensors.items() if name in ("bank_image", "bank_text")}
    found = {table.image_dims for table in tables} | {table.text_dims for table in tables}
    if widths and found - {0} - widths:
        raise BadTable(
            f"the fit has {widths.pop()} dimensions and {tables[0].shard.path} has {tables[0].image_dims}",
            fix="embed with the model of the fit, or fit anew",
        )


def _still_holds(saved: SavedFit, options: ScoreOptions, tables: Sequence[EmbeddingTable]) -> bool:
    """Whether an earlier fit is what this command asks for; shards that came since do not change it."""
    asked = {name: getattr(options, name, None) for name in saved.fit.options}
    known = (table.shard for table in tables if table.shard.name in saved.shards)
    unchanged = all(saved.shards[shard.name] == fingerprint(shard.path) for shard in known)
    same = asked == dict(saved.fit.options) and unchanged and _model(tables) == saved.model
    return same and saved.format == FORMATS["score"]


def _new_fit(options: ScoreOptions, tables: Sequence[EmbeddingTable], progress: Progress) -> SavedFit:
    sample = _sample(options, tables, progress)
    progress.stage("fit", None)
    fit = choice.learn(sample.pairs, options, sample.names)
    if options.check and "noise_rate" in fit.facts:
        progress.stage("power check", None)
        fit = replace(fit, facts={**fit.facts, "power": power.check(fit, sample.pairs, options)})
    return SavedFit(fit, _model(tables), {table.shard.name: fingerprint(table.shard.path) for table in tables})


def _sample(options: ScoreOptions, tables: Sequence[EmbeddingTable], progress: Progress) -> Sample:
    progress.stage("fit: draw sample", sum(table.rows for table in tables))
    sample = fit_sample.draw(tables, pairs=options.fit_pairs, seed=options.seed, progress=progress)
    if not len(sample.pairs):
        raise BadTable("no row has a usable pair of embeddings", fix="see the status column of the embedding tables")
    return replace(sample, pairs=sample.pairs.to(pick_device(options.device)))


def _rerated(options: ScoreOptions, tables: Sequence[EmbeddingTable], saved: SavedFit, progress: Progress) -> SavedFit:
    """An old fit keeps its scores; the share of mismatches is that of the rows at hand."""
    known = {table.shard.name: fingerprint(table.shard.path) for table in tables}
    if all(saved.shards.get(name) == found for name, found in known.items()):
        return saved
    sample = _sample(options, tables, progress)
    progress.stage("noise rate of these rows", None)
    return replace(saved, fit=calibrated.rerated(saved.fit, sample.pairs, options))


def _judged(options: ScoreOptions, tables: Sequence[EmbeddingTable], saved: SavedFit, progress: Progress) -> SavedFit:
    """The fit after people's verdicts, if there are any."""
    if not options.verdicts:
        return saved
    verdicts = read_verdicts(options.verdicts)
    if "noise_rate" not in saved.fit.facts:
        raise NcauditError("there is no calibration that verdicts could correct", fix="give at least 50 pairs")
    progress.stage("scores of the judged pairs", sum(table.rows for table in tables))
    scores = JudgedScores(verdicts)
    apply, device = _applier(options, saved), pick_device(options.device)
    for table in tables:
        for batch in table.batches():
            pairs = fit_sample.as_pairs(batch).to(device)
            if len(pairs):
                scores.add(pairs.pair_id, apply(pairs).score.double().cpu().numpy())
            progress.advance(len(batch))
    found = scores.found()
    return replace(saved, fit=calibrated.judged(saved.fit, found.score, found.mismatched, found.weight, found.rate))


def _applier(options: ScoreOptions, saved: SavedFit) -> Applier:
    return calibrated.applier(saved.fit, pick_device(options.device))


def _model(tables: Sequence[EmbeddingTable]) -> dict[str, Any] | None:
    """The one that all tables which name theirs agree on; behind heads, tables from elsewhere name the heads alone."""
    told = ((table.provenance or {}).get("model") or {} for table in tables)
    return max(told, key=len, default=None) or None


def _writes_folder(options: ScoreOptions) -> bool:
    return options.out != STREAM and not options.out.endswith(SUFFIX)


def _write(run: _Run, tables: Sequence[EmbeddingTable], dataset: DatasetShards | None) -> Accounting:
    if dataset is not None:
        return run_shards(list(dataset.shards), lambda shard: _write_dataset_shard(run, dataset, shard))
    if run.options.out == STREAM:
        return _write_one(run, tables)
    if run.options.out.endswith(SUFFIX):
        return _write_one(run, tables)
    by_shard = {table.shard: table for table in tables}
    return run_shards(list(by_shard), lambda shard: _write_shard(run, by_shard[shard]))


def _write_shard(run: _Run, table: EmbeddingTable) -> ShardRows:
    path, provenance = table.shard.output(run.options.out), run.provenance(table)
    if run.earlier.hold(path, provenance) and not run.options.refit:
        run.progress.advance(table.rows)
        tally = tally_of(path)
        run.tally.add(tally)
        return ShardRows(tally.statuses, resumed=True)
    tally = Tally()
    schema = attach(run.schema(table.carried), provenance)
    with atomic_table(path, schema) as writer:
        for rows in run.rows(table):
            writer.write(tally.counted(scored_batch(rows, schema)))
    run.tally.add(tally)
    return ShardRows(tally.statuses)


def _write_dataset_shard(run: _Run, dataset: DatasetShards, shard: Shard) -> ShardRows:
    table = dataset.table_of(shard)
    path, provenance = shard.output(run.options.out), run.provenance(table, dataset=fingerprint(shard.path))
    if run.earlier.hold(path, provenance) and not run.options.refit:
        run.progress.advance(table.rows)
        tally = tally_of(path, prefixed=True)
        run.tally.add(tally)
        return ShardRows(tally.statuses, resumed=True)
    tally = Tally()
    schema = run.schema(pa.schema([]))
    scored = [tally.counted(scored_batch(rows, schema)) for rows in run.rows(table)]
    dataset.write(shard, path, pa.Table.from_batches(scored, schema=schema), provenance)
    run.tally.add(tally)
    return ShardRows(tally.statuses)


def _write_one(run: _Run, tables: Sequence[EmbeddingTable]) -> Accounting:
    """All shards into one table or one stream, in their order."""
    carried = _common_carried(tables)
    provenance = {"shards": [run.provenance(table) for table in tables]}
    schema = attach(run.schema(carried), provenance)
    if run.options.out == STREAM:
        writer = StreamWriter(sys.stdout.buffer, schema, run.options.format, csv_safe=run.options.csv_safe)
        _write_rows(run, tables, schema, writer)
        writer.close()
    else:
        with atomic_table(run.options.out, schema) as table_writer:
            _write_rows(run, tables, schema, table_writer)
    return Accounting(len(tables), 0, (), dict(run.tally.statuses))


def _write_rows(run: _Run, tables: Sequence[EmbeddingTable], schema: pa.Schema, writer: Any) -> None:
    for table in tables:
        for rows in run.rows(table):
            writer.write(run.tally.counted(scored_batch(rows, schema)))


def _result(run: _Run, accounts: Accounting, seconds: float) -> ScoreResult:
    tally, fit = run.tally, run.saved.fit
    return ScoreResult(
        out=run.options.out,
        scorer=fit.scorer,
        fit_id=run.saved.fit_id,
        fit_facts=fit.facts,
        label_means=label_means(run.saved),
        noise_rate=fit.facts.get("noise_rate", {}).get("rate"),
        noise_rate_low=fit.facts.get("noise_rate", {}).get("low"),
        noise_rate_high=fit.facts.get("noise_rate", {}).get("high"),
        verdicts=dict(tally.verdicts),
        reasons=dict(tally.reasons),
        suggestions=tally.suggested if run.options.suggest else None,
        power=fit.facts.get("power", ()),
        mean_soft_label=tally.mean("soft_label"),
        mean_similarity=tally.mean("similarity"),
        share_below_half=tally.share_below_half(),
        accounting=accounts,
        seconds=seconds,
        notes=(*_fallbacks(run), *run.notes),
    )


def _fallbacks(run: _Run) -> Iterator[str]:
    facts = run.saved.fit.facts
    if run.join and run.joined:
        yield from _join_notes(run.join, run.joined, run.alone)
    if "too few" in (rule := str(facts.get("anchor_rule", ""))):
        yield f"anchors are the {rule}"
    if "warning" in facts:
        yield str(facts["warning"])
    if facts.get("null_departure", {}).get("significant"):
        yield (
            f"random pairs of these rows score otherwise than those of the fit (KS distance "
            f"{facts['null_departure']['distance']:.2f}): its labels do not fit them, fit anew"
        )


def _join_notes(join: Join, rows: int, alone: int) -> Iterator[str]:
    brought = [name if name == new else f"{name} as {new}" for name, new in zip(join.columns, join.names, strict=True)]
    yield (
        f"joined by {join.other.key}: {rows - alone:,} of {rows:,} rows have a match, the other {alone:,} get nulls"
        f" ({', '.join(brought) or 'no column'})"
    )


def _noted(notes: Sequence[str]) -> list[str]:
    return [f"note: {note}" for note in notes]


def _listed(columns: Sequence[str] | None) -> list[str] | None:
    return None if columns is None else list(columns)
