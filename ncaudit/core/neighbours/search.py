"""Nearest neighbours among unit rows: a rough half-precision pass, then an exact look at the few that may be nearest.

Knows unit rows and group ids; nothing of photos, captions or which neighbours are wanted for what.

Why two passes: on CPUs and GPUs with native half precision the rough product takes a fraction of the float32 time, but
alone it names the wrong nearest in 2 % of cases. So each query keeps some `SPARE` more candidates than it needs, their
similarities are taken again in float32, and a query is done when its k-th best beats everything the rough pass left
out by more than that pass can err. The others (neighbours too close together, or most candidates excluded) are done
again without any shortcut. A plain top-k over all columns would cost more than the product; maxima of column groups
are cheap, and the c best columns lie in the c best groups.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import local

import numpy as np
import torch
from torch import Tensor

from ncaudit.core.device import matmul_dtype
from ncaudit.core.neighbours.listed import listed_products
from ncaudit.core.neighbours.top import numbers_of, ordered_bits, sorted_ascending, top_columns
from ncaudit.core.parallel import in_parallel

SPARE = 16  # candidates beyond k: room for excluded keys (a photo's own five captions) and for rough ranks
KEY_BLOCK = 2**17  # keys compared at once
EXACT_ENTRIES = 2**24  # float32 similarities held at once by the path without shortcuts
TIE = 1e-6  # a float32 product may give equal keys different last bits
LEAST_KEYS = 512  # under it a product takes less than a millisecond, and trying which type is faster a tenth second
LEAST_DIMS = 64  # under it the product is cheap in float32, and rounding errors of few terms do not average out
# Relative rounding of the rough types. The rough pass is trusted to err by less than this times 1 + |similarity|:
# rounding the result gives the second part; rounding both factors stayed under the first in 30 million products
ROUNDING = {torch.float16: 2**-11, torch.bfloat16: 2**-8, torch.float32: 2e-6}


@dataclass(frozen=True)
class Nearest:
    """Row i: query i's best keys, best first; -inf and -1 where fewer than k keys are allowed."""

    similarity: Tensor  # (n, k) float32
    index: Tensor  # (n, k) int64


@dataclass(frozen=True)
class KeyBank:
    """Keys and their rough copy, made once for many searches by `prepare_keys`."""

    keys: Tensor  # (m, d) float32 unit rows
    rough: Tensor  # (m, d), as a rule half precision: the keys minus `mean`
    mean: Tensor  # (d,) float32


def prepare_keys(keys: Tensor, *, dtype: torch.dtype | None = None) -> KeyBank:
    """Makes the rough copy of keys, (m, d) unit rows on the device to search on.

    dtype: of the rough pass: float16, bfloat16 or float32; by default what is fastest here (`matmul_dtype`). With
    float32 no copy is made.

    >>> prepare_keys(torch.eye(3)).keys.shape
    torch.Size([3, 3])
    """
    keys = keys.detach().float()
    if dtype is None:
        rough = keys.shape[1] >= LEAST_DIMS and len(keys) >= LEAST_KEYS
        dtype = matmul_dtype(keys.device) if rough else torch.float32
    if dtype == torch.float32 or len(keys) == 0:
        return KeyBank(keys, keys, keys.new_zeros(keys.shape[1]))
    mean = keys.mean(dim=0)
    # the mean moves all of a query's similarities alike, and near 0 half precision has the finest steps
    return KeyBank(keys, (keys - mean).to(dtype), mean)


def nearest(
    queries: Tensor,
    keys: Tensor | KeyBank,
    k: int,
    *,
    query_groups: Sequence[Tensor] = (),
    key_groups: Sequence[Tensor] = (),
    block: int = 512,
) -> Nearest:
    """Each query's k most similar keys that share no group with it.

    queries: (n, d), keys: (m, d) or prepared, float32 unit rows on one device. k >= 1.
    query_groups, key_groups: as many (n,) as (m,) int64 tensors, in the same order (photo ids, caption ids, …): a key
    with any id equal to the query's is left out; so are the pair itself, its photo and its caption.
    block: queries at once; memory is about block * min(m, 131072) * 4 bytes for each thread, besides the inputs.
    Returns cosines in float32, descending, and the keys' numbers; of equally similar keys the lower number comes first.

    >>> nearest(torch.eye(3), torch.eye(3)[[2, 1, 1]], k=2).index
    tensor([[0, 1],
            [1, 2],
            [0, 1]])
    """
    search = _Search(keys if isinstance(keys, KeyBank) else prepare_keys(keys), k, list(key_groups))
    queries = queries.detach().float()
    blocks = [slice(i, i + block) for i in range(0, max(len(queries), 1), block)]

    def found(rows: slice) -> Nearest:
        return search.block(queries[rows], [ids[rows] for ids in query_groups])

    parts = in_parallel(found, blocks) if queries.device.type == "cpu" else [found(rows) for rows in blocks]
    return Nearest(torch.cat([part.similarity for part in parts]), torch.cat([part.index for part in parts]))


