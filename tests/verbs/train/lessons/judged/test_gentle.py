import math

import pytest
import torch
from torch.nn.functional import normalize

from ncaudit.scoring.pairs import Pairs
from ncaudit.verbs.train.lessons.judged.gentle import LEAST_FACTOR, MOST_FACTOR, TURN, factor, turned


def pairs(image: torch.Tensor, text: torch.Tensor) -> Pairs:
    ids = torch.arange(len(image))
    return Pairs(image, text, ids, ids, [""] * len(image))


def turn(rows: torch.Tensor, angle: float) -> torch.Tensor:
    c, s = math.cos(angle), math.sin(angle)
    return rows @ torch.tensor([[c, s], [-s, c]])


@pytest.mark.parametrize("angle", [1e-4, 0.02, 1.5])
def test_rows_that_turned_by_an_angle_are_told_to_have_also_where_their_cosine_is_one(angle):
    rows = normalize(torch.randn(50, 2, generator=torch.Generator().manual_seed(0)), dim=1)
    assert turned(pairs(rows, rows), pairs(turn(rows, angle), turn(rows, -angle))) == pytest.approx(angle, rel=1e-2)


def test_a_side_that_stood_still_counts_for_half():
    rows = torch.eye(2)
    assert turned(pairs(rows, rows), pairs(turn(rows, 0.2), rows)) == pytest.approx(0.1, rel=1e-4)


def test_all_epochs_at_the_factor_turn_by_what_is_allowed_and_the_faster_the_first_the_less():
    for angle in (1e-3, 1e-2, 0.3):
        assert angle * factor(angle, 8) * 8 == pytest.approx(TURN)
    assert factor(1e-3, 8) > factor(1e-2, 8) > factor(0.3, 8)


def test_the_factor_has_bounds_for_networks_that_stood_still_or_flew():
    assert factor(0.0, 8) == MOST_FACTOR
    assert factor(1e-9, 8) == MOST_FACTOR
    assert factor(1e9, 8) == LEAST_FACTOR
