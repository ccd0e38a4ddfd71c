"""Linear between the points, constant outside."""

import torch
from torch.testing import assert_close

from ncaudit.core.statistics.curve import Curve

CURVE = Curve(torch.tensor([-1.0, 0.0, 2.0]), torch.tensor([5.0, 1.0, 3.0]))


def test_a_known_point_has_its_value() -> None:
    assert CURVE.of(CURVE.at).tolist() == CURVE.value.tolist()


def test_between_two_points_it_is_linear() -> None:
    assert CURVE.of(torch.tensor([-0.5, 0.5, 1.0])).tolist() == [3.0, 1.5, 2.0]


def test_outside_the_points_it_is_constant() -> None:
    assert CURVE.of(torch.tensor([-9.0, 9.0, -torch.inf, torch.inf])).tolist() == [5.0, 3.0, 5.0, 3.0]


def test_one_point_is_a_constant() -> None:
    assert Curve(torch.tensor([1.0]), torch.tensor([7.0])).of(torch.tensor([0.0, 1.0, 2.0])).tolist() == [7.0] * 3


def test_points_at_the_same_place_give_numbers() -> None:
    repeated = Curve(torch.tensor([0.0, 0.0, 1.0]), torch.tensor([1.0, 2.0, 3.0]))
    assert repeated.of(torch.tensor([-1.0, 0.0, 0.5])).isfinite().all()
    assert_close(repeated.of(torch.tensor([0.5])), torch.tensor([2.5]))


def test_the_shape_of_what_is_asked_is_kept() -> None:
    asked = torch.tensor([[0.0, 1.0], [2.0, -1.0], [0.5, 0.0]]).T
    assert CURVE.of(asked).tolist() == [[1.0, 3.0, 1.5], [2.0, 5.0, 1.0]]
