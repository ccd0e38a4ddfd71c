"""How many bytes the cells of an arrow array are once every row holds its own, and batches cut so that they fit.

Knows arrow arrays; nothing of files. Arrow has many ways to say a long value once and mean it in every row: indices
into a dictionary, runs, views. What such an array takes is no measure of what whoever reads its cells will take.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as t

BATCH_BYTES = 256 << 20  # of images in one batch
TEXT_TIMES = 4  # as much does text weigh, of which whoever reads it makes strings, and arrays again
VIEW_BYTES = 16
Sizes = npt.NDArray[np.int64]


def cell_bytes(array: pa.Array) -> Sizes:
    """(n,): of each row, at every depth. A null is nothing, but in a list everything is at least a byte.

    >>> cell_bytes(pa.array(["abc", None, "é"]).dictionary_encode()).tolist()
    [3, 0, 2]
    """
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return cell_bytes(array.storage)
    if t.is_dictionary(kind):
        return _chosen(cell_bytes(array.dictionary), array.indices)
    if t.is_run_end_encoded(kind):
        return _runs(array)
    if _is_view(kind):
        return _of_views(array)
    if _is_text(kind):
        return np.diff(_offsets(array, 1, t.is_large_string(kind) or t.is_large_binary(kind)))
    return _nested(array) if t.is_nested(kind) else np.full(len(array), _width(kind), np.int64)


def bounded(batch: pa.RecordBatch, at_most: int = BATCH_BYTES) -> Iterator[pa.RecordBatch]:
    """The batch in parts whose text and bytes weigh no more; a row that is heavier by itself is a part alone."""
    if batch.nbytes * TEXT_TIMES <= at_most and not any(_repeats(kind) for kind in batch.schema.types):
        yield batch
        return
    varying = [cell_bytes(column) * times(column.type) for column in batch.columns if _varies(column.type)]
    sizes = sum(varying, np.zeros(len(batch), np.int64))
    if int(sizes.sum()) <= at_most:
        yield batch
        return
    ends, first = np.cumsum(sizes), 0
    while first < len(batch):
        before = int(ends[first - 1]) if first else 0
        until = max(first + 1, int(np.searchsorted(ends, before + at_most, side="right")))
        yield batch.slice(first, until - first)
        first = until


def largest(batch: pa.RecordBatch, max_row_bytes: int) -> dict[int, tuple[str, int]]:
    """The rows of the batch with a cell that is larger: the column, and the bytes of its cell."""
    found: dict[int, tuple[str, int]] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if not _repeats(column.type) and column.nbytes <= max_row_bytes:
            continue
        sizes = cell_bytes(column)
        for row in np.flatnonzero(sizes > max_row_bytes).tolist():
            found.setdefault(row, (name, int(sizes[row])))
    return found


def without(array: pa.Array, max_row_bytes: int) -> pa.Array:
    """The array with nulls in place of the cells that are larger; views of text as text."""
    if not _repeats(array.type) and array.nbytes <= max_row_bytes:
        return array
    beyond = cell_bytes(array) > max_row_bytes
    if not beyond.any():
        return array
    if _is_view(array.type):
        kind = pa.string() if t.is_string_view(array.type) else pa.binary()
        rows = (pa.nulls(1, kind) if beyond[i] else array.slice(i, 1).cast(kind) for i in range(len(array)))
        return pa.concat_arrays(list(rows))
    return array.take(pa.array(np.arange(len(array)), mask=beyond))


def times(kind: pa.DataType) -> int:
    """How many times its bytes a column weighs: text more than images."""
    text = t.is_string(kind) or t.is_large_string(kind) or t.is_string_view(kind)
    return TEXT_TIMES if text or any(times(inner) > 1 for inner in _inner(kind)) else 1


def weight(batch: pa.RecordBatch) -> int:
    """What a batch weighs in which no value stands for several."""
    return sum(column.nbytes * times(column.type) for column in batch.columns if _varies(column.type))


def text_bytes(batch: pa.RecordBatch) -> int:
    """Bytes of all text of a batch, once every row has its own."""
    return sum(int(cell_bytes(column).sum()) for column in batch.columns if times(column.type) > 1)


def fixed_bytes(kind: pa.DataType) -> int:
    """What each row of a type takes even where it is null: lists and bytes of a fixed size, however large.

    >>> fixed_bytes(pa.list_(pa.float16(), 512)), fixed_bytes(pa.string())
    (1024, 0)
    """
    if isinstance(kind, pa.BaseExtensionType):
        return fixed_bytes(kind.storage_type)
    if t.is_fixed_size_list(kind):
        return int(kind.list_size) * fixed_bytes(kind.value_type)
    if t.is_struct(kind):
        return sum(fixed_bytes(kind.field(i).type) for i in range(kind.num_fields))
    if t.is_nested(kind) or t.is_dictionary(kind) or t.is_run_end_encoded(kind):
        return 0
    return _width(kind)


def _is_text(kind: pa.DataType) -> bool:
    return bool(t.is_string(kind) or t.is_binary(kind) or t.is_large_string(kind) or t.is_large_binary(kind))


def _is_view(kind: pa.DataType) -> bool:
    return bool(t.is_string_view(kind) or t.is_binary_view(kind))


def _inner(kind: pa.DataType) -> list[pa.DataType]:
    if isinstance(kind, pa.BaseExtensionType):
        return [kind.storage_type]
    if t.is_dictionary(kind) or t.is_run_end_encoded(kind):
        return [kind.value_type]
    return [kind.field(i).type for i in range(kind.num_fields)] if t.is_nested(kind) else []


def _varies(kind: pa.DataType) -> bool:
    """Whether there are text or bytes of any length in it."""
    return _is_text(kind) or _is_view(kind) or any(map(_varies, _inner(kind)))


def _repeats(kind: pa.DataType) -> bool:
    """Whether an array may say a value once for many rows."""
    shared = t.is_dictionary(kind) or t.is_run_end_encoded(kind) or _is_view(kind)
    return shared or t.is_list_view(kind) or t.is_large_list_view(kind) or any(map(_repeats, _inner(kind)))


def _width(kind: pa.DataType) -> int:
    try:
        return max(1, int(kind.bit_width) // 8)
    except ValueError:  # of no fixed width: null, union
        return 0


def _present(array: pa.Array) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = array.is_valid().to_numpy(zero_copy_only=False)
    return found


def _chosen(sizes: Sizes, indices: pa.Array) -> Sizes:
    """The sizes that indices point to; nothing where they are null."""
    if not len(sizes):
        return np.zeros(len(indices), np.int64)
    places = indices.cast(pa.int64(), safe=False).fill_null(0).to_numpy(zero_copy_only=False)
    return np.where(_present(indices), sizes[places], 0)


def _runs(array: pa.RunEndEncodedArray) -> Sizes:
    rows = np.arange(array.offset, array.offset + len(array))
    found: Sizes = cell_bytes(array.values)[np.searchsorted(array.run_ends.to_numpy(), rows, side="right")]
    return found


def _numbers(array: pa.Array, place: int, count: int, large: bool) -> Sizes:
    """Whole numbers of one of its buffers, from its own first row on."""
    buffer, kind = array.buffers()[place], np.int64 if large else np.int32
    if buffer is None or not buffer.size:
        return np.zeros(count, np.int64)
    start = array.offset * np.dtype(kind).itemsize
    return np.frombuffer(buffer, kind, count, start).astype(np.int64)


def _offsets(array: pa.Array, place: int, large: bool) -> Sizes:
    return _numbers(array, place, len(array) + 1, large)


def _of_views(array: pa.Array) -> Sizes:
    buffer = array.buffers()[1]
    if buffer is None or not len(array):
        return np.zeros(len(array), np.int64)
    lengths = np.frombuffer(buffer, np.int32, 4 * len(array), array.offset * VIEW_BYTES)[::4]
    return np.where(_present(array), lengths, 0).astype(np.int64)


def _nested(array: pa.Array) -> Sizes:
    kind = array.type
    if t.is_struct(kind):
        return sum((cell_bytes(array.field(i)) for i in range(kind.num_fields)), np.zeros(len(array), np.int64))
    if t.is_fixed_size_list(kind):
        inside = array.values.slice(array.offset * kind.list_size, len(array) * kind.list_size)
        rows: Sizes = _elements(inside).reshape(len(array), kind.list_size).sum(axis=1, dtype=np.int64)
        return rows
    if t.is_union(kind):
        return np.full(len(array), array.nbytes, np.int64)
    if t.is_list_view(kind) or t.is_large_list_view(kind):
        return _of_list_views(array)
    return _of_lists(array)


def _elements(values: pa.Array) -> Sizes:
    return np.maximum(cell_bytes(values), 1)


def _summed(values: pa.Array) -> Sizes:
    """(n + 1,): what the elements before each take together."""
    return np.concatenate([[0], np.cumsum(_elements(values), dtype=np.int64)])


def _of_lists(array: pa.Array) -> Sizes:
    large = t.is_large_list(array.type)
    ends = _offsets(array, 1, large)
    if t.is_map(array.type):
        return np.diff(_summed(array.keys)[ends]) + np.diff(_summed(array.items)[ends])
    return np.diff(_summed(array.values)[ends])


def _of_list_views(array: pa.Array) -> Sizes:
    large = t.is_large_list_view(array.type)
    starts, counts = (_numbers(array, place, len(array), large) for place in (1, 2))
    before = _summed(array.values)
    return np.where(_present(array), before[starts + counts] - before[starts], 0)
