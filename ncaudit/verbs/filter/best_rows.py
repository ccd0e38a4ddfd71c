"""The best rows of all tables, or of each value of a column: where they end, and which of equal rows are among them.

Knows keys (larger is better), pair_ids and strata; nothing of what a key is made of or of files.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as t

from ncaudit.shards.tables.checks import words_of
from ncaudit.verbs.filter.exact import comparable

Flags = npt.NDArray[np.bool_]
Keys = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
Place = tuple[str, int, int]  # pair_id, table, row
SPARE_TIES = 65_536  # candidates held beyond those that are wanted, before they are sorted and cut
NONE = np.iinfo(np.uint64).max  # no key is larger, and as a key it is not a number


@dataclass(frozen=True)
class Cut:
    """How many rows of one stratum are kept, and where they end: `tied` of the rows at `key` are, all above it."""

    kept: int
    of: int
    key: int
    tied: int
    at_key: int


class BestRows:
    """Collects keys, finds the cut of each stratum, then tells for each row whether it is above it.

    Takes 8 bytes of memory per row that is ranked, 12 with strata, two to four times that for a moment; none where
    somebody else finds the cuts (see `selected`). Rows with equal keys are kept in the order of their pair_ids (by
    code point), those with equal pair_ids in that of tables and rows.
    """

    def __init__(self, column: str | None) -> None:
        self.column = column
        self._strata = _Strata(column)
        self._keys: list[Keys] = []
        self._numbers: list[npt.NDArray[np.int32]] = []
        self._cuts: dict[int, Cut] = {}
        self._tied: dict[int, list[Place]] = {}
        self._chosen: dict[int, Ints] = {}
        self._bounds = np.zeros(0, dtype=np.uint64)
        self._takes_ties = np.zeros(0, dtype=bool)

    @property
    def cuts(self) -> Mapping[Any, Cut]:
        """By the stratum's value; strata without a row that could be ranked are left out."""
        return {self._strata.values[number]: cut for number, cut in self._cuts.items()}

    @property
    def has_open_ties(self) -> bool:
        """Whether some but not all rows at a cut are kept."""
        return any(0 < cut.tied < cut.at_key for cut in self._cuts.values())

    def add(self, keys: Keys, batch: pa.RecordBatch) -> None:
        """Take the keys of these rows."""
        self._keys.append(keys)
        if self.column:
            self._numbers.append(self._strata.of(batch))

    def cut(self, count: Callable[[Keys], int]) -> None:
        """Find the cut of each stratum; `count` tells how many of its keys, in descending order, are kept."""
        keys, numbers = _joined(self._keys, np.uint64), _joined(self._numbers, np.int32)
        self._keys, self._numbers = [], []
        self._bounds = np.full(len(self._strata.values), NONE, dtype=np.uint64)
        if self.column is None:
            self._cut(0, keys, count)
        else:
            order = np.argsort(numbers, kind="stable")
            ends = np.searchsorted(numbers[order], np.arange(len(self._bounds) + 1))
            for number in range(len(self._bounds)):
                self._cut(number, keys[order[ends[number] : ends[number + 1]]], count)
        self._see_ties()

    def settle(self, cuts: Mapping[Any, Cut | None], rows: Mapping[Any, int]) -> None:
        """The cuts, by the stratum's value, as somebody else has found them; None where no row is kept. rows: of each,
        in the order in which the tables have them.
        """
        numbers = {value: self._strata.number(value) for value in rows}
        self._bounds = np.full(len(self._strata.values), NONE, dtype=np.uint64)
        for value, number in sorted(numbers.items(), key=lambda one: one[1]):
            self._cuts[number] = cuts[value] or Cut(0, rows[value], int(NONE), 0, 0)
            self._bounds[number] = self._cuts[number].key
        self._see_ties()

    def _see_ties(self) -> None:
        whole = [n in self._cuts and self._cuts[n].tied == self._cuts[n].at_key for n in range(len(self._bounds))]
        self._takes_ties = np.array(whole, dtype=bool)

    def without_rows(self) -> "BestRows":
        """One that has seen nothing, for strata of rows that are counted elsewhere."""
        return BestRows(self.column)

    def numbers(self, batch: pa.RecordBatch) -> npt.NDArray[np.int32]:
        """(n,): the stratum of each row, by a number of this one's own."""
        return self._strata.of(batch)

    def value(self, number: int) -> Any:
        """What a stratum's number stands for."""
        return self._strata.values[number]

    def _cut(self, number: int, keys: Keys, count: Callable[[Keys], int]) -> None:
        if not len(keys):
            return
        keys.sort()
        kept = count(keys[::-1])
        if not kept:
            self._cuts[number] = Cut(0, len(keys), int(NONE), 0, 0)
            return
        key = keys[len(keys) - kept]
        low, high = (int(np.searchsorted(keys, key, side=side)) for side in ("left", "right"))
        self._cuts[number] = Cut(kept, len(keys), int(key), kept - (len(keys) - high), high - low)
        self._bounds[number] = key

    def add_tied(self, keys: Keys, ranked: Flags, batch: pa.RecordBatch, table: int, first: int) -> None:
        """Take the pair_ids of those rows that are at a cut which not all of its rows pass."""
        numbers = self._known(batch)
        at = np.flatnonzero(ranked & (keys == self._bounds[numbers]) & ~self._takes_ties[numbers])
        names = batch["pair_id"].take(pa.array(at)).cast(pa.string()).to_pylist()
        for name, row, number in zip(names, at.tolist(), numbers[at].tolist(), strict=True):
            held = self._tied.setdefault(number, [])
            held.append((str(name), table, first + row))
            if len(held) > 2 * self._cuts[number].tied + SPARE_TIES:
                self._first_of(number)

    def take_places(self) -> Mapping[int, list[Place]]:
        """Give away the first of the rows at each cut that have been taken, by the stratum's number."""
        places = {number: self._first_of(number) for number in self._tied}
        self._tied = {}
        return places

    def add_places(self, places: Mapping[int, Sequence[Place]]) -> None:
        """Take what one that knows the same cuts has taken."""
        for number, held in places.items():
            self._tied.setdefault(number, []).extend(held)
            self._first_of(number)

    def break_ties(self) -> None:
        """Keep the first pair_ids at each cut."""
        self.choose([(table, row) for number in self._tied for _, table, row in self._first_of(number)])
        self._tied = {}

    @property
    def chosen(self) -> list[list[int]]:
        """The rows, (table, row) each, that are kept of those at cuts which not all of their rows pass."""
        return [[table, row] for table, rows in self._chosen.items() for row in rows.tolist()]

    def choose(self, rows: Sequence[tuple[int, int]]) -> None:
        """Keep these of the rows at such cuts."""
        found: dict[int, list[int]] = {}
        for table, row in rows:
            found.setdefault(table, []).append(row)
        self._chosen = {table: np.array(sorted(rows), dtype=np.int64) for table, rows in found.items()}

    def _first_of(self, number: int) -> list[Place]:
        self._tied[number] = sorted(self._tied[number])[: self._cuts[number].tied]
        return self._tied[number]

    def kept(self, keys: Keys, batch: pa.RecordBatch, table: int, first: int) -> Flags:
        """(n,): whether each row, if it can be ranked, is among the best."""
        numbers = self._known(batch)
        bounds = self._bounds[numbers]
        equal = keys == bounds
        chosen = np.isin(np.arange(first, first + len(batch)), self._chosen.get(table, np.zeros(0, np.int64)))
        best: Flags = (keys > bounds) | (equal & (self._takes_ties[numbers] | chosen))
        return best

    def _known(self, batch: pa.RecordBatch) -> npt.NDArray[np.int32]:
        """Strata of the rows; 0 for a value that no ranked row has, as such a row is dropped for another reason."""
        numbers = self._strata.of(batch)
        return np.where(numbers < len(self._bounds), numbers, 0)


