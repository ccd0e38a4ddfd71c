"""Class noise told by three raters: worlds whose confusions are known."""

import pytest
import torch
from torch.testing import assert_close

from ncaudit.core.classes.noise import ClassNoise, Raters, class_noise


def rated(truth, matrix, draw):
    return torch.multinomial(matrix[truth], 1, generator=draw)[:, 0]


def symmetric(classes, wrong):
    return torch.full((classes, classes), wrong / (classes - 1)).fill_diagonal_(1 - wrong)


def world(noise, votes, *, pairs=3000, seed=0):
    """What each pair's given class and its two votes are, where they err independently by these matrices."""
    draw, classes = torch.Generator().manual_seed(seed), len(noise)
    truth = torch.randint(classes, (pairs,), generator=draw)
    given = torch.nn.functional.one_hot(rated(truth, noise, draw), classes).float()
    return [Raters(given, rated(truth, votes, draw), rated(truth, votes, draw))]


@pytest.mark.parametrize("wrong", [0.0, 0.3, 0.7])
def test_the_rate_is_told_at_any_noise_although_votes_err_too(wrong):
    found = class_noise(world(symmetric(5, wrong), symmetric(5, 0.25)))
    assert found.told
    assert found.rate == pytest.approx(wrong, abs=0.04)
    assert found.low - 0.01 <= wrong <= found.high + 0.01


def test_which_class_is_given_for_which_is_told():
    noise = torch.eye(4)
    noise[1, 1], noise[1, 2] = 0.4, 0.6  # more often the wrong one than the right one
    found = class_noise(world(noise, symmetric(4, 0.2)))
    assert_close(found.matrix, noise, atol=0.08, rtol=0)
    assert found.rate == pytest.approx(0.15, abs=0.03)


def test_votes_that_know_nothing_leave_the_rate_open():
    found = class_noise(world(symmetric(4, 0.1), symmetric(4, 0.75)))
    assert not found.told
    assert found.low == 0
    assert found.high > 0.1


def test_renaming_the_classes_renames_the_matrix():
    noise, order = torch.eye(3), torch.tensor([2, 0, 1])
    noise[0] = torch.tensor([0.6, 0.4, 0.0])
    (one,) = world(noise, symmetric(3, 0.2))
    name = order.argsort()
    other = Raters(one.given[:, order], name[one.image], name[one.text])
    found, renamed = class_noise([one]), class_noise([other])
    assert renamed.rate == pytest.approx(found.rate, abs=1e-3)
    assert_close(renamed.matrix, found.matrix[order][:, order], atol=2e-3, rtol=0)


def test_evidence_of_several_given_classes_is_that_of_any_and_of_none_is_none():
    noise = ClassNoise(torch.tensor([[0.9, 0.1], [0.2, 0.8]]), torch.tensor([0.5, 0.5]), 0.15, 0.1, 0.2, True)
    found = noise.evidence(torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 0.0]]))
    assert_close(found, torch.tensor([[0.9, 0.2], [0.5, 0.5], [1.0, 1.0]]))
