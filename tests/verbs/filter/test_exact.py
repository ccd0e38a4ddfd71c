"""Numbers of any type compare as they are: what arrow's common types would round or refuse is right here."""

import math
from decimal import Decimal
from fractions import Fraction
from itertools import product

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncaudit.verbs.filter.exact import PYTHON, compare_columns, number
from ncaudit.verbs.filter.where import parse

COLUMNS = {
    "i8": pa.array([-128, 127, 0, None], pa.int8()),
    "u8": pa.array([255, 0, 1, None], pa.uint8()),
    "i32": pa.array([-(2**31), 2**24 + 1, 7, None], pa.int32()),
    "i64": pa.array([-(2**63), 2**63 - 1, 2**53 + 1, None], pa.int64()),
    "u64": pa.array([2**64 - 1, 2**63 + 5, 0, None], pa.uint64()),
    "f16": pa.array(np.array([0.1, 65504, -np.inf, 0], np.float16), mask=np.array([0, 0, 0, 1], bool)),
    "f32": pa.array([0.1, 16777216.0, math.inf, None], pa.float32()),
    "f64": pa.array([float(2**53), -0.0, 1e308, None], pa.float64()),
    "d128": pa.array([Decimal("1.50"), Decimal("-99999999.99"), Decimal("0.00"), None], pa.decimal128(10, 2)),
    "d38": pa.array([Decimal(2**64), Decimal(10**38 - 1), Decimal(2**63 + 5), None], pa.decimal128(38, 0)),
    "d256": pa.array([Decimal(10**60) + Decimal("0.5"), Decimal("0.1"), Decimal(-1), None], pa.decimal256(76, 15)),
    "d32": pa.array([Decimal("1.5"), Decimal("-0.1"), Decimal("0"), None], pa.decimal32(5, 1)),
}
BATCH = pa.record_batch(COLUMNS)
WHOLE = st.integers(-(2**66), 2**66) | st.sampled_from(
    [v + d for v in (2**24, 2**53, 2**63, 2**64) for d in (-1, 0, 1)]
)
EDGES = [
    ".1",
    "-0.1",
    "1.5",
    "1.50",
    "1e3",
    "9.3e18",
    "1e400",
    "-1e400",
    "1e-400",
    "0.0",
    "-0",
    "65504.0",
    "99999999.995",
]
HUGE = ["9" * 400, "-" + "9" * 5000, "1e99999999999999999999", "1e-99999999999999999999"]
WRITTEN = WHOLE.map(str) | st.sampled_from([*EDGES, *HUGE])


def _value(column, literal):
    """What the literal means beside this column: with a point or a power, in the precision of its floats."""
    kinds = {"f16": np.float16, "f32": np.float32, "f64": np.float64}
    known = number(literal)
    single = kinds.get(column)
    if single is None or known.whole or abs(known.value) > Fraction(float(np.finfo(single).max)):
        return known.value
    return Fraction(float(single(float(known.value))))


def _holds(value, sign, other):
    if isinstance(value, float) and math.isinf(value):
        return PYTHON[sign](value, 0.0)  # on the same side of every number that a literal can be
    return PYTHON[sign](Fraction(value), other)


@given(st.sampled_from(sorted(COLUMNS)), st.sampled_from(sorted(PYTHON)), WRITTEN)
def test_a_column_beside_a_literal(column, sign, literal):
    values = [None if value is None else value for value in COLUMNS[column].to_pylist()]
    wanted = [value is not None and _holds(value, sign, _value(column, literal)) for value in values]
    assert parse(f"{column} {sign} {literal}").bind(BATCH.schema, "t")(BATCH).tolist() == wanted
    turned = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}.get(sign, sign)
    assert parse(f"{literal} {turned} {column}").bind(BATCH.schema, "t")(BATCH).tolist() == wanted


@given(st.sampled_from(sorted(COLUMNS)), st.lists(WRITTEN, min_size=1, max_size=4), st.booleans())
def test_a_list_is_any_of_its_literals(column, literals, negated):
    told = parse(f"{column} {'not ' * negated}in ({', '.join(literals)})").bind(BATCH.schema, "t")(BATCH)
    of_each = [parse(f"{column} = {one}").bind(BATCH.schema, "t")(BATCH) for one in literals]
    valid = COLUMNS[column].is_valid().to_numpy(zero_copy_only=False)
    assert told.tolist() == (valid & (np.any(of_each, axis=0) != negated)).tolist()


@pytest.mark.parametrize("left", sorted(COLUMNS))
def test_a_column_beside_any_other(left):
    one = COLUMNS[left].take(pa.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 0]))
    for right, sign in product(COLUMNS, PYTHON):
        other = COLUMNS[right].take(pa.array([0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 3]))
        pairs = zip(one.to_pylist(), other.to_pylist(), strict=True)
        wanted = [None if None in pair else PYTHON[sign](*map(_plain, pair)) for pair in pairs]
        assert compare_columns(one, sign, other).to_pylist() == wanted, (left, sign, right)


def _plain(value):
    return value if isinstance(value, (Decimal, int)) else float(value)  # Python compares these exactly


def test_numbers_that_are_close_are_looked_at_one_by_one():
    whole = pa.array([2**53 + 1, 2**53 + 1, 2**53 + 1, None], pa.int64())
    rounded = pa.array([2.0**53, 2.0**53 + 2, math.nan, 1.0])
    assert compare_columns(whole, "=", rounded).to_pylist() == [False, False, False, None]
    assert compare_columns(whole, ">", rounded).to_pylist() == [True, False, False, None]
    assert compare_columns(rounded, "!=", whole).to_pylist() == [True, True, True, None]


def test_a_float_of_nan_is_neither_above_nor_below():
    batch = pa.record_batch({"x": pa.array([math.nan, 1.0])})
    answers = {
        text: parse(text).bind(batch.schema, "t")(batch).tolist() for text in ("x > -1e999", "x < 1e999", "x != x")
    }
    assert answers == {"x > -1e999": [False, True], "x < 1e999": [False, True], "x != x": [True, False]}
