"""Chances from others only: a pair's class is found without it, and what judges a fold has never seen its classes."""

import pytest
import torch
from torch.nn.functional import normalize
from torch.testing import assert_close

from ncaudit.core.classes.noise import ClassNoise
from ncaudit.core.classes.posterior import Evidence, _Judge, _Stack, _Voice, judge, vote_shares
from ncaudit.core.classes.sparse import SparseClasses
from ncaudit.core.metrics.detection import auroc
from ncaudit.core.neighbours.self_search import nearest_in_set

N, CLASSES = 240, 3


def listed(codes):
    return SparseClasses(codes[:, None].to(torch.int16), torch.ones(len(codes), 1).half())


def world(noise, seed=0):
    """Pairs around their class, and which classes were given and are true."""
    draw = torch.Generator().manual_seed(seed)
    truth = torch.randint(CLASSES, (N,), generator=draw)
    rows = [normalize(torch.eye(CLASSES, 8)[truth] + 0.4 * torch.randn(N, 8, generator=draw), dim=1) for _ in "it"]
    other = torch.randint(CLASSES, (N,), generator=draw)
    given = other.where(torch.rand(N, generator=draw) < noise, truth)
    photo = torch.arange(N) * 7919
    near = tuple(nearest_in_set(one, 20, [photo]).index.int() for one in rows)
    return Evidence(listed(given), CLASSES, photo, near, tuple(rows)), given, truth


def with_classes(evidence, given):
    return Evidence(listed(given), CLASSES, evidence.photo, evidence.neighbours, evidence.rows)


@pytest.mark.parametrize("noise", [0.3, 0.6])
def test_wrong_classes_get_low_quality_and_the_true_one_is_named(noise):
    evidence, given, truth = world(noise)
    found = judge(evidence, k=10, believe=True)
    assert auroc(found.quality, given == truth) > 0.95
    assert (found.suggested == truth).float().mean() > 0.9
    assert torch.equal(found.belief.code[:, 0].int(), found.suggested)
    assert_close(found.belief.dense(CLASSES).gather(1, given[:, None])[:, 0], found.quality, atol=1e-3, rtol=0)
    assert ((found.quality >= 0) & (found.quality <= 1)).all()


def test_a_fold_is_judged_without_its_classes_in_every_round():
    evidence, given, _ = world(0.4)
    one = _Judge(evidence, 10, 0, believe=False)
    fold = one.fold == 2
    other = _Judge(with_classes(evidence, (given + 1) % CLASSES * fold + given * ~fold), 10, 0, believe=False)
    other.share = one.share  # of the whole: no news about any pair
    noise = ClassNoise(torch.eye(CLASSES) * 0.7 + 0.1, torch.ones(CLASSES) / CLASSES, 0.2, 0.1, 0.3, True)
    stack, rows = _Stack(torch.ones(6), torch.zeros(CLASSES), 0.01, 1.0), fold.nonzero()[:, 0]
    for judging in (one, other):
        judging.penalties = (0.1, 0.1)
    voices = [_Voice(each, noise, each.evidence.given, 2, (0.1, 0.1)) for each in (one, other)]
    for _ in range(3):
        assert torch.equal(voices[0].features(rows), voices[1].features(rows))
        beliefs = [each._beliefs(v, stack, noise, 2) for each, v in zip((one, other), voices, strict=True)]
        voices = [_Voice(e, noise, b, 2, (0.1, 0.1)) for e, b in zip((one, other), beliefs, strict=True)]


def test_unlabelled_pairs_neither_vote_nor_have_a_quality():
    evidence, _, truth = world(0.0)
    classes = listed(truth)
    classes.weight[:30] = 0
    found = judge(Evidence(classes, CLASSES, evidence.photo, evidence.neighbours, evidence.rows), k=10)
    assert found.quality[:30].isnan().all()
    assert not found.quality[30:].isnan().any()
    assert (found.suggested[:30] == truth[:30]).float().mean() > 0.9


@pytest.mark.parametrize("most", [(1, 4, 9), (9, 2), (3, 3)])
def test_votes_of_more_neighbours_go_on_from_those_of_fewer(most):
    draw = torch.Generator().manual_seed(2)
    code = torch.randint(5, (30, 2), generator=draw).to(torch.int16)
    classes = SparseClasses(code, torch.rand(30, 2, generator=draw).half())
    index, voters = torch.randint(-1, 30, (20, 9), generator=draw), torch.rand(30, generator=draw) > 0.3
    together = vote_shares(index, classes, voters, most, 5)
    alone = [vote_shares(index, classes, voters, (number,), 5)[0] for number in most]
    assert all(torch.equal(one, other) for one, other in zip(together, alone, strict=True))


def test_the_nearest_allowed_voters_count_by_hand():
    classes, index = listed(torch.tensor([0, 1, 1, 2])), torch.tensor([[3, 0, 1, 2, -1]])
    voters = torch.tensor([True, True, True, False])
    two, all_of_them = vote_shares(index, classes, voters, (2, 9), 3)
    assert two.tolist() == [[0.5, 0.5, 0.0]]
    assert_close(all_of_them, torch.tensor([[1 / 3, 2 / 3, 0.0]]))
