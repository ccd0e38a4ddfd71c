"""`labels`: embedding tables with a class column to a judgement of every given class.

Knows options and shards; nothing of Typer or of how a class is judged. All pairs are judged together, so a table of
answers rests on every table that was read.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from hashlib import blake2b
from itertools import pairwise
from time import monotonic
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from ncaudit import own_json
from ncaudit.core.classes.posterior import FEWEST_PAIRS
from ncaudit.core.classes.sparse import SparseClasses
from ncaudit.core.device import pick_device
from ncaudit.core.neighbours.self_search import one_by_one
from ncaudit.core.parallel import in_parallel
from ncaudit.counts import counted
from ncaudit.engines.jobs import Site, Task, ThisProcess, finding, found_by
from ncaudit.engines.local import Accounting, Outcome, ShardRows
from ncaudit.engines.on_ray.chosen import require_engine, site_of
from ncaudit.engines.pace import computing
from ncaudit.errors import BadTable
from ncaudit.judging.classes import STEPS, LabelAudit, audit
from ncaudit.matchers.heads.projected_tables import projected, training_notes
from ncaudit.options import LabelsOptions
from ncaudit.progress import SILENT, Progress
from ncaudit.readable import Readable
from ncaudit.schema import labels_schema
from ncaudit.shards.claims.claims import Claim, asked
from ncaudit.shards.claims.commands import made_by
from ncaudit.shards.claims.departed import notes_on_departed
from ncaudit.shards.dataset.class_labels import Class, Classes, ClassLabels, classes_among, require_class_column
from ncaudit.shards.files.locations import basename, join, lexists
from ncaudit.shards.files.provenance import EarlierOutputs, Provenance, attach, describe, fingerprint
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.files.writer import atomic_file
from ncaudit.shards.readers import open_shard
from ncaudit.shards.streams.standard_input import received
from ncaudit.shards.tables.embeddings import (
    IMAGE,
    TEXT,
    EmbeddingTable,
    check_tables_agree,
    open_embeddings,
    with_common_nulls,
)
from ncaudit.verbs.labels.label_rows import LabelColumns, LabelTally, label_tally_of
from ncaudit.verbs.labels.searched import searching
from ncaudit.verbs.labels.written import Answers, Form, ToWrite, label_rows, writing
from ncaudit.verbs.outputs import (
    accounted,
    expected_of,
    inputs_of,
    is_folder,
    one_table,
    output_of,
    place_of,
    settle_left_overs,
    tables_of,
    without_outputs,
)
from ncaudit.version import same_results, told_format

STAGES = {"read the classes": 0.1, "judge": 1.0, "write the tables": 0.1}
AUDIT_FILE = "audit.json"
_CLASS: own_json.Shape = (str, int, bool, float)
AUDIT: own_json.Shape = {
    **{"digest": str, "format?": int, "holds?": str},
    "facts": {
        **{name: int for name in ("k", "classes", "small_classes", "small_class_pairs")},
        **{"label_means": str, "notes": [str]},
        "noise_rate": (None, {"rate": float, "low": float, "high": float, "told": bool}),
        **{"class_names": [_CLASS], "class_noise_matrix": [[float]]},
        "confusions": [{"true": _CLASS, "given": _CLASS, "share": float}],
    },
}
MEANING = (
    "label_quality = P(the given class is right), from neighbours in both modalities and linear models that do not know"
    " the pair's own class; null for unlabelled pairs"
)
UNJUDGED = f"no label_quality: fewer than {FEWEST_PAIRS} labelled pairs"
Mask = npt.NDArray[np.bool_]
TOLD_MATRIX = 50  # classes up to which the summary holds the whole matrix


@dataclass(frozen=True, kw_only=True, repr=False)
class LabelsResult(Readable, first=("noise_rate", "partitions", "accounting", "out", "seconds")):
    """What `labels` did: the accounts, and what its numbers rest on."""

    out: str
    label_column: str
    label_means: str
    k: int
    k_chosen: bool  # from the data, not by the user
    classes: int
    noise_rate: float | None  # share of wrong labels, with its 90 % interval; None with too few labelled pairs
    noise_rate_low: float | None
    noise_rate_high: float | None
    noise_rate_told: bool  # False: the embeddings cannot tell it, and noise_rate is only a usual one
    class_names: tuple[Class, ...]  # of the matrix' rows and columns; empty without one
    class_noise_matrix: tuple[tuple[float, ...], ...]  # row: true class, column: given class; rows add up to 1
    confusions: tuple[Mapping[str, Any], ...]  # the most frequent: true, given, share of all labelled pairs
    partitions: Mapping[str, int]
    suggestions: int
    unlabelled: int
    small_classes: int  # with at most k pairs: their neighbours cannot outvote others
    small_class_pairs: int
    accounting: Accounting
    seconds: float
    notes: tuple[str, ...] = field(default=())


def labels(options: LabelsOptions, progress: Progress = SILENT) -> LabelsResult:
    """Judge the given class of every pair; failed rows keep their status, unlabelled ones get a suggestion.

    Raises NcauditError when the tables do not belong together, lack the class column, or hold nothing to compare.
    """
    reading = received(options.embeddings, options.max_row_bytes)
    with made_by(options), computing(options.threads, exact=True), reading as given:
        return _labels(replace(options, embeddings=given.sources), given.notes, progress)


def _labels(options: LabelsOptions, notes: Sequence[str], progress: Progress) -> LabelsResult:
    begun = monotonic()
    progress.job("labels", STAGES)
    run, claim = made_ready(options, progress)
    shards = [table.shard for table in run.tables]
    with claim.held({"digest": run.digest}), site_of(options, options.out) as run.site:
        notes = [*notes, *settle_left_overs(claim, shards, prune=options.prune), *notes_on_departed(shards)]
        _ = run.facts  # what is wrong with the classes is wrong with all shards: told once
        accounts = _write(run, claim)
        return _result(run, accounts, notes, monotonic() - begun)


def made_ready(options: LabelsOptions, progress: Progress) -> tuple["Run", Claim]:
    """The tables that are read, and the right to write. Raises NcauditError for whatever is wrong with either."""
    require_engine(options)
    run = Run(options, _open_tables(options), progress)
    rows = {table.shard: table.rows for table in run.tables}
    claim = claimed(options, [*rows])
    claim.expects = expected_of(rows, rows.__getitem__)
    return run, claim


def claimed(options: LabelsOptions, shards: Sequence[Shard]) -> Claim:
    """Everything that is written for these shards. Raises NcauditError as `asked` does."""
    places = place_of("--out", options.out, [*tables_of(shards), AUDIT_FILE], proven=_is_audit)
    return asked("labels", places, inputs_of(shards), overwrite=options.overwrite)


def _is_audit(path: str) -> bool:
    return basename(path) == AUDIT_FILE and {"digest", "facts"} <= set(_kept(path) or ())


def _open_tables(options: LabelsOptions) -> list[EmbeddingTable]:
    found = find_shards(options.embeddings, options.features, options.max_row_bytes)
    shards = without_outputs(found, "labels", options.out)
    for shard in shards:
        require_class_column(shard.path, open_shard(shard).schema, options.label_column)
    tables = with_common_nulls([open_embeddings(shard, [options.label_column]) for shard in shards])
    check_tables_agree(tables)
    for table in tables:
        if not table.carried_from:
            raise BadTable(
                f"{options.label_column} is ncaudit's own column of {table.shard.path}",
                fix="give the --label-column that holds the classes",
            )
        if table.carried.field(0).type != tables[0].carried.field(0).type:
            first, other = tables[0].carried.field(0).type, table.carried.field(0).type
            raise BadTable(
                f"{options.label_column} is {first} in {tables[0].shard.path} and {other} in {table.shard.path}",
                fix="write the column as one type in all tables",
            )
    return projected(tables, options.model, pick_device(options.device))


@dataclass(frozen=True)
class _Found:
    """The audit of all ok rows, in the order of the tables, and what numbers stand for."""

    audit: LabelAudit
    names: tuple[Class, ...]
    pair_ids: pa.Array
    rows: Mapping[Shard, slice]  # the ok ones of each table
    ok: Mapping[Shard, Mask]  # which of each table's rows these are

    def answers(self, table: EmbeddingTable) -> Answers:
        """What is told of a table's ok rows."""
        told = self.audit
        winner, share = ([one.numpy() for one in both] for both in (told.winner, told.share))
        every = LabelColumns(
            told.partition.numpy(), (winner[0], winner[1]), (share[0], share[1]),
            told.quality.numpy(), told.suggested.numpy(), told.why.numpy(),
        )  # fmt: skip
        return Answers.of(every.part(self.rows[table.shard]), self.ok[table.shard], self.pair_ids)


