"""`embed`: raw shards to embedding tables. Decides what must be done, with which model and batch size, and resumes.

Knows options, shards and tables; nothing of Typer. The model is loaded and used in this process (`embed_here`), or in
one per device (`embed_workers`); what happens inside a shard is `embed_shard`'s.
"""

import fnmatch
import glob
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic
from typing import Any

import pyarrow as pa

from ncaudit.core.device import pick_devices
from ncaudit.encoders.open_clip import ModelIdentity, ModelSource, model_source
from ncaudit.engines.local import Accounting, Outcome, ShardRows, account, outcomes
from ncaudit.errors import BadTable, NcauditError
from ncaudit.matchers.heads.behind import learnt_from_note
from ncaudit.matchers.heads.headed_encoder import encoder_options, heads_of, source_behind
from ncaudit.matchers.heads.projection import SavedHeads
from ncaudit.options import STREAM, EmbedOptions, Precision
from ncaudit.progress import SILENT, Progress
from ncaudit.schema import OK
from ncaudit.shards.columns import find_columns
from ncaudit.shards.dataset.keys import PairNames
from ncaudit.shards.files.locations import is_remote, real
from ncaudit.shards.files.provenance import EMBED_RECORD, EarlierOutputs, Provenance, fingerprint
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.files.writer import atomic_file
from ncaudit.shards.readers import open_shard
from ncaudit.shards.streams.standard_input import received
from ncaudit.verbs.embed.files import Files, files_of
from ncaudit.verbs.embed.model_here import ModelHere, table_provenance
from ncaudit.verbs.embed.model_in_workers import ModelInWorkers
from ncaudit.verbs.embed.model_to_stream import ModelToStream
from ncaudit.verbs.outputs import is_at_or_below
from ncaudit.version import FORMATS, format_of, told_alike, written_by


@dataclass(frozen=True, kw_only=True)
class EmbedResult:
    """What `embed` did: the accounts, and what its tables rest on."""

    out: str
    model: ModelIdentity
    batch_pairs: int
    key: str | None  # the column that pairs are named by; None: shard and row
    input_rows: int  # of the shards that could be done; fewer than the accounts' rows where a row has several captions
    accounting: Accounting
    seconds: float
    notes: tuple[str, ...] = ()


def embed(options: EmbedOptions, progress: Progress = SILENT) -> EmbedResult:
    """Write one embedding table per shard below `options.out`; finished ones stay as they are. Or one stream of rows.

    Raises NcauditError when no shard can be done at all: no such input, no columns, no model.
    """
    with received(options.sources) as given:
        root = options.image_root or (os.getcwd() if given.spooled else None)
        return _embed(replace(options, sources=given.sources, image_root=root), given.notes, progress)


def _embed(options: EmbedOptions, notes: Sequence[str], progress: Progress) -> EmbedResult:
    begun = monotonic()
    options = _on_devices(options)
    shards = find_shards(options.sources)
    _refuse_overlap(options, shards)
    counts, key = _looked_at(options, shards)
    plan = _plan(options, shards, key, progress)
    progress.stage("embed", sum(counts.values()))
    accounting = _run(plan, shards, progress)
    failed = {error.shard for error in accounting.shard_errors}
    return EmbedResult(
        out=options.out, model=plan.identity, batch_pairs=plan.batch_pairs, key=key, accounting=accounting,
        input_rows=sum(rows for shard, rows in counts.items() if shard.name not in failed),
        seconds=monotonic() - begun, notes=(*notes, *_notes(plan, shards)),
    )  # fmt: skip


def _on_devices(options: EmbedOptions) -> EmbedOptions:
    """The options with each of `devices` by its name; a single one is `device`."""
    if options.devices is None:
        return options
    first, *others = pick_devices(options.devices)
    return replace(options, devices=(first, *others)) if others else replace(options, device=first, devices=None)


