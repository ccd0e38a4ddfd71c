"""Nearest neighbours of every row of a set among the set's own rows: exact up to some size, cell by cell above it.

Knows unit rows and group ids; nothing of photos, captions, classes or what the neighbours are wanted for.

Comparing all rows with all grows with the square of their number. Above `exact_up_to` rows each row is compared only
with the rows of the cells (`core/cells.py`) nearest to it. How many cells that takes depends on the data: few where
the rows lie in clusters, most of them where they have no structure. So the true neighbours of some rows are found
first, and as many cells are visited as it takes to find them again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ncaudit.core.search import Nearest, nearest, prepare_keys

EXACT_UP_TO = 50_000  # rows; twice as many take four times as long


@dataclass(frozen=True)
class NearestInSet(Nearest):
    """Row i: the best other rows for row i; and how many of the truly nearest these are."""

    recall: float  # share of the true k nearest that are there, [0, 1]: measured on some rows, 1 where all are exact
    recall_at_10: float  # the same of the 10 best, or of all k where k is less
    exact: bool  # every row was compared with every other


def nearest_in_set(
    rows: Tensor,
    k: int,
    groups: Sequence[Tensor] = (),
    *,
    exact_up_to: int = EXACT_UP_TO,
    seed: int = 0,
    block: int = 512,
) -> NearestInSet:
    """Each row's k most similar other rows that share no group with it.

    rows: (n, d) float16 or float32 unit rows. k >= 1. groups: (n,) int64 tensors (photo ids, caption ids, …) on the
    rows' device: a row with any id equal to one's own is left out; so is, always, the row itself.
    block: rows compared at once.
    Returns cosines in float32, descending, and row numbers, (n, k) both; -inf and -1 where fewer than k are allowed.

    >>> nearest_in_set(torch.eye(3)[[0, 1, 1]], 1).index
    tensor([[1],
            [2],
            [1]])
    """
    ids = [torch.arange(len(rows), device=rows.device), *groups]
    keys = rows.detach().float()
    found = nearest(keys, prepare_keys(keys), k, query_groups=ids, key_groups=ids, block=block)
    return NearestInSet(found.similarity, found.index, recall=1.0, recall_at_10=1.0, exact=True)
