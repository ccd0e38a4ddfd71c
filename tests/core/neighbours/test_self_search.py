"""Neighbours inside one set: the definition where it is exact, a kept promise of recall where it is not."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ncaudit.core.neighbours import self_search
from ncaudit.core.neighbours.self_search import NearestInSet, nearest_in_set


def _rows(n: int, d: int = 64, seed: int = 0) -> Tensor:
    return normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)), dim=1)


def _defined(rows: Tensor, k: int, groups: tuple[Tensor, ...] = ()) -> tuple[Tensor, Tensor]:
    """Every similarity, the row itself and its groups at -inf, a stable sort."""
    similarity = (rows.double() @ rows.double().T).float()
    for ids in (torch.arange(len(rows)), *groups):
        similarity = similarity.masked_fill(ids[:, None] == ids[None], -torch.inf)
    similarity, index = similarity.sort(dim=1, descending=True, stable=True)
    return similarity[:, :k], index.where(similarity.isfinite(), -1)[:, :k]


def _clusters(n: int, d: int = 64) -> Tensor:
    draw = torch.Generator().manual_seed(1)
    centres = torch.randn(30, d, generator=draw)
    return normalize(centres[torch.randint(30, (n,), generator=draw)] + 0.7 * torch.randn(n, d, generator=draw), dim=1)


def _recall(found: NearestInSet, truth: tuple[Tensor, Tensor]) -> float:
    return float((found.similarity >= truth[0][:, -1:] - 1e-6).float().mean())


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


# Above the size up to which it is exact


@pytest.mark.parametrize("rows", [_clusters(2000), _rows(2000)], ids=["clustered", "without structure"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_a_large_set_gets_at_least_95_percent_of_the_true_neighbours(rows: Tensor, dtype: torch.dtype) -> None:
    rows = rows.to(dtype)
    found = nearest_in_set(rows, 10, exact_up_to=0)
    truth = _defined(rows, 10)
    assert _recall(found, truth) >= 0.95
    assert found.recall == pytest.approx(_recall(found, truth), abs=0.02)  # measured on 512 of the rows
    assert not found.exact
    assert (found.index != torch.arange(2000)[:, None]).all()
    similarity = (rows[found.index].float() * rows[:, None, :].float()).sum(dim=2)
    torch.testing.assert_close(found.similarity, similarity, rtol=0, atol=1e-6)
    assert (found.similarity.diff(dim=1) <= 0).all()


def test_clusters_are_found_with_less_work_than_no_structure() -> None:
    clustered, plain = (nearest_in_set(rows, 10, exact_up_to=0) for rows in (_clusters(2000), _rows(2000)))
    assert clustered.compared < 0.5 * plain.compared


@pytest.mark.parametrize("at_once", [50, 2**22])
def test_groups_are_never_returned_and_do_not_hide_other_rows(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(self_search, "HIDDEN_ENTRIES", at_once)
    near = normalize(_rows(1) + 0.1 * _rows(30, seed=2), dim=1)
    rows = torch.cat([_rows(1).expand(400, -1), near, _clusters(1570)])
    photo = torch.cat([torch.zeros(400, dtype=torch.int64), torch.arange(1, 1601)])
    caption = torch.arange(2000) // 5
    found = nearest_in_set(rows, 10, [photo, caption], exact_up_to=0)
    for ids in (photo, caption):
        assert (ids[found.index] != ids[:, None]).all()
    assert (found.index >= 0).all()
    assert _recall(found, _defined(rows, 10, (photo, caption))) >= 0.95
    assert ((found.index[:400] >= 400) & (found.index[:400] < 430)).float().mean() >= 0.95


def test_fewer_allowed_rows_than_asked_for_are_padded_there_too() -> None:
    halves = torch.arange(40) // 20  # 20 rows are allowed
    found = nearest_in_set(_rows(40), 25, [halves], exact_up_to=0)
    assert (found.index[:, 20:] == -1).all()
    assert (found.similarity[:, 20:] == -torch.inf).all()
    assert (found.index[:, :20] >= 0).float().mean() >= 0.95
    nobody = nearest_in_set(_rows(40), 3, [torch.zeros(40, dtype=torch.int64)], exact_up_to=0)
    assert (nobody.index == -1).all()
    assert nobody.recall == 1


def test_one_row_and_none_at_all_have_no_neighbour() -> None:
    assert nearest_in_set(_rows(1), 2, exact_up_to=0).index.tolist() == [[-1, -1]]
    assert nearest_in_set(_rows(0), 2, exact_up_to=0).index.shape == (0, 2)


def test_the_same_seed_gives_the_same_bits() -> None:
    first, again = (nearest_in_set(_clusters(2000), 10, exact_up_to=0, seed=3) for _ in range(2))
    assert torch.equal(first.index, again.index)
    assert torch.equal(first.similarity, again.similarity)
    assert first.recall == again.recall


CUTS = {"ENTRIES": 2**15, "ROWS": 100, "LEAST_ROWS": 30, "PICK_ENTRIES": 5_000, "RANK_ENTRIES": 9_000}


def test_the_work_may_be_cut_anyhow(monkeypatch: pytest.MonkeyPatch) -> None:
    first = nearest_in_set(_clusters(2000), 10, exact_up_to=0)
    for name, size in CUTS.items():
        monkeypatch.setattr(self_search, name, size)
    again = nearest_in_set(_clusters(2000), 10, exact_up_to=0, block=11)
    torch.testing.assert_close(first.similarity, again.similarity, rtol=0, atol=1e-6)
    assert first.compared == again.compared
