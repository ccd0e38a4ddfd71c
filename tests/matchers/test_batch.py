"""Which pairs of a batch are each other's negatives."""

import torch

from ncaudit.matchers.batch import Batch


def test_the_same_photo_and_the_same_caption_are_no_negatives():
    pairs = Batch(*(torch.zeros(3) for _ in range(3)), photo=torch.tensor([1, 1, 2]), caption=torch.tensor([5, 6, 6]))
    assert pairs.allowed().tolist() == [[False, False, True], [False, False, False], [True, False, False]]
