"""What class the neighbours of a pair vote for, and whether both modalities' neighbours vouch for the given one.

Knows neighbours and class tables; nothing of photos, captions, files or class names. The partition is that of NIRNL
(AAAI 2026, arXiv 2512.24064): pure, hard and noisy pairs by the neighbours' most frequent given class.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ncaudit.core.classes.sparse import SparseClasses
from ncaudit.core.neighbours.search import Nearest

PURE, HARD, NOISY, UNLABELLED = 0, 1, 2, -1
PARTITIONS = ("pure", "hard", "noisy")


@dataclass(frozen=True)
class Votes:
    """How a row's neighbours vote. A neighbour without any class does not vote; one with several votes for each."""

    share: Tensor  # (n, C) float32 in [0, 1]: of the voting neighbours, how many carry the class; 0 without voters
    similarity: Tensor  # (n, C) float32: their similarities to the row, added up
    voters: Tensor  # (n,) int64: neighbours that vote


def votes(nearest: Nearest, hot: Tensor) -> Votes:
    """The votes of each row's neighbours.

    nearest: (n, k); its index numbers the rows of `hot`, -1 where there is no neighbour. hot: (m, C) bool or float in
    [0, 1], the classes that each possible neighbour carries; rows of zeros are unlabelled.
    Memory: 3 tables of (n, C) float32. Renaming (permuting) the classes permutes the columns and changes nothing else.

    >>> near = Nearest(torch.tensor([[0.9, 0.5, 0.4]]), torch.tensor([[0, 1, 2]]))
    >>> votes(near, torch.tensor([[True, False], [False, True], [False, True]])).share
    tensor([[0.3333, 0.6667]])
    """
    share = torch.zeros(len(nearest.index), hot.shape[1], device=hot.device)
    similarity, voters = torch.zeros_like(share), share.new_zeros(len(share), dtype=torch.int64)
    labelled = hot.any(dim=1)
    for index, alike in zip(nearest.index.T, nearest.similarity.T, strict=True):  # n x C at a time, not n x k x C
        voting = (index >= 0) & labelled[index]
        carried = hot[index].float() * voting[:, None]
        share += carried
        similarity += carried * alike.where(voting, 0)[:, None]
        voters += voting
    return Votes(share / voters.clamp(min=1)[:, None], similarity, voters)


def sparse_votes(nearest: Nearest, classes: SparseClasses, count: int) -> Votes:
    """What `votes` gives, where there are many classes. classes: of all m rows; count: C."""
    index = nearest.index.long()
    code, carried = classes.code[index].long(), (classes.weight[index] > 0) & (index >= 0)[:, :, None]
    votes, similarity = torch.zeros(2, len(index), count, device=code.device)
    votes.scatter_add_(1, code.flatten(1), carried.flatten(1).float())
    alike = nearest.similarity[:, :, None].where(carried, 0)
    similarity.scatter_add_(1, code.flatten(1), alike.flatten(1))
    voters = carried.any(dim=2).sum(dim=1)
    return Votes(votes / voters.clamp(min=1)[:, None], similarity, voters)


def winners(votes: Votes) -> Tensor:
    """The class with the most votes, as an (n, C) bool table; rows without voters are all False.

    Of classes with equally many votes, the one whose voters are more similar to the row wins, never the one with the
    lower number. Several are left where neither tells: all voters carry both, or lie equally far.

    >>> near = Nearest(torch.tensor([[0.9, 0.5]]), torch.tensor([[1, 0]]))
    >>> winners(votes(near, torch.eye(2))).tolist()
    [[False, True]]
    """
    most = (votes.share == votes.share.amax(dim=1, keepdim=True)) & (votes.voters > 0)[:, None]
    similarity = votes.similarity.masked_fill(~most, -torch.inf)
    return most & (similarity == similarity.amax(dim=1, keepdim=True))


def partition(given: Tensor, image_winner: Tensor, text_winner: Tensor) -> Tensor:
    """0 pure: the neighbours in both modalities vouch for the given class; 1 hard: those in one; 2 noisy: in none.

    given, image_winner, text_winner: (n, C) bool; any shared class counts as agreement. Returns (n,) int8; -1 for a
    row without a given class.

    >>> partition(torch.tensor([[True, False]]), torch.tensor([[True, False]]), torch.tensor([[False, True]])).tolist()
    [1]
    """
    by_image, by_text = ((given & winner).any(dim=1).to(torch.int8) for winner in (image_winner, text_winner))
    return (NOISY - by_image - by_text).masked_fill(~given.any(dim=1), UNLABELLED)
