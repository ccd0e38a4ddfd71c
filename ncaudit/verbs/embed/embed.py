"""`embed`: raw shards to embedding tables. Decides what must be done, with which model and batch size, and resumes.

Knows options, shards and tables; nothing of Typer. The model is loaded and used in this process (`embed_here`), or in
one per device (`embed_workers`); what happens inside a shard is `embed_shard`'s.
"""

import fnmatch
import glob
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ncaudit import own_json
from ncaudit.core.device import pick_devices
from ncaudit.counts import counted
from ncaudit.encoders.open_clip import ModelIdentity, ModelSource, model_source
from ncaudit.engines.local import Accounting, Outcome, ShardRows, account, outcomes
from ncaudit.engines.on_ray.chosen import require_engine
from ncaudit.engines.pace import computing
from ncaudit.errors import BadTable, NcauditError
from ncaudit.matchers.heads.behind import learnt_from_note
from ncaudit.matchers.heads.headed_encoder import encoder_options, heads_of, source_behind
from ncaudit.matchers.heads.projection import SavedHeads
from ncaudit.options import STREAM, EmbedOptions, EngineKind, Precision
from ncaudit.progress import SILENT, Progress
from ncaudit.readable import Readable
from ncaudit.schema import OK, UNFINISHED
from ncaudit.shards.claims.claims import Claim, asked, ours_in
from ncaudit.shards.claims.commands import made_by
from ncaudit.shards.claims.departed import settle_departed
from ncaudit.shards.claims.records import EMBED_RECORD, read_record
from ncaudit.shards.columns import Columns, carriable, find_columns, not_carried, refuse_unread_root
from ncaudit.shards.dataset.keys import PairNames
from ncaudit.shards.dataset.null_types import Types, as_text, from_text, settled_types
from ncaudit.shards.files.locations import exists, is_at_or_below, is_dir, is_remote, join, real, reals
from ncaudit.shards.files.provenance import EarlierOutputs, Provenance
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.files.writer import remove_file
from ncaudit.shards.readers import open_shard
from ncaudit.shards.streams.standard_input import SPOOLED, received
from ncaudit.verbs.embed.files import ClipRetrievalOutput, Files, TableFiles, files_of
from ncaudit.verbs.embed.model_here import ModelHere, table_provenance
from ncaudit.verbs.embed.model_in_workers import ModelInWorkers
from ncaudit.verbs.embed.model_to_stream import ModelToStream
from ncaudit.verbs.outputs import accounted, inputs_of, of_all_parts, part_of, told_by_options, versions_of
from ncaudit.version import same_results

if TYPE_CHECKING:
    from ncaudit.verbs.embed.model_on_ray import ModelOnRay  # Ray is an extra

    Model = ModelHere | ModelInWorkers | ModelOnRay

STAGES = {"look at the shards": 0.0, "load the model": 0.0, "images and captions": 1.0}


@dataclass(frozen=True, kw_only=True, repr=False)
class EmbedResult(Readable, first=("accounting", "out", "seconds")):
    """What `embed` did: the accounts, and what its tables rest on."""

    out: str
    model: ModelIdentity
    batch_pairs: int
    key: str | None  # the column that pairs are named by; None: shard and row
    input_rows: int  # of the shards that could be done; fewer than the accounts' rows where a row has several captions
    accounting: Accounting
    seconds: float
    part: str | None = None  # I/N of --slice, of which all numbers are; None: of all shards
    notes: tuple[str, ...] = ()


def embed(options: EmbedOptions, progress: Progress = SILENT) -> EmbedResult:
    """Write one embedding table per shard below `options.out`; finished ones stay as they are. Or one stream of rows.

    Raises NcauditError when no shard can be done at all: no such input, no columns, no model.
    """
    reading = received(options.sources, options.max_row_bytes)
    with made_by(of_all_parts(options)), computing(options.threads, exact=True), reading as given:
        root = options.image_root or (os.getcwd() if given.spooled else None)
        return _embed(replace(options, sources=given.sources, image_root=root), given.notes, progress)