class Run:
    """All tables, what was found about them (by this run or an earlier one), and the tally that all add to."""

    def __init__(self, options: LabelsOptions, tables: Sequence[EmbeddingTable], progress: Progress) -> None:
        self.options, self.tables, self.progress = options, tables, progress
        self.site: Site = ThisProcess()
        self.tally, self.earlier = LabelTally(), EarlierOutputs(progress.note)
        self.schema = labels_schema(tables[0].carried.field(0).type)
        if not sum(table.rows for table in tables):
            raise BadTable(f"{', '.join(options.embeddings)} holds no rows", fix="give tables with at least one pair")

    @property
    def folder(self) -> str | None:
        """Where one table per shard goes; None: all go into one."""
        out = self.options.out
        return out if is_folder(out) else None

    @cached_property
    def digest(self) -> str:
        """Of all that the answers rest on."""
        asked = {name: getattr(self.options, name) for name in ("label_column", "k", "seed")}
        shards = [[table.shard.name, fingerprint(table.shard)] for table in self.tables]
        model = (self.tables[0].provenance or {}).get("model")
        return blake2b(json.dumps([asked, shards, model], sort_keys=True).encode(), digest_size=16).hexdigest()

    @cached_property
    def known(self) -> dict[str, Any] | None:
        """What an earlier run on the same tables has found; None where it is to be found (again)."""
        if self.folder is None or self.options.redo:
            return None
        return _earlier(self.folder, self.digest, self.progress)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Of the whole: those of an earlier run on the same tables, or found now."""
        if (earlier := self.known) is not None:
            return earlier
        facts = _facts(self.found, self.options)
        if self.folder is None:
            return facts
        told = {"digest": self.digest, "facts": facts, "holds": _digest_of(facts)}
        _keep(self.folder, {**told_format("labels"), **told})
        return facts

    @cached_property
    def found(self) -> _Found:
        """The audit itself: not made where an earlier run has left nothing to do."""
        return _judged(self)

    def provenance(self, table: EmbeddingTable) -> Provenance:
        """What this shard's answers are made from."""
        made_from, facts = table.provenance or {}, self.facts
        return describe(
            "labels",
            table.shard,
            options={name: getattr(self.options, name) for name in ("label_column", "k", "seed")},
            audit=self.digest,
            model=made_from.get("model"),
            data=made_from.get("source"),
            label_means=facts["label_means"],
            neighbours=facts["k"],
            noise_rate=facts["noise_rate"],
        )

    @property
    def form(self) -> Form:
        """What all tables share."""
        return Form(self.found.names, self.schema)

    def batches(self, table: EmbeddingTable) -> Iterator[pa.RecordBatch]:
        """The rows of a label table."""
        return label_rows(table, self.found.answers(table), self.form, self.progress)


