"""Nearest keys that were looked up before: asked again with other groups, only the groups are looked at anew.

Knows unit rows, their numbers and group ids; nothing of photos, captions or what the neighbours are wanted for.
Random pairs are made of the halves of observed ones, and each half was compared with all keys already. A row's best
`k + MORE` keys are kept, whatever their groups; where groups leave fewer than k of them, the search is done again.
"""

from collections.abc import Sequence
from threading import Lock

import torch
from torch import Tensor

from ncaudit.core.neighbours.search import KeyBank, Nearest, nearest

MORE = 8  # keys kept beyond k: an eighth of all keys may be of the row's own group, or five captions of its own photo


class KnownNeighbours:
    """The nearest keys of some rows, each looked up when it is first asked for. Whoever asks gives the same bits."""

    def __init__(self, k: int, rows: int, device: torch.device) -> None:
        """rows: numbers below this may be asked for."""
        self.k = k
        self._lock = Lock()  # several threads may ask for different rows; what they find is the same in any order
        self._place = torch.full((rows,), -1, dtype=torch.int64, device=device)
        self._similarity = torch.empty(0, k + MORE, device=device)
        self._index = torch.empty(0, k + MORE, dtype=torch.int64, device=device)

    def nearest(
        self,
        row: Tensor,
        queries: Tensor,
        bank: KeyBank,
        *,
        query_groups: Sequence[Tensor],
        key_groups: Sequence[Tensor],
    ) -> Nearest:
        """What `search.nearest` gives for these queries, k keys each, to the bit.

        row: (n,) int64, equal ⇔ the same query and the same bank, in every call. queries: (n, d).
        """
        self._learn(row, queries, bank)
        with self._lock:
            place = self._place[row]
            similarity, index = self._similarity[place], self._index[place]
        hidden = index < 0
        for query_ids, key_ids in zip(query_groups, key_groups, strict=True):
            hidden |= key_ids[index.clamp(min=0)] == query_ids[:, None]
        first = hidden.int().argsort(dim=1, stable=True)[:, : self.k]
        gone = hidden.gather(1, first)
        found = Nearest(
            similarity.gather(1, first).masked_fill(gone, -torch.inf), index.gather(1, first).masked_fill(gone, -1)
        )
        if len(bank.keys) > index.shape[1]:
            self._redo(gone[:, -1].nonzero()[:, 0], found, queries, bank, query_groups, key_groups)
        return found

    def _learn(self, row: Tensor, queries: Tensor, bank: KeyBank) -> None:
        missing = (self._place[row] < 0).nonzero()[:, 0]
        if not len(missing):
            return
        new, which = torch.unique(row[missing], return_inverse=True)
        first = torch.full_like(new, len(row)).scatter_reduce(0, which, missing, "amin")
        found = nearest(queries[first], bank, self.k + MORE)
        with self._lock:
            self._place[new] = len(self._index) + torch.arange(len(new), device=new.device)
            self._similarity = torch.cat([self._similarity, found.similarity])
            self._index = torch.cat([self._index, found.index])

    def _redo(
        self, rows: Tensor, found: Nearest, queries: Tensor, bank: KeyBank, query_groups: Sequence[Tensor],
        key_groups: Sequence[Tensor],
    ) -> None:  # fmt: skip
        """The same answers from the whole bank, written into `found`."""
        if len(rows):
            groups = [ids[rows] for ids in query_groups]
            again = nearest(queries[rows], bank, self.k, query_groups=groups, key_groups=key_groups)
            found.similarity[rows], found.index[rows] = again.similarity, again.index
