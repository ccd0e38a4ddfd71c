"""Which row of a score table belongs to each row of the user's shard, and proof that it does.

Knows shards, score tables and names of pairs; nothing of what a score means. Joins one shard at a time.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ncaudit.errors import BadTable
from ncaudit.shards.columns import is_key, key_candidates
from ncaudit.shards.dataset.keys import key_text
from ncaudit.shards.dataset.rows import read_column
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.readers import ShardFile, open_shard
from ncaudit.shards.tables.key_index import NOWHERE, KeyIndex, Places
from ncaudit.shards.tables.made_from import data_of, refuse_another
from ncaudit.shards.tables.score_input import FileScores

OTHER_DATA = "give the dataset that was scored, or with --key the column that holds the pair_ids"
SEVERAL = "filter the score tables instead (without --data) and join them by pair_id"


def places_of(shard: Shard, scores: FileScores, key: str | None) -> Places:
    """For each row of the shard its place in the score table, -1 where it has none. Returns (rows,) int64.

    By row, where the table says that it was made from this very file alone. By `key`, the user's own column that holds
    the pair_ids, where one is named. Any other table is joined by the first key column under which it knows a row, or
    by names of the form SHARD/ROW. Raises BadTable when the table was made from other files, knows no row, names one
    twice, or a row has several captions.
    """
    made_from = data_of(scores.provenance)
    if key:
        return _by_key(shard, scores, key)
    refuse_another(shard, scores.path, made_from, OTHER_DATA)
    return _by_row(shard, scores) if len(made_from) == 1 else _by_names(shard, scores)


def _by_row(shard: Shard, scores: FileScores) -> Places:
    rows = open_shard(shard).rows
    places = np.full(rows, NOWHERE, dtype=np.int64)
    first = 0
    for batch in scores.batches(["row"]):
        row = batch["row"].cast(pa.int64())
        if row.null_count or (len(row) and not 0 <= pc.min(row).as_py() <= pc.max(row).as_py() < rows):
            raise BadTable(f"{scores.path} has rows that {shard.path} lacks", fix="give the table as `score` wrote it")
        _place(places, row.to_numpy(), first, shard)
        first += len(batch)
    return places


def _place(places: Places, rows: Places, first: int, shard: Shard) -> None:
    numbers, counts = np.unique(rows, return_counts=True)
    repeated = numbers[(counts > 1) | (places[numbers] != NOWHERE)]
    if len(repeated):
        raise BadTable(f"{shard.name} row {repeated[0]} is several pairs, as it has several captions", fix=SEVERAL)
    places[rows] = np.arange(first, first + len(rows))


def _by_names(shard: Shard, scores: FileScores) -> Places:
    file, pairs = open_shard(shard), pairs_by_name(scores)
    candidates = key_candidates(file.schema, one_folder=True)
    for names in [*(_keys(shard, column, file) for column in candidates), row_names(shard, file.rows)]:
        places = _found(names, pairs, shard)
        if (places != NOWHERE).any() or not scores.rows:
            return places
    raise _stranger(shard, scores)


def _by_key(shard: Shard, scores: FileScores, key: str) -> Places:
    file = open_shard(shard)
    kind = file.schema.field(key).type if key in file.schema.names else None
    if kind is not None and not is_key(kind):
        raise BadTable(f"{shard.path}: {key} is {kind}, which names no pairs", fix="name another")
    places = _found(_keys(shard, key, file), pairs_by_name(scores), shard)
    if len(places) and scores.rows and (places == NOWHERE).all():
        raise _stranger(shard, scores)
    return places


def _found(names: Iterator[pa.Array], pairs: KeyIndex, shard: Shard) -> Places:
    places = pairs.places(_joined(names))
    repeated = np.flatnonzero(np.bincount(places[places != NOWHERE]) > 1)
    if len(repeated):
        twice, rows = pairs.key(int(repeated[0])), np.flatnonzero(places == repeated[0])[:2].tolist()
        raise BadTable(
            f"{shard.path} has {twice!r} more than once (rows {rows[0]:,} and {rows[1]:,})",
            fix="name a column without repeats with --key",
        )
    return places


def pairs_by_name(scores: FileScores) -> KeyIndex:
    """The table's pair_ids. Raises BadTable where a row has none, or two have the same."""
    pairs = KeyIndex(_joined(key_text(batch["pair_id"]) for batch in scores.batches(["pair_id"])))
    if pairs.keys.null_count:
        raise BadTable(f"{scores.path} has rows without a pair_id", fix="give every row its pair_id")
    pairs.refuse_repeats(scores.path)
    return pairs


def _keys(shard: Shard, column: str, file: ShardFile) -> Iterator[pa.Array]:
    return (key_text(batch) for batch in read_column(shard, column, file))


def row_names(shard: Shard, rows: int) -> Iterator[pa.Array]:
    """SHARD/ROW of every row."""
    for first in range(0, rows, 65_536):
        numbers = range(first, min(rows, first + 65_536))
        yield pa.array([f"{shard.stem}/{number}" for number in numbers], pa.large_string())


def _joined(parts: Iterator[pa.Array]) -> pa.Array:
    return pa.concat_arrays([pa.array([], pa.large_string()), *parts])


def _stranger(shard: Shard, scores: FileScores) -> BadTable:
    first = next((batch["pair_id"][0].as_py() for batch in scores.batches(["pair_id"]) if len(batch)), None)
    return BadTable(
        f"{scores.path} has no pair of {shard.path} (its first is {first!r})",
        fix="name the column that holds the pair_ids with --key, or, if rows have several captions, " + SEVERAL,
    )
