"""`inspect`: what is this, what does it hold, and what to do with it next.

Knows shards, their kinds and counts; nothing of Typer, and loads no torch. Light columns are read once, images sampled.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from ncaudit.counts import counted
from ncaudit.errors import BadTable
from ncaudit.options import InspectOptions
from ncaudit.progress import SILENT, Progress
from ncaudit.schema import DATASET_PREFIX, SCORE
from ncaudit.shards.columns import (
    Columns,
    ImageKind,
    caption_candidates,
    find_columns,
    key_candidates,
    refuse_unread_root,
)
from ncaudit.shards.dataset.image_cells import is_encoded
from ncaudit.shards.dataset.rows import read_column
from ncaudit.shards.files.formats import Format
from ncaudit.shards.files.layouts import features_in
from ncaudit.shards.files.locations import dirname, is_file
from ncaudit.shards.files.provenance import provenance_of
from ncaudit.shards.files.shard import ClipRetrievalFiles, FeaturedTable, Shard
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.readers import open_shard
from ncaudit.shards.rewriting.clip_retrieval_writer import failed_file
from ncaudit.shards.tables.embeddings import check_tables_agree, open_embeddings
from ncaudit.verbs.inspect import next_step
from ncaudit.verbs.inspect.census import Census, Counted, chosen_examples, take_census
from ncaudit.verbs.inspect.findings import (
    Captions,
    FolderInspection,
    Images,
    Inspection,
    KeyColumn,
    ShardsInspection,
    Told,
)
from ncaudit.verbs.inspect.image_sample import sample_images
from ncaudit.verbs.inspect.made_folders import MadeFolder, made_folder
from ncaudit.verbs.inspect.next_step import DatasetFindings, NextStep
from ncaudit.verbs.inspect.noticed_columns import NoticedColumns, noticed_columns
from ncaudit.verbs.inspect.shard_group import COUNT, LOOK, Opened, ShardGroup, open_groups
from ncaudit.verbs.inspect.shard_kinds import Kind, first_provenance, shared_provenance, sidecar_of

KEYS_COUNTED = 4
DOWNLOADS, LEFT_OUT = "status (sidecars)", "status (left out)"
WORDS = ("status", "verdict", "reason", "partition", "drop_reason", "is_match")


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """What a look at the shards has shown. others: what else lies there, its kind and one file of it."""

    group: ShardGroup
    others: Mapping[str, str]
    census: Census
    captions: Captions | None
    keys: tuple[KeyColumn, ...]
    images: Images | None = None
    dims: tuple[int, int] | None = None


def inspect(options: InspectOptions, progress: Progress = SILENT) -> Inspection:
    """Look at files, folders, globs or addresses: a `FolderInspection`, or a `ShardsInspection` of what most are.

    Memory: 8 bytes per row and key column, at most four of them. Raises NcauditError when nothing can be read at all.
    """
    folder = made_folder(options.sources[0]) if len(options.sources) == 1 else None
    if folder is not None:
        return _of_folder(options.sources[0], folder)
    progress.job("inspect", {LOOK: 0.0, COUNT: 1.0, "look at images": 0.0})
    group, others = open_groups(find_shards(options.sources, options.features, options.max_row_bytes), progress)
    kind = group.shards[0].kind.kind
    rows_of_tables = {"pair_id", "status"} <= set(group.schema.names)
    if kind in (Kind.dataset, Kind.scored_dataset) or (kind is Kind.dropped and not rows_of_tables):
        return _of_dataset(options, group, others)
    return _of_tables(options, group, others)


def _of_folder(path: str, folder: MadeFolder) -> FolderInspection:
    step = next_step.for_folder(folder, path)
    return FolderInspection(
        sources=(path,),
        kind=str(folder.kind),
        what=folder.words,
        next=step.commands,
        first=step.fixes,
        facts={name: value for name, value in folder.facts.items() if value is not None},
    )


def _of_dataset(options: InspectOptions, group: ShardGroup, others: Mapping[str, str]) -> ShardsInspection:
    """Shards with images, or what was meant to be."""
    columns, problem = _columns(options, group)
    keys = _keys(options, group)

    def counted(each: Opened) -> Counted:
        found = columns.get(each.shard.path)
        caption = found.caption if found else next(iter(caption_candidates(each.schema)), None)
        paths = found.image if found and found.kind is ImageKind.path and not found.many_images else None
        status = (found.status,) if found and found.status else ()
        return Counted(
            caption=caption, caption_fields=found.caption_fields if found else (),
            caption_lines=options.caption_lines, keys=tuple(keys), words=(*status, *_words(each.schema)), paths=paths,
            number=DATASET_PREFIX + "soft_label",
        )  # fmt: skip

    census, examples = group.census(counted)
    census.words |= _statuses_beside(group)
    captions = _captions(counted(group.shards[0]).caption, census, examples, group.schema)
    images = _images(options, group, columns, census)
    key_columns = _counted_keys(keys, census)
    found = DatasetFindings(
        captions=captions, images=images, keys=key_columns, columns=_noticed(group), problem=problem
    )
    verb = (shared_provenance(group.schema) or {}).get("verb")
    step = next_step.for_dataset(options, group, verb, found)
    seen = _Seen(group=group, others=others, census=census, captions=captions, keys=key_columns, images=images)
    return _inspection(options, seen, step)


def _of_tables(options: InspectOptions, group: ShardGroup, others: Mapping[str, str]) -> ShardsInspection:
    """Tables of pairs without images: ours, or another tool's embeddings and scores."""
    keys = [name for name in ("pair_id",) if name in group.schema.names]
    caption = next((name for name in ("caption",) if name in group.schema.names), None)

    def counted(each: Opened) -> Counted:
        return Counted(caption=caption, keys=tuple(keys), words=_words(each.schema), number="soft_label")

    census, examples = group.census(counted)
    captions = _captions(caption, census, examples, group.schema)
    dims, problem = _dims(group)
    provenance = provenance_of(group.schema) or {}
    statuses = dict(census.words.get("status", ()))
    census.words |= _statuses_beside(group)
    step = next_step.for_tables(options, group.shards[0].kind, provenance, _noticed(group), statuses)
    if problem is not None:
        step = NextStep(fixes=(f"{problem.message}: {problem.fix}",))
    found = _counted_keys(keys, census)
    seen = _Seen(group=group, others=others, census=census, captions=captions, keys=found, dims=dims)
    return _inspection(options, seen, step)


