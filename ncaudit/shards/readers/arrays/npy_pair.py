"""Two .npy files as one shard, images first: pairs are known by their row alone."""

from ncaudit.shards.files.shard import ArrayPair
from ncaudit.shards.readers.arrays.array_shard import ArrayShard
from ncaudit.shards.readers.arrays.npy_rows import npy_rows


def open_npy_pair(pair: ArrayPair) -> ArrayShard:
    """Raises BadTable when one of the files is no 2-D array of floats, or they differ in their number of rows."""
    return ArrayShard(npy_rows(pair.image), npy_rows(pair.text))
