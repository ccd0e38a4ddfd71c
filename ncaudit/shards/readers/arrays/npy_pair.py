"""Two .npy files as one shard, images first: pairs are known by their row alone."""

from ncaudit.shards.files.layouts import array_pair
from ncaudit.shards.readers.arrays.array_shard import ArrayShard
from ncaudit.shards.readers.arrays.npy_rows import npy_rows


def open_npy_pair(path: str) -> ArrayShard:
    """The shard of a path `A.npy + B.npy`. Raises BadTable when one is no 2-D array of floats, or rows differ."""
    pair = array_pair(path)
    assert pair is not None, path
    image, text = map(npy_rows, pair)
    return ArrayShard(image, text)
