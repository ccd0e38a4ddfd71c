"""Which row of our tables each row of a people's file is about: by pair_id, and by shard and row where it tells them.

Knows names, places and what spreadsheet programs do to names; nothing of verdicts, truth or scores. All rows of the
tables stream past; what is kept is a few numbers for each row of the file.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ncaudit.errors import BadTable
from ncaudit.shards.dataset.keys import Keys, key_text
from ncaudit.shards.people.changed_ids import may_have_become
from ncaudit.shards.people.filled_in import FilledIn
from ncaudit.shards.tables.key_index import NOWHERE, KeyIndex, Places, turns

PLACE: Final = ("shard", "row")
TELLING: Final = (*PLACE, "caption_index", "caption")  # what a file may say of a pair beside its name
BETWEEN: Final = "\n"
AS_DRAWN = "give the pair_id, shard and row as `ncaudit sample` wrote them"


@dataclass(frozen=True)
class Asked:
    """The rows of a file that are looked for, (n,) each; what the file does not tell is None."""

    file: FilledIn
    at: Places  # their places in the file
    pair_id: npt.NDArray[np.object_]
    place: npt.NDArray[np.object_] | None  # shard and row, in one word
    caption_index: npt.NDArray[np.object_] | None
    caption: npt.NDArray[np.object_] | None

    def __len__(self) -> int:
        return len(self.at)

    def row(self, number: int) -> str:
        """How people find it."""
        return self.file.row(int(self.at[number]))


@dataclass(frozen=True)
class Found:
    """Which row of all tables, counted through, each row of the file is about; NOWHERE where there is none."""

    row: Places  # (n,)
    changed: int  # found by shard and row, as the pair_id is no longer what it was


def asked(file: FilledIn, at: Places) -> Asked:
    """The rows of a file at these places."""
    columns = {name: as_words(file.table[name])[at] for name in file.table.column_names if name in TELLING}
    place = None
    if set(PLACE) <= columns.keys():
        place = np.array([_place(*one) for one in zip(columns["shard"], columns["row"], strict=True)], dtype=object)
    ids = as_words(file.table["pair_id"])[at]
    return Asked(file, at, ids, place, columns.get("caption_index"), columns.get("caption"))


def as_words(column: pa.ChunkedArray) -> npt.NDArray[np.object_]:
    """A column as text, empty where there is nothing. Returns (n,) str."""
    if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
        return np.array(["" if value is None else str(value) for value in column.to_pylist()], dtype=object)
    words: npt.NDArray[np.object_] = np.array(column.cast(pa.string()).fill_null("").to_pylist(), dtype=object)
    return words


@dataclass(frozen=True)
class Candidate:
    """A row of the tables at the place that a row of the file tells."""

    row: int
    pair_id: str
    caption: str


class Likely:
    """Which rows of one table a file may be about: all that `PairFinder` needs of it, wherever the table is read.

    Of a name that more than two of its rows have, only two are told of: one says already that it names no single pair.
    """

    def __init__(self, wanted: Asked) -> None:
        self._names = KeyIndex(list(wanted.pair_id))
        self._places = None if wanted.place is None else KeyIndex(list(wanted.place))
        self._met = np.zeros(len(wanted), dtype=np.int64)  # rows that have each name

    def among(self, ids: Keys, shard: Keys, row: Keys) -> Places:
        """The next rows of the table: which of them these are, ascending."""
        found = self._names.places(key_text(ids))
        at = np.flatnonzero(found != NOWHERE)
        few = at[self._met[found[at]] + turns(found[at]) < 2]
        np.add.at(self._met, found[at], 1)
        if self._places is None:
            return few
        return np.union1d(few, np.flatnonzero(self._places.places(_words(shard, row)) != NOWHERE))


class PairFinder:
    """Takes all rows of the tables, in order, or those that are `Likely`, and then tells which the file is about.

    Rows of the file that share a name, or a place, are looked up as the first of them.
    """

    def __init__(self, wanted: Asked) -> None:
        self.wanted = wanted
        self._names = KeyIndex(list(wanted.pair_id))
        self._places = None if wanted.place is None else KeyIndex(list(wanted.place))
        self._name_of, self._place_of = _firsts(self._names), _firsts(self._places or self._names)
        self._by_name = np.full(len(wanted), NOWHERE, dtype=np.int64)
        self._agreed = np.zeros(len(wanted), dtype=bool)  # name and place tell of one row
        self._twice: dict[int, int] = {}  # of a name: the next row that has it
        self._there: dict[int, list[Candidate]] = defaultdict(list)  # of a place: rows of another name
        self._tables: list[tuple[int, str]] = []

    def table(self, path: str, first: int) -> None:
        """The rows from number `first` on are of this table."""
        self._tables.append((first, path))

    def add(self, rows: Places, ids: Keys, shard: Keys | None, row: Keys | None, caption: pa.Array | None) -> Places:
        """Some rows of a table: their numbers, counted through, and what they are called. shard, row: None: not known.

        Returns those of `rows` that some row of the file may be about, ascending.
        """
        keys = key_text(ids)
        by_name = self._named(rows, keys)
        if self._places is None or shard is None or row is None:
            return by_name
        return np.union1d(by_name, self._placed(rows, keys, self._places.places(_words(shard, row)), caption))

    def _named(self, rows: Places, keys: pa.Array) -> Places:
        found = self._names.places(keys)
        at = np.flatnonzero(found != NOWHERE)
        entries, once = np.unique(found[at], return_index=True)
        again = np.ones(len(at), dtype=bool)
        again[once[self._by_name[entries] == NOWHERE]] = False
        new = at[~again]
        self._by_name[found[new]] = rows[new]
        for entry, row in zip(found[at[again]].tolist(), rows[at[again]].tolist(), strict=True):
            self._twice.setdefault(entry, row)
        return rows[at]

    def _placed(self, rows: Places, keys: pa.Array, found: Places, caption: pa.Array | None) -> Places:
        at = np.flatnonzero(found != NOWHERE)
        agree = self._by_name[self._name_of[found[at]]] == rows[at]
        self._agreed[found[at[agree]]] = True
        for place in at[~agree].tolist():
            said = None if caption is None else caption[place].as_py()
            self._there[int(found[place])].append(Candidate(int(rows[place]), str(keys[place]), str(said or "")))
        return rows[at]

    def found(self) -> Found:
        """What every row of the file is about.

        Raises BadTable where a name is that of several rows, or name and place tell of two pairs.
        """
        row, changed = self._by_name[self._name_of], 0
        several = np.isin(self._name_of, list(self._twice))
        if several.any():
            raise self._ambiguous(int(several.argmax()))
        if self._places is None:
            return Found(row, 0)
        for number in np.flatnonzero(np.isin(self._place_of, list(self._there)) | (row == NOWHERE)).tolist():
            there = self._at_its_place(number)
            if there and row[number] not in [one.row for one in there]:
                row[number] = self._by_place(number, int(row[number]), there)
                changed += 1
        return Found(row, changed)

    def _at_its_place(self, number: int) -> list[Candidate]:
        first = int(self._place_of[number])
        if first == NOWHERE:
            return []
        there = list(self._there.get(first, ()))
        if self._agreed[first]:
            name = int(self._name_of[first])
            there.append(Candidate(int(self._by_name[name]), str(self.wanted.pair_id[name]), ""))
        return there

    def _by_place(self, number: int, named: int, there: Sequence[Candidate]) -> int:
        """The row at its place whose name a spreadsheet program may have changed into the written one."""
        written = str(self.wanted.pair_id[number])
        likely = self._narrowed(number, [one for one in there if may_have_become(one.pair_id, written)])
        if len(likely) != 1:
            raise self._at_odds(number, several=len(likely) > 1, there=there)
        return likely[0].row

    def _narrowed(self, number: int, likely: Sequence[Candidate]) -> Sequence[Candidate]:
        """A photo with several captions is several pairs of one place: the caption tells which."""
        index, caption = self.wanted.caption_index, self.wanted.caption
        if len(likely) > 1 and index is not None:
            likely = [one for one in likely if one.pair_id.rpartition("/")[2] == whole_number(index[number])]
        if len(likely) > 1 and caption is not None:
            said = caption[number].removeprefix("'")  # in front of what looks like a formula
            likely = [one for one in likely if one.caption == said] or likely
        return likely

    def _ambiguous(self, number: int) -> BadTable:
        name = int(self._name_of[number])
        (path, first), (other, second) = map(self._whereabouts, (int(self._by_name[name]), self._twice[name]))
        both = f"row {first:,} of {path} and row {second:,}" + ("" if other == path else f" of {other}")
        return BadTable(
            f"pair_id {self.wanted.pair_id[number]} names several rows, {both}: "
            f"what {self.wanted.file.path} says of it cannot be told apart",
            fix="give every row of the tables a pair_id of its own; without that column they are named by file and row",
        )

    def _at_odds(self, number: int, *, several: bool, there: Sequence[Candidate]) -> BadTable:
        written, where = self.wanted.pair_id[number], f"{self.wanted.file.path}: {self.wanted.row(number)}"
        called = " or ".join(one.pair_id for one in there[:3])
        if several:
            what = f"{where} may be about {called}, several pairs of one image"
            return BadTable(what, fix="give the column caption as `ncaudit sample` wrote it, or mend the pair_id")
        what = f"{where} says pair {written!r}, but shard and row there are those of pair {called}"
        return BadTable(what, fix=f"{AS_DRAWN}; where the pair_id is right, take the columns shard and row out")

    def _whereabouts(self, number: int) -> tuple[str, int]:
        first, path = next(one for one in reversed(self._tables) if one[0] <= number)
        return path, number - first


def _words(shard: Keys, row: Keys) -> pa.Array:
    """Shard and row in one word each."""
    return pc.binary_join_element_wise(key_text(shard), key_text(row), pa.scalar(BETWEEN, pa.large_string()))


def _firsts(index: KeyIndex) -> Places:
    """For every row of the file the first with the same key."""
    return index.places(index.keys)


def _place(shard: str, row: str) -> str | None:
    number = whole_number(row)
    return f"{shard.strip()}\n{number}" if shard.strip() and number is not None else None


def whole_number(word: str) -> str | None:
    """A whole number as a spreadsheet program may have written it, without groups and decimals.

    >>> [whole_number(word) for word in ("1,234", "7.0", " 12 ", "x")]
    ['1234', '7', '12', None]
    """
    plain = "".join(word.split()).replace("\u00a0", "").replace("\u202f", "")
    plain = plain[:-2] if plain.endswith((".0", ",0")) else plain
    digits = plain.replace(",", "").replace(".", "").replace("'", "").replace("’", "")
    return str(int(digits)) if digits.isdecimal() else None
