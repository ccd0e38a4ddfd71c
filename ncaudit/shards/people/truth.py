"""Known correspondence: which pairs truly belong together, from a column of any sensible type or from a file beside.

Knows arrow columns and the words for true and false; nothing of formats or scores.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ncaudit.counts import counted
from ncaudit.errors import BadTable
from ncaudit.options import MAX_ROW_BYTES
from ncaudit.shards.people.filled_in import read_filled_in
from ncaudit.shards.people.pair_finder import TELLING, Asked, Found, PairFinder, asked
from ncaudit.shards.people.words import CANNOT_TELL, HOW_TO_SAY, MATCH, MISMATCH, MISSING, told
from ncaudit.shards.tables.key_index import NOWHERE

__all__ = ["MATCH", "MISMATCH", "MISSING", "TruthTable", "Truths", "as_truth", "read_truth"]
Truths = npt.NDArray[np.int8]


@dataclass(frozen=True)
class TruthTable:
    """The truth of some pairs, told by pair_id and, where the table has them, by shard and row."""

    path: str
    rows: Asked  # (n,)
    truth: Truths  # (n,): MATCH, MISMATCH or MISSING

    def finder(self) -> PairFinder:
        """What takes all rows of the score tables, and finds those that the table is about."""
        return PairFinder(self.rows)

    def of(self, found: Found, rows: int) -> Truths:
        """The truth of all rows of the score tables, (rows,); MISSING for one that the table does not have.

        Raises BadTable where two rows of the table contradict each other on one.
        """
        there = found.row != NOWHERE
        truth = np.full(rows, MISSING, dtype=np.int8)
        truth[found.row[there]] = self.truth[there]
        strange = np.flatnonzero(there)[truth[found.row[there]] != self.truth[there]]
        if len(strange):
            raise _twofold(self.path, str(self.rows.pair_id[strange[0]]), len(strange))
        return truth

    def unused(self, found: Found) -> int:
        """How many pairs of the table are none of the score tables': repeats and rows without a name count once."""
        alone = np.flatnonzero(found.row == NOWHERE)
        return len({_key(self.rows, number) for number in alone.tolist()})


def as_truth(column: pa.Array, where: str) -> Truths:
    """Booleans, 0 and 1, or words as MATCH, MISMATCH and, for null and where nobody can tell, MISSING: (n,) int8.

    where: file and column, for the error. Raises BadTable with the first value that is none of these and the count.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_nested(column.type) or pa.types.is_temporal(column.type) or pa.types.is_binary(column.type):
        raise _no_truth(where, str(column.type))
    distinct = column.cast(pa.string()).dictionary_encode()
    known = [told(word) for word in distinct.dictionary.to_pylist()]
    if None in known:
        strange = distinct.dictionary[known.index(None)].as_py()
        same = pc.sum(pc.equal(column.cast(pa.string()), strange)).as_py()
        raise _no_truth(where, f"{strange.strip()!r} in {counted(same, 'row')}")
    codes = np.array([*(MISSING if code == CANNOT_TELL else code for code in known), MISSING], dtype=np.int8)
    truths: Truths = codes[distinct.indices.fill_null(len(known)).to_numpy()]  # the last one is for null
    return truths


def read_truth(path: str, column: str, max_row_bytes: int = MAX_ROW_BYTES) -> TruthTable:
    """The truth table in a parquet, CSV or JSON lines file with `pair_id` and `column`: a filled-in review is one.

    Raises BadTable when it cannot be read, lacks a column, holds no truth, or contradicts itself on a pair.
    """
    file = read_filled_in(path, ["pair_id", column], [name for name in TELLING if name != column], max_row_bytes)
    truth = as_truth(file.table[column].combine_chunks(), f"{path}: {column}")
    rows = asked(file, np.arange(len(truth)))
    first: dict[str, int] = {}
    own = np.array([first.setdefault(_key(rows, number), number) for number in range(len(rows))], dtype=np.int64)
    named = rows.pair_id != ""
    twofold = {str(rows.pair_id[number]) for number in np.flatnonzero(named & (truth[own] != truth)).tolist()}
    if twofold:
        raise _twofold(path, next(i for i in rows.pair_id if i in twofold), len(twofold))
    return TruthTable(path, rows, truth)


def _key(rows: Asked, number: int) -> str:
    """The name, and the place where that is told: a name that a spreadsheet program changed may be that of several."""
    place = None if rows.place is None else rows.place[number]
    return f"{rows.pair_id[number]}\n{place or ''}"


def _twofold(path: str, pair_id: str, pairs: int) -> BadTable:
    return BadTable(
        f"{path} says both true and false of pair {pair_id} ({counted(pairs, 'such pair')})",
        fix="keep one row per pair_id",
    )


def _no_truth(where: str, found: str) -> BadTable:
    return BadTable(f"{where} does not say whether pairs match: {found}", fix=HOW_TO_SAY)