def _embed(options: EmbedOptions, notes: Sequence[str], progress: Progress) -> EmbedResult:
    begun = monotonic()
    progress.job("embed", STAGES)
    ready = made_ready(on_devices(options), progress)
    options, shards, look = ready.options, ready.own, ready.look
    with ready.claim.held():
        departed = _departed(ready)
        plan = _plan(ready, progress)
        progress.stage("images and captions", sum(look.rows.get(shard, 0) for shard in shards))
        accounting = _run(plan, shards, progress)
    failed = {error.shard for error in accounting.shard_errors}
    return EmbedResult(
        out=options.out, model=plan.identity, batch_pairs=plan.batch_pairs, key=look.key, accounting=accounting,
        input_rows=sum(look.rows.get(shard, 0) for shard in shards if shard.name not in failed),
        seconds=monotonic() - begun, part=part_of(options),
        notes=(*notes, *departed, *_notes(plan, shards), *look.left_out(options.columns), *_unfinished(accounting),
               *options.told_of(len(shards), len(ready.shards))),
    )  # fmt: skip


def on_devices(options: EmbedOptions) -> EmbedOptions:
    """The options with each of `devices` by its name; a single one is `device`."""
    if options.devices is None:
        return options
    first, *others = pick_devices(options.devices)
    return replace(options, devices=(first, *others)) if others else replace(options, device=first, devices=None)


@dataclass(frozen=True)
class Ready:
    """All that is settled before anything is touched: what is read, where its rows go, and that they may."""

    options: EmbedOptions
    shards: Sequence[Shard]
    look: "Look"
    files: TableFiles | ClipRetrievalOutput
    claim: Claim

    @property
    def own(self) -> list[Shard]:
        """The shards that this run does: all of them, or its part."""
        return self.options.own(self.shards)


def made_ready(options: EmbedOptions, progress: Progress) -> Ready:
    """Raises NcauditError for whatever is wrong with inputs and outputs, as far as looks can tell."""
    require_engine(options)
    shards = find_shards(options.sources, max_row_bytes=options.max_row_bytes)
    _refuse_overlap(options, shards)
    look = _looked_at(options, shards, progress)
    files = files_of(options, [shard.name for shard in shards])
    if isinstance(files, TableFiles):
        files.look_at(options.own(shards))
    claim = _claimed(options, files, shards)
    claim.expects = {files.last(shard): look.rows.get(shard) for shard in shards}
    return Ready(options, shards, look, files, claim)


@dataclass(frozen=True)
class Look:
    """What one look at every shard told. rows, schema_of: of the shards that can be read."""

    rows: Mapping[Shard, int]
    schema_of: Mapping[Shard, pa.Schema]
    key: str | None  # the column that names the pairs; None: shard and row
    columns: Columns  # of the first shard that fits

    @property
    def schemas(self) -> list[pa.Schema]:
        """In the order of the shards."""
        return list(self.schema_of.values())

    def types(self, options: EmbedOptions, record: Mapping[str, Any]) -> Types:
        """Of all columns that are carried: what an earlier run has settled stays."""
        chosen = [carriable(schema, options.columns) for schema in self.schemas]
        return settled_types(chosen, from_text(record.get("types")))

    def left_out(self, columns: Sequence[str] | None) -> list[str]:
        """What must be said of columns that no table of ours can hold."""
        names = (
            dict.fromkeys(name for schema in self.schemas for name in not_carried(schema)) if columns is None else ()
        )
        return [f"left out, as parquet has no such type: {', '.join(names)}"] if names else []


@dataclass(frozen=True)
class _Plan:
    """What this run writes into every table, which tables are there already, and the model if any is not."""

    options: EmbedOptions
    identity: ModelIdentity
    heads: SavedHeads | None
    batch_pairs: int
    finished: frozenset[Shard]
    model: "Model | ModelToStream | None"
    files: Files | None = None  # None: the rows go into a stream