def _earlier(folder: str, digest: str, progress: Progress) -> dict[str, Any] | None:
    path = join(folder, AUDIT_FILE)
    kept = _kept(path)
    if kept is None and lexists(path):
        progress.note(f"{path} is damaged: it is made again")
    if kept is None or kept.get("digest") != digest or not same_results(kept, "labels"):
        return None
    return dict(kept["facts"])


def _kept(path: str) -> dict[str, Any] | None:
    kept: dict[str, Any] | None = own_json.known(path, AUDIT)
    return kept if kept is not None and kept.get("holds") in (None, _digest_of(kept["facts"])) else None


def _digest_of(facts: Mapping[str, Any]) -> str:
    """Of what was found: whether it is still what it was."""
    return blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=16).hexdigest()


def _keep(folder: str, kept: Mapping[str, Any]) -> None:
    with atomic_file(join(folder, AUDIT_FILE)) as file:
        file.write(json.dumps(kept, sort_keys=True, ensure_ascii=False, indent=1).encode())


def _judged(run: Run) -> _Found:
    """Read all tables, once per modality and once for the classes, and judge."""
    progress, tables = run.progress, run.tables
    rows = sum(table.rows for table in tables)
    run.site.ready(tables[0].shard, progress)
    progress.stage("read the classes", rows)
    found = dict(found_by(run.site.engine(finding(_read)), _tasks(tables), progress))
    read = [found.pop(number) for number in range(len(tables))]
    ok = [one.ok for one in read]
    ends = np.cumsum([0, *(len(one.photos) for one in read)]).tolist()
    if not ends[-1]:
        raise BadTable("no row has a usable pair of embeddings", fix="see the status column of the embedding tables")
    columns = [(table.shard.path, part) for table, one in zip(tables, read, strict=True) for part in one.columns]
    classes = Classes(classes_among(columns, run.options.label_column))
    given = _sparse([classes.read(column) for _, column in columns])
    progress.stage("judge", STEPS, "steps")
    judged = audit(
        lambda modality: _rows(run, modality, ok, ends),
        given,
        len(classes),
        torch.from_numpy(np.concatenate([one.photos for one in read])),
        k=run.options.k,
        seed=run.options.seed,
        device=pick_device(run.options.device),
        by=searching(run.site, tables[0].shard, run.options.device) if run.site.elsewhere else one_by_one,
        status=progress.status,
        step=partial(progress.advance, 1),
    )
    progress.stage("write the tables", rows)
    names = pa.chunked_array([ids for one in read for ids in one.ids], pa.string()).combine_chunks()
    shards = [table.shard for table in tables]
    own = {shard: slice(*both) for shard, both in zip(shards, pairwise(ends), strict=True)}
    return _Found(judged, classes.names, names, own, dict(zip(shards, ok, strict=True)))


