"""Pairs of our tables as the user's dataset has them, image and caption: found by shard and row, or by a key.

Knows tables' provenance, shards and rows; nothing of why somebody wants these pairs. One pass over each shard that
holds any of them, and only over the pieces that do.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ncaudit.errors import BadTable
from ncaudit.options import DataOptions
from ncaudit.shards.columns import find_columns, is_key, key_candidates
from ncaudit.shards.dataset.keys import key_text
from ncaudit.shards.dataset.rows import Rows, read_column, rows_at
from ncaudit.shards.files.provenance import fingerprint
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.readers import ShardFile, open_shard
from ncaudit.shards.tables.made_from import Source

CAPTION_NUMBER = re.compile(r"/([0-9]{1,9})\Z")  # what `embed` puts behind the name of a pair of several in its row
ANOTHER = "give the dataset that was scored with --data"
BY_KEY = f"{ANOTHER}, or name the column that holds the pair_ids with --key"
LISTED = 3  # shards named of those that are there
QUOTED = 60  # characters of a caption that is told


@dataclass(frozen=True)
class Wanted:
    """A pair of a table. shard, row: where it is in the dataset, as the table says; None where it does not.

    table: the table's path. made_from: the files that it says it was made from. caption: as the table has it, `cut`
    where that is only how it begins.
    """

    pair_id: str
    shard: str | None
    row: int | None
    table: str
    made_from: Sequence[Source]
    caption: str | None = None
    cut: bool = False

    @property
    def fingerprints(self) -> set[str]:
        """Those of the files that may be its shard; none where nothing is told."""
        named = [one for one in self.made_from if one.get("name") == self.shard]
        return {one["fingerprint"] for one in named or self.made_from if one.get("fingerprint")}


@dataclass(frozen=True)
class InData:
    """A pair as the dataset has it. image: encoded bytes; None where there are none. missing: then why, in words."""

    image: bytes | None
    caption: str | None
    missing: str | None


class _At(NamedTuple):
    shard: Shard
    row: int


class Dataset:
    """The dataset that some tables were made from. Raises NcauditError where there is none."""

    def __init__(self, sources: Sequence[str], options: DataOptions) -> None:
        """options: which columns hold image and caption; with `key` pairs are found by that column."""
        self._sources, self._options = sources, options
        self.shards = find_shards(sources, max_row_bytes=options.max_row_bytes)

    def pairs(self, wanted: Sequence[Wanted]) -> Iterator[tuple[int, InData]]:
        """Every wanted pair with its number among them, shard by shard.

        Raises BadTable when these are not the files that a table was made from, or lack one of the pairs.
        """
        key = self._options.key
        places = self._by_key(wanted, range(len(wanted))) if key else self._places(wanted)
        self._refuse_missing(wanted, places)
        for shard in dict.fromkeys(at.shard for at in places.values()):
            rows = {number: at.row for number, at in places.items() if at.shard == shard}
            yield from self._of_shard(shard, rows, wanted)

    def _of_shard(
        self, shard: Shard, rows: Mapping[int, int], wanted: Sequence[Wanted]
    ) -> Iterator[tuple[int, InData]]:
        file = open_shard(shard, choosing=True)
        columns = find_columns(file.schema, shard.name, self._options, carry=[])
        numbers: dict[int, list[int]] = {}
        for number, row in rows.items():
            numbers.setdefault(row, []).append(number)
        for pairs in rows_at(shard, columns, numbers, image_root=self._options.image_root, file=file):
            for number in numbers.pop(int(pairs.row[0]), ()):
                there = _told(pairs, wanted[number].pair_id)
                _refuse_other_caption(shard, wanted[number], there)
                yield number, there
        for row, those in sorted(numbers.items()):
            raise BadTable(f"{shard.path} has no row {row}, which {wanted[those[0]].table} has scored", fix=ANOTHER)

    def _places(self, wanted: Sequence[Wanted]) -> dict[int, _At]:
        """By shard and row, where the tables tell them; the other pairs by the keys of the dataset."""
        found, named = dict[int, _At](), dict[tuple[str, str], Shard | None]()
        for number, pair in enumerate(wanted):
            if pair.shard is None or pair.row is None:
                continue
            place = (pair.table, pair.shard)
            if place not in named:
                named[place] = self._shard_of(pair)
            if (shard := named[place]) is not None:
                found[number] = _At(shard, pair.row)
        nowhere = [number for number, pair in enumerate(wanted) if pair.shard is None or pair.row is None]
        return found | self._by_key(wanted, nowhere) if nowhere else found

    def _shard_of(self, pair: Wanted) -> Shard | None:
        """The shard that a pair's table calls so. Raises BadTable where its content is not what was scored."""
        named = [shard for shard in self.shards if shard.name == pair.shard]
        told = pair.fingerprints
        if not told:  # by no tool that says so
            return next(iter(named or (self.shards if len(self.shards) == 1 else [])), None)
        others = (shard for shard in self.shards if shard not in named)  # files may have been moved since
        found = next((shard for shard in (*named, *others) if fingerprint(shard) in told), None)
        if found is None and named:
            what = f"{pair.table} was made from another file than {named[0].path} (its content differs)"
            raise BadTable(what, fix=BY_KEY)
        return found

    def _by_key(self, wanted: Sequence[Wanted], numbers: Iterable[int]) -> dict[int, _At]:
        """By a column's values, or, where none is named, in each shard by the key column that knows any of them."""
        by_id: dict[str, list[int]] = {}
        for number in numbers:
            by_id.setdefault(wanted[number].pair_id, []).append(number)
        found: dict[int, _At] = {}
        for shard in self.shards:
            for name, row in self._rows_named(shard, by_id):
                for number in by_id[name]:
                    if number in found:
                        what = f"{shard.path} row {row} and {found[number].shard.path} row {found[number].row}"
                        raise BadTable(f"{what} are both called {name}", fix="name another column with --key")
                    found[number] = _At(shard, row)
        return found

    def _rows_named(self, shard: Shard, ids: Iterable[str]) -> list[tuple[str, int]]:
        """The pairs of these names in a shard, each with its row."""
        file = open_shard(shard, choosing=True)
        columns = find_columns(file.schema, shard.name, self._options, carry=[])
        names: dict[str, list[str]] = {}  # of rows, each with those of its pairs
        for pair_id in ids:
            name = CAPTION_NUMBER.sub("", pair_id) if columns.many_captions else pair_id
            names.setdefault(name, []).append(pair_id)
        key = self._options.key
        for column in [key] if key else key_candidates(file.schema, one_folder=True):
            if found := _rows_called(shard, file, column, pa.array(names, pa.large_string())):
                return [(pair_id, row) for name, row in found for pair_id in names[name]]
        return []

    def _refuse_missing(self, wanted: Sequence[Wanted], places: Mapping[int, _At]) -> None:
        missing = [pair for number, pair in enumerate(wanted) if number not in places]
        if not missing:
            return
        first, by_name = missing[0], missing[0].shard is not None and not self._options.key
        where = f"shard {first.shard}" if by_name else f"pair {first.pair_id}"
        names = [shard.name for shard in self.shards]
        more = f", and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
        what = f"{', '.join(self._sources)} has no {where}, which {first.table} has scored"
        raise BadTable(f"{what} (found: {', '.join(names[:LISTED])}{more})", fix=BY_KEY)


