"""Which column names the pairs, and the promise that no name occurs twice.

Knows key columns; nothing of images, captions or tables of ours.
"""

import os
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ncaudit.errors import BadTable
from ncaudit.hashing import hash_values
from ncaudit.shards.columns import is_key, key_candidates
from ncaudit.shards.dataset.rows import read_column, text
from ncaudit.shards.files.sources import Shard
from ncaudit.shards.readers import open_shard

BY_ROW = ""  # `--key ''`: pairs are named by shard and row
REMEDY = "name a unique column with --key, or give --key '' to name pairs by shard and row"


def choose_key(shards: Sequence[Shard], named: str | None) -> str | None:
    """The column that pair ids come from, None for shard and row.

    Unless named, it is a key column without gap or repeat in the first shard that has rows. img2dataset's `key` counts
    anew in every output folder, so it is only taken where all shards lie in one.
    """
    if named is not None:
        return None if named == BY_ROW else named
    one_folder = len({os.path.dirname(shard.path) for shard in shards}) == 1
    first = _first_with_rows(shards)
    if first is None:
        return None
    candidates = key_candidates(open_shard(first.path).schema, one_folder=one_folder)
    return next((column for column in candidates if _is_unique(first, column)), None)


def check_keys(shards: Sequence[Shard], column: str) -> None:
    """Raises BadTable naming both places when a key occurs twice in the dataset.

    Reads the key column of every shard, before any work is done on it, and finished shards like the others. Takes 8
    bytes of memory per row: the one thing here that grows with the dataset (1 million rows: 8 MB, twice that for a
    moment). Shards that cannot be read are left to those who need more of them.
    """
    hashes = np.concatenate([np.zeros(0, np.int64), *(_hashes(shard, column) for shard in shards)])
    hashes.sort()
    repeated = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
    if len(repeated):
        _refuse_repeat(shards, column, repeated)


def _refuse_repeat(shards: Sequence[Shard], column: str, repeated: NDArray[np.int64]) -> None:
    """Find the first repeat itself; equal hashes of different keys are none."""
    places: dict[str, str] = {}
    for shard in shards:
        for row, key in _keys_among(shard, column, repeated):
            if key in places:
                raise BadTable(
                    f"{shard.name} row {row} has the {column} {key!r} again, after {places[key]}", fix=REMEDY
                )
            places[key] = f"{shard.name} row {row}"


def _keys_among(shard: Shard, column: str, wanted: NDArray[np.int64]) -> Iterator[tuple[int, str]]:
    first = 0
    for array in _readable(shard, column):
        keys = _as_text(array)
        present = np.flatnonzero(pc.is_valid(keys).to_numpy(zero_copy_only=False))
        hits = present[np.isin(hash_values(keys.drop_null()), wanted)]
        yield from ((first + int(i), str(text(keys.slice(i, 1))[0])) for i in hits)
        first += len(array)


def _hashes(shard: Shard, column: str) -> NDArray[np.int64]:
    parts = [hash_values(_as_text(array).drop_null()) for array in _readable(shard, column)]
    return np.concatenate([np.zeros(0, np.int64), *parts])


def _readable(shard: Shard, column: str) -> Iterator[pa.Array]:
    try:
        yield from (array for array in read_column(shard, column) if is_key(array.type))
    except BadTable:
        return


def _is_unique(shard: Shard, column: str) -> bool:
    arrays = list(read_column(shard, column))
    hashes = np.concatenate([hash_values(_as_text(array).drop_null()) for array in arrays])
    gaps = sum(array.null_count for array in arrays)
    return not gaps and len(np.unique(hashes)) == len(hashes)


def _first_with_rows(shards: Sequence[Shard]) -> Shard | None:
    for shard in shards:
        try:
            if open_shard(shard.path).rows:
                return shard
        except BadTable:
            continue
    return None


def _as_text(array: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    return array.cast(pa.large_string())
