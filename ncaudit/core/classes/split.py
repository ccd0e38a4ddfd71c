"""How far each labelled pair's neighbours vouch for its class, and which class is believed: NIRNL's split of a set.

Knows unit rows, class tables and what is believed of each pair before training; nothing of heads, files or losses. The
class of a noisy pair is not the paper's, which fuses the votes in the two modalities. Here two judges count half each.
One is the audit of given classes (`core/classes/belief.py`). The other is the pair's neighbours by both modalities
together, who vote twice, the second time with what the first vote made of them. They err on different pairs: linear
models see classes that no neighbours lie together by, and neighbours know classes that no line parts. How often each
is right, before training: `tests/benchmarks/label_training.py --splits`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ncaudit.core.classes.sparse import SparseClasses
from ncaudit.core.classes.votes import PURE, partition, votes, winners
from ncaudit.core.neighbours.search import Nearest
from ncaudit.core.neighbours.self_search import nearest_in_set

COUNTS = (10, 20, 30, 50, 100)  # of neighbours, that the data choose from
CLEANED = 10  # neighbours of the second vote: with few wrong classes left, nearer ones know better
VOTING_ROWS = 65_536  # whose votes for every class are held at once


@dataclass(frozen=True)
class ClassSplit:
    """n labelled pairs, split."""

    part: Tensor  # (n,) int8: PURE, HARD or NOISY of `core.classes.votes`
    voted: Tensor  # (n,) int64: the likeliest class
    trust: Tensor  # (n,) float32 in [0, 1]: its chance
    believed: Tensor  # (n, C) float16 in [0, 1]: 1 for the given classes of pure pairs; of others each class's chance
    neighbours: int  # that vote


def class_split(
    image: Tensor,
    text: Tensor,
    photo: Tensor,
    carried: Tensor,
    belief: SparseClasses,
    *,
    neighbours: int | None,
    seed: int = 0,
) -> ClassSplit:
    """Which pairs' neighbours vouch for their class in both modalities, in one, in none; and what each pair shows.

    image: (n, d), text: (n, d') unit rows. photo: (n,) int64; a pair of the same photo is no neighbour. carried: (n, C)
    bool, every row with at least one class. belief: of every row, on the CPU, weights add up to 1. neighbours: how many
    vote, >= 1; None: see `best_count`. A pair without any neighbour votes for its own class. seed: of the search in
    large sets, which is not exhaustive.
    """
    most = min(neighbours or max(COUNTS), max(1, len(image) - 1))
    found = [nearest_in_set(rows, most, [photo], seed=seed) for rows in (image, text, side_by_side(image, text))]
    if neighbours is None:
        neighbours = best_count(found[:2], carried, COUNTS)
    part = torch.cat([_part_of(carried, found, rows, neighbours) for rows in _blocks(carried)])
    first = first_vote(found[2], carried, neighbours)
    cleaned = torch.zeros_like(carried).scatter_(1, first[:, None], True)
    cleaned = torch.where((part == PURE)[:, None], carried, cleaned)
    believed = torch.empty(carried.shape, dtype=torch.float16, device=carried.device)
    voted, trust = torch.empty_like(first), torch.empty(len(first), device=first.device)
    for rows in _blocks(carried):
        chance = (_judged(belief, rows, carried) + _second_vote(found[2], rows, cleaned)) / 2
        trust[rows], voted[rows] = chance.max(dim=1)
        believed[rows] = torch.where((part[rows] == PURE)[:, None], carried[rows].half(), chance.half())
    return ClassSplit(part, voted, trust, believed, neighbours)


def _part_of(carried: Tensor, found: Sequence[Nearest], rows: Tensor, count: int) -> Tensor:
    by_image, by_text = (winners(votes(_part(near, rows, count), carried)) for near in found[:2])
    return partition(carried[rows], by_image, by_text)


def _judged(belief: SparseClasses, rows: Tensor, carried: Tensor) -> Tensor:
    """(m, C), rows add up to 1."""
    return belief.rows(rows.cpu()).dense(carried.shape[1]).to(carried.device)


def _second_vote(near: Nearest, rows: Tensor, cleaned: Tensor) -> Tensor:
    """(m, C), rows add up to 1; whom nobody is near to keeps what the first vote left it."""
    again = votes(_part(near, rows, CLEANED), cleaned)
    share = torch.where((again.voters > 0)[:, None], again.share, cleaned[rows].float())
    return share / share.sum(dim=1, keepdim=True)


def first_vote(near: Nearest, carried: Tensor, count: int) -> Tensor:
    """The given class that each row's nearest `count` vote for, (n,) int64; where none votes, one that it carries.

    near: (n, k), count <= k. carried: (n, C) bool, every row with at least one class.
    """
    found = []
    for rows in _blocks(carried):
        winner = winners(votes(_part(near, rows, count), carried))
        found.append(torch.where(winner.any(dim=1)[:, None], winner, carried[rows]).int().argmax(dim=1))
    return torch.cat(found)


def side_by_side(*sides: Tensor) -> Tensor:
    """Rows whose cosine is the mean of the sides' cosines: (n, d) unit rows each, (n, sum of d) back.

    >>> side_by_side(torch.tensor([[0.6, 0.8]]), torch.tensor([[1.0]])).norm()
    tensor(1.)
    """
    return torch.cat(sides, dim=1) / math.sqrt(len(sides))


def best_count(found: Sequence[Nearest], carried: Tensor, counts: Sequence[int]) -> int:
    """The fewest neighbours whose vote is a given class as often as that of any count, up to one standard error.

    A pair has no vote on itself, so its label cannot vouch for itself: where wrong labels know nothing of each other,
    votes that meet more of the given classes meet more of the true ones. Heavy noise takes more of them than the
    paper's 10; but of counts that cannot be told apart, fewer and nearer ones know the pair better. found: each (n, k);
    no more is looked at where k is less than a count. carried: (n, C) bool.
    """
    agreed = [sum(_agreed(near, carried, count) for near in found) for count in counts]
    asked = len(found) * len(carried)
    share = max(agreed) / asked
    least = max(agreed) - math.sqrt(asked * share * (1 - share))
    return next(count for count, times in zip(counts, agreed, strict=True) if times >= least)


def _agreed(near: Nearest, carried: Tensor, count: int) -> int:
    """Pairs that carry the class which their `count` nearest vote for."""
    voted = ((winners(votes(_part(near, rows, count), carried)), carried[rows]) for rows in _blocks(carried))
    return sum(int((winner & own).any(dim=1).sum()) for winner, own in voted)


def _blocks(rows: Tensor) -> Sequence[Tensor]:
    return torch.split(torch.arange(len(rows), device=rows.device), VOTING_ROWS)


def _part(near: Nearest, rows: Tensor, count: int) -> Nearest:
    """The nearest `count` of some rows."""
    return Nearest(near.similarity[rows, :count], near.index[rows, :count])
