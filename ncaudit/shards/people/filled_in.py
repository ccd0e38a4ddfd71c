"""The columns of a file that people filled in: CSV as spreadsheet programs save it, JSON lines, or parquet.

Knows how each is read without losing how a cell was written; nothing of what the columns mean.
"""

from collections.abc import Sequence

import pyarrow as pa

from ncaudit.shards.files.provenance import unreadable
from ncaudit.shards.readers.parquet import open_parquet
from ncaudit.shards.readers.text.delimited import WrittenCells
from ncaudit.shards.readers.text.json_lines import read_as_text
from ncaudit.shards.tables.checks import require_column

DELIMITED = (".csv", ".tsv")
JSON_LINES = ".jsonl"


def read_filled_in(path: str, needed: Sequence[str], others: Sequence[str] = ()) -> pa.Table:
    """The columns `needed`, whose first names the pairs, and those of `others` that are there.

    All of CSV and JSON lines is text, as a pair_id 007 must not become 7; parquet, which is what the name of any other
    file says, has its own types. Raises BadTable when the file cannot be read, or lacks a needed column.
    """
    if path.lower().endswith(DELIMITED):
        cells = WrittenCells(path, needed[0])
        return cells.read(_there(path, cells.schema, needed, others))
    if path.lower().endswith(JSON_LINES):
        table = read_as_text(path)
        return table.select(_there(path, table.schema, needed, others))
    parquet = open_parquet(path)
    names = _there(path, parquet.schema_arrow, needed, others)
    try:
        return parquet.read(columns=names)
    except (pa.ArrowException, OSError) as error:
        raise unreadable(path, error) from error


def _there(path: str, schema: pa.Schema, needed: Sequence[str], others: Sequence[str]) -> list[str]:
    for name in needed:
        require_column(path, schema, name)
    return [*needed, *(name for name in others if name in schema.names)]
