"""The split of a labelled set by its neighbours: known worlds."""

import pytest
import torch
from torch.nn.functional import normalize
from torch.testing import assert_close

from ncaudit.core import class_split
from ncaudit.core.class_split import best_count, side_by_side
from ncaudit.core.class_votes import HARD, NOISY, PURE
from ncaudit.core.search import Nearest


def world(*, n: int = 120, classes: int = 3, noise: float = 0.0, seed: int = 0):
    """Pairs in clusters of both modalities; image, text, photo, carried, true class."""
    draw = torch.Generator().manual_seed(seed)
    true = torch.arange(n) % classes
    image, text = (
        normalize(torch.randn(classes, 8, generator=draw)[true] + 0.2 * torch.randn(n, 8, generator=draw), dim=1)
        for _ in range(2)
    )
    given = true.clone()
    wrong = torch.randperm(n, generator=draw)[: round(noise * n)]
    given[wrong] = (true[wrong] + 1) % classes
    return image, text, torch.arange(n), torch.eye(classes, dtype=torch.bool)[given], true


def test_pairs_among_their_own_class_are_pure_and_wrong_labels_are_noisy_and_put_right():
    image, text, photo, carried, true = world(noise=0.2)
    found = class_split.class_split(image, text, photo, carried, neighbours=25)
    right = carried.int().argmax(dim=1) == true
    assert torch.equal(found.part, torch.where(right, PURE, NOISY).to(torch.int8))
    assert torch.equal(found.voted, true)
    assert (found.trust == 1).all()
    assert torch.equal(found.believed, torch.eye(3)[true])


def test_trust_is_how_far_most_of_the_nearest_agree():
    image, text, photo, carried, _ = world(n=12, classes=2)
    image[0] = text[0] = normalize(image[2:10].sum(dim=0), dim=0)  # its ten nearest: five or six of its own class
    found = class_split.class_split(image, text, photo, carried, neighbours=10)
    assert found.trust[0] < 0.3
    assert_close(found.believed.sum(dim=1), torch.where(found.part == PURE, 1.0, found.trust))


def test_a_pair_whose_caption_lies_elsewhere_is_hard():
    image, text, photo, carried, _ = world()
    text[0] = text[1]
    assert class_split.class_split(image, text, photo, carried, neighbours=10).part[0] == HARD


def test_pairs_of_one_photo_do_not_vouch_for_each_other():
    image, text, photo, carried, _ = world(n=90)
    carried[:30:3] = torch.tensor([False, True, False])  # ten pairs of class 0, all given class 1, of one photo
    photo[:30:3] = 1000
    image[:30:3], text[:30:3] = image[0], text[0]
    part = class_split.class_split(image, text, photo, carried, neighbours=5).part
    assert (part[:30:3] == NOISY).all()


def test_a_pair_with_several_classes_is_pure_where_its_neighbours_share_one_and_keeps_all():
    image, text, photo, carried, true = world()
    carried[0] = True
    found = class_split.class_split(image, text, photo, carried, neighbours=10)
    assert found.part[0] == PURE
    assert found.believed[0].tolist() == [1, 1, 1]
    assert found.voted[0] == true[0]


def test_a_pair_without_any_neighbour_keeps_its_class():
    image, text, _, carried, _ = world(n=9)
    found = class_split.class_split(image, text, torch.zeros(9, dtype=torch.int64), carried, neighbours=None)
    assert (found.part == NOISY).all()
    assert torch.equal(found.voted, carried.int().argmax(dim=1))


def test_blocks_change_nothing(monkeypatch):
    image, text, photo, carried, _ = world(noise=0.4)
    whole = class_split.class_split(image, text, photo, carried, neighbours=None)
    monkeypatch.setattr(class_split, "VOTING_ROWS", 17)
    found = class_split.class_split(image, text, photo, carried, neighbours=None)
    assert (found.part.tolist(), found.voted.tolist()) == (whole.part.tolist(), whole.voted.tolist())
    assert found.neighbours == whole.neighbours


@pytest.mark.parametrize(("noise", "least"), [(0.0, 10), (0.55, 20)])
def test_heavier_noise_asks_more_neighbours(noise, least):
    image, text, photo, carried, _ = world(n=300, noise=noise)
    found = class_split.class_split(image, text, photo, carried, neighbours=None).neighbours
    assert (found == 10) if least == 10 else (found >= least)


@pytest.mark.parametrize(("by_five_only", "expected"), [(25, 5), (5, 2)])
def test_the_best_count_is_the_smallest_within_one_standard_error_of_the_best(by_five_only, expected):
    # of 100 pairs of class 0, two neighbours are right about 45, five about 45 + by_five_only: 70, or 50 of 110, +- 5.2
    always, late, never = [0, 1, 2, 3, 4], [100, 101, 0, 1, 2], [100, 101, 102, 103, 104]
    index = 45 * [always] + by_five_only * [late] + (55 - by_five_only) * [never] + 10 * [always]  # ten of class 1
    near = Nearest(torch.linspace(0.9, 0.5, 5).expand(110, 5), torch.tensor(index))
    carried = torch.eye(2, dtype=torch.bool)[[0] * 100 + [1] * 10]
    assert best_count([near], carried, (2, 5)) == expected


def test_the_cosine_of_sides_is_the_mean_of_their_cosines():
    draw = torch.Generator().manual_seed(0)
    a, b = (normalize(torch.randn(4, d, generator=draw), dim=1) for d in (3, 5))
    both = side_by_side(a, b)
    assert_close(both @ both.T, (a @ a.T + b @ b.T) / 2)
