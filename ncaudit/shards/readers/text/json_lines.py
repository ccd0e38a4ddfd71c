"""JSON lines: one object per line, a field per column. Types are those that fit all lines, found in one pass.

Knows JSON and arrow's types; nothing of what fields mean.
"""

import io
import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.types as t

from ncaudit.errors import BadTable
from ncaudit.options import MAX_ROW_BYTES
from ncaudit.shards.arrow_types import repeated_names
from ncaudit.shards.files.locations import MIB
from ncaudit.shards.files.remembered import Remembered
from ncaudit.shards.readers.bounds.unpacked import refuse_held
from ncaudit.shards.readers.bounds.values import refuse_many_values
from ncaudit.shards.readers.one_piece import OnePiece
from ncaudit.shards.readers.text.json_fields import TEXT, json_column
from ncaudit.shards.readers.text.json_types import as_array, common_type, shown_type, text_for_nulls, whole_text
from ncaudit.shards.readers.text.plain_text import line_blocks, open_text

LINES_BYTES = MIB  # of lines that are taken apart at once; a longer line comes alone
ONE_PER_LINE = "write one object per line, a field per column"
SHOWN = 60  # characters of a value in an error
NAME = re.compile(rb'"\s*:')
ESCAPED_HALF = re.compile(rb"\\[uU][dD][89a-fA-F]")
Lines = list[tuple[int, bytes]]  # each with its number, from 1
Objects = list[dict[str, Any]]


@dataclass(frozen=True)
class _Survey:
    """What one pass over a file told."""

    schema: pa.Schema
    rows: int
    nulls: Mapping[str, int]


class JsonLinesShard(OnePiece):
    """A `ShardFile` in one piece. Its columns are all fields that any line has, as they first appear; where a line
    lacks one, it is null.

    Whole numbers among others become floats; a field that is null everywhere is text; lists and objects are nested
    columns. Raises BadTable naming the line that is no JSON object, or where a field is of another type than before.
    """

    def __init__(self, path: str, max_row_bytes: int = MAX_ROW_BYTES) -> None:
        self._told, self._max_row_bytes = _surveys(path, max_row_bytes), max_row_bytes
        super().__init__(path, self._told)

    def batches(
        self, rows: int, columns: Collection[str] | None = None, pieces: Sequence[int] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """In memory bounded by the lines that are taken apart at once."""
        fields = [field for field in self.schema if columns is None or field.name in columns]
        for lines in _lines(self._path, self._max_row_bytes) if pieces is None or 0 in pieces else ():
            objects = [json_object(self._path, number, line) for number, line in lines]
            block = _columns(self._path, fields, lines, objects)
            yield from (block.slice(first, rows) for first in range(0, len(block), rows))

    def nulls(self, piece: int, column: str) -> int | None:
        """Counted with the rows."""
        return self._told.nulls.get(column)


def read_as_text(path: str, max_row_bytes: int = MAX_ROW_BYTES) -> pa.Table:
    """All fields of all lines as text, of whatever types their values are: see `json_column`."""
    objects, weight = Objects(), 0
    for lines in _lines(path, max_row_bytes):
        weight += sum(len(line) for _, line in lines)
        refuse_held(path, weight)
        objects += [json_object(path, number, line) for number, line in lines]
    names = dict.fromkeys(name for found in objects for name in found)
    return pa.table({name: json_column([found.get(name) for found in objects], TEXT) for name in names})


def json_object(place: str, number: int, line: bytes, fix: str = ONE_PER_LINE) -> dict[str, Any]:
    """The object of one line. Raises BadTable naming the line when it is none, or a name is there twice."""
    refuse_many_values(f"{place}, line {number}", line)
    try:
        found = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
    except UnicodeDecodeError as error:
        raise BadTable(f"{place}, line {number} is not UTF-8", fix="save it as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise BadTable(f"{place}, line {number} is no JSON: {error}", fix=fix) from error
    if not isinstance(found, dict):
        raise BadTable(f"{place}, line {number} is no JSON object", fix=ONE_PER_LINE)
    if len(NAME.findall(line)) != len(found):  # else every name that is written there is one of the object's
        json.loads(line, object_pairs_hook=partial(_refuse_repeated, place, number))
    return dict(whole_text(found)) if ESCAPED_HALF.search(line) else found


def _refuse_repeated(place: str, number: int, pairs: Sequence[tuple[str, Any]]) -> None:
    if twice := repeated_names(name for name, _ in pairs):
        raise BadTable(f"{place}, line {number} names {twice[0]} twice", fix="rename one: only the last would be read")


def _survey(path: str, max_row_bytes: int) -> _Survey:
    types: dict[str, pa.DataType] = {}
    present = Counter[str]()
    rows = 0
    for lines in _lines(path, max_row_bytes):
        objects = [json_object(path, number, line) for number, line in lines]
        for name in dict.fromkeys(name for found in objects for name in found):
            values = [found.get(name) for found in objects]
            types[name] = _type_with(path, name, types.get(name, pa.null()), lines, values)
            present[name] += len(values) - values.count(None)
        rows += len(objects)
    schema = pa.schema([(name, text_for_nulls(kind)) for name, kind in types.items()])
    return _Survey(schema, rows, {name: rows - present[name] for name in types})


_surveys = Remembered(_survey)


def _lines(path: str, max_row_bytes: int) -> Iterator[Lines]:
    """The lines that are not blank, some at a time."""
    with open_text(path) as raw:
        file = io.BufferedReader(raw, MIB)  # a raw file looks for line ends byte by byte
        for number, lines in line_blocks(path, file, LINES_BYTES, max_row_bytes):
            yield [(number + i, line) for i, line in enumerate(lines) if line.strip()]


def _type_with(path: str, name: str, known: pa.DataType, lines: Lines, values: Sequence[Any]) -> pa.DataType:
    """The type that fits what was known and these values too."""
    found = shown_type(values)
    both = None if found is None else common_type(known, found)
    if both is not None:
        return both
    for (number, _), value in zip(lines, values, strict=True):
        shown = shown_type([value])
        both = None if shown is None else common_type(known, shown)
        if both is None:
            raise _misfit(path, number, name, known, value)
        known = both
    return known  # a whole number too long for a float is told where it is read


def _columns(path: str, fields: Sequence[pa.Field], lines: Lines, objects: Objects) -> pa.RecordBatch:
    arrays = [_column(path, field, lines, [found.get(field.name) for found in objects]) for field in fields]
    if not arrays:
        return pa.RecordBatch.from_struct_array(pa.array([{}] * len(objects), pa.struct([])))
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


def _column(path: str, field: pa.Field, lines: Lines, values: Sequence[Any]) -> pa.Array:
    array = as_array(values, field.type)
    if array is None:  # a whole number among fractions that no float holds: the types alone did not show it
        at = next(i for i, value in enumerate(values) if as_array([value], field.type) is None)
        raise _misfit(path, lines[at][0], field.name, field.type, values[at])
    return array


def _misfit(path: str, number: int, name: str, known: pa.DataType, value: Any) -> BadTable:
    shown = json.dumps(value, ensure_ascii=False)
    shown = shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}…"
    before = "" if t.is_null(known) else f", and {known} before"
    return BadTable(
        f"{path}, line {number}: {name} is {shown}{before}",
        fix="give the field values of one type, or write them as text",
    )