class _Search:
    """One bank and one k: what all blocks of queries share."""

    def __init__(self, bank: KeyBank, k: int, key_groups: list[Tensor]) -> None:
        self.bank, self.k, self.key_groups = bank, k, key_groups
        self.candidates = min(k + SPARE, len(bank.keys))
        self.own = local()

    def block(self, queries: Tensor, query_groups: list[Tensor]) -> Nearest:
        rough, index = self._rough_best(queries)
        hidden = torch.zeros_like(index, dtype=torch.bool)
        for query_ids, key_ids in zip(query_groups, self.key_groups, strict=True):
            hidden |= key_ids[index] == query_ids[:, None]
        similarity = listed_products(queries, self.bank.keys, index, self._in_question(rough, hidden))
        found = best_first(similarity, index, self.k)
        if self.candidates < len(self.bank.keys):
            self._redo(self._unsure(queries, rough.amin(dim=1), found), queries, query_groups, found)
        return found

    def _rough_best(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Rough similarities of the best candidates, (n, candidates), and their numbers.

        The first column block fixes the width.
        """
        rough_queries = queries.to(self.bank.rough.dtype)
        value, index = rough_queries.new_empty(len(queries), 0), _no_index(queries)
        for start in range(0, len(self.bank.rough), KEY_BLOCK):
            product = self._product(rough_queries, self.bank.rough[start : start + KEY_BLOCK])
            column = top_columns(product, min(self.candidates, product.shape[1]))
            value = torch.cat([value, product.gather(1, column)], dim=1)
            index = torch.cat([index, column + start], dim=1)
            if value.shape[1] > self.candidates:
                place = top_columns(value, self.candidates)
                value, index = value.gather(1, place), index.gather(1, place)
        return value, index

    def _in_question(self, rough: Tensor, hidden: Tensor) -> Tensor:
        """(n, candidates): which may be among the k best: not hidden, nor surely behind k that are not.

        Of rows in clusters half of all candidates are not even looked at.
        """
        behind = rough.shape[1] - self.k
        if behind <= 0 or rough.device.type != "cpu":
            return ~hidden
        value, error = rough.float().masked_fill(hidden, -torch.inf), ROUNDING[rough.dtype]
        kth = torch.from_numpy(np.partition(value.numpy(), behind, axis=1)[:, behind, None])
        # of hidden ones the left side is no number, and so nothing to look at
        return value + error * (1 + value.abs()) >= kth - error * (1 + kth.abs())

    def _product(self, queries: Tensor, keys: Tensor) -> Tensor:
        size, scratch = len(queries) * len(keys), getattr(self.own, "scratch", None)
        if scratch is None or len(scratch) < size:  # fresh memory for every block costs a tenth of the product's time
            scratch = self.own.scratch = queries.new_empty(size)
        return torch.mm(queries, keys.T, out=scratch[:size].view(len(queries), len(keys)))

    def _unsure(self, queries: Tensor, worst: Tensor, found: Nearest) -> Tensor:
        """Rows where a key that is no candidate may belong among the k best."""
        least = worst.float()
        left_out = least + queries @ self.bank.mean + ROUNDING[worst.dtype] * (1 + least.abs())
        return (found.similarity[:, -1] <= left_out).nonzero()[:, 0]

    def _redo(self, rows: Tensor, queries: Tensor, query_groups: list[Tensor], found: Nearest) -> None:
        """The same answers for some rows without any shortcut, written into `found`."""
        for part in torch.split(rows, max(1, EXACT_ENTRIES // len(self.bank.keys))):
            similarity = queries[part] @ self.bank.keys.T
            for query_ids, key_ids in zip(query_groups, self.key_groups, strict=True):
                similarity.masked_fill_(key_ids == query_ids[part, None], -torch.inf)
            index = _first_largest(similarity, min(self.k + SPARE, similarity.shape[1]))
            # taken again in the other path's order of summation, so that both give the same bits
            exact = listed_products(queries[part], self.bank.keys, index)
            exact = exact.where(similarity.gather(1, index).isfinite(), -torch.inf)
            best = best_first(exact, index, self.k)
            found.similarity[part], found.index[part] = best.similarity, best.index


def _first_largest(values: Tensor, count: int) -> Tensor:
    """Columns of each row's `count` largest values, ascending; around the least of them the first: (n, count)."""
    least = values.topk(count, dim=1).values[:, -1:]
    above = values > least + TIE
    near = (values >= least - TIE) & ~above
    chosen = above | (near & (near.cumsum(dim=1, dtype=torch.int32) <= count - above.sum(dim=1, keepdim=True)))
    return chosen.nonzero()[:, 1].view(len(values), count)


def best_first(similarity: Tensor, index: Tensor, k: int) -> Nearest:
    """The k best of unordered candidates, equal ones in the order of their index, padded where there are fewer.

    similarity: (n, c) float32, index: (n, c) int64 in [-1, 2^31).
    """
    # one whole number for both, the best the lowest; adding 0 makes one zero of the two
    packed = sorted_ascending(~ordered_bits(similarity + 0.0).long() * 2**32 + (index + 1))[:, :k]
    similarity = numbers_of(~(packed >> 32).int())
    index = ((packed & (2**32 - 1)) - 1).where(similarity > -torch.inf, -1)
    missing = (0, max(0, k - similarity.shape[1]))
    similarity = torch.nn.functional.pad(similarity, missing, value=-torch.inf)
    return Nearest(similarity.contiguous(), torch.nn.functional.pad(index, missing, value=-1).contiguous())


def _no_index(like: Tensor) -> Tensor:
    return torch.empty(len(like), 0, dtype=torch.int64, device=like.device)
