"""Writes the user's own parquet shard back with some columns added or replaced, and everything else as it was.

Knows parquet files; nothing of what the columns mean.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ncaudit.errors import BadTable
from ncaudit.shards.files.formats import Format, format_of
from ncaudit.shards.files.locations import MIB
from ncaudit.shards.files.provenance import Provenance, attach
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.files.writer import atomic_file
from ncaudit.shards.overlap import ahead, written_behind
from ncaudit.shards.readers.parquet import open_parquet, read_bounded, refuse_finer, telling
from ncaudit.shards.readers.promised import refuse_changed, too_few, versions_of

GROUP_BYTES = 256 * MIB  # a row group is held whole while it is written; a larger one is cut into pieces of this size
AHEAD_BYTES = 96 * MIB  # read ahead, beside the row group that is being written
BATCH_BYTES = 16 * MIB
MAX_BATCH_ROWS = 8_192
ADDED_CODEC = "zstd"
HEAVY_VALUE_BYTES = 1_024  # on average, as stored: where a dictionary helped, values are light
WRITTEN_BACK = (Format.parquet, Format.tar)  # by `filter`: the rows that are kept, as they are

ColumnsFor = Callable[[int, pa.RecordBatch], Sequence[pa.Array]]


def rewrite_shard(
    shard: Shard,
    out: str,
    *,
    columns_for: ColumnsFor,
    add: Sequence[pa.Field] = (),
    replace: Sequence[str] = (),
    provenance: Provenance | None = None,
) -> int:
    """Write `shard` to the file `out`, with the columns `replace` exchanged and the fields `add` appended.

    columns_for(first_row, batch): called on all rows in order, `first_row` being the batch's first row on disk, from
    0; returns one array per name in `replace` (of that column's type), then one per field in `add`.
    Kept as they are: schema, row order, row groups (unless one exceeds 256 MiB decoded), each column's codec and use
    of a dictionary (unless of images), and all schema metadata, `huggingface` included; `provenance` is attached beside
    it. `out` appears whole or not at all, and memory is bounded by a row group. Returns the number of rows.
    Raises BadTable when the shard cannot be read, lacks a column to replace, or already has one to add.
    """
    seen = versions_of(shard)
    parquet = open_whole(shard)
    schema = _with_fields(shard, parquet.schema_arrow, add, replace)
    if provenance is not None:
        schema = attach(schema, provenance)
    with parquet_like(parquet, out, schema) as writer, closing(_read_ahead(shard, parquet)) as batches:
        first = 0
        for group in _pieces(batches):
            numbered = _numbered(group, first)
            made = [_changed(batch, row, schema, columns_for, replace) for row, batch in numbered]
            table = pa.Table.from_batches(made, schema=schema)
            first += len(table)
            writer.write_table(table, row_group_size=len(table))
        refuse_changed(seen)
    return first


def open_whole(shard: Shard) -> pq.ParquetFile:
    """A shard all of whose columns are to be written again, as they are.

    Raises BadTable where one would come back as something else: of a type that cannot be written, or of values that
    cannot be read as they are.
    """
    parquet = open_parquet(shard.path)
    refuse_finer(shard.path, parquet, parquet.schema_arrow.names)
    leaves = [parquet.schema.column(i) for i in range(len(parquet.schema))]
    if lost := next((leaf.path for leaf in leaves if leaf.converted_type == "INTERVAL"), None):
        raise BadTable(
            f"{shard.path}: column {lost} is an INTERVAL, which would be written as 12 bytes of no meaning",
            fix="write it as text, or as months, days and milliseconds in columns of numbers",
        )
    return parquet


def are_written_back(shards: Sequence[Shard], known: Sequence[Format] = WRITTEN_BACK) -> bool:
    """Whether all of these are of a format that is written again as it is; what cannot be read is none."""
    try:
        return all(format_of(shard.files[0]) in known for shard in shards)
    except BadTable:
        return False


def require_format(shards: Sequence[Shard], known: Sequence[Format], writer: str, fix: str) -> None:
    """Raises BadTable when a shard is of another format than `writer`, a command or flag, gives back."""
    for shard in shards:
        try:
            kind = format_of(shard.files[0])
        except BadTable:  # what cannot be read is told when it is that shard's turn
            continue
        if kind not in known:
            raise BadTable(f"{shard.path} is {kind}, and {writer} writes {' and '.join(known)} only", fix=fix)


def _with_fields(shard: Shard, schema: pa.Schema, add: Sequence[pa.Field], replace: Sequence[str]) -> pa.Schema:
    for name in replace:
        if name not in schema.names:
            found = ", ".join(schema.names)
            raise BadTable(f"{shard.path} has no column {name} (found: {found})", fix="name a column that is there")
    for field in add:
        if field.name in schema.names:
            raise BadTable(f"{shard.path} already has a column {field.name}", fix="rename or drop that column first")
        schema = schema.append(field)
    return schema


@contextmanager
def parquet_like(parquet: pq.ParquetFile, out: str, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """The file `out`, stored as `parquet` is. It appears whole or not at all, and a thread writes what was encoded."""
    storage = _storage_like(parquet, schema)
    with (
        atomic_file(out, schema=schema) as file,
        written_behind(file) as sink,
        pq.ParquetWriter(sink, schema, **storage) as writer,
    ):
        yield writer


def _storage_like(parquet: pq.ParquetFile, schema: pa.Schema) -> dict[str, Any]:
    """The writer's arguments that keep each column's codec, and its dictionary where it had one.

    No dictionary of images is tried, whoever wrote one: it takes six times as long to encode, and saves nothing.
    """
    standard = not any(".list.item" in path for path in _paths(parquet))
    leaves = _leaf_paths(schema, standard=standard)
    codecs, dictionaries = dict.fromkeys(leaves, ADDED_CODEC), set(leaves)
    if parquet.num_row_groups:
        group = parquet.metadata.row_group(0)
        # by position: other writers have yet other names for a list's leaf
        for leaf, column in zip(leaves, (group.column(i) for i in range(group.num_columns)), strict=False):
            codecs[leaf] = _codec(column.compression)
            heavy = column.total_uncompressed_size > HEAVY_VALUE_BYTES * group.num_rows
            if heavy or not any("DICTIONARY" in encoding for encoding in column.encodings):
                dictionaries.discard(leaf)
    storage = {"compression": codecs, "use_dictionary": sorted(dictionaries), "write_page_checksum": True}
    return {**storage, "use_compliant_nested_type": standard, "use_deprecated_int96_timestamps": _all_int96(parquet)}


def _all_int96(parquet: pq.ParquetFile) -> bool:
    """Whether all timestamps are of 96 bits. Arrow writes all so or none: beside others they become ordinary ones."""
    leaves = [parquet.schema.column(i) for i in range(len(parquet.schema))]
    ordinary = any(leaf.logical_type.type == "TIMESTAMP" for leaf in leaves)
    return not ordinary and any(leaf.physical_type == "INT96" for leaf in leaves)


def _codec(name: str) -> str:
    return {"UNCOMPRESSED": "none", "LZ4_RAW": "lz4"}.get(name, name.lower())


def _leaf_paths(schema: pa.Schema, *, standard: bool = True) -> list[str]:
    """What parquet will call the columns of `schema`: nested ones have a path per leaf."""
    sink = pa.BufferOutputStream()
    pq.ParquetWriter(sink, schema, use_compliant_nested_type=standard).close()
    return _paths(pq.ParquetFile(pa.BufferReader(sink.getvalue())))


def _paths(parquet: pq.ParquetFile) -> list[str]:
    return [parquet.schema.column(i).path for i in range(len(parquet.schema))]


def _read_ahead(shard: Shard, parquet: pq.ParquetFile) -> Generator[tuple[int, pa.RecordBatch], None, None]:
    """All batches, each with the number of its row group."""
    groups = range(parquet.num_row_groups)
    batches = ((group, batch) for group in groups for batch in group_batches(shard, parquet, group))
    return ahead(batches, weigh=lambda one: int(one[1].nbytes), most=AHEAD_BYTES)


def _pieces(batches: Iterable[tuple[int, pa.RecordBatch]]) -> Iterator[list[pa.RecordBatch]]:
    """The batches of one output row group after the other."""
    piece: list[pa.RecordBatch] = []
    last = 0
    for group, batch in batches:
        if piece and (group != last or sum(b.nbytes for b in piece) + batch.nbytes > GROUP_BYTES):
            yield piece
            piece = []
        piece.append(batch)
        last = group
    if piece:
        yield piece


def group_batches(shard: Shard, parquet: pq.ParquetFile, group: int) -> Iterator[pa.RecordBatch]:
    """The rows of one row group in pieces of about 16 MiB. Raises BadTable when the file is damaged or cut there."""
    facts, read = parquet.metadata.row_group(group), 0
    rows = max(1, min(MAX_BATCH_ROWS, BATCH_BYTES * facts.num_rows // max(1, facts.total_byte_size)))
    with telling(shard.path):
        for batch in read_bounded(shard.path, parquet, rows, groups=[group], max_row_bytes=shard.max_row_bytes):
            read += len(batch)
            yield batch
    if read != facts.num_rows:
        raise too_few(shard.path, facts.num_rows, read)


def _numbered(batches: list[pa.RecordBatch], first: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    for batch in batches:
        yield first, batch
        first += len(batch)


def _changed(
    batch: pa.RecordBatch, first_row: int, schema: pa.Schema, columns_for: ColumnsFor, replace: Sequence[str]
) -> pa.RecordBatch:
    made = list(columns_for(first_row, batch))
    exchanged = dict(zip(replace, made, strict=False))
    kept = [exchanged.get(name, column) for name, column in zip(batch.schema.names, batch.columns, strict=True)]
    return pa.RecordBatch.from_arrays([*kept, *made[len(replace) :]], schema=schema)
