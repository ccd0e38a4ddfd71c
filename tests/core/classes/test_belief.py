"""What is believed of given classes before training: right where the embeddings show it, and something for any set."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import normalize

from ncaudit.core.classes import belief as module
from ncaudit.core.classes.belief import as_given, class_belief


def world(n=240, noise=0.5, seed=0):
    """Pairs around their class's centre among many other directions; image, text, photo, carried, true class."""
    draw = torch.Generator().manual_seed(seed)
    true = torch.arange(n) % 3
    image, text = (normalize(2 * torch.eye(3, 12)[true] + torch.randn(n, 12, generator=draw), dim=1) for _ in range(2))
    wrong = torch.rand(n, generator=draw) < noise
    given = torch.where(wrong, torch.randint(3, (n,), generator=draw), true)
    return image, text, torch.arange(n), torch.eye(3, dtype=torch.bool)[given], true


def right(belief, true):
    return float((belief.code[:, 0] == true).float().mean())


def test_beliefs_are_chances_and_their_first_class_is_far_oftener_right_than_the_given_one():
    image, text, photo, carried, true = world()
    belief = class_belief(image, text, photo, carried, neighbours=None)
    assert belief.weight.float().sum(dim=1).sub(1).abs().max() < 0.01
    assert (belief.weight.diff(dim=1) <= 0).all()
    assert right(belief, true) > 0.9
    assert float((carried.int().argmax(dim=1) == true).float().mean()) < 0.75


def test_neighbours_by_both_modalities_together_are_asked_too(monkeypatch):
    seen = []
    monkeypatch.setattr(
        module, "judge", lambda evidence, k, seed, believe: seen.append(evidence) or SimpleNamespace(belief=(k, seed))
    )
    image, text, photo, carried, _ = world()
    assert class_belief(image, text, photo, carried, neighbours=7, seed=3) == (7, 3)
    both = image @ image.T + text @ text.T
    nearest = both.fill_diagonal_(-9).argmax(dim=1)
    assert torch.equal(seen[0].neighbours[2][:, 0].long(), nearest)


@pytest.mark.parametrize("limit", ["FEWEST_PAIRS", "MOST_CLASSES"])
def test_what_cannot_be_judged_is_what_its_neighbours_vote_for(monkeypatch, limit):
    image, text, photo, carried, true = world(noise=0.3)
    monkeypatch.setattr(module, limit, 1000 if limit == "FEWEST_PAIRS" else 2)
    belief = class_belief(image, text, photo, carried, neighbours=20)
    assert belief.code.shape == (240, 1)
    assert right(belief, true) > 0.9


def test_more_neighbours_than_there_are_pairs_and_classes_that_nobody_carries_do_no_harm():
    image, text, photo, carried, true = world(n=60, noise=0.2)
    carried = torch.cat([torch.zeros(60, 1, dtype=torch.bool), carried], dim=1)
    assert right(class_belief(image, text, photo, carried, neighbours=500), true + 1) > 0.8


def test_pairs_of_one_photo_keep_their_classes():
    image, text, _, carried, _ = world()
    belief = class_belief(image, text, torch.zeros(240, dtype=torch.int64), carried, neighbours=None)
    assert torch.equal(belief.code[:, 0], carried.int().argmax(dim=1))


def test_pairs_with_several_classes_share_their_weight(monkeypatch):
    monkeypatch.setattr(module, "BLOCK_ROWS", 2)
    carried = torch.tensor([[True, False, True], [False, True, False], [True, True, True]])
    found = as_given(carried)
    assert torch.allclose(found.dense(3), carried / carried.sum(dim=1, keepdim=True), atol=1e-3)
