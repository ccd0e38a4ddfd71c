"""Which rows show the same photo: a number of each row's image, compared with others of this run and never stored.

Knows image columns, and cells as images; nothing of captions. Bytes are hashed where arrow holds them: a row's become
an object of Python for that moment only.
"""

from collections.abc import Generator
from contextlib import closing

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as t

from ncaudit.progress import Progress
from ncaudit.shards.columns import Columns
from ncaudit.shards.dataset.image_cells import LEAST, image_in
from ncaudit.shards.dataset.image_files import ImageFiles, files_below
from ncaudit.shards.dataset.rows import read_image_cells, read_images
from ncaudit.shards.files.locations import MIB, dirname
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.overlap import ahead
from ncaudit.shards.readers import open_shard

WINDOW_ROWS, WINDOW_BYTES = 1_024, 32 * MIB  # of images at a time: one is hashed while the next is read
HEAD = 8  # bytes by which nearly all files of images are told from text
Ints = npt.NDArray[np.int64]
Numbers = list[int | None]  # None: there is no image


def photo_ids(shard: Shard, columns: Columns, image_root: str | None, progress: Progress) -> Ints:
    """(rows,) int64: same image bytes, same number; a missing image is like no other. In another process others.

    Raises BadTable when the shard is damaged.
    """
    found: list[int] = []
    with closing(_numbers(shard, columns, image_root)) as parts:
        for numbers in parts:
            first = len(found)
            found += [_none(shard, first + i) if one is None else one for i, one in enumerate(numbers)]
            progress.advance(len(numbers))
    return np.array(found, dtype=np.int64)


def _numbers(shard: Shard, columns: Columns, image_root: str | None) -> Generator[Numbers, None, None]:
    """Of all rows, some at a time, while the next are read."""
    if _in_place(open_shard(shard, choosing=True).schema.field(columns.image).type):
        files = files_below(image_root if image_root is not None else dirname(shard.path), shard.max_row_bytes)
        with closing(ahead(read_image_cells(shard, columns))) as cells:
            yield from (numbers_of(part, files) for part in cells)
        return
    windows = read_images(shard, columns, rows=WINDOW_ROWS, image_root=image_root, window_bytes=WINDOW_BYTES)
    with closing(ahead(windows)) as read:
        yield from (list(map(_number, images)) for images in read)


def numbers_of(cells: pa.Array, files: ImageFiles) -> Numbers:
    """Of each cell, which holds bytes, or a struct of bytes and a path. files: where paths lead."""
    held = cells.flatten()[cells.type.get_field_index("bytes")] if t.is_struct(cells.type) else cells
    starts, ends = _ends(held)
    data = memoryview(held.buffers()[2] or b"")
    rows = zip(starts.tolist(), ends.tolist(), _as_they_are(held, starts, ends, data).tolist(), strict=True)
    return [
        hash(bytes(data[start:end])) if plain else _number(image_in(cells[row].as_py(), files)[0])
        for row, (start, end, plain) in enumerate(rows)
    ]


def _in_place(kind: pa.DataType) -> bool:
    """Whether the cells are read in place: text may lead to files, which are fetched together."""
    if t.is_struct(kind):
        place = kind.get_field_index("bytes")
        return place >= 0 and _in_place(kind.field(place).type)
    return bool(t.is_binary(kind) or t.is_large_binary(kind))


def _ends(held: pa.Array) -> tuple[Ints, Ints]:
    """Where the bytes of each cell begin and end."""
    kind = np.dtype(np.int64 if t.is_large_binary(held.type) else np.int32)
    if not len(held):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    offsets = np.frombuffer(held.buffers()[1], kind, len(held) + 1, held.offset * kind.itemsize).astype(np.int64)
    return offsets[:-1], offsets[1:]


def _as_they_are(held: pa.Array, starts: Ints, ends: Ints, data: memoryview) -> npt.NDArray[np.bool_]:
    """Whether the bytes are surely the image itself, and no letters of base64 that stand for one."""
    there: npt.NDArray[np.bool_] = held.is_valid().to_numpy(zero_copy_only=False)
    found = there & (ends - starts < LEAST)
    long = np.flatnonzero(there & ~found)
    if len(long):
        heads = np.frombuffer(data, np.uint8)[starts[long][:, None] + np.arange(HEAD)]
        found[long] = (heads > 0x7F).any(axis=1)
    return found


def _number(image: bytes | None) -> int | None:
    return None if image is None else hash(image)


def _none(shard: Shard, row: int) -> int:
    return hash(f"{shard.name}/{row} has none".encode("utf-8", "surrogateescape"))
