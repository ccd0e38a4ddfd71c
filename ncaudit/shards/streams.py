"""Rows on standard output: Arrow IPC stream, JSON lines or CSV, one record batch after the other.

Knows arrow and a binary file. Values go out as they are; what a format has no word for is spelled in the nearest one.
"""

import io
import json
import math
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv

from ncaudit.options import StreamFormat


class StreamWriter:
    """Writes batches of one schema to a binary file and flushes after each, so that a reader sees rows as they come."""

    def __init__(self, file: Any, schema: pa.Schema, kind: StreamFormat) -> None:
        file = whole_writes(file)
        self._file, self._kind = file, kind
        self._writer: Any = None
        if kind is StreamFormat.arrow:
            self._writer = pa.ipc.new_stream(file, schema)
        elif kind is StreamFormat.csv:
            self._writer = pa_csv.CSVWriter(file, pa.schema([_flat_field(field) for field in schema]))

    def write(self, batch: pa.RecordBatch) -> None:
        """Take rows in the stream's schema."""
        if self._kind is StreamFormat.jsonl:
            self._file.write("".join(_line(row) for row in batch.to_pylist()).encode("utf-8", "surrogatepass"))
        else:
            self._writer.write_batch(_flat(batch) if self._kind is StreamFormat.csv else batch)
        self._file.flush()

    def close(self) -> None:
        """End the stream (Arrow's has an end mark)."""
        if self._writer is not None:
            self._writer.close()
        self._file.flush()


def whole_writes(file: Any) -> Any:
    """The file itself, or one in front of it that writes all it is given.

    With PYTHONUNBUFFERED=1 standard output is raw: a write that a signal or a closing reader cuts short would pass for
    a whole one.
    """
    return open(file.fileno(), "wb", closefd=False) if isinstance(file, io.RawIOBase) else file


def _line(row: dict[str, Any]) -> str:
    return json.dumps(_plain(row), ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    """What JSON has no word for: not-a-number and infinities as null, bytes as hex, dates as ISO 8601, else text."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _has_no_cell(kind: pa.DataType) -> bool:
    binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)
    return bool(binary or pa.types.is_nested(kind))


def _flat_field(field: pa.Field) -> pa.Field:
    return field.with_type(pa.string()) if _has_no_cell(field.type) else field


def _flat(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with lists, structs and bytes as JSON text: a CSV cell holds nothing else."""
    columns = [_as_json(column) if _has_no_cell(column.type) else column for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema([_flat_field(field) for field in batch.schema]))


def _as_json(column: pa.Array) -> pa.Array:
    values = column.to_pylist()
    texts = [None if value is None else json.dumps(_plain(value), ensure_ascii=False) for value in values]
    return pa.array(texts, pa.string())
