"""Rows on standard output: Arrow IPC stream, JSON lines or CSV, one record batch after the other.

Knows arrow and a binary file; data is never altered on its way out.
"""

import json
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv

from ncaudit.options import StreamFormat


class StreamWriter:
    """Writes batches of one schema to a binary file and flushes after each, so that a reader sees rows as they come."""

    def __init__(self, file: Any, schema: pa.Schema, kind: StreamFormat) -> None:
        self._file = file
        self._writer: Any = None
        if kind is StreamFormat.arrow:
            self._writer = pa.ipc.new_stream(file, schema)
        elif kind is StreamFormat.csv:
            self._writer = pa_csv.CSVWriter(file, schema)

    def write(self, batch: pa.RecordBatch) -> None:
        """Take rows in the stream's schema."""
        if self._writer is None:
            lines = (json.dumps(row, ensure_ascii=False, default=_plain) for row in batch.to_pylist())
            self._file.write("".join(line + "\n" for line in lines).encode("utf-8", "surrogatepass"))
        else:
            self._writer.write_batch(batch)
        self._file.flush()

    def close(self) -> None:
        """End the stream (Arrow's has an end mark)."""
        if self._writer is not None:
            self._writer.close()
        self._file.flush()


def _plain(value: Any) -> Any:
    """What JSON has no word for: bytes as hex, dates as ISO 8601, decimals as text."""
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
