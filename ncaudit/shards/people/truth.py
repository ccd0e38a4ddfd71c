"""Known correspondence: which pairs truly belong together, from a column of any sensible type or from a file beside.

Knows arrow columns, parquet and CSV; nothing of scores.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from ncaudit.errors import BadTable
from ncaudit.shards.files.provenance import unreadable
from ncaudit.shards.readers.parquet import open_parquet
from ncaudit.shards.tables.checks import require_column

if TYPE_CHECKING:
    import pandas as pd

MATCH, MISMATCH, MISSING = 1, 0, -1
WORDS = {"true": MATCH, "1": MATCH, "1.0": MATCH, "false": MISMATCH, "0": MISMATCH, "0.0": MISMATCH, "": MISSING}
WORDS["nan"] = MISSING  # how pandas writes an unknown among zeros and ones
Truths = npt.NDArray[np.int8]


@dataclass(frozen=True)
class TruthTable:
    """The truth of some pairs by pair_id: MATCH, MISMATCH or MISSING."""

    path: str
    truth: "pd.Series[int]"  # indexed by pair_id, without repeats

    def of(self, pair_ids: list[str]) -> Truths:
        """The truth of these pairs; MISSING for one that the table does not have. Returns (n,) int8."""
        place = self.truth.index.get_indexer(pair_ids)
        found = self.truth.to_numpy(dtype=np.int8)
        return np.where(place >= 0, found[place] if len(found) else MISSING, MISSING).astype(np.int8)

    def unused(self, pair_ids: list[str]) -> int:
        """How many of the table's pairs are not among these."""
        return int((~self.truth.index.isin(pair_ids)).sum())


def as_truth(column: pa.Array, where: str) -> Truths:
    """Booleans, 0 and 1, or "true" and "false" as MATCH, MISMATCH and, for null, MISSING. Returns (n,) int8.

    where: file and column, for the error. Raises BadTable with the first value that is none of these and the count.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_nested(column.type) or pa.types.is_temporal(column.type):
        raise _no_truth(where, str(column.type))
    words = pc.utf8_lower(pc.utf8_trim_whitespace(column.cast(pa.string())))
    distinct = words.dictionary_encode()
    known = [WORDS.get(word) for word in distinct.dictionary.to_pylist()]
    if None in known:
        strange = distinct.dictionary[known.index(None)].as_py()
        raise _no_truth(where, f"{strange!r} in {pc.sum(pc.equal(words, strange)).as_py():,} rows")
    codes = np.array([*known, MISSING], dtype=np.int8)  # the last one is for null
    truths: Truths = codes[distinct.indices.fill_null(len(known)).to_numpy()]
    return truths


def read_truth(path: str, column: str) -> TruthTable:
    """The truth table in a parquet or CSV file with `pair_id` and `column`.

    Raises BadTable when it cannot be read, lacks a column, holds no truth, or contradicts itself on a pair.
    """
    import pandas as pd  # a third of a second, and most commands read no truth

    table = _read(path, column)
    truth = as_truth(table[column].combine_chunks(), f"{path}: {column}")
    series = pd.Series(truth, index=table["pair_id"].cast(pa.string()).to_pylist())
    repeated = series.groupby(level=0).nunique() if series.index.has_duplicates else None
    if repeated is not None and (repeated > 1).any():
        raise BadTable(
            f"{path} says both true and false of pair {repeated.idxmax()} ({int((repeated > 1).sum()):,} such pairs)",
            fix="keep one row per pair_id",
        )
    return TruthTable(path, series[~series.index.duplicated()])


def _read(path: str, column: str) -> pa.Table:
    wanted = ["pair_id", column]
    try:
        if path.lower().endswith((".csv", ".tsv")):
            return _read_csv(path, column)
        parquet = open_parquet(path)
        for name in wanted:
            require_column(path, parquet.schema_arrow, name)
        return parquet.read(columns=wanted)
    except (pa.ArrowException, OSError) as error:
        raise unreadable(path, error) from error


def _read_csv(path: str, column: str) -> pa.Table:
    # all as strings: a pair_id 007 must not become 7
    names = pyarrow.csv.open_csv(path, parse_options=_parsing(path)).schema.names
    for name in ("pair_id", column):
        require_column(path, pa.schema([(each, pa.string()) for each in names]), name)
    converting = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), include_columns=["pair_id", column]
    )
    return pyarrow.csv.read_csv(path, parse_options=_parsing(path), convert_options=converting)


def _parsing(path: str) -> pyarrow.csv.ParseOptions:
    return pyarrow.csv.ParseOptions(delimiter="\t" if path.lower().endswith(".tsv") else ",", newlines_in_values=True)


def _no_truth(where: str, found: str) -> BadTable:
    return BadTable(
        f"{where} does not say whether pairs match: {found}",
        fix="give booleans, 0 and 1, or true and false; null is unknown",
    )
