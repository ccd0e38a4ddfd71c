"""Writes tables so that a reader sees a whole file or none: a temporary name, renamed last; for a store, sent last.

Knows arrow and paths; nothing of what the rows mean. Several may write one file at once: each has a temporary name of
its own, and the last whole file stays. Who may write at all is asked of whoever holds the place, see `watched`.
"""

import errno
import os
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ncaudit.errors import NcauditError
from ncaudit.interruption import heed
from ncaudit.shards.files import locations
from ncaudit.shards.files.locations import LOCAL, absolute, is_remote
from ncaudit.shards.files.provenance import fingerprint_in, provenance_of
from ncaudit.shards.leaves import leaf_columns
from ncaudit.shards.places import scratch, uploads
from ncaudit.shards.places.listings import Entry
from ncaudit.shards.places.partials import created, partial_name

STATUS = "status"
ROWS_PER_GROUP = 8_192
GROUP_BYTES = 256 << 20
NOTHING: Mapping[str, Any] = MappingProxyType({})
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # said while bytes are written, without a name


class TableWriter:
    """Collects record batches into row groups of a fixed size, so that bytes do not depend on how rows arrive; of fewer
    rows where those take more memory than is to be held.
    """

    def __init__(self, file: Any, schema: pa.Schema, *, rows_per_group: int = ROWS_PER_GROUP) -> None:
        self._writer = pq.ParquetWriter(
            file, schema, compression=_compression(schema), use_dictionary=_dictionary(schema), write_page_checksum=True
        )
        self._schema = schema
        self._pending: list[pa.RecordBatch] = []
        self._rows_per_group = rows_per_group
        self.told: dict[str, Any] = {}  # what a rerun would count in the table again: a store's manifest keeps it

    def write(self, batch: pa.RecordBatch) -> None:
        """Take rows in the table's own schema, in their final order."""
        if STATUS in self._schema.names:
            self._count(batch[STATUS])
        self._pending.append(batch)
        while rows := self._whole_group():
            self._flush(rows)

    def _count(self, statuses: pa.Array) -> None:
        counts = self.told.setdefault("statuses", {})
        for entry in pc.value_counts(statuses).to_pylist():
            name = str(entry["values"])
            counts[name] = counts.get(name, 0) + entry["counts"]

    def close(self) -> None:
        """Write what is pending and the footer."""
        self._flush(sum(len(b) for b in self._pending))
        self._writer.close()

    def abandon(self) -> None:
        """Close without the pending rows: the file is about to be deleted."""
        self._writer.close()

    def _whole_group(self) -> int:
        """How many of the pending rows are a group that is whole; 0: none yet."""
        count = min(self._rows_per_group, sum(len(batch) for batch in self._pending))
        if 2 * sum(batch.nbytes for batch in self._pending) > GROUP_BYTES:
            table = pa.Table.from_batches(self._pending, schema=self._schema).slice(0, count).combine_chunks()
            if table.nbytes > GROUP_BYTES:  # the fewest rows that take so much
                return 1 + bisect_left(range(1, count), GROUP_BYTES, key=lambda rows: table.slice(0, rows).nbytes)
        return count if count == self._rows_per_group else 0

    def _flush(self, rows: int) -> None:
        table = pa.Table.from_batches(self._pending, schema=self._schema)
        if rows:
            self._writer.write_table(table.slice(0, rows).combine_chunks(), row_group_size=rows)
        self._pending = table.slice(rows).to_batches()


class Watch(Protocol):
    """Is asked while files are written, and says by an NcauditError that they must not be."""

    def begins(self, path: str) -> None:
        """A file is about to be written."""

    def appears(self) -> None:
        """A file is about to get its name, or to go."""

    def sent(self, path: str, entry: Entry, facts: Mapping[str, Any]) -> None:
        """A file is in a store, as its listing has it now. facts: as the manifest keeps them."""


_WATCH: ContextVar[Watch | None] = ContextVar("watch", default=None)


def is_watched() -> bool:
    """Whether somebody is asked here."""
    return _WATCH.get() is not None


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """Whatever is written inside the block is asked of `watch` first."""
    before = _WATCH.set(watch)
    try:
        yield
    finally:
        _WATCH.reset(before)


def remove_file(path: str) -> None:
    """Remove a file of ours, if it is there and still ours to write."""
    if (watch := _WATCH.get()) is not None:
        watch.appears()
    locations.remove(path)


@contextmanager
def atomic_file(
    path: str, *, asked: bool = True, schema: pa.Schema | None = None, told: Mapping[str, Any] = NOTHING
) -> Iterator[Any]:
    """A binary file that appears under its name only when the block ends without an error.

    What the system refuses to write is an OSError that names `path`. asked: whether the watch is. schema, told: of a
    table what it says of itself, and what else a rerun would look for in it: the manifest of a store keeps that.
    """
    if is_remote(path):
        with _sent_file(path, asked=asked, schema=schema, told=told) as sent:
            yield sent
        return
    path = path.removeprefix(LOCAL)
    folder, name = os.path.split(os.path.abspath(path))
    partial, watch = os.path.join(folder, partial_name(name)), _WATCH.get() if asked else None
    if watch is not None:
        watch.begins(path)
    try:
        with created(partial) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # the name must not reach the disk before the bytes
        if watch is not None:
            watch.appears()
        _rename(partial, path)
    except BaseException as error:
        with suppress(OSError):
            os.remove(partial)
        if isinstance(error, OSError) and (error.filename == partial or error.errno in NO_ROOM):
            error.filename = path
        raise


@contextmanager
def _sent_file(path: str, *, asked: bool, schema: pa.Schema | None, told: Mapping[str, Any]) -> Iterator[Any]:
    """Put together in scratch, then sent in one step."""
    watch = _WATCH.get() if asked else None
    if watch is not None:
        watch.begins(path)
    with scratch.held(path) as (file, name):
        yield file
        file.flush()
        if watch is not None:
            watch.appears()
        heed()  # as in `_rename`
        entry = uploads.send(name, absolute(path))
        if watch is not None:
            watch.sent(path, entry, _facts(name, schema, told))


def _facts(name: str, schema: pa.Schema | None, told: Mapping[str, Any]) -> dict[str, Any]:
    with open(name, "rb") as file:
        fingerprint = fingerprint_in(file)
    return {"said": None if schema is None else provenance_of(schema), "fingerprint": fingerprint, "told": dict(told)}


def _rename(partial: str, path: str) -> None:
    heed()  # Ctrl-C may have become a row that failed: that must not be kept
    try:
        os.replace(partial, path)
    except FileNotFoundError as error:
        raise NcauditError(
            f"{path}: another process has removed what was written of it", fix="run the same command again"
        ) from error


@contextmanager
def atomic_table(path: str, schema: pa.Schema, *, rows_per_group: int = ROWS_PER_GROUP) -> Iterator[TableWriter]:
    """A parquet file written batch by batch that appears whole or not at all."""
    told: dict[str, Any] = {}
    with atomic_file(path, schema=schema, told=told) as file:
        writer = TableWriter(file, schema, rows_per_group=rows_per_group)
        writer.told = told
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
