"""Votes, ties and the partition: hand-worked, and what no order of rows or classes may change."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from ncaudit.core.classes.sparse import SparseClasses
from ncaudit.core.classes.votes import HARD, NOISY, PURE, UNLABELLED, partition, sparse_votes, votes, winners
from ncaudit.core.neighbours.search import Nearest


def near(similarity, index):
    return Nearest(torch.tensor(similarity), torch.tensor(index))


def hot(*rows):
    return torch.tensor(rows, dtype=torch.bool)


A, B, C, NONE, BOTH = [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0], [1, 1, 0]


def test_shares_are_of_the_neighbours_that_vote():
    found = votes(near([[0.9, 0.8, 0.7, -torch.inf]], [[0, 1, 2, -1]]), hot(A, NONE, B))
    assert found.share.tolist() == [[0.5, 0.5, 0.0]]
    assert found.voters.tolist() == [2]
    assert_close(found.similarity, torch.tensor([[0.9, 0.7, 0.0]]))


def test_a_neighbour_with_two_classes_votes_for_both():
    found = votes(near([[0.9, 0.8]], [[0, 1]]), hot(BOTH, A))
    assert found.share.tolist() == [[1.0, 0.5, 0.0]]
    assert winners(found).tolist() == [[True, False, False]]


@pytest.mark.parametrize("labels", [(A, B, C), (B, A, C), (C, B, A)])
def test_of_equally_many_votes_the_more_similar_voters_win_whatever_the_class_is_called(labels):
    found = winners(votes(near([[0.9, 0.5, 0.8]], [[0, 1, 2]]), hot(*labels)))
    assert found.int().tolist() == [labels[0]]


def test_more_votes_beat_more_similar_ones():
    found = winners(votes(near([[0.99, 0.1, 0.1]], [[0, 1, 1]]), hot(A, B)))
    assert found.int().tolist() == [B]


def test_voters_that_nothing_tells_apart_leave_both_classes():
    assert winners(votes(near([[0.5, 0.5]], [[0, 1]]), hot(A, B))).int().tolist() == [BOTH]
    assert winners(votes(near([[0.5, 0.4]], [[0, 0]]), hot(BOTH))).int().tolist() == [BOTH]


def test_without_voters_nobody_wins():
    found = votes(near([[-torch.inf, 0.3]], [[-1, 1]]), hot(A, NONE))
    assert not found.share.any()
    assert not winners(found).any()


def test_the_partition_by_hand():
    given_hot = hot(A, A, A, A, BOTH, NONE)
    image = hot(A, A, B, B, B, A)
    text = hot(A, C, A, NONE, B, A)
    assert partition(given_hot, image, text).tolist() == [PURE, HARD, HARD, NOISY, PURE, UNLABELLED]


@settings(deadline=None, max_examples=30)
@given(classes=st.permutations(range(4)), seed=st.integers(0, 9))
def test_renaming_the_classes_renames_the_winner(classes, seed):
    draw = torch.Generator().manual_seed(seed)
    labels = torch.rand(9, 4, generator=draw) < 0.3
    found = Nearest(torch.rand(6, 5, generator=draw), torch.randint(-1, 9, (6, 5), generator=draw))
    renamed = winners(votes(found, labels[:, classes]))
    assert torch.equal(renamed, winners(votes(found, labels))[:, classes])


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 99), several=st.booleans())
def test_votes_of_listed_classes_are_those_of_the_table(seed, several):
    draw = torch.Generator().manual_seed(seed)
    code = torch.stack([torch.randperm(4, generator=draw)[:2] for _ in range(9)]).to(torch.int16)
    weight = (torch.rand(9, 2, generator=draw) < 0.7).half()
    weight[:, 1] *= several
    classes = SparseClasses(code, weight)
    found = Nearest(torch.rand(6, 5, generator=draw), torch.randint(-1, 9, (6, 5), generator=draw))
    listed, table = sparse_votes(found, classes, 4), votes(found, classes.dense(4) > 0)
    assert torch.equal(listed.voters, table.voters)
    assert_close(listed.share, table.share)
    assert_close(listed.similarity, table.similarity)
