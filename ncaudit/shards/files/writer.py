"""Writes tables so that a reader sees a whole file or none: a temporary name, renamed last.

Knows arrow and paths; nothing of what the rows mean.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ncaudit.shards.files.leaves import leaf_columns

PARTIAL = ".partial"  # a fixed name: the rerun after a kill overwrites what the killed run left
ROWS_PER_GROUP = 8_192


class TableWriter:
    """Collects record batches into row groups of a fixed size, so that bytes do not depend on how rows arrive."""

    def __init__(self, file: Any, schema: pa.Schema, *, rows_per_group: int = ROWS_PER_GROUP) -> None:
        self._writer = pq.ParquetWriter(
            file, schema, compression=_compression(schema), use_dictionary=_dictionary(schema)
        )
        self._schema = schema
        self._pending: list[pa.RecordBatch] = []
        self._rows_per_group = rows_per_group

    def write(self, batch: pa.RecordBatch) -> None:
        """Take rows in the table's own schema, in their final order."""
        self._pending.append(batch)
        while sum(len(b) for b in self._pending) >= self._rows_per_group:
            self._flush(self._rows_per_group)

    def close(self) -> None:
        """Write what is pending and the footer."""
        self._flush(sum(len(b) for b in self._pending))
        self._writer.close()

    def abandon(self) -> None:
        """Close without the pending rows: the file is about to be deleted."""
        self._writer.close()

    def _flush(self, rows: int) -> None:
        table = pa.Table.from_batches(self._pending, schema=self._schema)
        if rows:
            self._writer.write_table(table.slice(0, rows).combine_chunks(), row_group_size=rows)
        self._pending = table.slice(rows).to_batches()


@contextmanager
def atomic_file(path: str) -> Iterator[Any]:
    """A binary file that appears under its name only when the block ends without an error."""
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    partial = path + PARTIAL
    try:
        with open(partial, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # the name must not reach the disk before the bytes
        os.replace(partial, path)
    except BaseException:
        if os.path.exists(partial):
            os.remove(partial)
        raise


@contextmanager
def atomic_table(path: str, schema: pa.Schema, *, rows_per_group: int = ROWS_PER_GROUP) -> Iterator[TableWriter]:
    """A parquet file written batch by batch that appears whole or not at all."""
    with atomic_file(path) as file:
        writer = TableWriter(file, schema, rows_per_group=rows_per_group)
        try:
            yield writer
        except BaseException:
            writer.abandon()
            raise
        writer.close()


def _is_embedding(field: pa.Field) -> bool:
    return bool(pa.types.is_fixed_size_list(field.type) and pa.types.is_floating(field.type.value_type))


def _compression(schema: pa.Schema) -> dict[str, str]:
    # unit vectors do not compress; trying costs more than the disk it would save
    return {leaf: "none" if embedding else "zstd" for leaf, embedding in _leaves(schema)}


def _dictionary(schema: pa.Schema) -> list[str]:
    return [leaf for leaf, embedding in _leaves(schema) if not embedding]


def _leaves(schema: pa.Schema) -> list[tuple[str, bool]]:
    """Parquet's leaf paths, each with whether it holds embeddings."""
    sink = pa.BufferOutputStream()
    pq.ParquetWriter(sink, schema).close()
    parquet = pq.ParquetFile(pa.BufferReader(sink.getvalue())).schema
    embeddings = {field.name for field in schema if _is_embedding(field)}
    paths = [parquet.column(i).path for i in range(len(parquet.names))]
    return [(path, name in embeddings) for path, name in zip(paths, leaf_columns(schema), strict=True)]
