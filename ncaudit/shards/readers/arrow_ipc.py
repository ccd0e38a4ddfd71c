"""Arrow IPC, as a file or as a stream: what `datasets` keeps in its cache, and what other tools call Feather.

Knows arrow; nothing of what columns mean. Nothing of a file is trusted: every batch is validated whole before anybody
touches it, as one offset that lies would end the process; and files are read, not mapped, as those that shrink would.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from ncaudit.errors import BadTable
from ncaudit.options import MAX_ROW_BYTES
from ncaudit.shards.files import locations
from ncaudit.shards.files.formats import ARROW
from ncaudit.shards.files.provenance import unknown_fix
from ncaudit.shards.files.remembered import Remembered
from ncaudit.shards.readers.bounds.messages import FileMessages, StreamMessages

END = b"\xff\xff\xff\xff\x00\x00\x00\x00"  # of a stream that its writer closed
DAMAGE = (pa.ArrowException, OSError, UnicodeError, SystemError)  # what arrow raises of files that lie


class ArrowShard:
    """A `ShardFile` whose pieces are a file's record batches; a stream is one piece, as it has no index.

    Raises BadTable when it is damaged, or a stream lacks its end mark: its writer was stopped, and rows are missing.
    """

    def __init__(self, path: str, max_row_bytes: int = MAX_ROW_BYTES) -> None:
        self._path, self._max_row_bytes = path, max_row_bytes
        with _telling(path):
            self._source = _source(path)
            self._is_file = bytes(self._source.read(len(ARROW))) == ARROW
            self._messages = FileMessages(path, self._source, max_row_bytes) if self._is_file else None
            self._file = pa.ipc.open_file(self._source) if self._is_file else None
            self._schema = self._file.schema if self._file else _schema_of_stream(path, max_row_bytes)
            self._opened: tuple[list[int], Any] = ([], None)
            _ = self._schema.names, str(self._schema)  # names that are no text are told here
        if not self._is_file:
            self._source.close()
            self._refuse_cut()

    @property
    def schema(self) -> pa.Schema:
        """With its metadata."""
        return self._schema

    @property
    def rows(self) -> int:
        """From the heads of the batches; of a stream, counted once per version of the file."""
        if self._file is None:
            return _rows_of_streams(self._path, self._max_row_bytes)
        with _telling(self._path):
            return int(self._file.count_rows())

    @property
    def pieces(self) -> int:
        """Record batches of a file."""
        return 1 if self._file is None else int(self._file.num_record_batches)

    @property
    def piece_rows(self) -> None:
        """A batch is whole or an error, and of a stream the end mark speaks."""
        return None

    def batches(
        self, rows: int, columns: Collection[str] | None = None, pieces: Sequence[int] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """One of the file's batches at a time is in memory, of the columns asked for alone."""
        chosen = [place for place, name in enumerate(self.schema.names) if columns is None or name in columns]
        with _telling(self._path):
            for batch in self._whole(chosen, pieces):
                yield from (batch.slice(first, rows) for first in range(0, len(batch), rows))

    def beyond(self, columns: Collection[str] | None = None) -> Mapping[int, str]:
        """Batches are whole."""
        return {}

    def nulls(self, piece: int, column: str) -> int | None:
        """Not known unread."""
        return None

    def _whole(self, chosen: list[int], pieces: Sequence[int] | None) -> Iterator[pa.RecordBatch]:
        """The batches with these columns, by their places. One is read where none is asked for, to count rows."""
        reading = chosen or [0] * bool(self.schema.names)
        for batch in self._read(reading, pieces):
            validate(self._path, batch)
            yield batch if chosen else batch.select([])

    def _read(self, places: list[int], pieces: Sequence[int] | None) -> Iterator[pa.RecordBatch]:
        if self._file is not None and self._messages is not None:
            reader = self._reader(places)
            for piece in range(self.pieces) if pieces is None else pieces:
                self._messages.refuse_bomb(piece)
                yield reader.get_batch(piece)
        elif pieces is None or 0 in pieces:
            with _stream(self._path, self._max_row_bytes, places) as batches:
                yield from batches

    def _reader(self, places: list[int]) -> Any:
        """It reads dictionaries anew when it is made, so the last one is kept for the next piece."""
        if self._opened[0] != places or self._opened[1] is None:
            self._opened = (places, pa.ipc.open_file(self._source, options=_only(places)))
        return self._opened[1]

    def _refuse_cut(self) -> None:
        with locations.open_file(self._path, jumps=True) as file:
            file.seek(max(0, locations.size(self._path) - len(END)))
            if file.read(len(END)) != END:
                raise BadTable(
                    f"{self._path} was cut short: it has no end mark",
                    fix="fetch it again, or write it again to its end",
                )


def validate(path: str, batch: pa.RecordBatch) -> None:
    """Raises BadTable unless every offset, index and text of a batch from elsewhere is what it must be."""
    try:
        batch.validate(full=True)
    except DAMAGE as error:
        raise _damaged(path, error) from error


def _only(places: list[int]) -> pa.ipc.IpcReadOptions:
    return pa.ipc.IpcReadOptions(included_fields=places)


@contextmanager
def _stream(path: str, max_row_bytes: int, places: list[int] | None = None) -> Iterator[Any]:
    """Its reader, with the columns at these places; the file is closed behind it."""
    with locations.open_file(path) as file:
        yield pa.ipc.open_stream(StreamMessages(path, file, max_row_bytes), options=_only(places or []))


def _schema_of_stream(path: str, max_row_bytes: int) -> pa.Schema:
    with _stream(path, max_row_bytes) as reader:
        return reader.schema


def _source(path: str) -> Any:
    return locations.open_file(path) if locations.is_remote(path) else locations.open_native(path)


def _count(path: str, max_row_bytes: int) -> int:
    with _telling(path), _stream(path, max_row_bytes, [0]) as batches:
        return sum(len(batch) for batch in batches)


_rows_of_streams = Remembered(_count)


@contextmanager
def _telling(path: str) -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        raise _damaged(path, error) from error


def _damaged(path: str, error: BaseException) -> BadTable:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    fix = unknown_fix(error) or "the file is damaged; fetch it again or leave it out"
    return BadTable(f"{path} cannot be read as Arrow IPC: {reason}", fix=fix)
