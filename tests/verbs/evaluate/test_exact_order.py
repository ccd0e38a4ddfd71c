"""Whatever numbers a column holds, its rows are ranked as those numbers are."""

import math
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncaudit.verbs.evaluate.exact_order import in_order

KINDS = {
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.decimal128(38, 10): st.decimals(min_value=-(10**20), max_value=10**20, places=10),
    pa.decimal256(76, 0): st.integers(-(10**70), 10**70).map(Decimal),
    pa.float64(): st.floats(allow_nan=False),
    pa.int16(): st.integers(-(2**15), 2**15 - 1),
}


@given(st.data())
def test_the_order_is_that_of_the_numbers(data):
    kinds = data.draw(st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=3))
    values = [data.draw(st.lists(st.none() | KINDS[kind], max_size=5)) for kind in kinds]
    told = in_order([pa.array(part, kind) for part, kind in zip(values, kinds, strict=True)])
    rows = [value for part in values for value in part]
    assert np.isnan(told).tolist() == [value is None for value in rows]
    for one, place in zip(rows, told, strict=True):
        for other, elsewhere in zip(rows, told, strict=True):
            if one is not None and other is not None:
                assert (one < other, one == other) == (place < elsewhere, place == elsewhere)


def test_numbers_that_float64_holds_are_themselves():
    told = in_order([pa.array([2**53, None, -5]), pa.array([0.5, math.nan, math.inf]), pa.array([1], pa.uint8())])
    assert told[[0, 2, 3, 5, 6]].tolist() == [2.0**53, -5, 0.5, math.inf, 1]
    assert np.isnan(told[[1, 4]]).all()


@pytest.mark.parametrize("kind", [pa.float16(), pa.null(), pa.uint64(), pa.decimal128(5, 2)], ids=str)
def test_no_row_and_no_value_are_no_error(kind):
    assert in_order([]).tolist() == in_order([pa.array([], kind)]).tolist() == []
    assert np.isnan(in_order([pa.nulls(2, kind)])).all()
