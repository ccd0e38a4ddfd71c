"""The columns of the largest values are those of a plain top-k."""

import pytest
import torch

from ncaudit.core.neighbours.top import numbers_of, ordered_bits, top_columns


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("width", [1, 7, 40, 161, 1_003, 5_000])
@pytest.mark.parametrize("count", [1, 6, 20])
def test_the_largest_values_are_found_wherever_they_stand(dtype: torch.dtype, width: int, count: int) -> None:
    count = min(count, width)
    values = torch.randn(9, width, generator=torch.Generator().manual_seed(width)).to(dtype) - 2
    values[0, ::2] = -torch.inf
    column = top_columns(values, count)
    assert column.shape == (9, count)
    assert all(len(row.unique()) == count for row in column)
    assert torch.equal(values.gather(1, column).sort(dim=1).values, values.topk(count, dim=1).values.flip(1))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("lift", [-3.0, -0.1, 0.0, 3.0])
def test_the_largest_columns_are_found_whatever_the_signs(dtype: torch.dtype, lift: float) -> None:
    values = (torch.randn(7, 1003, generator=torch.Generator().manual_seed(0)) + lift).to(dtype)
    values[0] = -0.0
    column = top_columns(values, 9)
    assert torch.equal(values.gather(1, column).sort(dim=1).values, values.topk(9, dim=1).values.flip(1))
    assert all(len(row.unique()) == 9 for row in column)


def test_of_equal_values_the_first_columns_are_taken() -> None:
    values = torch.tensor([[1.0, 2.0, 1.0, 1.0, 2.0, 1.0, -1.0]])
    assert top_columns(values, 4).sort().values.tolist() == [[0, 1, 2, 4]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_bits_have_the_order_of_their_numbers(dtype: torch.dtype) -> None:
    ascending = torch.tensor([-torch.inf, -2.5, -1e-3, 0.0, 1e-3, 1.0, 2.5, torch.inf], dtype=dtype)
    assert (ordered_bits(ascending).int().diff() > 0).all()


def test_numbers_come_back_from_their_bits() -> None:
    numbers = torch.tensor([-torch.inf, -2.5, -1e-30, 0.0, 7.25, torch.inf])
    assert torch.equal(numbers_of(ordered_bits(numbers)), numbers)
