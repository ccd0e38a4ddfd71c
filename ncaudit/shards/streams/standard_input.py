"""Rows on standard input: an Arrow stream or JSON lines, told apart by their bytes; as batches, or spooled to a file.

Knows binary files, arrow and temporary folders; nothing of what the rows mean.
"""

import errno
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as t

from ncaudit.errors import BadTable, NcauditError, UsageError
from ncaudit.options import MAX_ROW_BYTES, STREAM
from ncaudit.shards.arrow_types import normal_batch, normal_schema, parquet_holds
from ncaudit.shards.columns import is_text
from ncaudit.shards.files.locations import MIB
from ncaudit.shards.readers.arrow_ipc import DAMAGE
from ncaudit.shards.readers.bounds.messages import StreamMessages
from ncaudit.shards.readers.bounds.unpacked import LARGER, too_large
from ncaudit.shards.readers.bounds.weights import bounded, largest
from ncaudit.shards.readers.promised import refuse_repeated
from ncaudit.shards.readers.text.json_lines import JsonLinesShard, json_object
from ncaudit.shards.readers.text.json_types import as_array, shown_type
from ncaudit.shards.readers.text.plain_text import line_blocks

STDIN = "standard input"
SPOOLED = "stdin.parquet"  # so pairs without a key are called stdin/0, stdin/1, …
LINES = "stdin.jsonl"
ARROW_START = b"\xff\xff\xff\xff"  # of every message
ARROW_END = ARROW_START + b"\x00\x00\x00\x00"
LINES_BYTES = MIB  # of JSON lines that make one batch
GROUP_ROWS, GROUP_BYTES = 8_192, 32 * MIB  # of a spooled file: twice the one reached first at most
DIGEST_KEY = "ncaudit_stdin"  # of the spooled file's metadata: with it the file's fingerprint speaks for every byte
ACCEPTED = "send an Arrow IPC stream or JSON lines (as `--out -` of ncaudit does), or name files instead of -"
JSON_ARRAY = "send one object per line: `jq -c '.[]'` makes lines of an array"