def _claimed(options: EmbedOptions, files: TableFiles | ClipRetrievalOutput, shards: Sequence[Shard]) -> Claim:
    """All files of this run; of the model nothing is written over either."""
    places = [] if options.out == STREAM else [files.place(shards)]
    return asked("embed", places, inputs_of(shards), overwrite=options.overwrite)


def others_in_partitions(ready: Ready) -> list[str]:
    """Own files among clip-retrieval partitions that have no input any more: what --prune removes of them."""
    files, place = ready.files, next(iter(ready.claim.places), None)
    if place is None or not isinstance(files, ClipRetrievalOutput):
        return []
    return [*filter(ours_in("embed", place), files.others(ready.shards))]


def _departed(ready: Ready) -> list[str]:
    """What to tell of what an earlier run has left that has no input any more."""
    options, files, claimed, shards = ready.options, ready.files, ready.claim, ready.shards
    if options.out == STREAM:
        return []
    if isinstance(files, TableFiles):
        files.refuse_others(shards)
        return settle_departed(claimed, claimed.places[0], shards, prune=options.prune)
    gone = others_in_partitions(ready) if options.prune else []
    for name in gone:
        remove_file(claimed.places[0].at(name))
    files.refuse_others(shards)
    return [f"{counted(len(gone), 'file')} in {options.out} without an input removed"] if gone else []


@dataclass(frozen=True)
class Known:
    """What is known before a model is loaded. finished: None where only the model can tell."""

    source: ModelSource
    record: Mapping[str, Any]
    identity: ModelIdentity | None  # of the model, where an earlier run has told it and it is certainly the same
    types: Types
    batch: int  # 0: not settled yet
    finished: frozenset[Shard] | None


def known_before(ready: Ready, heads: SavedHeads | None, progress: Progress) -> Known:
    """What an earlier run into the same folder has settled and finished. Raises ModelUnavailable for a wrong name."""
    options, look = ready.options, ready.look
    source, record = source_of(options, heads), _read_record(options.out)
    if own_json.is_damaged(join(options.out, EMBED_RECORD)):
        progress.note(f"{join(options.out, EMBED_RECORD)} is damaged: it is written anew")
    identity, types = _known_identity(record, source, options), look.types(options, record)
    batch = options.batch_pairs or record.get("batch_pairs", 0)
    finished = finished_with(ready, identity, types, batch, progress) if identity and batch else None
    return Known(source, record, identity, types, batch, finished)


def source_of(options: EmbedOptions, heads: SavedHeads | None) -> ModelSource:
    """Where the model is, behind its heads. Raises ModelUnavailable for a name or folder that cannot be meant."""
    source = model_source(encoder_options(options, heads) if heads else options)
    return source_behind(source, options.model) if heads else source


def finished_with(
    ready: Ready, identity: ModelIdentity, types: Types, batch: int, progress: Progress
) -> frozenset[Shard]:
    """The shards that nothing needs to be done for with this model."""
    made_from = _made_from(ready.options, ready.look, types, identity)
    return _finished(ready.files, ready.own, EarlierOutputs(progress.note), made_from, batch)


def _plan(ready: Ready, progress: Progress) -> _Plan:
    """Load the model only if something is left to do, and settle the batch size before the first shard."""
    options, shards, look, files, claimed = ready.options, ready.own, ready.look, ready.files, ready.claim
    heads, key = heads_of(options), look.key
    if options.out == STREAM:
        progress.stage("load the model", None)
        stream = ModelToStream.load(options, key, look.types(options, {}))
        return _Plan(options, stream.identity, heads, stream.batch_pairs, frozenset(), stream)
    known = known_before(ready, heads, progress)
    identity, types = known.identity, known.types
    if identity is not None and known.finished is not None and len(known.finished) == len(shards):
        return _Plan(options, identity, heads, known.batch, known.finished, None, files)
    asks = replace(options, precision=Precision(identity.precision)) if identity else options
    progress.stage("load the model", None)
    model = _load(asks, ready, types, known.record, progress)
    try:
        _refuse_another_model(options, files, shards, model.identity)
        claimed.settle(_deciding(options, model.identity))
        facts = _record(model.identity, known.source, model.batch_pairs, types)
        if options.slice is None:
            claimed.begin(claimed.places[0], facts)
        else:
            model = _as_settled(model, claimed.begin_first(claimed.places[0], facts), options)
        finished = finished_with(ready, model.identity, types, model.batch_pairs, progress)
    except BaseException:
        model.close()
        raise
    return _Plan(options, model.identity, heads, model.batch_pairs, finished, model, files)