def _tasks(tables: Sequence[EmbeddingTable], *more: Sequence[Mask]) -> list[Task]:
    each = zip(tables, *more, strict=True)
    return [Task(one[0].shard, (number, *one), one[0].rows) for number, one in enumerate(each)]


@dataclass(frozen=True)
class _Read:
    """What is known of a table's ok rows but for their embeddings: classes and names batch by batch, and photos."""

    columns: Sequence[pa.Array]
    ids: Sequence[pa.Array]
    photos: npt.NDArray[np.int64]
    ok: Mask  # of all of the table's rows


def _read(item: tuple[int, EmbeddingTable], progress: Progress) -> tuple[int, _Read]:
    columns, ids, photos, usable = [], [], [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.bool_)]
    for batch in item[1].batches():
        ok = pa.array(batch.ok)
        columns.append(batch.carried.column(0).filter(ok))
        ids.append(pa.array(batch.pair_id, pa.string()).filter(ok))
        photos.append(batch.image_id)
        usable.append(batch.ok)
        progress.advance(len(batch), len(batch) - int(batch.ok.sum()))
    return item[0], _Read(columns, ids, np.concatenate(photos), np.concatenate(usable))


def _sparse(parts: Sequence[ClassLabels]) -> SparseClasses:
    """All rows' classes, at equal weights."""
    carried = np.concatenate([np.diff(part.starts) for part in parts])
    codes = np.concatenate([part.codes for part in parts])
    width = max(1, int(carried.max(initial=0)))
    place = np.arange(len(codes)) - np.repeat(np.cumsum(carried) - carried, carried)
    row = np.repeat(np.arange(len(carried)), carried)
    code, weight = np.zeros((len(carried), width), np.int16), np.zeros((len(carried), width), np.float16)
    code[row, place], weight[row, place] = codes, 1 / carried[row]
    return SparseClasses(torch.from_numpy(code), torch.from_numpy(weight))


