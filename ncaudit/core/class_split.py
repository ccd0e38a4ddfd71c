"""How far each labelled pair's neighbours vouch for its class, and which class they vote for: NIRNL's split of a set.

Knows unit rows and class tables; nothing of heads, files or losses. The voted class is not the paper's, which fuses
the votes in the two modalities: here the neighbours by both modalities together vote, twice, the second time with what
the first vote made of them. Right classes, of digits in two halves, before any training, at .2 / .6 / .8 wrong labels:
one vote .96 / .90 / .64, two votes .96 / .93 / .71.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ncaudit.core.class_votes import PURE, partition, votes, winners
from ncaudit.core.search import Nearest
from ncaudit.core.self_search import nearest_in_set

COUNTS = (10, 20, 30, 50, 100)  # of neighbours, that the data choose from
CLEANED = 10  # neighbours of the second vote: with few wrong classes left, nearer ones know better
VOTING_ROWS = 65_536  # whose votes for every class are held at once


@dataclass(frozen=True)
class ClassSplit:
    """n labelled pairs, split."""

    part: Tensor  # (n,) int8: PURE, HARD or NOISY of `core.class_votes`
    voted: Tensor  # (n,) int64: the class that the neighbours in both modalities together vote for
    trust: Tensor  # (n,) float32 in [0, 1]: how far most of these neighbours agree, 2 * share - 1
    believed: Tensor  # (n, C) float32 in [0, 1]: 1 for the given classes of pure pairs, `trust` for others' voted one
    neighbours: int  # that voted


def class_split(
    image: Tensor, text: Tensor, photo: Tensor, carried: Tensor, *, neighbours: int | None, seed: int = 0
) -> ClassSplit:
    """Which pairs' neighbours vouch for their class in both modalities, in one, in none.

    image: (n, d), text: (n, d') unit rows. photo: (n,) int64; a pair of the same photo is no neighbour. carried: (n, C)
    bool, every row with at least one class. neighbours: how many vote, >= 1; None: see `best_count`. A pair without any
    neighbour keeps its class as the voted one. seed: of the search in large sets, which is not exhaustive.
    """
    most = min(neighbours or max(COUNTS), max(1, len(image) - 1))
    found = [nearest_in_set(rows, most, [photo], seed=seed) for rows in (image, text, side_by_side(image, text))]
    if neighbours is None:
        neighbours = best_count(found[:2], carried, COUNTS)
    parts, fused = [], []
    for rows in _blocks(image):
        by_image, by_text, by_both = (winners(votes(_part(near, rows, neighbours), carried)) for near in found)
        own = carried[rows]
        parts.append(partition(own, by_image, by_text))
        fused.append(by_both)
    part, cleaned = torch.cat(parts), _one_each(torch.cat(fused), carried)
    cleaned = torch.where((part == PURE)[:, None], carried, cleaned)
    voted, trust = _vote_again(found[2], cleaned)
    believed = torch.where((part == PURE)[:, None], carried.float(), voted * trust[:, None])
    return ClassSplit(part, voted.int().argmax(dim=1), trust, believed, neighbours)


def _vote_again(near: Nearest, cleaned: Tensor) -> tuple[Tensor, Tensor]:
    """The class that the nearest vote for, (n, C) bool, and how far most of them do, (n,)."""
    winner, trust = [], []
    for rows in _blocks(cleaned):
        found = votes(_part(near, rows, CLEANED), cleaned)
        winner.append(winners(found))
        trust.append((2 * found.share.amax(dim=1) - 1).clamp(min=0))
    return _one_each(torch.cat(winner), cleaned), torch.cat(trust)


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
    paper's 10; but of counts that cannot be told apart, fewer and nearer ones split better: digits in two halves at .6,
    MAP .776, by the best count itself .756. found: each (n, k); no more is looked at where k is less than a count.
    carried: (n, C) bool.
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


def _one_each(winner: Tensor, carried: Tensor) -> Tensor:
    """(n, C) bool: the class that won, the first of several; where nobody voted, one that the pair carries."""
    one = torch.where(winner.any(dim=1), winner.int().argmax(dim=1), carried.int().argmax(dim=1))
    return torch.zeros_like(carried).scatter_(1, one[:, None], True)


def _blocks(rows: Tensor) -> Sequence[Tensor]:
    return torch.split(torch.arange(len(rows), device=rows.device), VOTING_ROWS)


def _part(near: Nearest, rows: Tensor, count: int) -> Nearest:
    """The nearest `count` of some rows."""
    return Nearest(near.similarity[rows, :count], near.index[rows, :count])
