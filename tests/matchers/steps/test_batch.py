"""The pairs of a step: which are each other's negatives, and that taking some of them mixes nothing up."""

from dataclasses import replace

import torch

from ncaudit.core.losses.class_losses import ClassTargets
from ncaudit.matchers.steps.batch import Batch, true_negatives


def test_the_same_photo_and_the_same_caption_are_no_negatives():
    allowed = true_negatives(torch.tensor([1, 1, 2]), torch.tensor([5, 6, 6]))
    assert allowed.tolist() == [[False, False, True], [False, False, False], [True, False, False]]


def numbered(n: int) -> Batch:
    """Every column tells the row."""
    rows = torch.arange(n)
    return Batch(rows[:, None] * 10, rows[:, None] + 100, rows.float(), rows, rows, [f"pair {row}" for row in range(n)])


def test_taken_pairs_keep_what_belongs_to_them():
    taken = numbered(4).take(torch.tensor([3, 1]))
    assert (taken.image[:, 0].tolist(), taken.text[:, 0].tolist()) == ([30, 10], [103, 101])
    assert (taken.label.tolist(), taken.photo.tolist(), taken.caption.tolist()) == ([3, 1], [3, 1], [3, 1])
    assert list(taken.pair_id) == ["pair 3", "pair 1"]


def test_targets_are_taken_along():
    rows = torch.arange(4)
    targets = ClassTargets(torch.eye(4, dtype=torch.bool), rows, rows, rows, torch.ones(4, 2))
    taken = replace(numbered(4), targets=targets).take(torch.tensor([3, 1])).to(torch.device("cpu"))
    assert (taken.targets.voted.tolist(), len(taken.targets.barycentres)) == ([3, 1], 4)
    assert numbered(2).take(rows[:1]).targets is None


def test_chunks_hold_every_pair_once_in_order():
    assert [chunk.photo.tolist() for chunk in numbered(5).chunks(2)] == [[0, 1], [2, 3], [4]]


def test_moving_a_batch_keeps_its_ids():
    assert list(numbered(2).to(torch.device("cpu")).pair_id) == ["pair 0", "pair 1"]
