"""Which column names the pairs, and the promise that no name occurs twice.

Knows key columns; nothing of images, captions or tables of ours.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ncaudit.errors import BadTable
from ncaudit.hashing import hash_values
from ncaudit.shards.columns import is_key, key_candidates
from ncaudit.shards.dataset.rows import read_column, text
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.readers import ShardFile, open_shard

Keys: TypeAlias = pa.Array | pa.ChunkedArray | Sequence[str]
BY_ROW = ""  # `--key ''`: pairs are named by shard and row
REMEDY = "name a unique column with --key, or give --key '' to name pairs by shard and row"


class PairNames:
    """Which column names the pairs, settled while every shard is looked at once, and whether a name occurs twice.

    Unless named, it is a key column without gap or repeat in the first shard that has rows. img2dataset's `key` counts
    anew in every output folder, so it is only taken where all shards lie in one. Takes 8 bytes of memory per row: the
    one thing in `embed` that grows with the dataset (1 million rows: 8 MB, twice that for a moment).
    """

    def __init__(self, shards: Sequence[Shard], named: str | None) -> None:
        """named: what the user said; None: nothing, BY_ROW: shard and row."""
        self._shards = shards
        self._one_folder = len({os.path.dirname(shard.path) for shard in shards}) == 1
        self._settled = named is not None
        self.column = None if named == BY_ROW else named  # None: shard and row
        self._hashes = [np.zeros(0, np.int64)]

    def see(self, shard: Shard, file: ShardFile) -> None:
        """Take the next shard into account, which is open. Raises BadTable when it turns out damaged."""
        if not self._settled and file.rows:
            candidates = key_candidates(file.schema, one_folder=self._one_folder)
            self.column = next((column for column in candidates if _is_unique(shard, column, file)), None)
            self._settled = True
        if self.column is not None and self.column in file.schema.names:
            self._hashes.append(_hashes(shard, self.column, file))

    def refuse_repeats(self) -> None:
        """Raises BadTable naming both places when a name occurs twice among the shards that were seen."""
        if self.column is None:
            return
        hashes = np.concatenate(self._hashes)
        hashes.sort()
        repeated = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
        if len(repeated):
            _refuse_repeat(self._shards, self.column, repeated)


def choose_key(shards: Sequence[Shard], named: str | None = None) -> str | None:
    """The column that `PairNames` settles on, None for shard and row. Shards that cannot be read are passed over."""
    names = PairNames(shards, named)
    for shard in shards:
        with suppress(BadTable):
            file = open_shard(shard)
            if file.rows:
                names.see(shard, file)
                break
    return names.column


def key_text(keys: Keys) -> pa.Array:
    """Keys as they are compared: text, whatever the column's type."""
    if isinstance(keys, pa.ChunkedArray):
        keys = keys.combine_chunks()
    array = keys if isinstance(keys, pa.Array) else pa.array(keys, pa.large_string())
    array = array.dictionary_decode() if pa.types.is_dictionary(array.type) else array
    return array.cast(pa.large_string())


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
        keys = key_text(array)
        present = np.flatnonzero(pc.is_valid(keys).to_numpy(zero_copy_only=False))
        hits = present[np.isin(hash_values(keys.drop_null()), wanted)]
        yield from ((first + int(i), str(text(keys.slice(i, 1))[0])) for i in hits)
        first += len(array)


def _hashes(shard: Shard, column: str, file: ShardFile) -> NDArray[np.int64]:
    arrays = (array for array in read_column(shard, column, file) if is_key(array.type))
    return np.concatenate([np.zeros(0, np.int64), *(hash_values(key_text(array).drop_null()) for array in arrays)])


def _readable(shard: Shard, column: str) -> Iterator[pa.Array]:
    try:
        yield from (array for array in read_column(shard, column) if is_key(array.type))
    except BadTable:
        return


def _is_unique(shard: Shard, column: str, file: ShardFile) -> bool:
    arrays = list(read_column(shard, column, file))
    hashes = np.concatenate([hash_values(key_text(array).drop_null()) for array in arrays])
    gaps = sum(array.null_count for array in arrays)
    return not gaps and len(np.unique(hashes)) == len(hashes)
