"""CSV and TSV: a header that names the columns, then a row per line, or over several lines where cells are quoted.

Knows separators, quotes and where a row stands in its file; nothing of what columns mean.
"""

import codecs
import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.csv as pa_csv

from ncaudit.errors import BadTable
from ncaudit.shards.files.locations import MIB
from ncaudit.shards.files.remembered import Remembered
from ncaudit.shards.readers.one_piece import OnePiece
from ncaudit.shards.readers.text.cell_types import FALSE, TRUE, CellType
from ncaudit.shards.readers.text.plain_text import open_text

BLOCK = 16 * MIB  # text that is taken apart at once: no row may be longer
HEADER = MIB
SEPARATORS = ",;\t|"
RAGGED = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")
NO_ROW = "Empty CSV file"
STRADDLES = "straddling"


class WrittenCells:
    """A file whose cells stay as people wrote them. Raises BadTable as `DelimitedShard` does.

    Spreadsheet programs separate by what their language does: it is the separator under which a column is called
    `named`, whatever the file is called. Columns that are not read may share a name.
    """

    def __init__(self, path: str, named: str) -> None:
        self._path = path
        self._separator, self._names = _header(path, SEPARATORS, named)

    @property
    def schema(self) -> pa.Schema:
        """All columns, of text."""
        return pa.schema([(name, pa.string()) for name in self._names])

    def read(self, columns: Sequence[str]) -> pa.Table:
        """Some of the columns: null where a cell is empty."""
        _refuse_twins(self._path, [name for name in self._names if name in columns])
        types = dict.fromkeys(self._names, pa.string())
        blocks = list(_blocks(self._path, self._separator, types, columns))
        return pa.Table.from_batches(blocks, schema=pa.schema([(name, pa.string()) for name in columns]))


@dataclass(frozen=True)
class _Survey:
    """What one pass over a file told."""

    separator: str
    schema: pa.Schema
    rows: int
    nulls: Mapping[str, int]


