"""Class distributions of many rows, a few classes each; folds and samples that no order of the rows changes.

Knows class numbers and ids; nothing of neighbours or embeddings.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

KEPT = 10  # classes of a row's distribution that are kept


@dataclass(frozen=True)
class SparseClasses:
    """Row i: its classes and their weights, in [0, 1]; an unused place has weight 0."""

    code: Tensor  # (n, m) int16
    weight: Tensor  # (n, m) float16

    def __len__(self) -> int:
        return len(self.code)

    @property
    def labelled(self) -> Tensor:
        """(n,) bool: rows with any class."""
        return (self.weight > 0).any(dim=1)

    def rows(self, rows: Tensor) -> "SparseClasses":
        """Some of the rows."""
        return SparseClasses(self.code[rows], self.weight[rows])

    def dense(self, classes: int) -> Tensor:
        """(n, classes) float32.

        >>> SparseClasses.top(torch.tensor([[0.25, 0.0, 0.75]])).dense(3)
        tensor([[0.2500, 0.0000, 0.7500]])
        """
        table = torch.zeros(len(self), classes, device=self.code.device)
        return table.scatter_add_(1, self.code.long(), self.weight.float())

    @classmethod
    def top(cls, table: Tensor) -> "SparseClasses":
        """The KEPT largest entries of each row of (n, C), scaled to the row's sum."""
        weight, code = table.topk(min(KEPT, table.shape[1]), dim=1)
        scale = table.sum(dim=1, keepdim=True) / weight.sum(dim=1, keepdim=True).clamp(min=1e-12)
        return cls(code.to(torch.int16), (weight * scale).half())

    @classmethod
    def empty(cls, rows: int, classes: int) -> "SparseClasses":
        """Rows without any class, to be filled in."""
        width = min(KEPT, classes)
        return cls(torch.zeros(rows, width, dtype=torch.int16), torch.zeros(rows, width, dtype=torch.float16))

    def put(self, rows: Tensor, found: "SparseClasses") -> None:
        """Write these rows."""
        self.code[rows], self.weight[rows] = found.code, found.weight


def dealt(ids: Tensor, parts: int, seed: int) -> Tensor:
    """Deal ids into `parts` at random: (n,) int64 in [0, parts). Equal ids go together, whatever their rows.

    >>> bool(dealt(torch.tensor([5, 5]), 100, seed=0).unique().numel() == 1)
    True
    """
    return (_mixed(ids, seed) >> 20) % parts  # an arithmetic shift keeps the sign; % is of the divisor's sign


def drawn(ids: Tensor, rows: int, seed: int) -> Tensor:
    """`rows` of all row numbers, (rows,) int64, in a random order that depends on the ids only."""
    return _mixed(ids, seed).argsort(stable=True)[:rows]


def _mixed(ids: Tensor, seed: int) -> Tensor:
    # xorshift-multiply rounds; int64 products wrap around
    x = ids + ((seed + 1) * 0x1E3779B97F4A7C15) % 2**63
    for multiplier in (0x3F58476D1CE4E5B9, 0x14D049BB133111EB):
        x = (x ^ ((x >> 31) & 0x1FFFFFFFF)) * multiplier
    return x ^ ((x >> 29) & 0x7FFFFFFFF)
