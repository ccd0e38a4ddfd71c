"""Arrow IPC, as a file or as a stream: what `datasets` keeps in its cache, and what other tools call Feather.

Knows arrow; nothing of what columns mean.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from ncaudit.errors import BadTable
from ncaudit.shards.files import locations
from ncaudit.shards.files.formats import ARROW
from ncaudit.shards.files.remembered import Remembered

END = b"\xff\xff\xff\xff\x00\x00\x00\x00"  # of a stream that its writer closed


class ArrowShard:
    """A `ShardFile` whose pieces are a file's record batches; a stream is one piece, as it has no index.

    Raises BadTable when it is damaged, or a stream lacks its end mark: its writer was stopped, and rows are missing.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        with _telling(path):
            self._source: Any = _source(path)
            self._is_file = self._source.read(len(ARROW)) == ARROW
            self._file = pa.ipc.open_file(self._source) if self._is_file else None
            self._schema = self._file.schema if self._file else self._stream().schema
        if not self._is_file:
            self._refuse_cut()

    @property
    def schema(self) -> pa.Schema:
        """With its metadata."""
        return self._schema

    @property
    def rows(self) -> int:
        """From the heads of the batches; of a stream, counted once per version of the file."""
        if self._file is None:
            return _rows_of_streams(self._path)
        with _telling(self._path):
            return int(self._file.count_rows())

    @property
    def pieces(self) -> int:
        """Record batches of a file."""
        return 1 if self._file is None else int(self._file.num_record_batches)

    def batches(
        self, rows: int, columns: Collection[str] | None = None, pieces: Sequence[int] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """A local file's batches are mapped, not copied; compressed and remote ones are held one at a time."""
        names = [name for name in self.schema.names if columns is None or name in columns]
        with _telling(self._path):
            for batch in self._whole(pieces):
                chosen = batch.select(names)
                yield from (chosen.slice(first, rows) for first in range(0, len(chosen), rows))

    def nulls(self, piece: int, column: str) -> int | None:
        """Not known unread."""
        return None

    def _whole(self, pieces: Sequence[int] | None) -> Iterator[pa.RecordBatch]:
        if self._file is not None:
            yield from map(self._file.get_batch, range(self.pieces) if pieces is None else pieces)
        elif pieces is None or 0 in pieces:
            yield from self._stream()

    def _stream(self) -> Any:
        return pa.ipc.open_stream(_source(self._path))

    def _refuse_cut(self) -> None:
        with locations.open_file(self._path, jumps=True) as file:
            file.seek(max(0, locations.size(self._path) - len(END)))
            if file.read(len(END)) != END:
                raise BadTable(
                    f"{self._path} was cut short: it has no end mark",
                    fix="fetch it again, or write it again to its end",
                )


def _count(path: str) -> int:
    with _telling(path):
        return sum(len(batch) for batch in pa.ipc.open_stream(_source(path)))


_rows_of_streams = Remembered(_count)


def _source(path: str) -> Any:
    return locations.open_file(path) if locations.is_remote(path) else pa.memory_map(path)


@contextmanager
def _telling(path: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise BadTable(
            f"{path} cannot be read as Arrow IPC: {reason}", fix="the file is damaged; fetch it again or leave it out"
        ) from error