@dataclass(frozen=True)
class _Plan:
    """What this run writes into every table, which tables are there already, and the model if any is not."""

    options: EmbedOptions
    identity: ModelIdentity
    heads: SavedHeads | None
    batch_pairs: int
    finished: frozenset[Shard]
    model: ModelHere | ModelInWorkers | ModelToStream | None
    files: Files | None = None  # None: the rows go into a stream


def _plan(options: EmbedOptions, shards: Sequence[Shard], key: str | None, progress: Progress) -> _Plan:
    """Load the model only if something is left to do, and settle the batch size before the first shard."""
    heads = heads_of(options)
    if options.out == STREAM:
        stream = ModelToStream.load(options, key)
        return _Plan(options, stream.identity, heads, stream.batch_pairs, frozenset(), stream)
    source, record = model_source(encoder_options(options, heads) if heads else options), _read_record(options.out)
    source = source_behind(source, options.model) if heads else source
    known = _known_identity(record, source, options)
    names = [shard.name for shard in shards]
    files = files_of(options, names)
    files.refuse_others()
    finished_at = partial(_finished, files, shards, EarlierOutputs(progress.note))
    batch = options.batch_pairs or record.get("batch_pairs", 0)
    if known is not None and batch:
        finished = finished_at(_made_from(options, key, known), batch)
        if len(finished) == len(shards):
            return _Plan(options, known, heads, batch, finished, None, files)
    asked = replace(options, precision=Precision(known.precision)) if known else options
    model = _load(asked, key, record, names, progress)
    try:
        _write_record(options.out, model.identity, source, model.batch_pairs)
        finished = finished_at(_made_from(options, key, model.identity), model.batch_pairs)
    except BaseException:
        model.close()
        raise
    return _Plan(options, model.identity, heads, model.batch_pairs, finished, model, files)


def _load(
    options: EmbedOptions, key: str | None, record: dict[str, Any], shards: Sequence[str], progress: Progress
) -> ModelHere | ModelInWorkers:
    if options.devices is None:
        return ModelHere.load(options, key, record, shards)
    return ModelInWorkers(options, key, record, shards, progress)


def _notes(plan: _Plan, shards: Sequence[Shard]) -> tuple[str, ...]:
    learnt_from = plan.heads.description.get("sources", ()) if plan.heads else ()
    seen = sum(fingerprint(shard) in learnt_from for shard in shards) if learnt_from else 0
    return (learnt_from_note(seen, len(shards), "shards"),) if seen else ()


def _run(plan: _Plan, shards: Sequence[Shard], progress: Progress) -> Accounting:
    became: dict[Shard, Outcome] = {}
    if plan.files is not None:
        resumed = partial(_resumed, plan.files, progress)
        became |= outcomes([shard for shard in shards if shard in plan.finished], resumed)
    if plan.model is not None:
        with closing(plan.model) as model:
            became |= model.run([shard for shard in shards if shard not in plan.finished], progress)
    return account([(shard, became[shard]) for shard in shards])


def _resumed(files: Files, progress: Progress, shard: Shard) -> ShardRows:
    """The accounts of a finished shard, from its files themselves."""
    counts = files.statuses(shard)
    progress.advance(open_shard(shard).rows, sum(counts.values()) - counts.get(OK, 0))
    return ShardRows(counts, resumed=True)


def _made_from(options: EmbedOptions, key: str | None, identity: ModelIdentity) -> Callable[[Shard, int], Provenance]:
    return lambda shard, batch_pairs: table_provenance(shard, options, key, identity, batch_pairs)


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
    try:
        found = files.made_from(shard) or {}
    except BadTable:
        return False
    size = found.get("options", {}).get("batch_pairs")
    halved = {batch_pairs >> times for times in range(batch_pairs.bit_length())}  # what running out of memory leads to
    return size in halved and earlier.hold_as_told(shard.name, found, made_from(shard, size))


def _read_record(out: str) -> dict[str, Any]:
    """What an earlier run into this folder settled, empty when there is none to be trusted."""
    try:
        with open(os.path.join(out, EMBED_RECORD), encoding="utf-8") as file:
            record = json.load(file)
    except (OSError, ValueError):
        return {}
    whole = isinstance(record, dict) and {"model", "weights", "batch_pairs"} <= set(record)
    return record if whole and format_of(record) == FORMATS["embed"] else {}


