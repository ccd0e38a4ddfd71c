"""The user's class column (product category, topic, diagnosis) as numbered classes: text, whole numbers, or lists.

Knows arrow columns and where they are read; nothing of tables of ours, or of what the classes are for.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ncaudit.errors import BadTable
from ncaudit.nearest import did_you_mean
from ncaudit.shards.dataset.rows import read_column
from ncaudit.shards.files.shard import Shard

Class = str | int
Codes = npt.NDArray[np.int32]


@dataclass(frozen=True)
class ClassLabels:
    """Which classes each row carries, in compressed rows: those of row i are codes[starts[i]:starts[i + 1]].

    codes: int32 places in the list of classes, ascending and distinct in each row. starts: (n + 1,) int64. A row
    without any is unlabelled: null, or an empty list.
    """

    codes: Codes
    starts: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def labelled(self) -> npt.NDArray[np.bool_]:
        """(n,) bool: rows with at least one class."""
        return np.diff(self.starts) > 0

    def hot(self, classes: int) -> npt.NDArray[np.bool_]:
        """(n, classes) bool: which classes each row carries."""
        table = np.zeros((len(self), classes), dtype=bool)
        table[np.repeat(np.arange(len(self)), np.diff(self.starts)), self.codes] = True
        return table


class Classes:
    """The classes there are, numbered in the order of their names; `count` a column's rows first, then `read` them."""

    def __init__(self, names: Iterable[Class]) -> None:
        """names: distinct, all text or all whole numbers."""
        self.names: tuple[Class, ...] = tuple(sorted(names))
        self._words = pa.array([str(name) for name in self.names], pa.string())

    def __len__(self) -> int:
        return len(self.names)

    def read(self, column: pa.Array) -> ClassLabels:
        """The classes of each row, (n,); names that are not among these classes are passed over.

        column: of text or whole numbers, or of lists of them.
        """
        values, row = _flat(column)
        codes = pc.index_in(values.cast(pa.string()), self._words)
        known = codes.is_valid().to_numpy(zero_copy_only=False)
        pair = np.unique(np.stack([row[known], codes.drop_null().to_numpy(zero_copy_only=False)]), axis=1)
        starts = np.searchsorted(pair[0], np.arange(len(column) + 1))
        return ClassLabels(pair[1].astype(np.int32), starts.astype(np.int64))


def count_classes(column: pa.Array) -> Counter[Class]:
    """How many values of each class a column holds, (n,) rows; nulls do not count.

    >>> count_classes(pa.array([["cat", "dog"], ["cat"], None])) == {"cat": 2, "dog": 1}
    True
    """
    values = _flat(column)[0].value_counts()
    return Counter(dict(zip(_as_classes(values.field(0)), values.field(1).to_pylist(), strict=True)))


def classes_among(parts: Iterable[tuple[str, pa.Array]], name: str) -> Counter[Class]:
    """How many values of each class column `name` holds, over several files: rows of theirs, each with its file's path.

    Raises BadTable where it is text in one and whole numbers in another.
    """
    counts: Counter[Class] = Counter()
    first: dict[type, str] = {}
    for path, part in parts:
        found = count_classes(part)
        counts.update(found)
        first = {type(value): path for value in found} | first
    if len(first) > 1:
        raise BadTable(
            f"column {name} holds text in {first[str]} and numbers in {first[int]}",
            fix="write them alike in all tables",
        )
    return counts


def classes_of(shards: Sequence[Shard], name: str) -> Counter[Class]:
    """`classes_among` all rows of shards, which have a column of classes of this name."""
    return classes_among(((shard.path, part) for shard in shards for part in read_column(shard, name)), name)


def class_values(names: Sequence[Class], kind: pa.DataType) -> pa.Array:
    """These classes as an array of what a class column of this type holds, or its lists do."""
    inner = _inner(kind)
    if t.is_uint64(inner) or t.is_decimal(inner):
        return pa.array(list(names), inner)
    return pa.array(list(names))


def require_class_column(path: str, schema: pa.Schema, name: str) -> None:
    """Raises BadTable where the column is missing or holds neither text, whole numbers nor lists of them."""
    if name not in schema.names:
        there = ", ".join(schema.names)
        fix = f"{did_you_mean(name, schema.names)}give --label-column; its columns are: {there}"
        raise BadTable(f"{path} has no column {name!r}", fix=fix)
    kind = schema.field(name).type
    if not _is_class(_inner(kind)):
        raise BadTable(
            f"{path}: column {name} is of type {kind}, and classes are text, whole numbers, or lists of them",
            fix="give another --label-column, or write this one as text or whole numbers",
        )


def _flat(column: pa.Array) -> tuple[pa.Array, npt.NDArray[np.int64]]:
    """Every value that is not null, as text or whole numbers of 64 bits or more, and the row that it stands in."""
    row = np.arange(len(column), dtype=np.int64)
    if _is_list(column.type):
        row = pc.list_parent_indices(column).to_numpy(zero_copy_only=False).astype(np.int64)
        column = pc.list_flatten(column)
    column = column.dictionary_decode() if t.is_dictionary(column.type) else column
    there = column.is_valid().to_numpy(zero_copy_only=False)
    return column.drop_null().cast(_counted_as(column.type)), row[there]


def _counted_as(kind: pa.DataType) -> pa.DataType:
    """The type that arrow counts values of a class column in, without changing one."""
    if t.is_decimal(kind):
        return kind if kind.bit_width > 64 else pa.decimal128(kind.precision, 0)
    if t.is_uint64(kind):
        return kind
    return pa.int64() if _is_whole(kind) else pa.string()


def _as_classes(values: pa.Array) -> list[Class]:
    return [int(value) for value in values.to_pylist()] if t.is_decimal(values.type) else values.to_pylist()


def _inner(kind: pa.DataType) -> pa.DataType:
    kind = kind.value_type if _is_list(kind) else kind
    return kind.value_type if t.is_dictionary(kind) else kind


def _is_list(kind: pa.DataType) -> bool:
    return bool(t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind))


def _is_class(kind: pa.DataType) -> bool:
    return bool(_is_whole(kind) or t.is_string(kind) or t.is_large_string(kind) or t.is_null(kind))


def _is_whole(kind: pa.DataType) -> bool:
    """Decimals without digits behind the point are how databases write whole numbers beyond 64 bits."""
    return bool(t.is_integer(kind) or t.is_boolean(kind) or (t.is_decimal(kind) and kind.scale == 0))
