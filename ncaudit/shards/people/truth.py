"""Known correspondence: which pairs truly belong together, from a column of any sensible type or from a file beside.

Knows arrow columns and the words for true and false; nothing of formats or scores.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ncaudit.errors import BadTable
from ncaudit.shards.people.filled_in import read_filled_in
from ncaudit.shards.tables.key_index import NOWHERE, KeyIndex

MATCH, MISMATCH, MISSING = 1, 0, -1
WORDS = {"true": MATCH, "1": MATCH, "1.0": MATCH, "false": MISMATCH, "0": MISMATCH, "0.0": MISMATCH, "": MISSING}
WORDS["nan"] = MISSING  # how pandas writes an unknown among zeros and ones
Truths = npt.NDArray[np.int8]


@dataclass(frozen=True)
class TruthTable:
    """The truth of some pairs by pair_id: MATCH, MISMATCH or MISSING."""

    path: str
    pairs: KeyIndex  # n, without repeats
    truth: Truths  # (n,)

    def of(self, pair_ids: Sequence[str]) -> Truths:
        """The truth of these pairs; MISSING for one that the table does not have. Returns (m,) int8."""
        places = self.pairs.places(pair_ids)
        found, there = np.full(len(places), MISSING, dtype=np.int8), places != NOWHERE
        found[there] = self.truth[places[there]]
        return found

    def unused(self, pair_ids: Sequence[str]) -> int:
        """How many of the table's pairs are not among these."""
        places = self.pairs.places(pair_ids)
        return len(self.pairs) - len(np.unique(places[places != NOWHERE]))


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
    """The truth table in a parquet, CSV or JSON lines file with `pair_id` and `column`.

    Raises BadTable when it cannot be read, lacks a column, holds no truth, or contradicts itself on a pair.
    """
    table = read_filled_in(path, ["pair_id", column])
    truth = as_truth(table[column].combine_chunks(), f"{path}: {column}")
    rows = KeyIndex(table["pair_id"])
    first = rows.places(rows.keys)
    nameless = first == NOWHERE
    if len(twofold := np.unique(first[~nameless & (truth[first] != truth)])):
        raise BadTable(
            f"{path} says both true and false of pair {rows.key(int(twofold[0]))} ({len(twofold):,} such pairs)",
            fix="keep one row per pair_id",
        )
    once = first == np.arange(len(first))
    once[np.flatnonzero(nameless)[:1]] = True  # rows without a pair_id are one pair that no score table has
    return TruthTable(path, KeyIndex(rows.keys.filter(pa.array(once))), truth[once])


def _no_truth(where: str, found: str) -> BadTable:
    return BadTable(
        f"{where} does not say whether pairs match: {found}",
        fix="give booleans, 0 and 1, or true and false; null is unknown",
    )
