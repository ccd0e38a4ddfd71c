"""Mean average precision: values counted by hand, scikit-learn's on random rankings, and the worst order of ties."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor
from torch.nn.functional import normalize

from ncaudit.core.metrics import mean_average_precision as module
from ncaudit.core.metrics.mean_average_precision import ClassRetrieval, mean_average_precision


def _unit(n: int, d: int, seed: int) -> Tensor:
    return normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)), dim=1)


def _ranked(relevant: list[int], k: int) -> ClassRetrieval:
    """One query whose items stand in this order; 1: of its class."""
    angle = torch.linspace(0.1, 1.5, len(relevant))
    items = torch.stack([angle.cos(), angle.sin()], dim=1)
    return mean_average_precision(
        torch.tensor([[1.0, 0.0]]), items, torch.tensor([[1]]), torch.tensor(relevant)[:, None], k=k
    )


@pytest.mark.parametrize(
    ("relevant", "k", "whole", "first"),
    [
        ([1, 0, 1, 0], 1, (1 + 2 / 3) / 2, 1),  # at 1: one hit of one that is possible
        ([1, 0, 1, 0], 2, (1 + 2 / 3) / 2, 1 / 2),  # at 2: two are possible, the second is not there
        ([1, 0, 1, 0], 3, (1 + 2 / 3) / 2, (1 + 2 / 3) / 2),
        ([0, 0, 1, 1], 50, (1 / 3 + 2 / 4) / 2, (1 / 3 + 2 / 4) / 2),  # k beyond the gallery is all of it
        ([0, 0, 0, 1], 2, 1 / 4, 0),
        ([1, 1, 1], 2, 1, 1),
    ],
)
def test_rankings_by_hand(relevant: list[int], k: int, whole: float, first: float) -> None:
    found = _ranked(relevant, k)
    assert found.map_all == pytest.approx(whole)
    assert found.map_at_k == pytest.approx(first)


def test_any_shared_class_makes_an_item_relevant() -> None:
    items = normalize(torch.tensor([[3.0, 1.0], [2.0, 2.0], [1.0, 3.0]]), dim=1)
    classes = torch.tensor([[4, -1], [7, -1], [0, 2]])
    found = mean_average_precision(torch.tensor([[1.0, 0.0]]), items, torch.tensor([[2, 4, -1]]), classes, k=9)
    assert found.map_all == pytest.approx((1 + 2 / 3) / 2)  # the first item shares 4, the last one 2


def test_of_equal_items_the_irrelevant_ones_come_first() -> None:
    same = torch.ones(4, 4) / 2
    classes = torch.tensor([[0], [0], [1], [1]])
    found = mean_average_precision(same[:1], same, classes[:1], classes, k=2)
    assert found.map_all == pytest.approx((1 / 3 + 2 / 4) / 2)
    assert found.map_at_k == 0


def test_a_query_without_a_relevant_item_is_left_out_and_counted() -> None:
    found = mean_average_precision(torch.eye(2), torch.eye(2), torch.tensor([[0], [5]]), torch.tensor([[0], [1]]), k=1)
    assert (found.map_all, found.queries, found.without_relevant, found.items) == (1, 1, 1, 2)


def test_no_query_has_no_precision() -> None:
    none = torch.empty(0, 1, dtype=torch.int64)
    for gallery in (0, 3):
        found = mean_average_precision(
            torch.empty(0, 2), _unit(gallery, 2, 0), none, torch.zeros(gallery, 1).long(), k=1
        )
        assert math.isnan(found.map_all)
        assert (found.queries, found.items) == (0, gallery)


@pytest.mark.parametrize(
    ("entries", "most", "classes"),
    [(1, 2, 6), (1_000, 1, 6), (2**21, 2, 6), (2**21, 1, 6), (999, 4, 200), (999, 2, 400)],
)
def test_random_rankings_agree_with_scikit_learn(
    monkeypatch: pytest.MonkeyPatch, entries: int, most: int, classes: int
) -> None:
    monkeypatch.setattr(module, "BLOCK_ENTRIES", entries)
    query, gallery = _unit(40, 8, 1), _unit(200, 8, 2)
    draw = torch.Generator().manual_seed(3)
    asked, given = (torch.randint(-1, classes, (n, most), generator=draw) for n in (40, 200))
    asked[:, 0], given[:40, -1] = asked[:, 0].clamp(min=0), asked[:, 0].clamp(min=0)  # each has a relevant item
    found = mean_average_precision(query, gallery, asked, given, k=200)
    assert found.queries == 40
    similarity = (query @ gallery.T).numpy()
    expected = [
        average_precision_score([bool({*own.tolist()} & {*other.tolist()} - {-1}) for other in given], row)
        for own, row in zip(asked, similarity, strict=True)
    ]
    assert found.map_all == pytest.approx(np.mean(expected), abs=1e-6)
    assert found.map_at_k == pytest.approx(found.map_all)
