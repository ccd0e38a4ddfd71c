"""A column of numbers as float64 in which no two values fall together that were different.

Knows arrow columns of numbers; nothing of tables or of what they are compared with.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

Numbers = npt.NDArray[np.float64]
EXACT = 2**53  # up to here float64 has every whole number


def is_number(kind: pa.DataType) -> bool:
    """Whether a column of this type can be put in order as numbers; one without any value too."""
    return bool(t.is_floating(kind) or t.is_integer(kind) or t.is_decimal(kind) or t.is_null(kind))


def in_order(parts: Sequence[pa.Array]) -> Numbers:
    """(n,) float64 for the rows of all parts, whose types may differ, nan for null: the values themselves, or, where
    float64 would round some of them (64-bit hashes, ids, decimals), the place of each among them.

    >>> in_order([pa.array([2**53 + 1, 2**53, None]), pa.array([0.5])]).tolist()
    [2.0, 1.0, nan, 0.0]
    """
    if not all(_fits(part) for part in parts):
        return _places(parts)
    return np.concatenate([np.empty(0), *(rounded(part) for part in parts)])


def rounded(part: pa.Array) -> Numbers:
    """(n,) float64, the nearest to each value; nan for null."""
    found: Numbers = part.cast(pa.float64(), safe=False).fill_null(float("nan")).to_numpy(zero_copy_only=False)
    return found


def _fits(part: pa.Array) -> bool:
    if t.is_decimal(part.type):
        return bool(part.null_count == len(part))
    if not t.is_integer(part.type) or part.type.bit_width < 64:
        return True
    low, high = (pc.min_max(part)[name].as_py() for name in ("min", "max"))
    return low is None or bool(-EXACT <= low <= high <= EXACT)


def _places(parts: Sequence[pa.Array]) -> Numbers:
    """Python compares whole numbers, decimals and floats as they are."""
    values = [value for part in parts for value in part.to_pylist()]
    known = {value for value in values if value is not None and value == value}
    place = {value: float(number) for number, value in enumerate(sorted(known))}
    return np.array([place.get(value, np.nan) for value in values], dtype=np.float64)
