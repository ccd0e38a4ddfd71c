"""The anchors' vote, worked out by hand in two dimensions."""

import math

import torch
from torch import Tensor
from torch.testing import assert_close

from ncaudit.core.correspondence.agreement import Spread, agreement, spread_of
from ncaudit.core.neighbours.search import Nearest, nearest

AXES = torch.eye(2)
ROUND = Spread(torch.zeros(2), torch.eye(2))  # deviation 1 in every direction


def vote(similarity: list[float], index: list[int], trust: list[float], other: Tensor, spread: Spread = ROUND) -> float:
    found = Nearest(torch.tensor([similarity]), torch.tensor([index]))
    return float(agreement(found, torch.tensor([trust]), AXES, other[None], spread)[0])


def test_an_anchor_a_tenth_less_similar_counts_one_in_e() -> None:
    # expected caption (e, 1) / (e + 1); the caption (1, 0): its share along the expected one is e / √(e² + 1)
    assert math.isclose(vote([0.9, 0.8], [0, 1], [1.0, 1.0], AXES[0]), math.e / math.sqrt(math.e**2 + 1), rel_tol=1e-5)


def test_an_anchor_counts_as_far_as_it_is_trusted() -> None:
    # equally near, trusted .6 and .2: expected (.75, .25)
    assert math.isclose(vote([0.9, 0.9], [0, 1], [0.6, 0.2], AXES[1]), 0.25 / math.sqrt(0.625), rel_tol=1e-5)
    assert math.isclose(vote([0.9, 0.9], [0, 1], [0.0, 0.2], AXES[1]), 1.0, rel_tol=1e-5)


def test_a_pair_without_a_trusted_anchor_gets_zero() -> None:
    assert vote([0.9, 0.8], [0, 1], [0.0, 0.0], AXES[0]) == 0
    assert vote([-math.inf, -math.inf], [-1, -1], [1.0, 1.0], AXES[0]) == 0


def test_a_missing_anchor_does_not_vote() -> None:
    # index -1 would otherwise read the first key
    assert math.isclose(vote([0.9, -math.inf], [1, -1], [1.0, 1.0], AXES[0]), 0.0, abs_tol=1e-6)


def test_the_vote_is_in_standard_deviations_of_all_rows() -> None:
    spread = Spread(torch.tensor([0.1, 0.0]), torch.diag(torch.tensor([0.04, 1.0])))
    # (.5 - .1) / √.04 along the first axis
    assert math.isclose(vote([0.9], [0], [1.0], torch.tensor([0.5, 9.0]), spread), 2.0, rel_tol=1e-5)


def test_the_spread_is_of_the_rows() -> None:
    spread = spread_of(torch.tensor([[1.0, 2.0], [3.0, 2.0]]))
    assert spread.mean.tolist() == [2, 2]
    assert spread.covariance.tolist() == [[1, 0], [0, 0]]


def test_random_pairs_have_mean_zero_and_deviation_one() -> None:
    draw = torch.Generator().manual_seed(0)
    rows = torch.nn.functional.normalize(torch.randn(1000, 8, generator=draw) * torch.arange(1, 9), dim=1)
    found = nearest(rows, rows, 5)
    random = agreement(found, torch.ones(1000, 5), rows, rows.roll(1, dims=0), spread_of(rows))
    assert abs(float(random.mean())) < 0.1
    assert_close(random.std(), torch.tensor(1.0), atol=0.1, rtol=0)
    assert agreement(found, torch.ones(1000, 5), rows, rows, spread_of(rows)).mean() > 1
