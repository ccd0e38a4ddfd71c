"""The split of a labelled set by its neighbours: known worlds."""

import pytest
import torch
from torch.nn.functional import normalize
from torch.testing import assert_close

from ncaudit.core.classes import split as class_split
from ncaudit.core.classes.sparse import SparseClasses
from ncaudit.core.classes.split import best_count, side_by_side
from ncaudit.core.classes.votes import HARD, NOISY, PURE
from ncaudit.core.neighbours.search import Nearest


def sure(classes):
    """A judge that is sure of these classes, (n,)."""
    return SparseClasses(classes[:, None].to(torch.int16), torch.ones(len(classes), 1).half())


def clueless(n, classes):
    """A judge that knows nothing."""
    return SparseClasses.top(torch.full((n, classes), 1 / classes))


def split(image, text, photo, carried, belief=None, neighbours=None):
    belief = belief or clueless(*carried.shape)
    return class_split.class_split(image, text, photo, carried, belief, neighbours=neighbours)


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
    found = split(image, text, photo, carried, neighbours=25)
    right = carried.int().argmax(dim=1) == true
    assert torch.equal(found.part, torch.where(right, PURE, NOISY).to(torch.int8))
    assert torch.equal(found.voted, true)
    assert_close(found.trust, torch.full((120,), (1 + 1 / 3) / 2), atol=1e-3, rtol=0)
    assert_close(found.believed[right].float(), torch.eye(3)[true[right]])
    assert_close(
        found.believed[~right].float().gather(1, true[~right, None])[:, 0], found.trust[~right], atol=1e-3, rtol=0
    )


def test_the_judge_and_the_nearest_count_half_each():
    image, text, photo, carried, _ = world(n=12, classes=2)
    image[0] = text[0] = normalize(image[2:10].sum(dim=0), dim=0)  # its ten nearest: five or six of its own class
    belief = SparseClasses.top(torch.tensor([[0.1, 0.9]]).expand(12, 2))
    found = split(image, text, photo, carried, belief, neighbours=10)
    own = 0.05 + torch.tensor([5, 6]) / 20  # of its class, 0: what the judge believes, and the nearest
    assert (found.voted[0], (1 - found.trust[0] - own).abs().min() < 1e-3) == (1, True)
    assert_close(found.believed.float().sum(dim=1), torch.ones(12), atol=2e-3, rtol=0)


def test_a_judge_that_is_sure_outweighs_neighbours_that_are_not():
    image, text, photo, carried, true = world(noise=0.2)
    other = (true + 1) % 3
    image, text = (normalize(torch.randn(120, 8, generator=torch.Generator().manual_seed(i)), dim=1) for i in (1, 2))
    found = split(image, text, photo, carried, sure(other), neighbours=10)
    assert (found.voted == other).float().mean() > 0.95


def test_a_pair_whose_caption_lies_elsewhere_is_hard():
    image, text, photo, carried, _ = world()
    text[0] = text[1]
    assert split(image, text, photo, carried, neighbours=10).part[0] == HARD


def test_pairs_of_one_photo_do_not_vouch_for_each_other():
    image, text, photo, carried, _ = world(n=90)
    carried[:30:3] = torch.tensor([False, True, False])  # ten pairs of class 0, all given class 1, of one photo
    photo[:30:3] = 1000
    image[:30:3], text[:30:3] = image[0], text[0]
    part = split(image, text, photo, carried, neighbours=5).part
    assert (part[:30:3] == NOISY).all()


def test_a_pair_with_several_classes_is_pure_where_its_neighbours_share_one_and_keeps_all():
    image, text, photo, carried, true = world()
    carried[0] = True
    found = split(image, text, photo, carried, neighbours=10)
    assert found.part[0] == PURE
    assert found.believed[0].tolist() == [1, 1, 1]
    assert found.voted[0] == true[0]


def test_a_pair_without_any_neighbour_keeps_its_class():
    image, text, _, carried, _ = world(n=9)
    found = split(image, text, torch.zeros(9, dtype=torch.int64), carried)
    assert (found.part == NOISY).all()
    assert torch.equal(found.voted, carried.int().argmax(dim=1))


def test_blocks_change_nothing(monkeypatch):
    image, text, photo, carried, _ = world(noise=0.4)
    whole = split(image, text, photo, carried, neighbours=None)
    monkeypatch.setattr(class_split, "VOTING_ROWS", 17)
    found = split(image, text, photo, carried, neighbours=None)
    assert (found.part.tolist(), found.voted.tolist()) == (whole.part.tolist(), whole.voted.tolist())
    assert found.neighbours == whole.neighbours


@pytest.mark.parametrize(("noise", "least"), [(0.0, 10), (0.55, 20)])
def test_heavier_noise_asks_more_neighbours(noise, least):
    image, text, photo, carried, _ = world(n=300, noise=noise)
    found = split(image, text, photo, carried, neighbours=None).neighbours
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
