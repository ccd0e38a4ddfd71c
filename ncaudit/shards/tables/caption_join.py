"""Which pair of a score table each caption of a shard is, also where rows hold lists of captions: a pair per caption.

Knows shards, score tables and names of pairs; nothing of what a score means. Joins one shard at a time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ncaudit.errors import BadTable
from ncaudit.shards.columns import caption_candidates, is_list, is_text, key_candidates
from ncaudit.shards.dataset.caption_cells import captions_in
from ncaudit.shards.dataset.keys import key_text
from ncaudit.shards.dataset.rows import read_column
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.readers import ShardFile, open_shard
from ncaudit.shards.tables.key_index import NOWHERE, KeyIndex, Places
from ncaudit.shards.tables.made_from import data_of, refuse_another
from ncaudit.shards.tables.pair_join import OTHER_DATA, pairs_by_name, places_of, row_names
from ncaudit.shards.tables.score_input import FileScores

CAPTION_NUMBER = r"/(?P<number>[0-9]{1,9})$"  # what `embed` puts behind the name of a pair of several in its row
ANOTHER = "give the dataset that was scored, or filter the score tables (without --data)"


@dataclass(frozen=True)
class CaptionLists:
    """The pairs of a shard whose rows hold lists: those of row i are starts[i]:starts[i + 1], one per caption.

    A row without any caption is one pair. starts: (rows + 1,) int64.
    """

    column: str
    starts: Places

    @property
    def rows(self) -> int:
        """On disk."""
        return len(self.starts) - 1

    @property
    def row(self) -> Places:
        """(pairs,): the row of each pair."""
        return np.repeat(np.arange(self.rows), np.diff(self.starts))

    @property
    def number(self) -> Places:
        """(pairs,): which caption of its row each pair is, from 0."""
        return np.arange(int(self.starts[-1])) - self.starts[self.row]


@dataclass(frozen=True)
class Joined:
    """places: (pairs,) where each pair of the shard stands in the score table, -1 for nowhere. lists: where its rows
    hold several captions; None: every row is one pair."""

    places: Places
    lists: CaptionLists | None = None


def join_pairs(shard: Shard, scores: FileScores, key: str | None) -> Joined:
    """Each pair of the shard with its place in the score table, by what `places_of` goes by.

    Raises BadTable as that does, and where it cannot be told which column of lists was scored.
    """
    made_from = data_of(scores.provenance)
    if not key:
        refuse_another(shard, scores.path, made_from, OTHER_DATA)
    file = open_shard(shard)
    columns = _list_columns(file.schema)
    if not columns:
        return Joined(places_of(shard, scores, key))
    by_row = not key and len(made_from) == 1
    search = _Search(shard, file, scores, columns)
    found = search.by_row() if by_row else search.by_names(key)
    return found if found is not None else Joined(places_of(shard, scores, key))


@dataclass(frozen=True)
class _Search:
    """A shard with columns of lists of text, and a table that may have been made from one of them."""

    shard: Shard
    file: ShardFile
    scores: FileScores
    columns: Sequence[str]

    def by_row(self) -> Joined | None:
        """By row and the number behind the name; None where the table's rows are one pair each."""
        rows, numbers = self._told_places()
        usual = caption_candidates(self.file.schema)[:1]
        if len(np.unique(rows)) == len(rows) and not set(usual) & set(self.columns):
            return None
        return self._settled([self._at(column, rows, numbers) for column in self.columns])

    def by_names(self, key: str | None) -> Joined | None:
        """By names of the form KEY/NUMBER or SHARD/ROW/NUMBER; None where the table knows none of them."""
        pairs = pairs_by_name(self.scores)
        names = [key] if key else key_candidates(self.file.schema, one_folder=True)
        for named in (*names, *([] if key else [None])):
            found = [self._named(column, named, pairs) for column in self.columns]
            if any((joined.places != NOWHERE).any() for joined in found):
                return self._settled(found)
        return None

    def _told_places(self) -> tuple[Places, Places]:
        rows, numbers = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for batch in self.scores.batches(["row", "pair_id"]):
            told = pc.extract_regex(key_text(batch["pair_id"]), CAPTION_NUMBER).field("number").cast(pa.int64())
            numbers.append(told.fill_null(NOWHERE).to_numpy(zero_copy_only=False))
            rows.append(batch["row"].cast(pa.int64()).fill_null(NOWHERE).to_numpy(zero_copy_only=False))
        return np.concatenate(rows), np.concatenate(numbers)

    def _at(self, column: str, rows: Places, numbers: Places) -> Joined | None:
        """None where the table has pairs that this column does not have."""
        lists = _lists(self.shard, column, self.file)
        if len(rows) and not (0 <= rows.min() <= rows.max() < lists.rows and numbers.min() >= 0):
            return None
        pair = lists.starts[rows] + numbers
        if (pair >= lists.starts[rows + 1]).any():
            return None
        if len(np.unique(pair)) < len(pair):
            raise BadTable(f"{self.scores.path} has a pair of {self.shard.path} more than once", fix="keep one of each")
        places = np.full(int(lists.starts[-1]), NOWHERE, dtype=np.int64)
        places[pair] = np.arange(len(pair))
        return Joined(places, lists)

    def _named(self, column: str, key: str | None, pairs: KeyIndex) -> Joined:
        lists = _lists(self.shard, column, self.file)
        parts = row_names(self.shard, lists.rows) if key is None else map(key_text, read_column(self.shard, key))
        names = pa.concat_arrays([pa.array([], pa.large_string()), *parts]).take(pa.array(lists.row))
        number, slash = pa.array(lists.number).cast(pa.large_string()), pa.scalar("/", pa.large_string())
        numbered = pc.binary_join_element_wise(names, number, slash)
        places = pairs.places(numbered)
        twice = np.flatnonzero(np.bincount(places[places != NOWHERE]) > 1)
        if len(twice):
            told = pairs.key(int(twice[0]))
            raise BadTable(f"{self.shard.path} has {told!r} more than once", fix="name another column with --key")
        return Joined(places, lists)

    def _settled(self, found: Sequence[Joined | None]) -> Joined:
        """The one column that the table can have been made from."""
        known = [joined for joined in found if joined is not None and self._has_captions(joined)]
        names = [joined.lists.column for joined in known if joined.lists is not None]
        if not known:
            looked = ", ".join(self.columns)
            what = f"{self.shard.path} has no lists of the captions that {self.scores.path} was made from"
            raise BadTable(f"{what} (looked at: {looked})", fix=ANOTHER)
        usual = [name for name in caption_candidates(self.file.schema)[:1] if name in names]
        if len(known) > 1 and not self._knows_captions and not usual:
            what = f"{self.scores.path} can have been made from {' or '.join(names)} of {self.shard.path}"
            raise BadTable(what, fix="let the score tables carry the captions (score without --columns)")
        return known[names.index(usual[0])] if usual and not self._knows_captions else known[0]

    @property
    def _knows_captions(self) -> bool:
        schema = self.scores.schema
        return "caption" in schema.names and is_text(schema.field("caption").type)

    def _has_captions(self, joined: Joined) -> bool:
        """Whether the table's captions, where it carries any, are those of this column."""
        lists = joined.lists
        if not self._knows_captions or lists is None:
            return True
        told = _joined(key_text(batch["caption"]) for batch in self.scores.batches(["caption"]))
        there = joined.places != NOWHERE
        wanted, mine = told.take(pa.array(joined.places[there])), pa.array(there)
        every = _pair_captions(self.shard, lists, self.file)
        return any(not pc.any(pc.not_equal(wanted, own.filter(mine))).as_py() for own in every)


