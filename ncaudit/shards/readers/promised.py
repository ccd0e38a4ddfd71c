"""What every shard keeps to, whatever its format: rows as promised, plain types, names that are one column's.

Knows shards, the versions of their files and arrow types; nothing of formats.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property

import pyarrow as pa

from ncaudit.counts import counted
from ncaudit.errors import BadTable
from ncaudit.options import MAX_ROW_BYTES
from ncaudit.shards.arrow_types import normal_batch, normal_schema, repeated_names, repeats_within, typeless
from ncaudit.shards.files.locations import is_remote
from ncaudit.shards.files.remembered import version_now
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.readers.bounds.unpacked import LARGER, too_large
from ncaudit.shards.readers.bounds.weights import bounded, largest, without
from ncaudit.shards.readers.one_piece import OnePiece
from ncaudit.shards.readers.shard_file import ShardFile

Versions = dict[str, str | None]


def versions_of(shard: Shard) -> Versions:
    """The files of a shard, each as it is now."""
    return {path: version_now(path) for path in shard.files}


class PromisedShard:
    """A `ShardFile` in front of a reader's own.

    Types are those of `arrow_types`. `batches` raises BadTable when other rows come than the file has by its own count,
    when a file is another at the end than it was at the beginning, and when a column is asked for that shares its name.
    """

    def __init__(self, file: ShardFile, path: str, seen: Versions, max_row_bytes: int = MAX_ROW_BYTES) -> None:
        """path: what errors call it. seen: its files, as they were before it was opened."""
        self.file, self._path, self._seen, self._max_row_bytes = file, path, seen, max_row_bytes

    @cached_property
    def schema(self) -> pa.Schema:
        """In plain types. Names may be there twice."""
        return normal_schema(_marked(self.file))

    @property
    def rows(self) -> int:
        """As the reader has it."""
        return self.file.rows

    @property
    def pieces(self) -> int:
        """As the reader has it."""
        return self.file.pieces

    @property
    def piece_rows(self) -> Sequence[int] | None:
        """As the reader has it."""
        return self.file.piece_rows

    def batches(
        self, rows: int, columns: Collection[str] | None = None, pieces: Sequence[int] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """As the reader has it, and checked: fewer rows at a time where their text and bytes exceed 256 MiB.

        Raises BadTable where a cell is larger than allowed.
        """
        first = self._first(pieces)
        for batch, beyond in self.marked(rows, columns, pieces):
            for row, told in beyond.items():
                raise _too_large(self._path, None if first is None else first + row, told)
            first = None if first is None else first + len(batch)
            yield batch

    def marked(
        self, rows: int, columns: Collection[str] | None = None, pieces: Sequence[int] | None = None
    ) -> Iterator[tuple[pa.RecordBatch, Mapping[int, str]]]:
        """As `batches`, and which of its rows lack a cell that is larger than allowed, each with the words on it."""
        beyond, first = self.file.beyond(columns), self._first(pieces) or 0
        for batch in self._whole(rows, columns, pieces):
            for part in bounded(batch):
                lacking = {row - first: beyond[row] for row in beyond if first <= row < first + len(part)}
                first += len(part)
                plain, larger = self._plain(part)
                yield plain, {**lacking, **larger}

    def _plain(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, Mapping[int, str]]:
        """In plain types, without what is larger than allowed: only of what is left every row gets its own."""
        allowed = self._max_row_bytes
        found = largest(batch, allowed)
        try:
            if found:
                kept = [without(column, allowed) for column in batch.columns]
                fields = [field.with_type(column.type) for field, column in zip(batch.schema, kept, strict=True)]
                batch = pa.RecordBatch.from_arrays(kept, schema=pa.schema(fields, batch.schema.metadata))
            return normal_batch(batch), {row: too_large(name, size, allowed) for row, (name, size) in found.items()}
        except pa.ArrowException as error:
            refuse_changed(self._seen, error)
            raise _unread(self._path, error) from error

    def _first(self, pieces: Sequence[int] | None) -> int | None:
        """The row that these pieces begin with; None where that is not known."""
        if pieces is None:
            return 0
        known = self.file.piece_rows
        return 0 if self.file.pieces == 1 else None if known is None or not pieces else sum(known[: pieces[0]])

    def _whole(
        self, rows: int, columns: Collection[str] | None, pieces: Sequence[int] | None
    ) -> Iterator[pa.RecordBatch]:
        refuse_repeated(self._path, self.file.schema, columns)
        promised, read = self._promised(pieces), 0
        try:
            for batch in self.file.batches(rows, columns, pieces):
                read += len(batch)
                yield batch
        except (pa.ArrowException, BadTable) as error:
            refuse_changed(self._seen, error, self._so_far(read, pieces))
            if isinstance(error, BadTable):
                raise
            raise _unread(self._path, error) from error
        if promised is not None and read != promised:
            refuse_changed(self._seen, None, self._so_far(read, pieces))
            raise too_few(self._path, promised, read)
        if pieces is None or self.pieces - 1 in pieces or not any(map(is_remote, self._seen)):
            refuse_changed(self._seen)

    def beyond(self, columns: Collection[str] | None = None) -> Mapping[int, str]:
        """As the reader has it."""
        return self.file.beyond(columns)

    def nulls(self, piece: int, column: str) -> int | None:
        """As the reader has it."""
        return self.file.nulls(piece, column)

    def _so_far(self, read: int, pieces: Sequence[int] | None) -> str:
        known = self.file.piece_rows
        if known is None:
            return ""
        before = sum(known[: pieces[0]]) if pieces else 0
        return f": of its {counted(sum(known), 'row')} {before + read:,} could be read"

    def _promised(self, pieces: Sequence[int] | None) -> int | None:
        known = self.file.piece_rows
        if known is None:
            return None
        return sum(known) if pieces is None else sum(known[piece] for piece in pieces)


def _marked(file: ShardFile) -> pa.Schema:
    """The schema, with the columns marked whose type no value shows, in formats that tell none."""
    if not isinstance(file, OnePiece):
        return file.schema
    empty = {name for name in file.schema.names if file.nulls(0, name) == file.rows}
    fields = [typeless(field) if field.name in empty else field for field in file.schema]
    return pa.schema(fields, file.schema.metadata) if empty else file.schema


def refuse_changed(seen: Versions, error: Exception | None = None, so_far: str = "") -> None:
    """Raises BadTable when one of these files is no longer the one that was seen. error, so_far: what came of that."""
    for path, version in seen.items():
        if version_now(path) != version:
            fix = "run it again when nothing writes there"
            raise BadTable(f"{path} was changed while it was read{so_far}", fix=fix) from error


def too_few(path: str, promised: int, read: int) -> BadTable:
    """The error of a file whose rows do not come as it says itself."""
    return BadTable(
        f"{path} has {counted(promised, 'row')} by its own count, but {read:,} could be read",
        fix="it was cut or changed: fetch it again, or leave it out",
    )


def refuse_repeated(path: str, schema: pa.Schema, columns: Collection[str] | None = None) -> None:
    """Raises BadTable where one of `columns` (None: any) is not the only one of its name, or holds structs so."""
    asked = [field for field in schema if columns is None or field.name in columns]
    if twice := repeated_names(field.name for field in asked):
        times = {2: "two columns"}.get(schema.names.count(twice[0]), "several columns")
        raise BadTable(f"{path} has {times} {twice[0]}", fix="rename one: columns are known by their names")
    for field in asked:
        if inner := repeats_within(field.type):
            raise BadTable(
                f"{path}: column {field.name} holds structs with two fields {inner[0]}", fix="rename one of the fields"
            )


def _too_large(path: str, row: int | None, told: str) -> BadTable:
    """The error of a row with a cell that is larger than allowed, for who cannot do without."""
    where = "" if row is None else f" row {row}"
    return BadTable(f"{path}{where}: {told}", fix=LARGER)


def _unread(path: str, error: Exception) -> BadTable:
    return BadTable(f"{path} cannot be read: {str(error).splitlines()[0]}", fix="write its columns in smaller pieces")
