"""Timestamps of 96 bits, as Spark, Hive and Impala write them: in which unit all of a file's fit into 64.

Knows parquet files and arrow arrays; nothing of what columns mean.

Arrow reads them as nanoseconds and wraps what lies outside 1677 to 2262 (a sentinel such as 9999-12-31) in silence.
Statistics of such columns cannot be relied on, so that the values themselves are looked at, once per file: as seconds,
which never wrap, and as nanoseconds, whose difference to those is exact even where they wrapped.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as t

INT96 = "INT96"
BATCH_ROWS = 65_536
BILLION, MILLION, THOUSAND = 10**9, 10**6, 10**3
MOST_SECONDS = 2**63 // MILLION - 1  # that 64 bits of microseconds hold
Numbers = npt.NDArray[np.int64]
Leaf = tuple[Any, Numbers]  # values, and the row of each


class Opens(Protocol):
    """Opens the file anew."""

    def __call__(self, unit: str) -> pq.ParquetFile:
        """With its 96-bit timestamps in this unit."""


@dataclass(frozen=True)
class Int96:
    """How a file's 96-bit timestamps are read. refused: columns whose values no unit holds, each with its first such
    row, from 0.
    """

    unit: str = "ns"
    refused: Mapping[str, int] = field(default_factory=dict)


def int96_columns(parquet: pq.ParquetFile) -> list[str]:
    """The columns that hold such timestamps, at whatever depth."""
    if not any(map(_has_times, parquet.schema_arrow.types)):
        return []  # leaf by leaf that takes as long as opening the file
    leaves = [parquet.schema.column(i) for i in range(len(parquet.schema))]
    return sorted({_column_of(leaf.path, parquet.schema_arrow) for leaf in leaves if leaf.physical_type == INT96})


def _has_times(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        return _has_times(kind.storage_type)
    if t.is_dictionary(kind):
        return _has_times(kind.value_type)
    return bool(t.is_timestamp(kind)) or any(_has_times(kind.field(i).type) for i in range(kind.num_fields))


def look_at_int96(opens: Opens, columns: list[str]) -> Int96:
    """Nanoseconds, unless a value would wrap: then microseconds for all, and columns that are finer are refused."""
    far, finer = False, dict[str, int]()
    for name in columns:
        outside, row = _look(opens, name)
        far |= outside
        if row is not None:
            finer[name] = row
    return Int96("us", finer) if far else Int96()


def _column_of(path: str, schema: pa.Schema) -> str:
    """The column that a leaf is of: the longest name that its path begins with, as names may hold dots."""
    names: list[str] = [name for name in schema.names if f"{path}.".startswith(f"{name}.")]
    return max(names, key=len)


def _look(opens: Opens, name: str) -> tuple[bool, int | None]:
    """Whether a value of the column lies outside what nanoseconds hold; the first row that microseconds cannot hold."""
    far, finer, first = False, list[int](), 0
    files = (opens(unit).iter_batches(BATCH_ROWS, columns=[name]) for unit in ("s", "ns"))
    for seconds, nanos in zip(*files, strict=True):
        rows = np.arange(first, first + len(seconds))
        for whole, wrapped in _pairs(seconds.column(0), nanos.column(0), rows):
            outside, beyond = _compared(whole, wrapped)
            far |= outside
            finer += beyond[:1].tolist()
        first += len(seconds)
    return far, min(finer, default=None)


def _pairs(seconds: pa.Array, nanos: pa.Array, rows: Numbers) -> Iterator[tuple[Leaf, Leaf]]:
    """Only 96-bit timestamps have the unit that was asked for."""
    pairs = zip(_leaves(seconds, rows), _leaves(nanos, rows), strict=True)
    return (pair for pair in pairs if pair[0][0].type != pair[1][0].type)


def _compared(whole: Leaf, wrapped: Leaf) -> tuple[bool, Numbers]:
    """Whether a value wrapped, and the rows of those that microseconds do not hold."""
    seconds, nanos, rows = _numbers(whole[0]), _numbers(wrapped[0]), whole[1][_present(whole[0])]
    with np.errstate(over="ignore"):
        rest = nanos - seconds * BILLION  # modulo 2^64, where it is exact
    beyond = (rest % THOUSAND != 0) | (np.abs(seconds) > MOST_SECONDS)
    return bool((nanos // BILLION != seconds).any()), rows[beyond]


def _numbers(values: pa.Array) -> Numbers:
    numbers: Numbers = values.drop_null().cast(pa.int64()).to_numpy()
    return numbers


def _present(values: pa.Array) -> npt.NDArray[np.bool_]:
    present: npt.NDArray[np.bool_] = values.is_valid().to_numpy(zero_copy_only=False)
    return present


def _leaves(array: pa.Array, rows: Numbers) -> Iterator[Leaf]:
    """The timestamps at any depth of an array, with the row of each."""
    if t.is_struct(array.type):
        for place in range(array.type.num_fields):
            yield from _leaves(array.field(place), rows)
    elif t.is_map(array.type):  # arrow's functions for lists end the process here
        ends = array.offsets.to_numpy()
        for values in (array.keys, array.items):
            yield from _leaves(values.slice(ends[0], ends[-1] - ends[0]), np.repeat(rows, np.diff(ends)))
    elif t.is_nested(array.type):
        yield from _leaves(array.flatten(), rows[pc.list_parent_indices(array).to_numpy()])
    elif t.is_timestamp(array.type):
        yield array, rows


def refused_words(path: str, name: str, row: int) -> str:
    """What is said of a column that cannot be read without a change of its values."""
    return f"{path} row {row}: {name} has nanoseconds, and the file has dates that only microseconds reach"