def _told(pairs: Rows, pair_id: str) -> InData:
    at = 0
    if len(pairs) > 1 and (found := CAPTION_NUMBER.search(pair_id)):
        at = min(int(found[1]), len(pairs) - 1)
    if pairs.images[at] is not None:
        return InData(pairs.images[at], pairs.captions[at], None)
    words = (pairs.status[at], pairs.detail[at])
    return InData(None, pairs.captions[at], ": ".join(word for word in words if word) or "no image")


def _refuse_other_caption(shard: Shard, pair: Wanted, there: InData) -> None:
    """Raises BadTable where nothing but the captions can tell that this is another dataset, and they do."""
    if pair.fingerprints or pair.caption is None or there.caption is None:
        return
    if not (there.caption.startswith(pair.caption) if pair.cut else there.caption == pair.caption):
        told = f"({there.caption[:QUOTED]!r} instead of {pair.caption[:QUOTED]!r})"
        what = f"{shard.path} has another caption for {pair.pair_id} than {pair.table} {told}"
        raise BadTable(what, fix=f"{ANOTHER}, or name its column of captions (--caption-column)")


def _rows_called(shard: Shard, file: ShardFile, column: str, names: pa.Array) -> list[tuple[str, int]]:
    found, first = list[tuple[str, int]](), 0
    for batch in read_column(shard, column, file):
        if not is_key(batch.type):
            raise BadTable(f"{shard.path}: {column} is {batch.type}, which names no pairs", fix="name another")
        keys = key_text(batch)
        at = np.flatnonzero(pc.is_in(keys, value_set=names).to_numpy(zero_copy_only=False))
        found += zip(keys.take(pa.array(at)).to_pylist(), (first + at).tolist(), strict=True)
        first += len(batch)
    return found
