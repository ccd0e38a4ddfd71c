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
from ncaudit.shards.dataset.image_files import Problem
from ncaudit.shards.dataset.keys import key_text
from ncaudit.shards.dataset.rows import Rows, read_column, rows_at
from ncaudit.shards.files.provenance import fingerprint
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.readers import ShardFile, open_shard
from ncaudit.shards.tables.made_from import Source

CAPTION_NUMBER = re.compile(r"/([0-9]{1,9})\Z")  # what `embed` puts behind the name of a pair of several in its row
ANOTHER = "give the dataset that was scored with --data"


@dataclass(frozen=True)
class Wanted:
    """A pair of a table. shard, row: where it is in the dataset, as the table says; None where it does not.

    table: the table's path. made_from: the files that it says it was made from.
    """

    pair_id: str
    shard: str | None
    row: int | None
    table: str
    made_from: Sequence[Source]


@dataclass(frozen=True)
class InData:
    """A pair as the dataset has it. image: the encoded bytes; None, with the problem, where there are none."""

    image: bytes | None
    caption: str | None
    problem: Problem | None


class _At(NamedTuple):
    shard: Shard
    row: int


def pairs_in_data(data: Sequence[str], wanted: Sequence[Wanted], options: DataOptions) -> Iterator[tuple[int, InData]]:
    """Every wanted pair with its number among them, shard by shard.

    options: which columns hold image and caption; with `key` pairs are found by that column. Raises BadTable when these
    are not the files that a table was made from, or lack one of the pairs.
    """
    shards = find_shards(data, max_row_bytes=options.max_row_bytes)
    places = _by_key(shards, wanted, options.key) if options.key else _places(shards, wanted)
    _refuse_missing(data, wanted, places)
    for shard in dict.fromkeys(at.shard for at in places.values()):
        rows = {number: at.row for number, at in places.items() if at.shard == shard}
        yield from _of_shard(shard, rows, wanted, options)


def _of_shard(
    shard: Shard, rows: Mapping[int, int], wanted: Sequence[Wanted], options: DataOptions
) -> Iterator[tuple[int, InData]]:
    file = open_shard(shard, choosing=True)
    columns = find_columns(file.schema, shard.name, options, carry=[])
    numbers: dict[int, list[int]] = {}
    for number, row in rows.items():
        numbers.setdefault(row, []).append(number)
    for pairs in rows_at(shard, columns, numbers, image_root=options.image_root, file=file):
        for number in numbers.pop(int(pairs.row[0]), ()):
            yield number, _told(pairs, wanted[number].pair_id)
    for row, those in numbers.items():
        pair = wanted[those[0]]
        raise BadTable(f"{pair.table} has row {row:,} of {shard.path}, which has no such row", fix=ANOTHER)


def _told(pairs: Rows, pair_id: str) -> InData:
    at = 0
    if len(pairs) > 1 and (found := CAPTION_NUMBER.search(pair_id)):
        at = min(int(found[1]), len(pairs) - 1)
    status = pairs.status[at]
    return InData(pairs.images[at], pairs.captions[at], None if status is None else (status, pairs.detail[at]))


def _places(shards: Sequence[Shard], wanted: Sequence[Wanted]) -> dict[int, _At]:
    """By shard and row, where the tables tell them; the other pairs by the keys of the dataset."""
    found, named = dict[int, _At](), dict[tuple[str, str], Shard | None]()
    for number, pair in enumerate(wanted):
        if pair.shard is None or pair.row is None:
            continue
        place = (pair.table, pair.shard)
        if place not in named:
            named[place] = _shard_of(shards, pair)
        if (shard := named[place]) is not None:
            found[number] = _At(shard, pair.row)
    nowhere = [n for n, pair in enumerate(wanted) if n not in found and (pair.shard is None or pair.row is None)]
    return found | _by_key(shards, wanted, None, nowhere) if nowhere else found


def _shard_of(shards: Sequence[Shard], pair: Wanted) -> Shard | None:
    """The shard that a pair's table calls so. Raises BadTable where its content is not what the table was made from."""
    called = [shard for shard in shards if shard.name == pair.shard] or (list(shards) if len(shards) == 1 else [])
    named = [one for one in pair.made_from if one.get("name") == pair.shard]
    told = {one.get("fingerprint") for one in named or pair.made_from}
    if not told:  # by no tool that says so
        return next(iter(called), None)
    others = (shard for shard in shards if shard not in called)  # files may have been moved since
    if (found := next((shard for shard in (*called, *others) if fingerprint(shard) in told), None)) is None and called:
        what = f"{pair.table} was made from another file than {called[0].path} (its content differs)"
        raise BadTable(what, fix=f"{ANOTHER}, or name the column that holds the pair_ids with --key")
    return found


def _by_key(
    shards: Sequence[Shard], wanted: Sequence[Wanted], key: str | None, numbers: Iterable[int] | None = None
) -> dict[int, _At]:
    """By a column's values, or, where none is named, by the key column that knows the first of them."""
    by_id = {wanted[number].pair_id: number for number in (range(len(wanted)) if numbers is None else numbers)}
    names, found = pa.array(by_id, pa.large_string()), dict[int, _At]()
    for shard in shards:
        file = open_shard(shard, choosing=True)
        candidates = [key] if key else key_candidates(file.schema, one_folder=True)
        for column in candidates:
            rows = _rows_named(shard, file, column, names)
            if rows:
                found |= {by_id[name]: _At(shard, row) for name, row in rows}
                break
    return found


def _rows_named(shard: Shard, file: ShardFile, column: str, names: pa.Array) -> list[tuple[str, int]]:
    found, first = list[tuple[str, int]](), 0
    for batch in read_column(shard, column, file):
        if not is_key(batch.type):
            raise BadTable(f"{shard.path}: {column} is {batch.type}, which names no pairs", fix="name another")
        keys = key_text(batch)
        at = np.flatnonzero(pc.is_in(keys, value_set=names).to_numpy(zero_copy_only=False))
        found += zip(keys.take(pa.array(at)).to_pylist(), (first + at).tolist(), strict=True)
        first += len(batch)
    return found


def _refuse_missing(data: Sequence[str], wanted: Sequence[Wanted], places: Mapping[int, _At]) -> None:
    missing = [pair for number, pair in enumerate(wanted) if number not in places]
    if missing:
        where = f"shard {missing[0].shard}" if missing[0].shard is not None else f"pair {missing[0].pair_id}"
        what = f"{', '.join(data)} has no {where}, which {missing[0].table} has scored"
        raise BadTable(what, fix=f"{ANOTHER}, or name the column that holds the pair_ids with --key")
