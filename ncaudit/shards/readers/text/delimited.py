"""CSV and TSV: a header that names the columns, then a row per line, or over several lines where cells are quoted.

Knows separators, headers and types; where rows begin and end is `records.py`. Nothing of what columns mean.

Whether quotes hold cells together is decided once per file, by all of it: they do wherever that can be. Where it
cannot (a quote closes in the middle of a cell; in TSV: or never), and as plain text every line has as many cells as the
header and none is wrapped in quotes, they are characters like any other. Else the file is refused with the line.
"""

import codecs
import csv
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import pyarrow as pa
import pyarrow.csv as pa_csv

from ncaudit.counts import counted
from ncaudit.errors import BadTable
from ncaudit.options import MAX_ROW_BYTES
from ncaudit.shards.files.formats import BYTE_ORDER_MARK
from ncaudit.shards.files.locations import MIB
from ncaudit.shards.files.remembered import Remembered
from ncaudit.shards.readers.bounds.unpacked import held
from ncaudit.shards.readers.one_piece import OnePiece
from ncaudit.shards.readers.text.cell_types import FALSE, TRUE, CellType
from ncaudit.shards.readers.text.plain_text import open_text
from ncaudit.shards.readers.text.records import (
    Block,
    Dialect,
    MisquotedError,
    blocks,
    fits_unquoted,
    swallows_rows,
    told_separator,
)

HEADER = MIB
SEPARATORS = ",;\t|"


class WrittenCells:
    """A file whose cells stay as people wrote them. Raises BadTable as `DelimitedShard` does.

    Spreadsheet programs separate by what their language does: it is the separator under which a column is called
    `named`, whatever the file is called. Columns that are not read may share a name.
    """

    def __init__(self, path: str, named: str, max_row_bytes: int = MAX_ROW_BYTES) -> None:
        self._path = path
        separator, names = _header(path, SEPARATORS, named)
        self._header = _settled(path, _Header(Dialect(separator, longest=max_row_bytes), tuple(names)))
        self._names = list(self._header.names)

    @property
    def schema(self) -> pa.Schema:
        """All columns, of text."""
        return pa.schema([(name, pa.string()) for name in self._names])

    def read(self, columns: Sequence[str]) -> pa.Table:
        """Some of the columns: null where a cell is empty."""
        _refuse_twins(self._path, [name for name in self._names if name in columns])
        types = dict.fromkeys(self._names, pa.string())
        found = held(self._path, (batch for _, batch in _batches(self._path, self._header, types, columns)))
        return pa.Table.from_batches(found, schema=pa.schema([(name, pa.string()) for name in columns]))


@dataclass(frozen=True)
class _Header:
    """How a file is cut, and what its first row says."""

    dialect: Dialect
    names: tuple[str, ...]


@dataclass(frozen=True)
class _Survey:
    """What one pass over a file told."""

    header: "_Header"
    schema: pa.Schema
    rows: int
    nulls: Mapping[str, int]
    several_lines: bool  # whether any row may have them


