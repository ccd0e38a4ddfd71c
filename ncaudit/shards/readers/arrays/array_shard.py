"""Embeddings in two arrays, row by row beside a table or without one: one table to whoever reads.

Knows arrays, parquet and arrow; nothing of how the files are found.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import pyarrow as pa

from ncaudit.counts import counted
from ncaudit.errors import BadTable
from ncaudit.shards.columns import is_text
from ncaudit.shards.readers.arrays.npy_rows import NpyRows, Reading
from ncaudit.shards.readers.bounds.weights import BATCH_BYTES, fixed_bytes
from ncaudit.shards.readers.parquet import ParquetShard

IMAGE, TEXT = "image_embedding", "text_embedding"
ARRAY_BYTES = BATCH_BYTES // 2  # of rows at once: they are copied on the way
BYTE_HASHES = ("sha256", "sha512", "md5")  # what img2dataset calls the hash of a photo's bytes


@dataclass(frozen=True)
class Described:
    """The table beside the arrays, as it is to be read.

    source: for every column that is shown the table's own, which may be shown under two names. schema: of what is
    shown; a column that the table lacks is shown as nulls.
    """

    table: ParquetShard
    name: str
    schema: pa.Schema
    source: Mapping[str, str]

    def batches(self, rows: int, columns: Collection[str], pieces: Sequence[int] | None) -> Iterator[pa.RecordBatch]:
        """The shown columns among `columns`, as `ParquetShard.batches` cuts them."""
        shown = [field for field in self.schema if field.name in columns]
        wanted = {self.source[field.name] for field in shown if field.name in self.source}
        for batch in self.table.batches(rows, wanted, pieces):
            if shown:
                yield pa.RecordBatch.from_arrays([self._column(batch, f) for f in shown], schema=pa.schema(shown))
            else:
                yield batch

    def nulls(self, piece: int, column: str) -> int | None:
        """As `ParquetShard.nulls`."""
        return self.table.nulls(piece, self.source[column]) if column in self.source else None

    def _column(self, batch: pa.RecordBatch, field: pa.Field) -> pa.Array:
        if field.name not in self.source:
            return pa.nulls(len(batch), field.type)
        column = batch.column(self.source[field.name])
        return column if column.type == field.type else column.cast(field.type)


class ArrayShard:
    """A `ShardFile` of two arrays. Raises BadTable, naming both files, when their numbers of rows differ."""

    def __init__(self, image: NpyRows, text: NpyRows, described: Described | None = None) -> None:
        self._arrays = {IMAGE: image, TEXT: text}
        self._described = described
        told = {array.name: array.rows for array in self._arrays.values()}
        if described is not None:
            told[described.name] = described.table.rows
            _refuse_twins(described)
        _require_equal(told)

    @property
    def schema(self) -> pa.Schema:
        """Both embeddings, then what the table beside them has, with its metadata."""
        embeddings = [pa.field(name, _type(array)) for name, array in self._arrays.items()]
        beside = self._described.schema if self._described else pa.schema([])
        return pa.schema([*embeddings, *beside], metadata=beside.metadata)

    @property
    def rows(self) -> int:
        """By the arrays' headers."""
        return self._arrays[IMAGE].rows

    @property
    def pieces(self) -> int:
        """The row groups of the table; one where there is none."""
        return self._described.table.pieces if self._described else 1

    @property
    def piece_rows(self) -> list[int]:
        """Of the table's row groups; all rows where there is no table."""
        return self._described.table.piece_rows if self._described else [self.rows]

    def batches(
        self, rows: int, columns: Collection[str] | None = None, pieces: Sequence[int] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Each batch takes its own rows from the arrays, and no others are read."""
        schema = pa.schema([field for field in self.schema if columns is None or field.name in columns])
        rows = max(1, min(rows, ARRAY_BYTES // max(1, sum(fixed_bytes(field.type) for field in schema))))
        with ExitStack() as stack:
            open_arrays = {
                name: stack.enter_context(array.reading())
                for name, array in self._arrays.items()
                if name in schema.names
            }
            for first, beside in self._beside(rows, schema, pieces):
                arrays = [
                    _embeddings(open_arrays[field.name], first, len(beside), field.type)
                    if field.name in open_arrays
                    else beside.column(field.name)
                    for field in schema
                ]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema) if arrays else beside

    def beyond(self, columns: Collection[str] | None = None) -> Mapping[int, str]:
        """Rows are whole."""
        return {}

    def nulls(self, piece: int, column: str) -> int | None:
        """Arrays have none."""
        if column in self._arrays:
            return 0
        return self._described.nulls(piece, column) if self._described else None

    def _beside(
        self, rows: int, schema: pa.Schema, pieces: Sequence[int] | None
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        """(first row, the table's columns) of every batch; no column where the table is asked for none."""
        if self._described is None:
            wanted = range(0, self.rows, rows) if pieces is None or 0 in pieces else range(0)
            yield from ((first, _no_columns(min(rows, self.rows - first))) for first in wanted)
            return
        for first, run in self._runs(self._described.table, pieces):
            for batch in self._described.batches(rows, schema.names, run):
                yield first, batch
                first += len(batch)

    def _runs(self, table: ParquetShard, pieces: Sequence[int] | None) -> Iterator[tuple[int, Sequence[int] | None]]:
        """Pieces to be read in one go, with the row that the first of them begins at."""
        if pieces is None:
            yield 0, None
            return
        sizes = table.piece_rows
        yield from ((sum(sizes[:piece]), [piece]) for piece in pieces)


def identified(schema: pa.Schema, key: str | None, caption: str | None) -> dict[str, str]:
    """For every column that is shown where it comes from: `Described.source`, for a table of another tool.

    The key is shown as pair_id, the hash of the photo's bytes as image_hash, and both as what they were; the caption
    as caption only. Columns of these names that the table has already stay what they are.
    """
    photo = next((name for name in BYTE_HASHES if name in schema.names and is_text(schema.field(name).type)), None)
    known = {"pair_id": key, "caption": caption, "image_hash": photo}
    new = {name: source for name, source in known.items() if source and name not in schema.names}
    kept = {name: name for name in schema.names if name != new.get("caption")}
    return {**new, **kept}


def _refuse_twins(described: Described) -> None:
    twins = [name for name in (IMAGE, TEXT) if name in described.schema.names]
    if twins:
        raise BadTable(
            f"{described.name} has a column {twins[0]}, and there are arrays beside it too",
            fix="drop the column, or move the arrays elsewhere",
        )


def _require_equal(told: Mapping[str, int]) -> None:
    if len(set(told.values())) > 1:
        counts = ", ".join(f"{name} has {counted(rows, 'row')}" for name, rows in told.items())
        raise BadTable(f"{counts}: they belong together row by row", fix="fetch or write anew what is not whole")


def _type(array: NpyRows) -> pa.DataType:
    return pa.list_(pa.from_numpy_dtype(array.dtype.newbyteorder("=")), array.dims)


def _embeddings(reading: Reading, first: int, count: int, kind: pa.DataType) -> pa.Array:
    rows = reading.read(first, count)
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1), kind.value_type), type=kind)


def _no_columns(rows: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))
