"""Numbers compared as they are: whole numbers of any size, decimals and floats, without a detour over float64.

Knows arrow arrays of numbers and what a literal is worth; nothing of conditions, dates or files.
"""

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

ARROW: dict[str, Callable[[Any, Any], Any]] = {
    "=": pc.equal, "==": pc.equal, "!=": pc.not_equal, "<>": pc.not_equal,
    "<": pc.less, "<=": pc.less_equal, ">": pc.greater, ">=": pc.greater_equal,
}  # fmt: skip
PYTHON: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "==": operator.eq, "!=": operator.ne, "<>": operator.ne,
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
NUMPY: dict[str, Any] = {
    "=": np.equal, "==": np.equal, "!=": np.not_equal, "<>": np.not_equal,
    "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
}  # fmt: skip
LARGEST_POWER, SMALLEST_POWER = 400, -1_300  # no column holds what is further from 0, or nearer to it
CLOSE = 1e-9  # doubles of two numbers that are further apart than this share tell which is larger


@dataclass(frozen=True)
class Number:
    """A number as somebody wrote it. whole: without point and power, so meant as it stands also beside floats."""

    text: str
    value: Fraction
    whole: bool

    def __repr__(self) -> str:
        return self.text


def number(text: str) -> Number:
    """What decimal digits, with or without a point and a power of ten, are worth; Python's limit of 4,300 is none here.

    >>> number("-2.5e-1").value, number("9" * 5000).value == Fraction(10) ** 400
    (Fraction(-1, 4), True)
    """
    mantissa, _, power = text.lower().partition("e")
    digits = Decimal(mantissa)
    scale = int((power.lstrip("+-0") or "0")[:6]) * (-1 if power.startswith("-") else 1)
    return Number(text, _bounded(digits, scale), whole=bool(re.fullmatch(r"[+-]?[0-9]+", text)))


def _bounded(digits: Decimal, scale: int) -> Fraction:
    """digits * 10**scale, or where that is beyond all columns something that is too and can be held."""
    if not digits:
        return Fraction(0)
    sign, power = -1 if digits < 0 else 1, digits.adjusted() + scale
    if power >= LARGEST_POWER:
        return sign * Fraction(10) ** LARGEST_POWER
    if power < SMALLEST_POWER:
        return sign * Fraction(10) ** SMALLEST_POWER
    return Fraction(digits) * Fraction(10) ** scale


@dataclass(frozen=True)
class Place:
    """Where a number lies among all values of a type: `below` is the largest that is not above it, None where all are.

    exact: `below` is the number itself.
    """

    below: Any
    exact: bool
    kind: pa.DataType

    def compare(self, sign: str, column: pa.Array) -> pa.Array:
        """`column sign number` for every row, null where the column is."""
        if self.exact:
            return ARROW[sign](column, pa.scalar(self.below, self.kind))
        if sign not in FLIPPED:
            return _everywhere(sign not in ("=", "=="), column)
        downward = sign.startswith("<")
        if self.below is None:
            return _everywhere(not downward, column)
        return (pc.less_equal if downward else pc.greater)(column, pa.scalar(self.below, self.kind))


def _everywhere(answer: bool, column: pa.Array) -> pa.Array:
    return pc.if_else(column.is_valid(), pa.scalar(answer), pa.scalar(None, pa.bool_()))


def place_of(literal: Number, kind: pa.DataType) -> Place:
    """The place of a literal among the numbers of a column's type, as `comparable` makes it.

    A literal with a point or a power is read in the precision of the floats beside it: .9 is not above a float32 of .9.
    """
    if t.is_floating(kind):
        single = np.float16 if t.is_float16(kind) else np.float32 if t.is_float32(kind) else np.float64
        return _among_floats(literal.value if literal.whole else _read_as(single, literal.value), single)
    return place_among_whole(literal.value, kind) if t.is_integer(kind) else _among_decimals(literal.value, kind)


def place_among_whole(value: Fraction, kind: pa.DataType) -> Place:
    """The place of a number among whole numbers of a type."""
    limits = np.iinfo(kind.to_pandas_dtype())
    below, limited = value.numerator // value.denominator, int(limits.max)
    if below < int(limits.min):
        return Place(None, False, kind)
    return Place(min(below, limited), below == value and below <= limited, kind)


def _among_decimals(value: Fraction, kind: pa.DataType) -> Place:
    scaled, top = value * Fraction(10) ** kind.scale, 10**kind.precision - 1
    below = scaled.numerator // scaled.denominator
    if below < -top:
        return Place(None, False, kind)
    there = Decimal((int(below < 0), tuple(map(int, str(abs(min(below, top))))), -kind.scale))
    return Place(there, below == scaled and below <= top, _compared_as(kind))


