from math import log

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from ncaudit.core.losses.pair_losses import batch_negatives, ranking_loss
from ncaudit.core.losses.robust_losses import triplet_alignment_loss
from ncaudit.objectives import tal


@pytest.mark.parametrize("temperature", [0.001, 0.015, 1.0])
def test_one_negative_each_worked_by_hand_at_any_temperature(temperature):
    similarity = torch.tensor([[0.5, 0.45], [0.3, 0.6]], dtype=torch.float64)
    pair_0 = (0.1 - 0.5 + 0.45) + 0  # [.1 - .5 + .3]_+ is 0, and so is all of pair 1
    found = tal.batch_loss(similarity, torch.ones(2), scale=1.0, margin=0.1, temperature=temperature)
    assert float(found) == pytest.approx(pair_0 / 2)


def test_two_negatives_alike_worked_by_hand():
    found = triplet_alignment_loss(torch.zeros(3, 3), margin=0.0, temperature=1 / log(2))
    assert_close(found, torch.full((3,), 2.0))  # temperature * log 2, both ways


def similarities(seed: int) -> torch.Tensor:
    return 2 * torch.rand(6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) - 1


def test_towards_temperature_0_it_is_the_triplet_of_the_hardest_negative():
    similarity = similarities(0)
    hardest = ranking_loss(*batch_negatives(similarity)[:3], margin=0.1, allowed=batch_negatives(similarity).allowed)
    assert_close(triplet_alignment_loss(similarity, margin=0.1, temperature=1e-5), hardest, atol=1e-4, rtol=0)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), temperature=st.floats(0.001, 1))
def test_it_never_undercuts_the_hardest_negatives_triplet(seed, temperature):
    similarity = similarities(seed)
    negatives = batch_negatives(similarity)
    hardest = ranking_loss(*negatives[:3], margin=0.1, allowed=negatives.allowed)
    assert (triplet_alignment_loss(similarity, margin=0.1, temperature=temperature) >= hardest - 1e-9).all()


def test_a_pair_of_label_0_weighs_nothing():
    similarity = torch.tensor([[0.5, 0.45], [0.45, -0.9]], dtype=torch.float64)
    alone = tal.batch_loss(similarity, torch.tensor([0.5, 0.0]), scale=1.0)
    assert float(alone) == pytest.approx(0.05 + 0.05)
    assert alone < tal.batch_loss(similarity, torch.ones(2), scale=1.0)
