"""Selection, split and anchors by hand, and where there is nothing to go by."""

import pytest
import torch
from torch.testing import assert_close

from ncaudit.core.correspondence.co_teaching import Anchors, smallest, split
from ncaudit.core.neighbours.bank import Bank

TWO_GROUPS = torch.cat([torch.linspace(0.1, 0.2, 60), torch.linspace(0.8, 0.9, 40)])


@pytest.mark.parametrize(("share", "places"), [(0.5, [1, 3]), (1.0, [0, 1, 2, 3]), (0.3, [1]), (0.01, [1])], ids=str)
def test_the_lowest_losses_are_kept_and_at_least_one(share, places):
    assert smallest(torch.tensor([4.0, 1.0, 3.0, 2.0]), share).tolist() == places


def test_of_equal_losses_the_first_are_kept():
    assert smallest(torch.tensor([1.0, 0.5, 0.5, 0.5]), 0.5).tolist() == [1, 2]


def test_two_groups_of_losses_are_told_apart_in_any_order_and_unit():
    order = torch.randperm(100, generator=torch.Generator().manual_seed(0))
    found = split(TWO_GROUPS, threshold=0.5, least=1, fallback_share=0.3)
    moved = split(TWO_GROUPS[order] * 50 + 7, threshold=0.5, least=1, fallback_share=0.3)
    assert found.clean.tolist() == [True] * 60 + [False] * 40
    assert not found.fell_back
    assert_close(moved.probability, found.probability[order])


def test_equal_losses_say_nothing_and_the_fallback_is_taken_and_told():
    found = split(torch.ones(10), threshold=0.5, least=1, fallback_share=0.3)
    assert found.fell_back
    assert found.clean.tolist() == [True] * 3 + [False] * 7
    assert set(found.probability.tolist()) == {0.5}


def test_a_split_that_trusts_fewer_than_a_batch_falls_back():
    found = split(TWO_GROUPS, threshold=0.5, least=61, fallback_share=0.7)
    assert found.fell_back
    assert int(found.clean.sum()) == 70


def rows(*angles: float) -> torch.Tensor:
    """Unit rows in the plane, in degrees."""
    turned = torch.deg2rad(torch.tensor(angles))
    return torch.stack([turned.cos(), turned.sin()], dim=1)


ANCHORS = Bank(rows(0, 90, 180, 270), rows(0, 90, 180, 270), torch.arange(4), torch.arange(10, 14))  # means: zero


def told(image: float, text: float, photo: int, caption: int, k: int = 1) -> float:
    pair = Bank(rows(image), rows(text), torch.tensor([photo]), torch.tensor([caption]))
    return float(Anchors.of(ANCHORS).label(pair, k))


def test_a_label_by_hand():
    assert told(60, 60, 99, 99) == pytest.approx(1)
    # image at 60: anchor 90, cosine sqrt 3 / 2 there and 1 / 2 for the caption; the caption at 30 finds anchor 0 alike
    assert told(60, 30, 99, 99) == pytest.approx(3**-0.5)
    assert told(60, 240, 99, 99) == pytest.approx(0, abs=1e-6)  # opposite


def test_anchors_of_the_pairs_own_photo_or_caption_do_not_judge_it():
    assert told(90, 90, 1, 99) == told(90, 90, 99, 11)  # the anchor at 90 is left out: next are those at 0 and 180
    assert told(60, 60, 1, 99) == pytest.approx(1)  # 0 judges it, in both directions alike
    alone = Bank(rows(0), rows(0), torch.tensor([1]), torch.tensor([11]))
    pair = Bank(rows(5), rows(5), torch.tensor([1]), torch.tensor([99]))
    assert Anchors.of(alone).label(pair, 1).isnan().all()


def test_more_anchors_than_there_are_are_those_there_are():
    assert told(60, 60, 99, 99, k=9) == told(60, 60, 99, 99, k=4)