def _rows(run: Run, modality: int, ok: Sequence[Mask], ends: Sequence[int]) -> Tensor:
    """The unit rows of one modality, (n, d) float16. ends: where each table's rows begin, and the last ones end."""
    dims = max(table.text_dims if modality else table.image_dims for table in run.tables)
    rows = torch.empty(ends[-1], dims, dtype=torch.float16)
    held = rows.numpy()

    def fill(one: tuple[EmbeddingTable, Mask, int]) -> None:
        table, usable, start = one
        for part in _embeddings(table, usable, modality):
            held[start : start + len(part)] = part
            start += len(part)

    if not run.site.elsewhere:
        in_parallel(fill, zip(run.tables, ok, ends, strict=False))
        return rows
    engine = run.site.engine(finding(partial(_embedded, modality)))
    for number, part in found_by(engine, _tasks(run.tables, ok), SILENT):
        if len(part):
            held[ends[number] : ends[number + 1]] = part
    return rows


def _embeddings(table: EmbeddingTable, ok: Mask, modality: int) -> Iterator[npt.NDArray[np.float16]]:
    for part in table.side(TEXT if modality else IMAGE, ok):
        if len(part):
            yield torch.from_numpy(part).half().numpy()


def _embedded(
    modality: int, item: tuple[int, EmbeddingTable, Mask], progress: Progress
) -> tuple[int, npt.NDArray[np.float16]]:
    number, table, ok = item
    nothing = np.empty((0, table.text_dims if modality else table.image_dims), dtype=np.float16)
    return number, np.concatenate([nothing, *_embeddings(table, ok, modality)])


def _facts(found: _Found, options: LabelsOptions) -> dict[str, Any]:
    """What is told of the whole, as JSON knows it."""
    told = found.audit
    small, pairs = told.small
    facts: dict[str, Any] = {
        "label_means": UNJUDGED if told.noise is None else MEANING,
        "k": told.k,
        "classes": len(found.names),
        "noise_rate": None if told.noise is None else asdict(told.noise),
        "small_classes": small,
        "small_class_pairs": pairs,
        "class_names": [],
        "class_noise_matrix": [],
        "confusions": [],
        "notes": list(_notes(found, options)),
    }
    if told.matrix is not None and told.prior is not None:
        facts["confusions"] = _confusions(told.matrix, told.prior, found.names)
        if len(found.names) <= TOLD_MATRIX:
            facts["class_names"] = list(found.names)
            facts["class_noise_matrix"] = [[round(v, 5) for v in row] for row in told.matrix.tolist()]
    return facts