def _inspection(options: InspectOptions, seen: _Seen, step: NextStep) -> ShardsInspection:
    group, census = seen.group, seen.census
    mixed = [f"name one kind: beside these, {words} lies there, such as {path}" for words, path in seen.others.items()]
    noticed = _noticed(group)
    return ShardsInspection(
        sources=tuple(options.sources),
        kind=str(group.shards[0].kind.kind),
        what=", ".join(dict.fromkeys(each.kind.words for each in group.shards)),
        next=step.commands,
        first=(*mixed, *_left_out(group), *step.fixes),
        format=", ".join(dict.fromkeys(each.kind.format for each in group.shards)),
        shards=len(group.shards),
        bytes=group.bytes(),
        rows=census.rows,
        pairs=census.pairs,
        columns=group.types(),
        captions=seen.captions,
        keys=seen.keys,
        images=seen.images,
        url=next(iter(noticed.urls), None),
        prior_scores=noticed.prior_scores,
        class_columns=noticed.classes,
        truth_columns=noticed.truths,
        words={name: dict(counts.most_common()) for name, counts in census.words.items() if counts},
        mean_soft_label=census.number_sum / census.number_rows if census.number_rows else None,
        soft_labels_below_half=census.number_below_half,
        dims=seen.dims,
        features=_features(group),
        provenance=tuple(_provenance(group)),
        schema_differences=tuple(group.differences()),
        other_kinds=seen.others,
        damaged=tuple(sorted(group.damaged, key=lambda error: error.shard)),
        without_pairs=tuple(sorted(group.unfit, key=lambda error: error.shard)),
    )


def _left_out(group: ShardGroup) -> Iterator[str]:
    if group.damaged:
        them = "it" if len(group.damaged) == 1 else "them"
        yield f"{counted(len(group.damaged), 'shard')} cannot be read: fetch {them} again, or leave {them} out"
    if group.unfit:
        yield f"{counted(len(group.unfit), 'shard holds', 'shards hold')} no pairs: name those that do"


def _columns(options: InspectOptions, group: ShardGroup) -> tuple[dict[str, Columns], BadTable | None]:
    """The columns of every shard by its path. One without them is left out; where all are, their error is given."""
    found: dict[str, Columns] = {}
    problems: list[tuple[Opened, BadTable]] = []
    for each in group.shards:
        try:
            found[each.shard.path] = find_columns(each.schema, each.shard.name, options, carry=())
        except BadTable as error:
            problems.append((each, error))
    if not found:
        return {}, problems[0][1]
    for each, problem in problems:
        group.leave_out(each, problem)
    group.shards = [each for each in group.shards if each.shard.path in found]
    return found, None


def _keys(options: InspectOptions, group: ShardGroup) -> list[str]:
    """What could name the pairs: the column asked for, or the first candidates of `embed`."""
    if options.key is not None:
        return [name for name in (options.key,) if name in group.schema.names]
    return key_candidates(group.schema, one_folder=_one_folder(group))[:KEYS_COUNTED]


def _one_folder(group: ShardGroup) -> bool:
    return len({dirname(each.shard.path) for each in group.shards}) == 1


def _counted_keys(keys: Sequence[str], census: Census) -> tuple[KeyColumn, ...]:
    return tuple(KeyColumn(column=k, null=census.key_nulls[k], repeated=census.repeats(k)) for k in keys)


