"""The longest value of a column chunk's dictionary, by its page alone: arrow would build the dictionary for that.

Knows parquet's dictionary page of text or bytes; nothing of other pages, or of what columns mean.
"""

import os
import struct
from typing import Any

import numpy as np
import pyarrow as pa

from ncaudit.shards.readers.bounds.pages import DICTIONARY, MOST_VALUES, Page

CODECS = {"SNAPPY": "snappy", "GZIP": "gzip", "BROTLI": "brotli", "ZSTD": "zstd"}  # LZ4 names two formats there

_LENGTH = struct.Struct("<I").unpack_from


def longest_in(page: Page, file: int, compression: str) -> int | None:
    """The bytes of its longest value; None where arrow has to be asked. file: as the system numbers it.

    Many short values are arrow's too, which is faster with those.
    """
    if page.kind != DICTIONARY or page.values > MOST_VALUES:
        return None
    try:
        return _longest(_unpacked(_packed(page, file), page.unpacked, compression), page.values)
    except (KeyError, ValueError, OSError, struct.error):
        return None


def _packed(page: Page, file: int) -> pa.Buffer:
    buffer = pa.allocate_buffer(page.packed)  # of arrow's memory, which is there already: fresh memory took the time
    if page.packed and os.preadv(file, [memoryview(buffer)], page.at) < page.packed:
        raise ValueError("the file ends within the page")
    return buffer


def _unpacked(body: pa.Buffer, size: int, compression: str) -> Any:
    if compression == "UNCOMPRESSED":
        return memoryview(body)
    return memoryview(pa.Codec(CODECS[compression]).decompress(body, decompressed_size=size))


def _longest(plain: memoryview, values: int) -> int:
    """Each value stands behind its length."""
    if (one := _of_all(plain, values)) is not None:
        return one
    at = longest = 0
    for _ in range(values):
        (length,) = _LENGTH(plain, at)
        at += 4 + length
        if length > longest:
            longest = length
    if at > len(plain):
        raise ValueError("values beyond the end of the page")
    return longest


def _of_all(plain: memoryview, values: int) -> int | None:
    """The length of each value where all have the same, as keys have: seen at once. None where they differ."""
    if not values or len(plain) % values or len(plain) < 4 * values:
        return None
    (length,) = _LENGTH(plain, 0)
    if len(plain) != values * (4 + length):
        return None
    first = np.frombuffer(plain, np.uint8).reshape(values, -1)[:, :4]
    return int(length) if bool((first == first[0]).all()) else None
