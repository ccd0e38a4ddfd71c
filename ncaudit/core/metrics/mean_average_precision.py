"""Mean average precision of a retrieval by class: how far up the items stand that share a class with the query.

Knows unit rows and numbered classes; nothing of images, captions or files.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK_ENTRIES = 2**21  # (query, item) pairs ranked at once: about 100 MiB
WORD = 63  # classes in one whole number, a bit each
NO_CLASS = -1  # fills up the rows of items with fewer classes than others


@dataclass(frozen=True)
class ClassRetrieval:
    """Means over the queries, in [0, 1], 1 = all relevant items come first; nan where there is no query."""

    map_all: float  # over the whole ranking
    map_at_k: float  # over the first `k` items of it
    k: int
    queries: int  # those with a relevant item
    without_relevant: int  # queries left out, as no item shares a class with them
    items: int


def mean_average_precision(
    query: Tensor, gallery: Tensor, query_classes: Tensor, gallery_classes: Tensor, *, k: int
) -> ClassRetrieval:
    """Mean average precision of gallery items ranked by their cosine to each query.

    query: (q, d), gallery: (g, d) float32 unit rows. query_classes: (q, a), gallery_classes: (g, b) int64 classes of
    each row, from 0; rows with fewer are filled up with -1. k >= 1. An item is relevant when it shares any class with
    the query. Average precision is the mean, over all relevant items, of the share of relevant ones up to there.
    At k only relevant items among the first k count, and the sum is divided by min(k, relevant items): finding none of
    the others is not rewarded, unlike where it is divided by those found. Of equally similar items the irrelevant
    ones come first: constant embeddings get the worst value. A query without a relevant item is left out and counted.

    >>> one_class = torch.tensor([[0], [1]])
    >>> mean_average_precision(torch.eye(2), torch.eye(2), one_class, one_class, k=1).map_all
    1.0
    """
    whole, first, relevant = [], [], []
    classes = _SharedClasses(query_classes, gallery_classes)
    for rows in torch.split(
        torch.arange(len(query), device=query.device), max(1, BLOCK_ENTRIES // max(1, len(gallery)))
    ):
        shared = classes.of(rows)
        precision, rank = _precisions(query[rows] @ gallery.T, shared)
        count = shared.sum(dim=1)
        whole.append(precision.sum(dim=1) / count)
        first.append(precision.masked_fill(rank > k, 0).sum(dim=1) / count.clamp(max=k))
        relevant.append(count > 0)
    if not whole:
        return ClassRetrieval(float("nan"), float("nan"), k, 0, 0, len(gallery))
    asked = torch.cat(relevant)
    return ClassRetrieval(
        map_all=float(torch.cat(whole)[asked].mean()),
        map_at_k=float(torch.cat(first)[asked].mean()),
        k=k,
        queries=int(asked.sum()),
        without_relevant=int((~asked).sum()),
        items=len(gallery),
    )


class _SharedClasses:
    """Which items share a class with which queries: class by class, or where rows have many, 63 classes at a time."""

    def __init__(self, query: Tensor, gallery: Tensor) -> None:
        classes = 1 + max((int(side.max()) for side in (query, gallery) if side.numel()), default=0)
        self.in_words = classes // WORD < query.shape[1] * gallery.shape[1] - 1
        self.query, self.gallery = (_words(side, classes) if self.in_words else side for side in (query, gallery))

    def of(self, rows: Tensor) -> Tensor:
        """(q, g) bool for these queries."""
        shared = torch.zeros(len(rows), len(self.gallery), dtype=torch.bool, device=rows.device)
        if self.in_words:
            for one, other in zip(self.query[rows].T, self.gallery.T, strict=True):
                shared |= (one[:, None] & other[None, :]) != 0
            return shared
        for one in self.query[rows].T:
            for other in self.gallery.T:
                shared |= (one[:, None] == other[None, :]) & (one != NO_CLASS)[:, None]
        return shared


def _words(side: Tensor, classes: int) -> Tensor:
    """The classes of each row as bits: (n, any) -> (n, words) int64."""
    words = torch.zeros(len(side), classes // WORD + 1, dtype=torch.int64, device=side.device)
    row = torch.arange(len(side), device=side.device)
    for one in side.T:
        known = one != NO_CLASS
        words[row[known], one[known] // WORD] |= 1 << (one[known] % WORD)
    return words


def _precisions(similarity: Tensor, relevant: Tensor) -> tuple[Tensor, Tensor]:
    """In the order of the ranking: each relevant item's precision, 0 for others, and its rank from 1; (q, g) both."""
    value, order = similarity.sort(dim=1, descending=True)
    relevant = relevant.gather(1, order)
    found = relevant.cumsum(dim=1)
    last = _ends_of_ties(value)
    # the relevant items of a tie stand at its end
    rank = last + 1 - (found.gather(1, last) - found)
    return (found.double() / rank).masked_fill(~relevant, 0), rank


def _ends_of_ties(value: Tensor) -> Tensor:
    """For each place of sorted rows, the last place with the same value: (q, g) int64."""
    place = torch.arange(value.shape[1], device=value.device).expand_as(value)
    goes_on = torch.zeros_like(value, dtype=torch.bool)
    goes_on[:, :-1] = value[:, :-1] == value[:, 1:]
    ends = place.masked_fill(goes_on, value.shape[1])
    return ends.flip(1).cummin(dim=1).values.flip(1)
