"""Correlation of two matrices row by row, over the entries that count.

Knows numbers and a mask; nothing of what they measure.
"""

import torch
from torch import Tensor

ROUNDING = 1e-6  # a row whose values spread by less is constant: float32 similarities of equal keys differ by this


def row_correlation(x: Tensor, y: Tensor, allowed: Tensor) -> Tensor:
    """Pearson correlation of row i of x with row i of y, over the columns that are allowed in row i.

    x, y: (n, m) float32, finite. allowed: (n, m) bool. Returns (n,) in [-1, 1]; 1 = same shape up to scale and shift.
    0 where a row is constant or has no allowed column: nothing speaks for agreement or against it.

    >>> row_correlation(torch.tensor([[1.0, 2.0, 9.0]]), torch.tensor([[4.0, 3.0, 9.0]]), torch.tensor([[1, 1, 0]]) > 0)
    tensor([-1.])
    """
    count = allowed.sum(dim=1).clamp(min=1)
    x, y = _centred(x, allowed, count), _centred(y, allowed, count)
    spread = torch.stack([(x * x).sum(dim=1), (y * y).sum(dim=1)])
    flat = (spread <= ROUNDING**2 * count).any(dim=0)
    correlation = (x * y).sum(dim=1) / spread.sqrt().prod(dim=0)
    return correlation.masked_fill(flat, 0.0).clamp(-1, 1)


def row_ranks(x: Tensor, allowed: Tensor) -> Tensor:
    """Each value's rank in its row among the allowed ones, equal values sharing their mean rank: 0, 1, 2, …

    x: (n, m) float32, finite. allowed: (n, m) bool. Returns (n, m) float32; what is not allowed is 0. The
    `row_correlation` of two such matrices is Spearman's.

    >>> row_ranks(torch.tensor([[0.5, 0.1, 0.5, 0.9]]), torch.tensor([[1, 1, 1, 0]]) > 0)
    tensor([[1.5000, 0.0000, 1.5000, 0.0000]])
    """
    ordered = x.masked_fill(~allowed, torch.inf).sort(dim=1).values
    below = torch.searchsorted(ordered, x, out_int32=True)
    up_to = torch.searchsorted(ordered, x, right=True, out_int32=True)
    return ((below + up_to - 1).float() / 2).masked_fill(~allowed, 0.0)


def _centred(x: Tensor, allowed: Tensor, count: Tensor) -> Tensor:
    mean = x.masked_fill(~allowed, 0).sum(dim=1) / count
    return (x - mean[:, None]).masked_fill_(~allowed, 0)
