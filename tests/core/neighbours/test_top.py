"""The columns of the largest values are those of a plain top-k."""

import pytest
import torch

from ncaudit.core.neighbours.top import top_columns


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