def _confusions(matrix: Tensor, prior: Tensor, names: Sequence[Class]) -> list[dict[str, Any]]:
    """The five most frequent errors."""
    share = prior[:, None] * (matrix - torch.diag(matrix.diag()))
    value, place = share.flatten().topk(min(5, share.numel()))
    return [
        {"true": names[p // len(names)], "given": names[p % len(names)], "share": round(v, 5)}
        for v, p in zip(value.tolist(), place.tolist(), strict=True)
        if v >= 0.001
    ]


def _notes(found: _Found, options: LabelsOptions) -> Iterator[str]:
    told = found.audit
    if options.k is not None and told.k < options.k:
        votes = counted(told.k, "neighbour votes", "neighbours vote")
        yield f"there are {counted(told.k + 1, 'pair')}, so {votes}, not {options.k}"
    if told.small[0]:
        them, their = ("it", "its") if told.small[0] == 1 else ("them", "their")
        yield (
            f"{counted(told.small[0], 'class has', 'classes have')} at most {counted(told.k, 'pair')}"
            f" ({told.small[1]:,} in all): others outvote {them}, so look at {their} labels yourself"
        )
    if told.noise is not None and not told.noise.told:
        yield (
            "the neighbours in the two modalities hardly agree with each other: these embeddings do not show these"
            " classes, or the labels are noise throughout; the rate is a usual one, not a measured one"
        )
    if told.recall < 1:
        yield f"neighbours were searched approximately: {told.recall:.1%} of the true ones were found"


def _write(run: Run, claim: Claim) -> Accounting:
    if run.folder is not None:
        return _write_shards(run, run.folder, claim)
    schema = attach(run.schema, {"shards": [run.provenance(table) for table in run.tables]})
    options = run.options
    with one_table(options.out, schema, options.format, csv_safe=options.csv_safe) as writer:
        for table in run.tables:
            for batch in run.batches(table):
                writer.write(run.tally.counted(batch))
    return Accounting(len(run.tables), 0, (), dict(run.tally.statuses))


def _write_shards(run: Run, folder: str, claim: Claim) -> Accounting:
    """A table for each shard: those of an earlier run stay."""
    earlier = {table.shard: _finished(run, table) for table in run.tables}
    became: dict[Shard, Outcome] = {
        shard: ShardRows(tally.statuses, resumed=True, more=tally) for shard, tally in earlier.items() if tally
    }
    left = [table for table in run.tables if table.shard not in became]
    _ = run.found if left else None  # all that follows is writing
    for table in run.tables:
        if table.shard in became:
            run.progress.kept(table.rows)
    if left and run.site.elsewhere:
        claim.begin_all()
    if left:
        became |= _written(run, folder, left)
    for outcome in became.values():
        if isinstance(outcome, ShardRows):
            run.tally.add(outcome.more)
    return accounted(folder, output_of, [(table.shard, became[table.shard]) for table in run.tables], alone=True)


def _finished(run: Run, table: EmbeddingTable) -> LabelTally | None:
    """The tally of what an earlier run has left, where it still holds."""
    if run.options.redo:
        return None
    return run.earlier.told_by(table.shard.output(run.options.out), run.provenance(table), label_tally_of)


def _written(run: Run, folder: str, tables: Sequence[EmbeddingTable]) -> dict[Shard, Outcome]:
    tasks = [Task(table.shard, _to_write(run, table), table.rows) for table in tables]
    engine = run.site.engine(writing(folder, run.form))
    return {task.shard: outcome for task, outcome in engine.run(tasks, run.progress)}


def _to_write(run: Run, table: EmbeddingTable) -> ToWrite:
    path = table.shard.output(run.options.out)
    return ToWrite(path, run.provenance(table), table, run.found.answers(table))


def _result(run: Run, accounts: Accounting, notes: Sequence[str], seconds: float) -> LabelsResult:
    facts, rate = run.facts, run.facts["noise_rate"] or {}
    return LabelsResult(
        out=run.options.out,
        label_column=run.options.label_column,
        label_means=facts["label_means"],
        k=facts["k"],
        k_chosen=run.options.k is None,
        classes=facts["classes"],
        noise_rate=rate.get("rate"),
        noise_rate_low=rate.get("low"),
        noise_rate_high=rate.get("high"),
        noise_rate_told=bool(rate.get("told")),
        class_names=tuple(facts["class_names"]),
        class_noise_matrix=tuple(tuple(row) for row in facts["class_noise_matrix"]),
        confusions=tuple(facts["confusions"]),
        partitions=dict(run.tally.partitions),
        suggestions=run.tally.suggested,
        unlabelled=run.tally.unlabelled,
        small_classes=facts["small_classes"],
        small_class_pairs=facts["small_class_pairs"],
        accounting=accounts,
        seconds=seconds,
        notes=(*notes, *facts["notes"], *training_notes(run.tables)),
    )
