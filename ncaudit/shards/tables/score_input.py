"""Scores as `filter` reads them: tables in files, or an Arrow stream or JSON lines on standard input.

Knows tables and binary files; nothing of what a score means.
"""

import tempfile
from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any, Protocol

import pyarrow as pa

from ncaudit.options import MAX_ROW_BYTES
from ncaudit.schema import SCORE, SUGGESTION
from ncaudit.shards.files.provenance import Provenance, fingerprint, provenance_of
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.readers import ShardFile, open_shard
from ncaudit.shards.streams.standard_input import STDIN, StandardInput
from ncaudit.shards.tables.checks import require_column
from ncaudit.shards.tables.scores import open_scores

BATCH_ROWS = 65_536


class ScoreInput(Protocol):
    """Rows of scores, wherever they come from."""

    @property
    def path(self) -> str:
        """What messages call it."""

    @property
    def schema(self) -> pa.Schema:
        """Of all batches."""

    @property
    def rows(self) -> int | None:
        """How many; None where only the last batch tells."""

    @property
    def source(self) -> Provenance:
        """What one table made of several says of this one: what it is, and what it says of itself."""

    @property
    def notes(self) -> Sequence[str]:
        """What must be said of it, after its last batch."""

    def spool(self) -> None:
        """See to it that the rows can be read more than once."""

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """All rows in order, with the columns in the input's own order; None for all of them."""


class FileScores:
    """One score table in a file. Raises BadTable when it is none."""

    def __init__(self, shard: Shard) -> None:
        table = open_scores(shard)
        self.shard, self.path, self.rows = shard, shard.path, table.rows
        self.schema: pa.Schema = table.schema
        self.provenance: Provenance | None = table.provenance
        self._file: ShardFile | None = None

    def opened(self) -> "FileScores":
        """The same table with its file open, for who reads it several times in a row."""
        held = copy(self)
        held._file = open_shard(self.shard)
        return held

    @property
    def fingerprint(self) -> str:
        """Of the file."""
        return fingerprint(self.shard)

    @property
    def source(self) -> Provenance:
        """Its name and fingerprint, and its provenance."""
        return {"source": {"name": self.shard.name, "fingerprint": self.fingerprint}, "scored": self.provenance}

    @property
    def notes(self) -> Sequence[str]:
        """Nothing: a file was whole when it was opened."""
        return ()

    def spool(self) -> None:
        """A file can be read again as it is."""

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """All rows in order, with the columns in the file's order; None for all of them."""
        yield from (self._file or open_shard(self.shard)).batches(BATCH_ROWS, columns)


class StreamedScores:
    """Scores on standard input. They can be read once, or, after `spool`, any number of times.

    Raises BadTable when they are neither an Arrow stream nor JSON lines, or lack pair_id or status.
    """

    def __init__(self, file: Any, max_row_bytes: int = MAX_ROW_BYTES) -> None:
        self.path, self._stream = STDIN, StandardInput(file, (*SCORE, *SUGGESTION), max_row_bytes)
        self.schema: pa.Schema = self._stream.schema
        self.rows: int | None = None
        self._spooled: Any = None
        for name in ("pair_id", "status"):
            require_column(STDIN, self.schema, name)

    @property
    def source(self) -> Provenance:
        """That it was a stream, and what its schema says."""
        return {"source": self.path, "scored": provenance_of(self.schema)}

    @property
    def notes(self) -> list[str]:
        """What must be said of the stream, after its last batch."""
        return self._stream.notes

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """All rows in order; `columns` as in the stream's order, None for all."""
        names = [name for name in self.schema.names if columns is None or name in columns]
        for batch in self._stream.batches() if self._spooled is None else self._again(self._spooled):
            yield batch.select(names)

    def spool(self) -> None:
        """Copy what is left of the stream to a temporary file, so that it can be read more than once."""
        if self._spooled is not None:
            return
        file = tempfile.TemporaryFile(prefix="ncaudit-")
        with pa.ipc.new_stream(file, self.schema) as writer:
            for batch in self._stream.batches():
                writer.write_batch(batch)
        self._spooled = file

    def _again(self, file: Any) -> Iterator[pa.RecordBatch]:
        file.seek(0)
        yield from pa.ipc.open_stream(file)
