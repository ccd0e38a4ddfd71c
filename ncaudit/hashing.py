"""64-bit hashes that are the same in every process, on every machine and with every version of Python and numpy.

Knows bytes and integers; nothing of files or of what the values mean.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

WORD = 8  # bytes of one hash


def hash_values(values: pa.Array) -> npt.NDArray[np.int64]:
    """The hash of each string or binary value, by its bytes: equal values, equal hashes, whatever the arrow type.

    values: (n,), no nulls. Returns (n,) int64; among a million distinct values the chance that any two collide
    is 3e-8.

    >>> bool(hash_values(pa.array(["a photo"])) == hash_values(pa.array([b"a photo"], pa.large_binary())))
    True
    """
    if not pa.types.is_fixed_size_binary(values.type):
        values = values.cast(pa.large_binary())
    return _digests(values.to_numpy(zero_copy_only=False))


def hash_rows(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """The hash of each unit row, its entries rounded to 16 bits: float16 and float32 copies of a table mostly agree.

    rows: (n, d) float32, entries in [-1, 1]. Returns (n,) int64. Minus zero counts as zero.
    """
    return _digests(np.rint(rows * np.float32(32767)).astype("<i2"))  # numpy's float16 is ten times slower than int16


def fit_sample_keys(names: str | Sequence[str], rows: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.uint64]:
    """A seeded hash of (shard name, row): the rows with the smallest keys are a random sample that stays the same.

    names: one per row, or one for all. rows: (n,), 0 or more. Returns (n,) uint64, uniform. A key depends on nothing
    but its own name, row and seed: more shards, another order or another batch size change no key.

    >>> fit_sample_keys("A/00000.parquet", np.array([0, 1]), seed=0)
    array([ 6089940113454087831, 10438282946609525506], dtype=uint64)
    """
    if isinstance(names, str):
        bases: Any = np.uint64(_base(names, seed))
    else:
        of_name = {name: _base(name, seed) for name in set(names)}
        bases = np.array([of_name[name] for name in names], dtype=np.uint64)
    return _splitmix64(bases + rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))


def _base(name: str, seed: int) -> int:
    digest = blake2b(f"{seed}/{name}".encode("utf-8", "surrogateescape"), digest_size=WORD).digest()
    return int.from_bytes(digest, "little")


def _splitmix64(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    # Steele, Lea & Flood 2014: a bijection, so two rows of one shard never share a key
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _digests(values: Any) -> npt.NDArray[np.int64]:
    joined = b"".join([blake2b(value, digest_size=WORD).digest() for value in values])
    return np.frombuffer(joined, dtype="<i8").astype(np.int64)
