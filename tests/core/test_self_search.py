"""Neighbours inside one set: the definition where it is exact, a kept promise of recall where it is not."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ncaudit.core.self_search import nearest_in_set


def _rows(n: int, d: int = 64, seed: int = 0) -> Tensor:
    return normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)), dim=1)


def _defined(rows: Tensor, k: int, groups: tuple[Tensor, ...] = ()) -> tuple[Tensor, Tensor]:
    """Every similarity, the row itself and its groups at -inf, a stable sort."""
    similarity = (rows.float()[:, None, :] * rows.float()[None]).sum(dim=2)
    for ids in (torch.arange(len(rows)), *groups):
        similarity = similarity.masked_fill(ids[:, None] == ids[None], -torch.inf)
    similarity, index = similarity.sort(dim=1, descending=True, stable=True)
    return similarity[:, :k], index.where(similarity.isfinite(), -1)[:, :k]


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_a_small_set_gets_what_the_definition_gives(dtype: torch.dtype) -> None:
    rows = _rows(300).to(dtype)
    groups = (torch.arange(300) // 5, torch.arange(300) % 40)
    found = nearest_in_set(rows, 7, groups)
    similarity, index = _defined(rows, 7, groups)
    assert torch.equal(found.index, index)
    torch.testing.assert_close(found.similarity, similarity, rtol=0, atol=1e-6)
    assert (found.exact, found.recall, found.recall_at_10) == (True, 1, 1)


def test_a_row_is_never_its_own_neighbour() -> None:
    copies = _rows(20)[torch.arange(40) % 20]
    found = nearest_in_set(copies, 1)
    assert torch.equal(found.index[:, 0], (torch.arange(40) + 20) % 40)


def test_fewer_allowed_rows_than_asked_for_are_padded() -> None:
    found = nearest_in_set(_rows(4), 5, [torch.tensor([0, 0, 1, 1])])
    assert (found.index[:, 2:] == -1).all()
    assert (found.similarity[:, 2:] == -torch.inf).all()
    assert found.index[:2, :2].sort(dim=1).values.tolist() == [[2, 3], [2, 3]]