def _as_settled(model: "Model", record: Mapping[str, Any], options: EmbedOptions) -> "Model":
    """The model with the batch size that the first part has found. Raises NcauditError where it loaded another one."""
    there = record["model"]
    if there != model.identity.as_dict():
        raise NcauditError(
            f"another part of this run has loaded {there.get('name')} in {there.get('precision')}, this one"
            f" {model.identity.name} in {model.identity.precision}",
            fix="give --precision, and the same model, to all parts",
        )
    return model if options.batch_pairs else model.at_batch(record["batch_pairs"])


def _load(options: EmbedOptions, ready: Ready, types: Types, record: Mapping[str, Any], progress: Progress) -> "Model":
    key, names = ready.look.key, [shard.name for shard in ready.shards]
    if options.engine is EngineKind.ray:
        from ncaudit.verbs.embed.model_on_ray import ModelOnRay  # Ray is an extra

        return ModelOnRay(options, key, types, record, ready.shards, ready.look.rows, progress)
    if options.devices is None:
        return ModelHere.load(options, key, types, record, names)
    return ModelInWorkers(options, key, types, record, names, progress)


def _notes(plan: _Plan, shards: Sequence[Shard]) -> tuple[str, ...]:
    learnt_from = plan.heads.description.get("sources", ()) if plan.heads else ()
    seen = sum(version in learnt_from for _, version in versions_of(shards)) if learnt_from else 0
    return (learnt_from_note(seen, len(shards), "shards"),) if seen else ()


def _unfinished(accounting: Accounting) -> tuple[str, ...]:
    count = accounting.statuses.get(UNFINISHED, 0)
    told = "decoding took too long or lacked memory (`detail` says which); rerun to try them again"
    return (f"{count:,} {UNFINISHED}: {told}",) if count else ()


def _run(plan: _Plan, shards: Sequence[Shard], progress: Progress) -> Accounting:
    became: dict[Shard, Outcome] = {}
    if plan.files is not None:
        resumed = partial(_resumed, plan.files, progress)
        became |= outcomes([shard for shard in shards if shard in plan.finished], resumed)
    if plan.model is not None:
        with closing(plan.model) as model:
            became |= model.run([shard for shard in shards if shard not in plan.finished], progress)
    tried = [(shard, became[shard]) for shard in shards]
    if plan.files is None:
        return account(tried)
    return accounted(plan.options.out, plan.files.last, tried, alone=plan.options.slice is None)


def _resumed(files: Files, progress: Progress, shard: Shard) -> ShardRows:
    """The accounts of a finished shard, from its files themselves."""
    counts = files.statuses(shard)
    progress.kept(open_shard(shard, choosing=True).rows, sum(counts.values()) - counts.get(OK, 0))
    return ShardRows(counts, resumed=True)


def _made_from(
    options: EmbedOptions, look: Look, types: Types, identity: ModelIdentity
) -> Callable[[Shard, int], Provenance]:
    def made_from(shard: Shard, batch_pairs: int) -> Provenance:
        return table_provenance(shard, options, look.key, types, identity, batch_pairs, look.schema_of.get(shard))

    return made_from


def _finished(
    files: Files,
    shards: Sequence[Shard],
    earlier: EarlierOutputs,
    made_from: Callable[[Shard, int], Provenance],
    batch_pairs: int,
) -> frozenset[Shard]:
    """The shards whose files are whole and were made from exactly this: nothing needs to be done for them.

    made_from: the provenance of a shard's files at a batch size.
    """
    return frozenset(s for s in shards if _is_finished(files, s, earlier, made_from, batch_pairs))


