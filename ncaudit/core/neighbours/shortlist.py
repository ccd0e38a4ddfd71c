"""The best candidates of many rows at once, found piece by piece: what lies below a row's worst is not even kept.

Knows rough similarities, rows and numbers of candidates; nothing of what they are. A candidate is one whole number: its
row, how similar it is to that, and its own number. So one sort brings together those of each row, the best first.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ncaudit.core.neighbours.top import HALVES, ordered_bits, sorted_ascending

MOST_ROWS = 2**15 - 1  # that the bits beside similarity and number can tell apart, and from NOBODY
NUMBERS = 2**32  # that a candidate may have
HIGHEST, LOWEST = 2**15 - 1, 0x3FF - 2**15  # of similarities as whole numbers of 16 bits; the least is no number's
NOBODY = 2**63 - 1  # behind everybody


@dataclass(frozen=True)
class Shortlist:
    """Up to `width` candidates of each row, best first, equally similar ones by their number.

    table: (n, width) int64, packed; -1 where there is no more.
    """

    table: Tensor

    @classmethod
    def empty(cls, rows: int, width: int, device: torch.device) -> "Shortlist":
        """No candidates yet. rows: at most MOST_ROWS."""
        return cls(torch.full((rows, width), -1, dtype=torch.int64, device=device))

    @property
    def least(self) -> Tensor:
        """(n,) int16: a candidate that is not above this cannot come in any more; LOWEST where there is room."""
        worst = self.table[:, -1]
        return torch.where(worst < 0, LOWEST, HIGHEST - ((worst >> 32) & 0xFFFF)).to(torch.int16)

    @property
    def index(self) -> Tensor:
        """(n, width) int64: the candidates' numbers, -1 where there is no more."""
        return torch.where(self.table < 0, -1, self.table & (NUMBERS - 1))

    def joined(self, found: Sequence[Tensor]) -> "Shortlist":
        """With what was found meanwhile: `packed` candidates, none of them twice.

        >>> new = packed(torch.tensor([0, 0, 1]), torch.tensor([5, 7, 6], dtype=torch.int16), torch.tensor([3, 4, 5]))
        >>> Shortlist.empty(2, 2, torch.device("cpu")).joined([new]).index
        tensor([[ 4,  3],
                [ 5, -1]])
        """
        rows, width = self.table.shape
        every = sorted_ascending(torch.cat([self.table[self.table >= 0], *found])[None])[0]
        held = torch.bincount(every >> 48, minlength=rows)[:rows]
        place = torch.arange(width, device=every.device)
        there = place < held[:, None]
        table = torch.full_like(self.table, -1)
        table[there] = every[((held.cumsum(0) - held)[:, None] + place)[there]]
        return Shortlist(table)


def packed(row: Tensor, value: Tensor, number: Tensor) -> Tensor:
    """One whole number for each candidate: (m,) int64, the best of each row the lowest.

    row: (m,) int64 in [0, MOST_ROWS). value: (m,) int16, as of `above`. number: (m,) int64 in [0, NUMBERS).
    """
    return (row << 48) | ((HIGHEST - value.long()) << 32) | number


def above(values: Tensor, least: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows and columns of the values above their row's least, by rows, and the values as whole numbers of their order.

    values: (n, m) floating point without nan; of float32 ones the upper half of the bits counts. least: (n,) int16 such
    numbers. Returns (c,) int64 twice, and (c,) int16.

    >>> above(torch.tensor([[0.5, -1.0], [2.0, 1.0]]).half(), torch.tensor([0, 16000], dtype=torch.int16))
    (tensor([0, 1]), tensor([0, 0]), tensor([14336, 16384], dtype=torch.int16))
    """
    order = _order(values, least)
    if values.device.type != "cpu":
        row, column = (order > least[:, None]).nonzero(as_tuple=True)
        return row, column, order[row, column]
    # numpy compares whole vectors, and skips what is false eight at a time: a tenth of the time
    at = np.flatnonzero(order.numpy() > least.numpy()[:, None])
    rows = at // max(1, values.shape[1])
    columns = at - rows * values.shape[1]
    return torch.from_numpy(rows), torch.from_numpy(columns), order.flatten().index_select(0, torch.from_numpy(at))


def _order(values: Tensor, least: Tensor) -> Tensor:
    """(n, m) int16: right for all values above `least`, and not above it for the others."""
    if values.dtype not in HALVES:
        return (ordered_bits(values) >> 16).to(torch.int16)
    # the bits of halves from 0 on keep their order, and those of negative ones lie below them
    return values.view(torch.int16) if bool((least >= 0).all()) else ordered_bits(values)
