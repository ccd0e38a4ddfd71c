"""The rule for what is packed: how much more than itself it may become, and what is said of a cell that is too large.

Knows numbers of bytes; nothing of formats.

What is held to `--max-row-bytes` alone is one line, one cell or one member, since pages and batches hold many rows. Of
those it is the ratio that tells: real images and captions shrink to a hundredth only where they are next to nothing.
"""

from collections.abc import Iterable

import pyarrow as pa

from ncaudit.errors import BadTable

PIECE_ROWS = 4  # times the largest row that a page or batch may always unpack to
RATIO = 100  # packed to less than this share, and larger than that, it is made to fill memory
HELD_BYTES = 512 << 20  # of a file that is held in memory whole
FLAG = "--max-row-bytes"
LARGER = f"raise {FLAG} if that is right, or leave it out"


def refuse_bomb(where: str, packed: int, unpacked: int, max_row_bytes: int) -> None:
    """Raises BadTable where bytes that are there would become far more. where: what they are, the file's name first."""
    if unpacked > PIECE_ROWS * max_row_bytes and unpacked > RATIO * packed:
        told = f"{where} unpacks from {packed:,} bytes to {unpacked:,}"
        raise BadTable(told, fix=f"it would fill the memory: leave it out, or raise {FLAG} if that is right")


def held(path: str, batches: Iterable[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """The batches of a file that people filled in, which is held whole. Raises BadTable where it is none."""
    found, weight = list[pa.RecordBatch](), 0
    for batch in batches:
        weight += batch.nbytes
        refuse_held(path, weight)
        found.append(batch)
    return found


def refuse_held(path: str, weight: int) -> None:
    """Raises BadTable where a file that is held in memory whole is too large for that."""
    if weight > HELD_BYTES:
        told = f"{path} holds more than {HELD_BYTES >> 20:,} MiB, and is read whole"
        raise BadTable(told, fix="give the rows that people judged, and no others")


def too_large(what: str, size: int, max_row_bytes: int) -> str:
    """What a row's detail says of a cell that is larger than may be.

    >>> too_large("caption", 70_000_000, 64 << 20)
    'caption: 70,000,000 bytes, allowed are 67,108,864 (--max-row-bytes)'
    """
    return f"{what}: {size:,} bytes, allowed are {max_row_bytes:,} ({FLAG})"