class DelimitedShard(OnePiece):
    """A `ShardFile` in one piece. Its types are those that every cell of a column has: see `CellType`.

    An empty cell is null, a quoted empty one is empty text. The separator is the one that cuts the header into most
    names. Raises BadTable naming the line when a row has more or fewer cells than the header, or is not UTF-8.
    """

    def __init__(self, path: str) -> None:
        self._told = _surveys(path)
        super().__init__(path, self._told)

    def batches(
        self, rows: int, columns: Collection[str] | None = None, pieces: Sequence[int] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """In memory bounded by the block that is taken apart at once."""
        names = [name for name in self.schema.names if columns is None or name in columns]
        types = {field.name: field.type for field in self.schema}
        for block in _blocks(self._path, self._told.separator, types, names) if pieces is None or 0 in pieces else ():
            yield from (block.slice(first, rows).select(names) for first in range(0, len(block), rows))

    def nulls(self, piece: int, column: str) -> int | None:
        """Counted with the rows."""
        return self._told.nulls.get(column)


def _survey(path: str) -> _Survey:
    separator, names = _header(path, "\t" if path.lower().removesuffix(".gz").endswith(".tsv") else SEPARATORS)
    _refuse_twins(path, names)
    types = {name: CellType() for name in names}
    nulls, rows = dict.fromkeys(names, 0), 0
    for block in _blocks(path, separator, dict.fromkeys(names, pa.binary()), names):
        for name in names:
            cells = _as_text(path, block.column(name), rows)
            types[name].see(cells)
            nulls[name] += cells.null_count
        rows += len(block)
    return _Survey(separator, pa.schema([(name, types[name].type) for name in names]), rows, nulls)


_surveys = Remembered(_survey)


def _header(path: str, separators: str, named: str | None = None) -> tuple[str, list[str]]:
    """The separator and the names: the first separator that cuts out the name `named`, else one that cuts most names.

    Raises BadTable when there are no names.
    """
    with open_text(path) as file:
        head = file.read(HEADER) or b""
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError as error:
        raise _not_text(path, 1 + head[: error.start].count(b"\n")) from error
    found = [(separator, _first_row(text, separator)) for separator in separators]
    most = max(found, key=lambda cut: len(cut[1]))
    separator, names = next((cut for cut in found if named in cut[1]), most)
    if not names:
        raise BadTable(f"{path} holds no header", fix="name the columns in the first line")
    return separator, names


def _refuse_twins(path: str, names: Sequence[str]) -> None:
    if twins := sorted({name for name in names if names.count(name) > 1}):
        called = ", ".join(map(repr, twins))
        raise BadTable(
            f"{path}: its first line names several columns {called}", fix="give every column a name of its own there"
        )


def _first_row(text: str, separator: str) -> list[str]:
    try:
        return next((row for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if row), [])
    except csv.Error:  # a name of 128 KiB or more: there is no header here
        return []


def _blocks(
    path: str, separator: str, types: Mapping[str, pa.DataType], names: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """The rows with at least these columns."""
    convert = pa_csv.ConvertOptions(
        column_types=types, include_columns=list(names or list(types)[:1]), null_values=[""], strings_can_be_null=True,
        quoted_strings_can_be_null=False, true_values=TRUE, false_values=FALSE,
    )  # fmt: skip
    parse = pa_csv.ParseOptions(delimiter=separator, newlines_in_values=True)
    read = pa_csv.ReadOptions(use_threads=False, block_size=BLOCK)
    last: pa.RecordBatch | None = None
    with open_text(path) as file, _telling(path):
        for block in pa_csv.open_csv(file, read_options=read, parse_options=parse, convert_options=convert):
            last = block if len(block) else last
            yield block
        _refuse_open_quote(path, last, file.tail)


@contextmanager
def _telling(path: str) -> Iterator[None]:
    try:
        yield
    except pa.ArrowException as error:
        told = str(error)
        if NO_ROW in told:  # a header without even a line break behind it
            return
        if found := RAGGED.search(told):
            number, named, had = map(int, found.groups())
            raise BadTable(
                f"{path} line {_line_of(path, number - 1)} has {had} cells, and the first line names {named} columns",
                fix="put cells that hold a separator or a quote in quotes, or repair that line",
            ) from error
        if STRADDLES in told:
            told = f"a row is longer than {BLOCK // MIB} MiB, perhaps as a quote is left open"
        raise BadTable(
            f"{path} cannot be read: {told.splitlines()[0]}", fix="repair the file or leave it out"
        ) from error


def _refuse_open_quote(path: str, last: pa.RecordBatch | None, tail: bytes) -> None:
    """A quote that is never closed makes one cell of all that follows: such a cell is the file's very end."""
    if last is None:
        return
    cell = last.column(last.num_columns - 1)[-1].as_py()
    content = cell.encode("utf-8", "surrogatepass") if isinstance(cell, str) else cell
    if isinstance(content, bytes) and b"\n" in content and tail.endswith(content[-len(tail) :]):
        raise BadTable(
            f"{path} ends within a quoted cell", fix="close that quote; or fetch the file again if it was cut"
        )


def _as_text(path: str, cells: pa.Array, first: int) -> pa.Array:
    try:
        return cells.cast(pa.string())
    except pa.ArrowInvalid:
        row = next(i for i, cell in enumerate(cells.to_pylist()) if cell is not None and not _is_utf8(cell))
        raise _not_text(path, _line_of(path, 1 + first + row)) from None


def _is_utf8(cell: bytes) -> bool:
    try:
        cell.decode()
    except UnicodeDecodeError:
        return False
    return True


def _not_text(path: str, line: int) -> BadTable:
    return BadTable(f"{path} line {line} is not UTF-8", fix="save it as UTF-8 (iconv -f LATIN1 -t UTF-8, or the like)")


def _line_of(path: str, record: int) -> int:
    """The line, from 1, on which a record begins; the header is record 0."""
    begun = found = 0
    inside = False
    with open_text(path) as file:
        for number, line in enumerate(io.BufferedReader(file), start=1):
            if not inside and line.strip(b"\r\n"):
                begun, found = number, found + 1
                if found > record:
                    break
            inside ^= line.count(b'"') % 2 == 1
    return begun