class DelimitedShard(OnePiece):
    """A `ShardFile` in one piece. Its types are those that every cell of a column has: see `CellType`.

    An empty cell is null, a quoted empty one is empty text. The separator is the one that cuts the header into most
    names. Raises BadTable naming the line when a row has more or fewer cells than the header, or is not UTF-8.
    """

    def __init__(self, path: str, max_row_bytes: int = MAX_ROW_BYTES) -> None:
        self._told = _surveys(path, max_row_bytes)
        header = self._told.header
        self._header = replace(header, dialect=replace(header.dialect, longest=max_row_bytes))
        super().__init__(path, self._told)

    def batches(
        self, rows: int, columns: Collection[str] | None = None, pieces: Sequence[int] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """In memory bounded by the text that is taken apart at once."""
        names = [name for name in self.schema.names if columns is None or name in columns]
        types = {field.name: field.type for field in self.schema}
        if pieces is None or 0 in pieces:
            for _, block in _batches(self._path, self._header, types, names):
                yield from (block.slice(first, rows) for first in range(0, len(block), rows))

    def nulls(self, piece: int, column: str) -> int | None:
        """Counted with the rows."""
        return self._told.nulls.get(column)


def _survey(path: str, max_row_bytes: int) -> _Survey:
    tabs = path.lower().removesuffix(".gz").endswith(".tsv")
    separator, names = _header(path, "\t" if tabs else SEPARATORS)
    header = _Header(Dialect(separator, longest=max_row_bytes), tuple(names))
    try:
        told = _read_through(path, header)
    except MisquotedError as error:
        return _read_through(path, _plain_header(path, header, error))
    _refuse_swallowed(path, header, told.several_lines)
    return told


def _read_through(path: str, header: _Header) -> _Survey:
    names = header.names
    _refuse_twins(path, names)
    types = {name: CellType() for name in names}
    nulls, rows, several = dict.fromkeys(names, 0), 0, False
    for block, batch in _batches(path, header, dict.fromkeys(names, pa.binary()), names):
        for name in names:
            cells = _as_text(path, batch.column(name), block, header.dialect)
            types[name].see(cells)
            nulls[name] += cells.null_count
        rows += len(batch)
        several |= block.lines > len(batch)
    return _Survey(header, pa.schema([(name, types[name].type) for name in names]), rows, nulls, several)


_surveys = Remembered(_survey)


def _settled(path: str, header: _Header) -> _Header:
    """The header as it is once the whole file has been looked through."""
    try:
        for _ in blocks(path, header.dialect):
            pass
    except MisquotedError as error:
        return _plain_header(path, header, error)
    _refuse_swallowed(path, header)
    return header


def _plain_header(path: str, header: _Header, error: MisquotedError) -> _Header:
    """The header of the file with quotes as plain characters. Raises the error where it cannot be read so either."""
    if not error.plain:
        raise error
    dialect = replace(header.dialect, quoted=False)
    with open_text(path) as file:
        head = told_separator((file.read(HEADER) or b"").removeprefix(BYTE_ORDER_MARK))[1]
    first = head.decode(errors="replace").lstrip("\r\n").splitlines()[0]
    names = tuple(first.split(dialect.separator))
    if not fits_unquoted(path, dialect.separator, len(names), dialect.longest):
        raise error
    return _Header(dialect, names)


def _refuse_swallowed(path: str, header: _Header, several_lines: bool = True) -> None:
    line = swallows_rows(path, header.dialect, len(header.names)) if several_lines else None
    if line is not None:
        raise BadTable(
            f"{path} line {line}: a cell that begins with a quote there goes on over lines which would all be rows",
            fix="if that quote is part of the text, write it twice within quotes; or give parquet or JSON lines",
        )


def _header(path: str, separators: str, named: str | None = None) -> tuple[str, list[str]]:
    """The separator and the names: the separator that the file tells, the first one that cuts out the name `named`, or
    one that cuts most names, and the next row as well.

    Raises BadTable when there are no names.
    """
    told, text = _head(path)
    found = [(separator, *_first_rows(text, separator)) for separator in told or separators]
    most = max(found, key=lambda cut: (len(cut[1]) == len(cut[2]) > 1, len(cut[1])))
    separator, names, _ = next((cut for cut in found if named in cut[1]), most)
    if not names:
        raise BadTable(f"{path} holds no header", fix="name the columns in the first line")
    return separator, names


def _head(path: str) -> tuple[str | None, str]:
    """The separator that the first line tells, if it does, and the text from the header on."""
    with open_text(path) as file:
        head = file.read(HEADER) or b""
    told, text = told_separator(head.removeprefix(BYTE_ORDER_MARK))
    try:
        return told, codecs.getincrementaldecoder("utf-8")().decode(text)
    except UnicodeDecodeError as error:
        raise _not_text(path, 1 + head[: len(head) - len(text) + error.start].count(b"\n")) from error


def _refuse_twins(path: str, names: Sequence[str]) -> None:
    if twins := sorted({name for name in names if names.count(name) > 1}):
        called = ", ".join(map(repr, twins))
        raise BadTable(
            f"{path}: its first line names several columns {called}", fix="give every column a name of its own there"
        )


def _first_rows(text: str, separator: str) -> tuple[list[str], list[str]]:
    """The header and the row behind it, as far as they are there."""
    rows: list[list[str]] = []
    try:
        rows += islice(filter(None, csv.reader(io.StringIO(text, newline=""), delimiter=separator)), 2)
    except csv.Error:  # a cell of 128 KiB or more: no name is so long
        pass
    return (rows[0] if rows else []), (rows[1] if len(rows) > 1 else [])


def _batches(
    path: str, header: _Header, types: Mapping[str, pa.DataType], names: Sequence[str]
) -> Iterator[tuple[Block, pa.RecordBatch]]:
    """The rows with these columns, block by block. types: of all columns."""
    first = True
    for block in blocks(path, header.dialect):
        rows = block.behind_header(header.dialect) if first else block
        first = first and not block.text.strip(b"\r\n")
        if rows.text.strip(b"\r\n"):
            yield rows, _parsed(path, rows, header, types, names)


def _parsed(
    path: str, block: Block, header: _Header, types: Mapping[str, pa.DataType], names: Sequence[str]
) -> pa.RecordBatch:
    """One block by arrow: in this thread, as one that is left behind by an error would end the process."""
    places = [header.names.index(name) for name in names]
    numbers = [str(place) for place in range(len(header.names))]
    convert = pa_csv.ConvertOptions(
        column_types={number: types[name] for number, name in zip(numbers, header.names, strict=True)},
        include_columns=[numbers[place] for place in places or (0,)], null_values=[""], strings_can_be_null=True,
        quoted_strings_can_be_null=False, true_values=TRUE, false_values=FALSE,
    )  # fmt: skip
    cut, quote = header.dialect.separator, '"' if header.dialect.quoted else False
    parse = pa_csv.ParseOptions(delimiter=cut, quote_char=quote, newlines_in_values=header.dialect.quoted)
    read = pa_csv.ReadOptions(use_threads=False, block_size=len(block.text) + 1, column_names=numbers)
    try:
        table = pa_csv.read_csv(pa.py_buffer(block.text), read, parse, convert).combine_chunks()
    except pa.ArrowException as error:
        raise _unreadable(path, block, header, error) from error
    arrays = [table.column(place).combine_chunks() for place in range(len(places))]
    if not arrays:
        return pa.RecordBatch.from_struct_array(pa.array([{}] * len(table), pa.struct([])))
    return pa.RecordBatch.from_arrays(arrays, names=list(names))


def _unreadable(path: str, block: Block, header: _Header, error: Exception) -> BadTable:
    if found := block.ragged(header.dialect, len(header.names)):
        line, had = found
        return BadTable(
            f"{path} line {line} has {counted(had, 'cell')}, and the first line names "
            f"{counted(len(header.names), 'column')}",
            fix="put cells that hold a separator or a quote in quotes, or repair that line",
        )
    return BadTable(f"{path} cannot be read: {str(error).splitlines()[0]}", fix="repair the file or leave it out")


def _as_text(path: str, cells: pa.Array, block: Block, dialect: Dialect) -> pa.Array:
    try:
        return cells.cast(pa.string())
    except pa.ArrowInvalid:
        row = next(i for i, cell in enumerate(cells.to_pylist()) if cell is not None and not _is_utf8(cell))
        raise _not_text(path, block.line_of(row, dialect)) from None


def _is_utf8(cell: bytes) -> bool:
    try:
        cell.decode()
    except UnicodeDecodeError:
        return False
    return True


def _not_text(path: str, line: int) -> BadTable:
    return BadTable(f"{path} line {line} is not UTF-8", fix="save it as UTF-8 (iconv -f LATIN1 -t UTF-8, or the like)")