def _write_record(out: str, identity: ModelIdentity, source: ModelSource, batch_pairs: int) -> None:
    """Written before the first shard: the rerun after a kill must cut its batches in the same places."""
    record = {
        **written_by("embed"),
        "verb": "embed",
        "model": identity.as_dict(),
        "weights": source.fingerprint(),
        "folder": source.folder and os.path.abspath(source.folder),  # where heads on these embeddings find the encoder
        "batch_pairs": batch_pairs,
    }
    if not told_alike(_read_record(out), record):
        with atomic_file(os.path.join(out, EMBED_RECORD)) as file:
            file.write(json.dumps(record, indent=2, sort_keys=True).encode() + b"\n")


def _known_identity(record: dict[str, Any], source: ModelSource, options: EmbedOptions) -> ModelIdentity | None:
    """The identity of the model as an earlier run recorded it, if the model is certainly still the same.

    Local files are compared by their content. A tag or hub name is taken by its word while nothing is left to do; when
    something is, the model gets loaded and its weights are hashed.
    """
    if not record:
        return None
    identity = ModelIdentity.from_dict(record["model"])
    same = identity.name == source.name and record["weights"] == source.fingerprint()
    return identity if same and options.precision in (Precision.auto, identity.precision) else None


def _looked_at(options: EmbedOptions, shards: Sequence[Shard]) -> tuple[dict[Shard, int], str | None]:
    """The rows of every shard and the column that names the pairs, from one look at each.

    Shards that cannot be read are left out, and reported when it is their turn. A wrong command is told before a model
    is loaded and anything is written; one good shard is enough to go on.
    """
    names, counts = PairNames(shards, options.key), dict[Shard, int]()
    found: dict[Shard, pa.Schema | BadTable] = {}
    for shard in shards:
        try:
            file = open_shard(shard)
            counts[shard], found[shard] = file.rows, file.schema
            names.see(shard, file)
        except BadTable as error:
            found[shard] = error
    _refuse_emptiness(shards, counts)
    names.refuse_repeats()
    _refuse_if_none_fits(options, found, names.column)
    return counts, names.column


def _refuse_if_none_fits(
    options: EmbedOptions, found: Mapping[Shard, pa.Schema | BadTable], key: str | None
) -> None:
    errors: list[NcauditError] = []
    for shard, schema in found.items():
        try:
            if isinstance(schema, BadTable):
                raise schema
            find_columns(schema, shard.name, options, key=key, carry=options.columns)
        except NcauditError as error:
            errors.append(error)
        else:
            return
    raise errors[0]


def _refuse_emptiness(shards: Sequence[Shard], counts: Mapping[Shard, int]) -> None:
    if not any(counts.values()) and len(counts) == len(shards):
        files = f"{shards[0].path} holds" if len(shards) == 1 else f"all {len(shards)} shards hold"
        raise BadTable(f"{files} no rows", fix="name the files that hold the pairs")


def _refuse_overlap(options: EmbedOptions, shards: Sequence[Shard]) -> None:
    """Inputs and outputs must not meet: a table would be overwritten, or read as data by the next run."""
    if options.out == STREAM:
        return
    out = os.path.realpath(options.out)
    inside = [s for s in shards if not is_remote(s.path) and is_at_or_below(os.path.realpath(s.path), out)]
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
    if is_remote(source):
        return False
    path = real(source)
    if os.path.isdir(path):
        return is_at_or_below(out, path)
    if not glob.has_magic(source) or os.path.exists(path):
        return False
    wanted, parts = path.split(os.sep), out.split(os.sep)
    if "**" in wanted:
        fixed = os.sep.join(wanted[: next(i for i, part in enumerate(wanted) if glob.has_magic(part))])
        return is_at_or_below(out, fixed)
    return len(parts) >= len(wanted) and all(fnmatch.fnmatch(p, w) for p, w in zip(parts, wanted, strict=False))


