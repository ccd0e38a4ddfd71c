"""Scores as `filter` reads them: tables in files, or an Arrow stream or JSON lines on standard input.

Knows tables and binary files; nothing of what a score means.
"""

import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.types as t

from ncaudit.errors import BadTable
from ncaudit.schema import SCORE, SUGGESTION
from ncaudit.shards.columns import is_text
from ncaudit.shards.provenance import MIB, Provenance, fingerprint
from ncaudit.shards.readers import read_batches
from ncaudit.shards.sources import Shard
from ncaudit.shards.tables import open_scores, require_column

STDIN = "standard input"
ARROW_START = b"\xff\xff\xff\xff"  # of every message
ARROW_END = ARROW_START + b"\x00\x00\x00\x00"
LINES_BYTES = MIB  # of JSON lines that make one batch
BATCH_ROWS = 65_536
ACCEPTED = "send an Arrow IPC stream or JSON lines (`ncaudit score … --out -`), or name files instead of -"


class FileScores:
    """One score table in a file. Raises BadTable when it is none."""

    def __init__(self, shard: Shard) -> None:
        table = open_scores(shard)
        self.shard, self.path, self.rows = shard, shard.path, table.rows
        self.schema: pa.Schema = table.schema
        self.provenance: Provenance | None = table.provenance

    @property
    def fingerprint(self) -> str:
        """Of the file."""
        return fingerprint(self.path)

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """All rows in order, with the columns in the file's order; None for all of them."""
        yield from read_batches(self.path, set(self.schema.names if columns is None else columns), BATCH_ROWS)


class StreamedScores:
    """Scores on standard input. They can be read once, or, after `spool`, any number of times.

    Raises BadTable when they are neither an Arrow stream nor JSON lines, or lack pair_id or status.
    """

    def __init__(self, file: Any) -> None:
        self.path, self.notes = STDIN, list[str]()
        self._spooled: Any = None
        start = file.peek(8)[:8]
        if not start:
            raise BadTable(f"{STDIN} is empty", fix="see what the command before the pipe says")
        if start[:1] == ARROW_START[:1]:
            self.schema, self._batches = self._arrow(file)
        elif start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b""):
            self.schema, self._batches = _json_lines(file)
        else:
            raise BadTable(f"{STDIN} starts with {start!r}: neither an Arrow stream nor JSON lines", fix=ACCEPTED)
        for name in ("pair_id", "status"):
            require_column(STDIN, self.schema, name)

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """All rows in order; `columns` as in the stream's order, None for all."""
        names = [name for name in self.schema.names if columns is None or name in columns]
        for batch in self._batches if self._spooled is None else self._again():
            yield batch.select(names)

    def spool(self) -> None:
        """Copy what is left of the stream to a temporary file, so that it can be read more than once."""
        file = tempfile.TemporaryFile(prefix="ncaudit-")
        with pa.ipc.new_stream(file, self.schema) as writer:
            for batch in self._batches:
                writer.write_batch(batch)
        self._spooled = file

    def _again(self) -> Iterator[pa.RecordBatch]:
        self._spooled.seek(0)
        yield from pa.ipc.open_stream(self._spooled)

    def _arrow(self, file: Any) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        tail = _Tail(file)
        try:
            reader = pa.ipc.open_stream(tail)
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(error) from error
        return reader.schema, self._arrow_batches(reader, tail)

    def _arrow_batches(self, reader: Any, tail: "_Tail") -> Iterator[pa.RecordBatch]:
        try:
            yield from reader
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(error) from error
        if tail.last != ARROW_END:
            self.notes.append(f"{STDIN} ended without Arrow's end mark: the command before the pipe may have stopped")


class _Tail:
    """A file that remembers its last bytes: Arrow takes a stream that was cut between two batches for a whole one."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.last, self.closed = b"", False

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._file.read(size)
        self.last = (self.last + data[-8:])[-8:]
        return data

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def writable(self) -> bool:
        return False


def _unreadable(error: Exception) -> BadTable:
    return BadTable(f"{STDIN} is no whole Arrow stream: {str(error).splitlines()[0]}", fix=ACCEPTED)


def _json_lines(file: Any) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The schema of the first lines, and all of them in it: our columns have their types, others those they show."""
    pieces = _numbered_rows(file)
    first = next(pieces, (1, []))
    names = dict.fromkeys(name for row in first[1] for name in row)
    schema = pa.schema([_field(name, [row.get(name) for row in first[1]]) for name in names])

    def batches() -> Iterator[pa.RecordBatch]:
        yield _batch(schema, *first)
        for number, rows in pieces:
            yield _batch(schema, number, rows)

    return schema, batches()


def _numbered_rows(file: Any) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """(number of the first line, its and some more lines' objects)."""
    number = 1
    while lines := file.readlines(LINES_BYTES):
        yield number, [_object(line, number + i) for i, line in enumerate(lines) if line.strip()]
        number += len(lines)


def _object(line: bytes, number: int) -> dict[str, Any]:
    try:
        found = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
    except ValueError as error:
        raise BadTable(f"{STDIN}, line {number} is no JSON: {error}", fix=ACCEPTED) from error
    if not isinstance(found, dict):
        raise BadTable(f"{STDIN}, line {number} is no JSON object", fix="send one object per line, a field per column")
    return found


def _field(name: str, values: list[Any]) -> pa.Field:
    for known in (SCORE, SUGGESTION):
        if name in known.names:
            return known.field(name)
    try:
        kind = pa.array(values).type
    except (pa.ArrowException, OverflowError):
        raise BadTable(f"{STDIN}: {name} has values of several types", fix=ACCEPTED) from None
    return pa.field(name, pa.string() if t.is_null(kind) else kind)


def _batch(schema: pa.Schema, number: int, rows: Sequence[dict[str, Any]]) -> pa.RecordBatch:
    _refuse_new(schema.names, number, rows)
    arrays = [_array(field, [row.get(field.name) for row in rows], number) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _array(field: pa.Field, values: list[Any], number: int) -> pa.Array:
    try:
        shown = pa.array(values)  # given the type at once, arrow would make 1 of 1.5
        same = t.is_null(shown.type) or shown.type == field.type
        if same or not (is_text(shown.type) or is_text(field.type) or t.is_nested(field.type)):
            return shown.cast(field.type)
        error: Exception = TypeError(f"{shown.type} here")
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as told:
        error = told
    raise BadTable(
        f"{STDIN}, line {number} or after: {field.name} is not always {field.type} ({str(error).splitlines()[0]})",
        fix="send an Arrow stream, which says its types first (--format arrow)",
    ) from error


def _refuse_new(names: Iterable[str], number: int, rows: Sequence[dict[str, Any]]) -> None:
    known = set(names)
    for place, row in enumerate(rows):
        if new := [name for name in row if name not in known]:
            raise BadTable(
                f"{STDIN}, line {number + place} has a field {new[0]} that the first lines lack",
                fix="give every line the same fields, null where there is nothing",
            )
