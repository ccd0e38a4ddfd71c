"""Rows on standard output: Arrow IPC stream, JSON lines or CSV, one record batch after the other.

Knows arrow and a binary file. Values go out as they are unless asked otherwise; what a format has no word for is
spelled in the nearest one.
"""

import io
import json
import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from ncaudit.interruption import heed
from ncaudit.options import StreamFormat

FORMULA: Final = r"^[=+\-@\t\r\n＝＋－＠]"  # what spreadsheet programs run instead of showing it


class StreamWriter:
    """Writes batches of one schema to a binary file and flushes after each, so that a reader sees rows as they come.

    csv_safe: in CSV, text and column names that a spreadsheet program would run get an apostrophe in front.
    """

    def __init__(self, file: Any, schema: pa.Schema, kind: StreamFormat, *, csv_safe: bool = False) -> None:
        file = whole_writes(file)
        self._file, self._kind, self._csv_safe = file, kind, csv_safe
        self._writer: Any = None
        if kind is StreamFormat.arrow:
            self._writer = pa.ipc.new_stream(file, schema)
        elif kind is StreamFormat.csv:
            self._writer = pa_csv.CSVWriter(file, self._cells(schema.empty_table()).schema)

    def write(self, batch: pa.RecordBatch) -> None:
        """Take rows in the stream's schema."""
        heed()  # as where a file gets its name
        if self._kind is StreamFormat.jsonl:
            self._file.write("".join(map(_line, _objects(batch))).encode("utf-8", "surrogatepass"))
        else:
            self._writer.write(self._cells(pa.Table.from_batches([batch])) if self._kind is StreamFormat.csv else batch)
        self._file.flush()

    def _cells(self, rows: pa.Table) -> pa.Table:
        return without_formulas(_flat(rows)) if self._csv_safe else _flat(rows)

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


def _objects(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    names, columns = batch.schema.names, [_values(column) for column in batch.columns]
    return (dict(zip(names, (column[row] for column in columns), strict=True)) for row in range(len(batch)))


def _values(column: Any) -> list[Any]:
    """The values as Python has them; as text where it has no such time: beyond the year 9999, or of nanoseconds."""
    if not pa.types.is_time64(column.type):
        try:
            return list(column.to_pylist())
        except (OverflowError, ValueError):  # ValueError: nanoseconds, where pandas is not installed
            pass
    return list(column.cast(_spelled(column.type)).to_pylist())


def _spelled(kind: pa.DataType) -> pa.DataType:
    """The type with text for points in time and whole numbers for lengths of it, at any depth."""
    if pa.types.is_struct(kind):
        return pa.struct([kind.field(i).with_type(_spelled(kind.field(i).type)) for i in range(kind.num_fields)])
    if pa.types.is_map(kind):
        return pa.map_(_spelled(kind.key_type), _spelled(kind.item_type))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_spelled(kind.value_type), kind.list_size)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        inner = _spelled(kind.value_type)
        return pa.list_(inner) if pa.types.is_list(kind) else pa.large_list(inner)
    if pa.types.is_duration(kind):
        return pa.int64()
    return pa.string() if pa.types.is_temporal(kind) else kind


def _line(row: dict[str, Any]) -> str:
    return json.dumps(_plain(row), ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    """What JSON has no word for: not-a-number and infinities as null, bytes as hex, dates as ISO 8601, else text."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, pa.MonthDayNano):
        return f"P{value.months}M{value.days}DT{Decimal(value.nanoseconds).scaleb(-9).normalize():f}S"
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def without_formulas(rows: pa.Table, keep: str | None = None) -> pa.Table:
    """The rows with an apostrophe before every text and column name that begins like a formula; not in column `keep`.

    >>> without_formulas(pa.table({"caption": ["=1+1", "a+b"]})).to_pylist()
    [{'caption': "'=1+1"}, {'caption': 'a+b'}]
    """
    named = zip(rows.column_names, rows.columns, strict=True)
    columns = [column if name == keep else _harmless(column) for name, column in named]
    return pa.table(columns, names=_harmless(pa.array(rows.column_names, pa.string())).to_pylist())


def _harmless(text: Any) -> Any:
    if pa.types.is_dictionary(text.type):
        return _harmless(text.cast(text.type.value_type))
    if not (pa.types.is_string(text.type) or pa.types.is_large_string(text.type)):
        return text
    formula = pc.fill_null(pc.match_substring_regex(text, FORMULA), False)
    apostrophe, nothing = (pa.scalar(mark, text.type) for mark in ("'", ""))
    return pc.if_else(formula, pc.binary_join_element_wise(apostrophe, text, nothing), text)


def _has_no_cell(kind: pa.DataType) -> bool:
    binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)
    return bool(binary or pa.types.is_nested(kind))


def _flat(rows: pa.Table) -> pa.Table:
    """The rows with lists, structs and bytes as JSON text: a CSV cell holds nothing else."""
    columns = [_as_json(c) if _has_no_cell(c.type) else _plain_text(c) for c in rows.columns]
    return pa.table(columns, names=rows.column_names)


def _as_json(column: pa.ChunkedArray) -> pa.ChunkedArray:
    values = _values(column)
    texts = [None if value is None else json.dumps(_plain(value), ensure_ascii=False) for value in values]
    return pa.chunked_array([pa.array(texts, pa.string())])


def _plain_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """What arrow's CSV does not know, or would write as a bare number, as text."""
    if pa.types.is_interval(column.type):
        return pa.chunked_array([pa.array(list(map(_plain, column.to_pylist())), pa.string())])
    if pa.types.is_duration(column.type) or pa.types.is_time(column.type):
        return pa.chunked_array([pa.array([None if x is None else str(x) for x in _values(column)], pa.string())])
    return column.cast(pa.string()) if pa.types.is_string_view(column.type) else column