def _list_columns(schema: pa.Schema) -> list[str]:
    """Columns of lists of text or of structs with text, those first that are called like captions."""
    every = [field.name for field in schema if is_list(field.type) and _holds_text(field.type.value_type)]
    called = [name for name in caption_candidates(schema) if is_list(schema.field(name).type)]
    return [*called, *(name for name in every if name not in called)]


def _lists(shard: Shard, column: str, file: ShardFile) -> CaptionLists:
    counts = [pc.list_value_length(batch).fill_null(0).to_numpy() for batch in read_column(shard, column, file)]
    pairs = np.maximum(np.concatenate([np.zeros(0, np.int64), *counts]), 1)
    return CaptionLists(column, np.concatenate([[0], np.cumsum(pairs)]).astype(np.int64))


def _holds_text(kind: pa.DataType) -> bool:
    return is_text(kind) or (t.is_struct(kind) and any(_holds_text(field.type) for field in kind))


def _pair_captions(shard: Shard, lists: CaptionLists, file: ShardFile) -> list[pa.Array]:
    """(pairs,) text, null for a row without captions; of structs, for each of their fields that is text."""
    parts: dict[int, list[pa.Array]] = {}
    for batch in read_column(shard, lists.column, file):
        counts = pc.list_value_length(batch).fill_null(0).to_numpy()
        at, none = value_places(counts)
        for field, texts in enumerate(_texts(pc.list_flatten(batch))):
            parts.setdefault(field, []).append(texts.take(pa.array(at, mask=none)))
    return [_joined(iter(one)) for one in parts.values()] or [_joined(iter(()))]


def _texts(values: pa.Array) -> list[pa.Array]:
    """The text that values hold; the bytes of text are read as such, and as null where they are none."""
    if t.is_struct(values.type):
        fields = [field.name for field in values.type if _holds_text(field.type)]
        return [texts for name in fields for texts in _texts(pc.struct_field(values, [name]))]
    try:
        return [values.cast(pa.large_string())]
    except pa.ArrowInvalid:
        told = (caption for (caption,) in captions_in([values]))
        return [pa.array([one if isinstance(one, str) else None for one in told], pa.large_string())]


def value_places(counts: npt.NDArray[np.int64]) -> tuple[Places, npt.NDArray[np.bool_]]:
    """For each pair of rows with so many captions the place of its caption among all of them, and whether it has none.

    >>> [part.tolist() for part in value_places(np.array([2, 0, 1]))]
    [[0, 1, 2, 2], [False, False, True, False]]
    """
    none = np.repeat(counts == 0, np.maximum(counts, 1))
    return np.cumsum(~none) - ~none, none


def _joined(parts: Iterator[pa.Array]) -> pa.Array:
    return pa.concat_arrays([pa.array([], pa.large_string()), *parts])