def _is_finished(
    files: Files,
    shard: Shard,
    earlier: EarlierOutputs,
    made_from: Callable[[Shard, int], Provenance],
    batch_pairs: int,
) -> bool:
    halved = {batch_pairs >> times for times in range(batch_pairs.bit_length())}  # what running out of memory leads to
    try:
        found = files.made_from(shard) or {}
    except BadTable as error:
        earlier.damaged(shard.name, error)
        return False
    size = found.get("options", {}).get("batch_pairs")
    try:
        expected = made_from(shard, size if size in halved else batch_pairs)
    except BadTable:  # of the shard itself, which then fails where it is to be read
        return False
    if not earlier.hold_as_told(shard.name, found or None, expected):
        return False
    try:
        return not files.statuses(shard).get(UNFINISHED)  # another time the machine may have the time, or the memory
    except BadTable as error:
        earlier.damaged(shard.name, error)
        return False


def _read_record(out: str) -> dict[str, Any]:
    """What an earlier run into this folder settled, empty when there is none to be trusted."""
    record = read_record(join(out, EMBED_RECORD)) or {}
    whole = {"model", "weights", "batch_pairs"} <= set(record) and _is_identity(record["model"])
    whole = whole and record["batch_pairs"] > 0
    return record if whole and same_results(record, "embed") else {}


def _is_identity(told: Any) -> bool:
    try:
        ModelIdentity.from_dict(told)
    except (TypeError, KeyError, ValueError):
        return False
    return True


def _record(identity: ModelIdentity, source: ModelSource, batch_pairs: int, types: Types) -> dict[str, Any]:
    """Written before the first shard: the rerun after a kill must cut its batches in the same places."""
    return {
        "model": identity.as_dict(),
        "weights": source.fingerprint(),
        "folder": source.place,  # where heads on these embeddings find the encoder
        "batch_pairs": batch_pairs,
        "types": as_text(types),  # of columns that are null throughout some shard, now or later
    }


def _deciding(options: EmbedOptions, identity: ModelIdentity) -> dict[str, Any]:
    """What two runs share that may fill one folder together, each with shards of its own."""
    by_content = {"model", "pretrained", "precision", "image_root"}
    told = {name: value for name, value in told_by_options(options).items() if name not in by_content}
    return {"options": told, "model": identity.as_dict()}


def _refuse_another_model(
    options: EmbedOptions, files: Files, shards: Sequence[Shard], identity: ModelIdentity
) -> None:
    """Raises NcauditError where embeddings of another model would be thrown away unasked.

    The same weights in another precision, or under another name, are the same model.
    """
    wanted = identity.as_dict()
    parts = sorted({*wanted, "heads"} - {"name", "precision"})
    found = [told for shard in shards if (told := _model_of(files, shard)) is not None]
    others = [told for told in found if any(told.get(part) != wanted.get(part) for part in parts)]
    if not others or options.overwrite:
        return
    differs = ", ".join(part for part in parts if others[0].get(part) != wanted.get(part))
    held = counted(len(others), "shard")
    raise NcauditError(
        f"{options.out} holds {held} embedded by {others[0].get('name')}, and {identity.name} is another model"
        f" ({differs}): all of that would be thrown away",
        fix="give another folder with --out, or --overwrite to embed it again",
    )


def _model_of(files: Files, shard: Shard) -> dict[str, Any] | None:
    """Which model made what is there of a shard; None where nothing is, or nothing says so."""
    try:
        found = files.made_from(shard) or {}
    except (BadTable, ValueError):
        return None
    return found.get("model") if found.get("verb") == "embed" else None


def _known_identity(record: Mapping[str, Any], source: ModelSource, options: EmbedOptions) -> ModelIdentity | None:
    """The identity of the model as an earlier run recorded it, if the model is certainly still the same.

    Local files are compared by their content, whatever they are called now. A tag or hub name is taken by its word
    while nothing is left to do; when something is, the model gets loaded and its weights are hashed.
    """
    if not record:
        return None
    identity = ModelIdentity.from_dict(record["model"])
    weights = source.fingerprint()
    same = record["weights"] == weights and (weights is not None or identity.name == source.name)
    return identity if same and options.precision in (Precision.auto, identity.precision) else None


