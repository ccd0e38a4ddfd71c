"""A column's type is the same however its cells are cut and ordered."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncaudit.shards.readers.text.cell_types import CellType

CELLS = st.sampled_from(
    ["1", "-2", "007", "1.5", "1.50", "1.500", "0.25", "1e3", "nan", "true", "False", "x", "", None]
)


def type_of(*blocks):
    column = CellType()
    for block in blocks:
        column.see(pa.array(block, pa.string()))
    return column.type


@settings(deadline=None)
@given(cells=st.lists(CELLS, max_size=6), cut=st.integers(0, 6), order=st.randoms(use_true_random=False))
def test_cuts_and_order_do_not_matter(cells, cut, order):
    shuffled = cells.copy()
    order.shuffle(shuffled)
    assert (
        type_of(cells) == type_of(shuffled) == type_of(cells[:cut], cells[cut:]) == type_of(*([cell] for cell in cells))
    )


@pytest.mark.parametrize(("later", "kind"), [("1.20", pa.float64()), ("1.2", pa.string()), ("1.200", pa.string())])
def test_trailing_zeros_are_kept_unless_all_cells_have_as_many_decimals(later, kind):
    assert type_of(["1.10"], [later]) == kind