def _captions(column: str | None, census: Census, examples: list[list[str]], schema: pa.Schema) -> Captions | None:
    if column is None:
        return None
    return Captions(
        column=column,
        others=tuple(name for name in caption_candidates(schema) if name != column),
        several=census.several_captions,
        null=census.captions_null,
        blank=census.captions_blank,
        of_several_lines=census.captions_of_lines,
        examples=tuple(chosen_examples(examples)),
    )


def _images(
    options: InspectOptions, group: ShardGroup, columns: Mapping[str, Columns], census: Census
) -> Images | None:
    known = [(each.shard, columns[each.shard.path]) for each in group.shards if each.shard.path in columns]
    if not known:
        return None
    refuse_unread_root((columns for _, columns in known), options.image_root)
    group.progress.stage("look at images", None, "images")
    first = known[0][1]
    missing = census.paths_missing if first.kind is ImageKind.path else _image_nulls(group, columns)
    return Images(
        column=first.image, held=_held(*known[0]), missing=missing, sample=sample_images(known, options.image_root)
    )


def _held(shard: Shard, columns: Columns) -> str:
    """How a shard holds its images: text is the paths of files, or images in base64, as its first cell says."""
    if columns.kind is not ImageKind.path or columns.many_images:
        return str(columns.kind)
    cells = (cell for batch in read_column(shard, columns.image) for cell in batch.drop_null()[:1].to_pylist())
    first = next((cell for cell in cells if isinstance(cell, str)), "")
    return "base64" if is_encoded(first) else str(columns.kind)


def _image_nulls(group: ShardGroup, columns: Mapping[str, Columns]) -> int | None:
    """Rows without an image by the footers; None where they do not say: a path may stand in, nulls be in lists."""
    total = 0
    for each in group.shards:
        file, found = open_shard(each.shard), columns[each.shard.path]
        for piece in range(file.pieces):
            nulls = file.nulls(piece, found.image)
            if nulls is None or (nulls and (found.many_images or found.kind is ImageKind.struct)):
                return None
            total += nulls
    return total


def _words(schema: pa.Schema) -> tuple[str, ...]:
    """Columns of ours with few different values, as our tables or the user's dataset call them."""
    ours = {DATASET_PREFIX + name for name in WORDS} | (set(WORDS) if {"pair_id"} <= set(schema.names) else set())
    return tuple(name for name in schema.names if name in ours and not pa.types.is_nested(schema.field(name).type))


def _noticed(group: ShardGroup) -> NoticedColumns:
    made = group.shards[0].kind.kind in (Kind.scores, Kind.labels, Kind.dropped)
    prefixed = [name for name in group.schema.names if name.startswith(DATASET_PREFIX)]
    return noticed_columns(group.schema, {*prefixed, *(SCORE.names if made else ())})


def _provenance(group: ShardGroup) -> Iterator[Told]:
    """What the tables say of themselves, each different thing once."""
    alike: dict[str, list[pa.Schema]] = {}
    for each in group.shards:
        if shared := shared_provenance(each.schema):
            alike.setdefault(json.dumps(shared, sort_keys=True), []).append(each.schema)
    for told, schemas in alike.items():
        first = first_provenance(schemas[0])
        yield Told(shards=len(schemas), provenance=json.loads(told), source=first.get("source"), data=first.get("data"))


def _features(group: ShardGroup) -> tuple[str, ...]:
    """Of the first shard."""
    parts = group.shards[0].shard.parts
    if isinstance(parts, FeaturedTable) and group.shards[0].kind.kind is Kind.embeddings:
        return features_in(parts.arrays)
    return ()


def _statuses_beside(group: ShardGroup) -> dict[str, Counter[str]]:
    """What lies beside the shards and says what became of rows that are not in them."""
    tars = [each.shard.path for each in group.shards if each.kind.format == Format.tar]
    numbered = [each.shard.parts for each in group.shards if isinstance(each.shard.parts, ClipRetrievalFiles)]
    left_out = [path for path in map(failed_file, numbered) if is_file(path)]
    beside = {DOWNLOADS: _statuses(filter(None, map(sidecar_of, tars))), LEFT_OUT: _statuses(left_out)}
    return {name: counts for name, counts in beside.items() if counts}


def _statuses(paths: Iterable[str]) -> Counter[str]:
    """How often each status occurs in these tables; one that cannot be read adds nothing, as nothing rests on it."""
    whole = Census()
    for path in paths:
        try:
            whole.add(take_census(open_shard(Shard.of_file(path)), Counted(words=("status",)), lambda rows: None))
        except BadTable:
            continue
    return whole.words.get("status", Counter())


def _dims(group: ShardGroup) -> tuple[tuple[int, int] | None, BadTable | None]:
    """The dimensions of embedding tables, and why they cannot be used together, if they cannot."""
    if group.shards[0].kind.kind is not Kind.embeddings:
        return None, None
    try:
        tables = [open_embeddings(each.shard, columns=[]) for each in group.shards]
        check_tables_agree(tables)
    except BadTable as error:
        return None, error
    return (tables[0].image_dims, tables[0].text_dims), None
