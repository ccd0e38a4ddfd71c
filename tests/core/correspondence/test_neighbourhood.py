import math

import torch
from torch.testing import assert_close

from ncaudit.core.correspondence.neighbourhood import neighbourhood_distance


def distance(own, other, matching, nearness=0.1, trust=5.0):
    rows = [torch.tensor([values]) for values in (own, other, matching)]
    return neighbourhood_distance(*rows, nearness=nearness, trust=trust)


def test_the_formula_by_hand():
    # d(own) .2 and .6, d(other) .5 and 1, d_j 0 and .1
    expected = (0.5 * math.exp(-0.1 * 0.2) + 1.0 * math.exp(-0.1 * 0.6 - 5 * 0.1)) / 2
    assert_close(distance([0.8, 0.4], [0.5, 0.0], [1.0, 0.9]), torch.tensor([expected]))


def test_a_neighbour_that_does_not_match_itself_hardly_counts():
    assert distance([0.9], [0.0], [0.0]) < distance([0.9], [0.0], [1.0]) / 100


def test_missing_neighbours_are_left_out_of_the_mean_and_none_is_zero():
    assert_close(distance([0.8, -math.inf], [0.5, 0.9], [1.0, 1.0]), distance([0.8], [0.5], [1.0]))
    assert distance([-math.inf], [0.5], [1.0], nearness=0.0).tolist() == [0.0]
