"""The columns of a file that people filled in: CSV as spreadsheet programs save it, JSON lines, or parquet.

Knows how each is read without losing how a cell was written, and what a column may be called; nothing of what the
columns mean.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa

from ncaudit.errors import BadTable
from ncaudit.options import MAX_ROW_BYTES
from ncaudit.shards.files.provenance import unreadable
from ncaudit.shards.people.saved_as import Kind, as_utf8, is_plain, kind_of
from ncaudit.shards.readers.bounds.unpacked import held
from ncaudit.shards.readers.parquet import open_parquet, read_bounded
from ncaudit.shards.readers.text.delimited import SEPARATORS, WrittenCells
from ncaudit.shards.readers.text.json_lines import read_as_text
from ncaudit.shards.readers.text.plain_text import open_text

HEADER_BYTES = 1 << 16
READ_ROWS = 8_192
Reader: TypeAlias = Callable[[str, Sequence[str], Sequence[str], int], pa.Table]


@dataclass(frozen=True)
class FilledIn:
    """What was read of a file, its columns under the names that were asked for."""

    path: str
    kind: Kind
    table: pa.Table

    def row(self, place: int) -> str:
        """How a person finds the row at this place: spreadsheet programs count from 1, the header among them."""
        if self.kind is Kind.delimited:
            return f"row {place + 2} (the header is row 1)"
        return f"line {place + 1}" if self.kind is Kind.json_lines else f"row {place}"

    def has(self, name: str) -> bool:
        """Whether the file has the column."""
        return name in self.table.column_names


def read_filled_in(
    path: str, needed: Sequence[str], others: Sequence[str] = (), max_row_bytes: int = MAX_ROW_BYTES
) -> FilledIn:
    """The columns `needed`, whose first names the pairs, and those of `others` that are there.

    Names may differ in case, and in spaces or hyphens for underscores. All of CSV and JSON lines is text, as a pair_id
    007 must not become 7; parquet has its own types. max_row_bytes: of one row of them, unpacked. Raises BadTable when
    the file cannot be read, is of no kind that is known, or lacks a needed column.
    """
    kind = kind_of(path)
    if kind is Kind.parquet:
        return FilledIn(path, kind, _parquet(path, needed, others, max_row_bytes))
    read = _delimited if kind is Kind.delimited else _records_of_json
    with as_utf8(path) as text:
        table = read(text, needed, others, max_row_bytes)
    if not is_plain(path):
        table = _beyond_doubt(path, table, needed, lambda: read(path, needed, others, max_row_bytes))
    return FilledIn(path, kind, table)


def _delimited(path: str, needed: Sequence[str], others: Sequence[str], max_row_bytes: int) -> pa.Table:
    cells = WrittenCells(path, _as_spelled(path, needed[0]), max_row_bytes)
    return _named(cells.read, _there(path, cells.schema.names, needed, others))


def _records_of_json(path: str, needed: Sequence[str], others: Sequence[str], max_row_bytes: int) -> pa.Table:
    table = read_as_text(path, max_row_bytes)
    return _named(table.select, _there(path, table.column_names, needed, others))


def _parquet(path: str, needed: Sequence[str], others: Sequence[str], max_row_bytes: int) -> pa.Table:
    parquet = open_parquet(path)
    found = _there(path, parquet.schema_arrow.names, needed, others)
    names = list(found.values())
    schema = pa.schema([parquet.schema_arrow.field(name) for name in names])
    try:
        read = read_bounded(path, parquet, READ_ROWS, names, max_row_bytes=max_row_bytes)
        batches = (batch.select(names) for batch in held(path, read))
        return pa.Table.from_batches(batches, schema).rename_columns(list(found))
    except (pa.ArrowException, OSError) as error:
        raise unreadable(path, error) from error


def _named(read: Callable[[list[str]], Any], found: Mapping[str, str]) -> pa.Table:
    return read(list(found.values())).rename_columns(list(found))


def _beyond_doubt(path: str, table: pa.Table, needed: Sequence[str], read: Callable[[], pa.Table]) -> pa.Table:
    """Of a file in an encoding that was guessed: the columns in which the guess changes nothing.

    A needed column with other letters is read as it is, which is refused with its line.
    """
    unsure = [name for name in table.column_names if not _is_ascii(table[name])]
    if set(needed) & set(unsure):
        read()
        raise BadTable(f"{path} is not UTF-8", fix="save it as CSV in UTF-8")
    return table.drop_columns(unsure)


def _is_ascii(column: pa.ChunkedArray) -> bool:
    return all(cell is None or cell.isascii() for chunk in column.chunks for cell in chunk.unique().to_pylist())


def _there(path: str, names: Sequence[str], needed: Sequence[str], others: Sequence[str]) -> dict[str, str]:
    """How the columns are spelled in the file."""
    found = {name: _spelled(path, names, name) for name in (*needed, *others)}
    for name in needed:
        if found[name] is None:
            raise BadTable(
                f"{path} has no column {name} (found: {', '.join(names) or 'none'})",
                fix=f"call the column {name} there, in the first line or in every object; "
                "`ncaudit sample` writes a file that has all that is needed",
            )
    return {name: spelled for name, spelled in found.items() if spelled is not None}


def _spelled(path: str, names: Sequence[str], wanted: str) -> str | None:
    if wanted in names:
        return wanted
    alike = list(dict.fromkeys(name for name in names if _plain(name) == _plain(wanted)))
    if len(alike) > 1:
        called = " and ".join(map(repr, alike))
        raise BadTable(f"{path} has the columns {called}, and either may be {wanted}", fix="rename one of them")
    return alike[0] if alike else None


def _as_spelled(path: str, wanted: str) -> str:
    """The name by which the separator is found."""
    with open_text(path) as file:
        head = (file.read(HEADER_BYTES) or b"").decode("utf-8-sig", "replace")
    line = next((line for line in head.splitlines() if line.strip()), "")
    for separator in SEPARATORS:
        for cell in line.split(separator):
            if _plain(cell.strip().strip('"')) == _plain(wanted):
                return cell.strip('"') if cell.startswith('"') else cell
    return wanted


def _plain(name: str) -> str:
    """
    >>> _plain(" Pair-ID")
    'pair_id'
    """
    return "_".join(name.replace("\ufeff", "").replace("-", " ").replace("_", " ").casefold().split())