def _looked_at(options: EmbedOptions, shards: Sequence[Shard], progress: Progress) -> Look:
    """The rows and columns of every shard and the column that names the pairs, from one look at each.

    Shards that cannot be read are left out, and reported when it is their turn. A wrong command is told before a model
    is loaded and anything is written; one good shard is enough to go on.
    """
    names, counts = PairNames(shards, options.key), dict[Shard, int]()
    found: dict[Shard, pa.Schema | BadTable] = {}
    progress.stage("look at the shards", len(shards), "shards")
    for shard in shards:
        try:
            file = open_shard(shard, choosing=True)
            counts[shard], found[shard] = file.rows, file.schema
            names.see(shard, file)
        except BadTable as error:
            found[shard] = error
        progress.advance(1)
    _refuse_emptiness(shards, counts)
    names.refuse_repeats()
    fitting = _fitting(options, found, names.column)
    readable = {shard: schema for shard, schema in found.items() if isinstance(schema, pa.Schema)}
    return Look(counts, readable, names.column, fitting)


def _fitting(options: EmbedOptions, found: Mapping[Shard, pa.Schema | BadTable], key: str | None) -> Columns:
    """The columns of the first shard that has them. Raises the first error where none has."""
    errors, fitting = list[NcauditError](), list[Columns]()
    for shard, schema in found.items():
        if fitting and options.image_root is None:
            break  # only whether all images are files would be asked of the others
        try:
            if isinstance(schema, BadTable):
                raise schema
            fitting.append(find_columns(schema, shard.name, options, key=key, carry=options.columns))
        except NcauditError as error:
            errors.append(error)
    if not fitting:
        raise errors[0]
    if not any(shard.name == SPOOLED for shard in found):  # there it is the working folder unless told otherwise
        refuse_unread_root(fitting, options.image_root)
    return fitting[0]


def _refuse_emptiness(shards: Sequence[Shard], counts: Mapping[Shard, int]) -> None:
    if not any(counts.values()) and len(counts) == len(shards):
        files = f"{shards[0].path} holds" if len(shards) == 1 else f"all {len(shards)} shards hold"
        raise BadTable(f"{files} no rows", fix="name the files that hold the pairs")


def _refuse_overlap(options: EmbedOptions, shards: Sequence[Shard]) -> None:
    """Inputs and outputs must not meet: a table would be overwritten, or read as data by the next run."""
    if options.out == STREAM:
        return
    out, at = real(options.out), reals(s.path for s in shards)
    inside = [s for s in shards if is_at_or_below(at[s.path], out)]
    if inside:
        raise NcauditError(f"{inside[0].path} is an input and lies in --out {options.out}", fix="give another --out")
    for source in options.sources:
        if _would_find(source, out):
            raise NcauditError(
                f"--out {options.out} lies in the input {source}, and would be read as data by the next run",
                fix="give a folder outside of it",
            )
    outputs = [shard.output(out) for shard in shards]
    if len(set(outputs)) < len(outputs):
        raise NcauditError("two inputs have the same output", fix="rename one of them")


def _would_find(source: str, out: str) -> bool:
    """Whether a rerun with this source would come across what lies in `out`."""
    if is_remote(source) != is_remote(out):
        return False
    path = real(source)
    if is_dir(path):
        return is_at_or_below(out, path)
    if not glob.has_magic(source) or exists(path):
        return False
    between = "/" if is_remote(path) else os.sep
    wanted, parts = path.split(between), out.split(between)
    if "**" in wanted:
        fixed = between.join(wanted[: next(i for i, part in enumerate(wanted) if glob.has_magic(part))])
        return is_at_or_below(out, fixed)
    return len(parts) >= len(wanted) and all(fnmatch.fnmatch(p, w) for p, w in zip(parts, wanted, strict=False))
