"""The minimum is found, curved valley or not."""

import torch
from torch.testing import assert_close

from ncaudit.core.statistics.minimise import minimise


def test_a_curved_valley_is_followed_to_its_end():
    found = minimise(lambda x: (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2, torch.tensor([-1.2, 1.0]), steps=300)
    assert_close(found, torch.ones(2), atol=0.02, rtol=0)


def test_badly_scaled_directions_are_found_too():
    scale = torch.tensor([1.0, 100.0, 10_000.0])
    found = minimise(lambda x: (scale * (x - 2) ** 2).sum(), torch.zeros(3))
    assert_close(found, torch.full((3,), 2.0), atol=1e-2, rtol=0)


def test_at_the_minimum_nothing_moves():
    assert_close(minimise(lambda x: (x**2).sum(), torch.zeros(2)), torch.zeros(2))