def _read_as(single: Any, value: Fraction) -> Fraction:
    """The nearest number of that precision; the value itself where that is infinite."""
    if abs(value) > Fraction(float(np.finfo(single).max)):
        return value
    return Fraction(float(single(float(value))))


def _among_floats(value: Fraction, single: Any) -> Place:
    kind = pa.float64() if single is np.float64 else pa.float32()
    top = single(np.finfo(single).max)
    if value > Fraction(float(top)):
        return Place(float(top), False, kind)
    if value < -Fraction(float(top)):
        return Place(-np.inf, False, kind)
    below = single(float(value))
    while not np.isfinite(below) or Fraction(float(below)) > value:
        below = np.nextafter(below, single(-np.inf))
    while below < top and Fraction(float(np.nextafter(below, single(np.inf)))) <= value:
        below = np.nextafter(below, single(np.inf))
    return Place(float(below), Fraction(float(below)) == value, kind)


def comparable(column: pa.Array) -> pa.Array:
    """A column of numbers in a type that arrow compares, with the same values."""
    return column.cast(_compared_as(column.type))


def _compared_as(kind: pa.DataType) -> pa.DataType:
    """Arrow compares no half floats, and looks for no narrow decimals."""
    if t.is_float16(kind):
        return pa.float32()
    return pa.decimal128(kind.precision, kind.scale) if t.is_decimal32(kind) or t.is_decimal64(kind) else kind


def among(column: pa.Array, places: Sequence[Place], kind: pa.DataType) -> pa.Array:
    """Whether each row of a column of this type is one of these numbers; null where it is null."""
    known = [place.below for place in places if place.exact]
    known += [-value for value in known if value == 0 and t.is_floating(kind)]  # two zeros, told apart by their bits
    return pc.if_else(column.is_valid(), pc.is_in(column, value_set=pa.array(known, kind)), pa.scalar(None, pa.bool_()))


def compare_columns(left: pa.Array, sign: str, right: pa.Array) -> pa.Array:
    """`left sign right` for every row of two columns of numbers; null where either is."""
    left, right = _aligned(comparable(left)), _aligned(comparable(right))
    one, other = left.type, right.type
    if one == other:
        return ARROW[sign](left, right)
    if t.is_integer(one) and t.is_integer(other):
        return _mixed_signs(left, sign, right)
    return _closely(left, sign, right)


def _aligned(column: pa.Array) -> pa.Array:
    """In the widest type of its kind, where that holds every value: float32 beside int64 would round in arrow."""
    kind = column.type
    if t.is_float32(kind):
        return column.cast(pa.float64())
    return column.cast(pa.int64()) if t.is_integer(kind) and not t.is_uint64(kind) else column


def _mixed_signs(left: pa.Array, sign: str, right: pa.Array) -> pa.Array:
    """int64 and uint64: what is negative is below all that are not."""
    if t.is_uint64(left.type):
        return _mixed_signs(right, FLIPPED.get(sign, sign), left)
    negative = pc.less(left, 0)
    both = ARROW[sign](pc.if_else(negative, 0, left).cast(pa.uint64()), right)
    below = _everywhere(sign in ("<", "<=", "!=", "<>"), right)
    return pc.if_else(negative, below, both)


def _closely(left: pa.Array, sign: str, right: pa.Array) -> pa.Array:
    """By their doubles where these differ clearly, one by one where they do not."""
    valid = pc.and_(left.is_valid(), right.is_valid())
    one, other = _doubles(left), _doubles(right)
    with np.errstate(invalid="ignore", over="ignore"):
        found = np.asarray(NUMPY[sign](one, other))
        clear = np.abs(one - other) > CLOSE * np.maximum(np.abs(one), np.abs(other))
    open_rows = np.flatnonzero(~clear & ~np.isnan(one) & ~np.isnan(other))
    pairs = zip(left.take(open_rows).to_pylist(), right.take(open_rows).to_pylist(), strict=True)
    found[open_rows] = [PYTHON[sign](*pair) for pair in pairs]
    return pc.if_else(valid, pa.array(found), pa.scalar(None, pa.bool_()))


def _doubles(column: pa.Array) -> npt.NDArray[np.float64]:
    """Near enough: null is nan, and so is never looked at again."""
    doubles = column.cast(pa.float64(), safe=False)
    found: npt.NDArray[np.float64] = doubles.fill_null(float("nan")).to_numpy(zero_copy_only=False)
    return found
