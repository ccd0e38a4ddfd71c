"""Where each key stands in a column of keys: what every join of rows by pair or by a key of the user's looks up.

Knows arrow's text and places of rows; nothing of what the rows hold, and of files what they are called in an error.
"""

from functools import cached_property
from itertools import repeat

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ncaudit.errors import BadTable
from ncaudit.shards.dataset.keys import Keys, key_text

NOWHERE = -1
MANY = 4  # lookups of a quarter of the keys or more: see `KeyIndex`
Places = npt.NDArray[np.int64]


class KeyIndex:
    """The keys of some rows: text, or numbers and categories that are compared as text. A null is no key.

    Many keys are looked up at once in arrow, which hashes all keys of the index anew for every call (1 million keys:
    0.5 s); a few among many in a dictionary that is made once (1 million keys: 1 s and 170 MB).
    """

    def __init__(self, keys: Keys) -> None:
        """keys: (n,), in the order of the rows; a key may be there several times."""
        self.keys = key_text(keys)

    def __len__(self) -> int:
        return len(self.keys)

    def key(self, place: int) -> str:
        """The key of row `place`."""
        return str(self.keys[place].as_py())

    def places(self, wanted: Keys) -> Places:
        """The first row with each of these keys, (m,) int64; NOWHERE for one that no row has, and for null.

        >>> KeyIndex(["a", "b", "a"]).places(["b", "c", "a"])
        array([ 1, -1,  0])
        """
        wanted = key_text(wanted)
        if MANY * len(wanted) >= len(self.keys):
            found = pc.index_in(wanted, value_set=self.keys, skip_nulls=True).fill_null(NOWHERE)
            return np.asarray(found.to_numpy(), dtype=np.int64)
        return np.fromiter(map(self._place_of.get, _listed(wanted), repeat(NOWHERE)), np.int64, len(wanted))

    def places_in_turn(self, wanted: Keys) -> Places:
        """As `places`, but the second time a key is asked for it is the second row that has it, and so on.

        >>> KeyIndex(["a", "b", "a"]).places_in_turn(["a", "a", "a"])
        array([ 0,  2, -1])
        """
        first, own = self.places(wanted), self.places(self.keys)
        order = np.argsort(own, kind="stable")  # rows of one key beside each other
        at = np.searchsorted(own[order], first) + turns(first)
        there = (first != NOWHERE) & (at < len(own))
        there[there] = own[order[at[there]]] == first[there]
        places = np.full(len(first), NOWHERE, dtype=np.int64)
        places[there] = order[at[there]]
        return places

    def knows(self, wanted: Keys) -> npt.NDArray[np.bool_]:
        """Whether a row has each of these keys, (m,)."""
        return np.asarray(self.places(wanted) != NOWHERE, dtype=bool)

    @property
    def repeated(self) -> str | None:
        """The first of the keys that several rows have; None where each has its own."""
        rows = self.repeated_rows
        return None if rows is None else self.key(rows[0])

    @property
    def repeated_rows(self) -> tuple[int, int] | None:
        """The first two rows that have that key."""
        if len(self.keys.unique()) == len(self.keys):
            return None
        first = self.places(self.keys)
        again = np.flatnonzero((first != NOWHERE) & (first != np.arange(len(first))))
        if not len(again):
            return None
        row = int(first[again].min())
        return row, int(again[first[again] == row][0])

    def refuse_repeats(self, path: str, what: str = "pair_id") -> None:
        """Raises BadTable naming the first key that several rows have, and two of them. what: the column's name."""
        if (rows := self.repeated_rows) is not None:
            raise BadTable(
                f"{path} has the {what} {self.key(rows[0])!r} more than once (rows {rows[0]:,} and {rows[1]:,}): "
                "what is said of one cannot be told from what is said of the other",
                fix=f"give every row a {what} of its own; of embedding tables without one, file and row are the names",
            )

    @cached_property
    def _place_of(self) -> dict[str | None, int]:
        backwards = zip(reversed(_listed(self.keys)), range(len(self.keys) - 1, -1, -1), strict=True)
        return {key: place for key, place in backwards if key is not None}  # of equal keys the first stays


class OnceEach:
    """Which rows of an index have been found: two that look for the same one cannot both be it."""

    def __init__(self, index: KeyIndex, path: str) -> None:
        """path: of the table that looks for rows of the index, for errors."""
        self._index, self._path = index, path
        self.found = np.zeros(len(index), dtype=bool)

    def take(self, places: Places) -> None:
        """Raises BadTable where one of these was taken before; NOWHERE is nothing to take."""
        there = places[places != NOWHERE]
        rows, times = np.unique(there, return_counts=True)
        again = rows[(times > 1) | self.found[rows]]
        if len(again):
            raise BadTable(
                f"{self._path} has the pair_id {self._index.key(int(again[0]))!r} in several rows: what the scores say "
                "of it cannot be told apart",
                fix="give every row a pair_id of its own (--key names another column of the dataset), and score that",
            )
        self.found[rows] = True


def turns(numbers: Places) -> Places:
    """How often each number was there before it.

    >>> turns(np.array([7, 3, 7, 7]))
    array([0, 0, 1, 2])
    """
    order = np.argsort(numbers, kind="stable")
    inorder = numbers[order]
    found = np.empty(len(numbers), dtype=np.int64)
    found[order] = np.arange(len(numbers)) - np.searchsorted(inorder, inorder)
    return found


def _listed(keys: pa.Array) -> list[str | None]:
    listed: list[str | None] = keys.to_numpy(zero_copy_only=False).tolist()  # `to_pylist` takes twice as long
    return listed
