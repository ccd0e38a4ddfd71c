"""Shortlists that grow piece by piece: what a plain sort of everything gives, and nothing kept in vain."""

import pytest
import torch
from torch import Tensor

from ncaudit.core.neighbours.shortlist import MOST_ROWS, NOBODY, Shortlist, above, packed

CPU = torch.device("cpu")


def _found(values: Tensor, best: Shortlist, first: int) -> Tensor:
    row, column, value = above(values, best.least)
    return packed(row, value, column + first)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("shift", [-3.0, 0.0, 3.0])  # negative numbers have their bits the other way round
def test_piece_by_piece_it_holds_what_a_sort_of_everything_begins_with(dtype: torch.dtype, shift: float) -> None:
    values = (torch.randn(40, 300, generator=torch.Generator().manual_seed(0)) + shift).bfloat16().to(dtype)
    best = Shortlist.empty(40, 12, CPU)
    for first in range(0, 300, 50):
        best = best.joined([_found(values[:, first : first + 50], best, first)])
    sorted_all = values.sort(dim=1, descending=True, stable=True)
    assert torch.equal(values.gather(1, best.index), sorted_all.values[:, :12])
    assert torch.equal(best.index, sorted_all.indices[:, :12])


def test_what_is_no_better_than_the_worst_of_a_full_list_is_not_found() -> None:
    best = Shortlist.empty(2, 2, CPU)
    best = best.joined([_found(torch.tensor([[3.0, 1.0], [-1.0, -2.0]]).half(), best, 0)])
    row, column, _ = above(torch.tensor([[0.5, 1.0, 1.5], [-3.0, -2.0, -1.5]]).half(), best.least)
    assert (row.tolist(), column.tolist()) == ([0, 1], [2, 2])


def test_a_list_with_room_takes_everything_but_what_is_minus_infinity() -> None:
    best = Shortlist.empty(1, 3, CPU)
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        _, column, _ = above(torch.tensor([[-torch.inf, -1e3, 0.0, 7.0]], dtype=dtype), best.least)
        assert column.tolist() == [1, 2, 3]


def test_the_last_row_and_number_that_fit_come_back() -> None:
    row, value = torch.tensor([MOST_ROWS - 1]), torch.tensor([-5], dtype=torch.int16)
    best = Shortlist.empty(MOST_ROWS, 2, CPU).joined([packed(row, value, torch.tensor([2**31 - 1]))])
    best = best.joined([torch.tensor([NOBODY])])
    assert best.index[-1].tolist() == [2**31 - 1, -1]
    assert (best.index[:-1] == -1).all()


def test_nobody_takes_no_place() -> None:
    best = Shortlist.empty(3, 2, CPU).joined([torch.tensor([NOBODY, NOBODY])])
    assert (best.index == -1).all()
