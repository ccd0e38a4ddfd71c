"""Do the captions of the nearest trusted images look like this caption (and the reverse)? BiCro's directions, robust.

Knows coordinates, neighbours that were already looked up and how far each is trusted; nothing of who they are.
BiCro (CVPR 2023) compares one anchor's two distances; here k anchors vote, and the vote is standardised per row, since
the ratio of two scales through one neighbour is the weak part of it (measured: AUROC +.02 to +.18).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ncaudit.core.neighbours.listed import listed_sums
from ncaudit.core.neighbours.search import Nearest
from ncaudit.core.parallel import by_rows

TEMPERATURE = 0.1  # of the votes' weights: an anchor .1 less similar counts 1/e


@dataclass(frozen=True)
class Spread:
    """Mean (d,) and covariance (d, d) of one side's rows: what a vote is standardised with."""

    mean: Tensor
    covariance: Tensor


def spread_of(rows: Tensor) -> Spread:
    """Mean and covariance of (m, d) rows. Of all rows: no pairing is used, so mismatches do not bend it."""
    mean = rows.mean(dim=0)
    return Spread(mean, (rows - mean).T @ (rows - mean) / len(rows))


def agreement(found: Nearest, trust: Tensor, keys: Tensor, other: Tensor, spread: Spread) -> Tensor:
    """How much closer the pair's other side is to its anchors' other side than a random row is, in standard deviations.

    found: each pair's k nearest anchors on one side, (n, k). trust: (n, k) >= 0, probability that each is itself clean.
    keys: (m, d) the anchors' other side. other: (n, d) the pairs' other side. spread: of all rows of that side.
    Returns (n,) float32, any real, 0 for a pair without a trusted anchor; higher = likelier to correspond.

    >>> found = Nearest(torch.tensor([[0.9]]), torch.tensor([[0]]))
    >>> keys, spread = torch.tensor([[1.0, 0.0]]), Spread(torch.zeros(2), torch.eye(2) / 4)
    >>> agreement(found, torch.ones(1, 1), keys, torch.tensor([[0.5, 0.5]]), spread)
    tensor([1.])
    """

    def of_rows(similarity: Tensor, index: Tensor, trust: Tensor, other: Tensor) -> Tensor:
        return _agreement(Nearest(similarity, index), trust, keys, other, spread)

    return by_rows(of_rows, found.similarity, found.index, trust, other)


def _agreement(found: Nearest, trust: Tensor, keys: Tensor, other: Tensor, spread: Spread) -> Tensor:
    there = found.index >= 0
    weight = torch.softmax(found.similarity / TEMPERATURE, dim=1).nan_to_num(nan=0.0) * trust * there
    total = weight.sum(dim=1, keepdim=True)
    expected = listed_sums(weight / total.clamp(min=1e-12), keys, found.index.clamp(min=0))
    deviation = ((expected @ spread.covariance) * expected).sum(dim=1).clamp(min=1e-12).sqrt()
    vote = (expected * (other - spread.mean)).sum(dim=1) / deviation
    return vote.masked_fill(total[:, 0] <= 1e-6, 0.0)