class _Strata:
    """Numbers for the values of a column; null is a value of its own. Without a column all rows have number 0."""

    def __init__(self, column: str | None) -> None:
        self._column = column
        self.values: list[Any] = [None]
        self._numbers: dict[Any, int] = {None: 0}

    def of(self, batch: pa.RecordBatch) -> npt.NDArray[np.int32]:
        """(n,): the number of each row's value."""
        if self._column is None:
            return np.zeros(len(batch), dtype=np.int32)
        array = batch[self._column]
        array = array.dictionary_decode() if t.is_dictionary(array.type) else array
        encoded = (words_of(array) if t.is_temporal(array.type) else comparable(array)).dictionary_encode()
        known = [self.number(value) for value in encoded.dictionary.to_pylist()]
        places = encoded.indices.fill_null(len(known)).to_numpy()
        numbers: npt.NDArray[np.int32] = np.array([*known, 0], dtype=np.int32)[places]
        return numbers

    def number(self, value: Any) -> int:
        """The number of a value, a new one for a new value."""
        value = "nan" if isinstance(value, float) and value != value else value  # not equal to itself
        if value not in self._numbers:
            self._numbers[value] = len(self.values)
            self.values.append(value)
        return self._numbers[value]


def _joined(parts: list[Any], kind: Any) -> npt.NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=kind)