class StandardInput:
    """What comes in, to be read once. `notes` has, after the last batch, what must be said of the stream.

    known: fields that JSON lines, which tell no types, have these types of; all others have the type they show.
    Raises BadTable when it is empty, or neither an Arrow stream nor JSON lines; `batches` when it turns out damaged.
    """

    def __init__(self, file: Any, known: Iterable[pa.Field] = (), max_row_bytes: int = MAX_ROW_BYTES) -> None:
        self.notes = list[str]()
        self._max_row_bytes = max_row_bytes
        self.schema: pa.Schema
        if _holds_lines(file):
            self.schema, self._batches = _json_lines(file, {field.name: field for field in known}, max_row_bytes)
        else:
            self.schema, self._batches = self._arrow(file)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All rows in order, as they come."""
        yield from self._batches

    def _arrow(self, file: Any) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        tail = StreamMessages(STDIN, file, self._max_row_bytes)
        with _telling():
            reader = pa.ipc.open_stream(tail)
            schema = normal_schema(reader.schema)
            _ = str(schema)  # names that are no text are told here
        refuse_repeated(STDIN, schema)
        return schema, self._arrow_batches(reader, tail)

    def _arrow_batches(self, reader: Any, tail: StreamMessages) -> Iterator[pa.RecordBatch]:
        with _telling():
            first = 0
            for batch in reader:
                batch.validate(full=True)  # one offset that lies would end the process
                _refuse_larger(batch, first, self._max_row_bytes)
                yield from map(normal_batch, bounded(batch))
                first += len(batch)
        if tail.last != ARROW_END:
            self.notes.append(f"{STDIN} ended without Arrow's end mark: the command before the pipe may have stopped")


@dataclass(frozen=True)
class Received:
    """The sources of a command, standard input among them as a file; and what must be said of that."""

    sources: list[str]
    spooled: bool
    notes: tuple[str, ...] = ()


@contextmanager
def received(sources: Sequence[str], max_row_bytes: int = MAX_ROW_BYTES) -> Iterator[Received]:
    """The sources as they are; - alone becomes a parquet file below TMPDIR, which is gone when the block ends.

    JSON lines are looked through first, so that types are those that fit all of them, as in a file of them.
    Errors of the block that name that file name standard input instead. Raises UsageError when - is one of several;
    BadTable as `StandardInput` does, and for columns that parquet cannot hold; NcauditError when there is no room.
    """
    if STREAM not in sources:
        yield Received(list(sources), False)
        return
    if len(sources) > 1:
        raise UsageError("- is one of several inputs", fix="give it alone")
    with tempfile.TemporaryDirectory(prefix="ncaudit-") as folder:
        path, lines = (os.path.join(folder, name) for name in (SPOOLED, LINES))
        try:
            notes = _spool(sys.stdin.buffer, path, lines, max_row_bytes)
            yield Received([path], True, tuple(notes))
        except NcauditError as error:
            if folder not in error.message:
                raise
            told = error.message.replace(path, STDIN).replace(lines, STDIN)
            raise type(error)(told, fix=error.fix) from error


def _spool(file: Any, path: str, lines: str, max_row_bytes: int) -> list[str]:
    """Write the rows to `path`; returns what must be said of the stream. lines: a file for JSON lines, for a while."""
    try:
        if not _holds_lines(file):
            stream = StandardInput(file, max_row_bytes=max_row_bytes)
            _write(stream.schema, stream.batches(), path)
            return [*stream.notes, *_left_out(stream.schema)]
        with open(lines, "wb") as copy:
            shutil.copyfileobj(file, copy, MIB)
        shard = JsonLinesShard(lines, max_row_bytes)
        _write(shard.schema, shard.batches(GROUP_ROWS), path)
        os.remove(lines)
        return []
    except NotImplementedError as error:  # arrow's own class for it is one
        raise BadTable(f"{STDIN} has a column that cannot be kept: {error}", fix="leave that column out") from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise NcauditError(
            f"{os.path.dirname(path)} has no room for {STDIN}, which must be read more than once",
            fix="set TMPDIR to a folder with room for all of it",
        ) from error


def _left_out(schema: pa.Schema) -> list[str]:
    names = [f"{field.name} ({field.type})" for field in schema if not parquet_holds(field.type)]
    return [f"left out, as parquet has no such type: {', '.join(names)}"] if names else []


def _write(schema: pa.Schema, batches: Iterable[pa.RecordBatch], path: str) -> None:
    """What parquet cannot hold is left out. Raises BadTable when nothing else is there: rows would go with it."""
    lacking = _left_out(schema)
    schema = pa.schema([field for field in schema if parquet_holds(field.type)], schema.metadata)
    if lacking and not schema.names:
        raise BadTable(f"{STDIN} has a column that cannot be kept, and no other ({lacking[0]})", fix=ACCEPTED)
    with _Hashed(io.FileIO(path, "w")) as file, _parquet(file, schema) as writer:
        for group in _groups(batches):
            writer.write_table(group.select(schema.names))
        writer.add_key_value_metadata({DIGEST_KEY: file.digest.hexdigest()})


def _parquet(file: Any, schema: pa.Schema) -> pq.ParquetWriter:
    # images and embeddings do not compress, and a dictionary of images takes six times as long
    return pq.ParquetWriter(file, schema, compression="none", use_dictionary=False)


def _groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The rows in tables of bounded size, however they were cut."""
    pending: list[pa.RecordBatch] = []
    rows = weight = 0
    for batch in batches:
        step = max(1, min(GROUP_ROWS, GROUP_BYTES * len(batch) // max(1, batch.nbytes)))
        for part in (batch.slice(first, step) for first in range(0, len(batch), step)):
            pending.append(part)
            rows, weight = rows + len(part), weight + part.nbytes
            if rows >= GROUP_ROWS or weight >= GROUP_BYTES:
                yield pa.Table.from_batches(pending)
                pending, rows, weight = [], 0, 0
    if pending:
        yield pa.Table.from_batches(pending)


class _Hashed(io.BufferedWriter):
    """A file that knows the digest of all that was written to it."""

    def __init__(self, raw: io.FileIO) -> None:
        super().__init__(raw)
        self.digest = sha256()  # twice as fast as blake2b where the processor knows it

    def write(self, data: Any) -> int:
        self.digest.update(data)
        return super().write(data)


def _holds_lines(file: Any) -> bool:
    """Whether these are JSON lines; else they begin like an Arrow stream. Raises BadTable when they are neither."""
    start = file.peek(8)[:8]
    if not start:
        raise BadTable(f"{STDIN} is empty", fix="see what the command before the pipe says")
    word = start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if word == b"[":
        raise BadTable(f"{STDIN} is a JSON array, not JSON lines", fix=JSON_ARRAY)
    if start[:1] != ARROW_START[:1] and word not in (b"{", b""):
        raise BadTable(f"{STDIN} starts with {start!r}: neither an Arrow stream nor JSON lines", fix=ACCEPTED)
    return bool(start[:1] != ARROW_START[:1])


@contextmanager
def _telling() -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise BadTable(f"{STDIN} is no whole Arrow stream: {reason}", fix=ACCEPTED) from error


def _json_lines(
    file: Any, known: Mapping[str, pa.Field], max_row_bytes: int
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The schema of the first lines, and all of them in it: known columns have their types, others those they show."""
    pieces = _numbered_rows(file, max_row_bytes)
    first = next(pieces, (1, []))
    names = dict.fromkeys(name for row in first[1] for name in row)
    schema = pa.schema([known.get(name) or _field(name, [row.get(name) for row in first[1]]) for name in names])

    def batches() -> Iterator[pa.RecordBatch]:
        yield _batch(schema, *first)
        for number, rows in pieces:
            yield _batch(schema, number, rows)

    return schema, batches()


def _refuse_larger(batch: pa.RecordBatch, first: int, max_row_bytes: int) -> None:
    for row, (name, size) in largest(batch, max_row_bytes).items():
        raise BadTable(f"{STDIN} row {first + row}: {too_large(name, size, max_row_bytes)}", fix=LARGER)


def _numbered_rows(file: Any, max_row_bytes: int) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """(number of the first line, its and some more lines' objects)."""
    for number, lines in line_blocks(STDIN, file, LINES_BYTES, max_row_bytes):
        yield number, [json_object(STDIN, number + i, line, ACCEPTED) for i, line in enumerate(lines) if line.strip()]


def _field(name: str, values: list[Any]) -> pa.Field:
    kind = shown_type(values)
    if kind is None:
        raise BadTable(f"{STDIN}: {name} has values of several types", fix=ACCEPTED)
    return pa.field(name, pa.string() if t.is_null(kind) else kind)


def _batch(schema: pa.Schema, number: int, rows: Sequence[dict[str, Any]]) -> pa.RecordBatch:
    _refuse_new(schema.names, number, rows)
    arrays = [_array(field, [row.get(field.name) for row in rows], number) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _array(field: pa.Field, values: list[Any], number: int) -> pa.Array:
    try:
        shown = _shown(values)  # given the type at once, arrow would make 1 of 1.5
        if _fits(shown.type, field.type):
            return shown.cast(field.type)
        error: Exception = TypeError(f"{shown.type} here")
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as told:
        error = told
    raise BadTable(
        f"{STDIN}, line {number} or after: {field.name} is not always {field.type} ({str(error).splitlines()[0]})",
        fix="send an Arrow stream, which says its types first (--format arrow)",
    ) from error


def _shown(values: list[Any]) -> pa.Array:
    """The values in the type that they show; else as arrow says why not."""
    shown = as_array(values, None)
    return pa.array(values) if shown is None else shown


def _fits(shown: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether values that look like `shown` may be tried as `wanted`: numbers as numbers, the rest as it is."""
    if t.is_null(shown) or shown == wanted:
        return True
    return not (is_text(shown) or is_text(wanted) or t.is_nested(shown) or t.is_nested(wanted))


def _refuse_new(names: Iterable[str], number: int, rows: Sequence[dict[str, Any]]) -> None:
    known = set(names)
    for place, row in enumerate(rows):
        if new := [name for name in row if name not in known]:
            raise BadTable(
                f"{STDIN}, line {number + place} has a field {new[0]} that the first lines lack",
                fix="give every line the same fields, null where there is nothing",
            )
