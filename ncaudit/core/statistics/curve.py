"""A function of one number, known at some points and linear between them. Knows tensors only."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Curve:
    """Values at ascending points: linear between them, constant outside.

    >>> Curve(torch.tensor([0.0, 1.0]), torch.tensor([10.0, 20.0])).of(torch.tensor([-1.0, 0.25, 5.0]))
    tensor([10.0000, 12.5000, 20.0000])
    """

    at: Tensor  # (m,) ascending, m >= 1
    value: Tensor  # (m,)

    def of(self, x: Tensor) -> Tensor:
        """The values at x, of any shape."""
        high = torch.searchsorted(self.at, x.contiguous()).clamp(max=len(self.at) - 1)
        low = (high - 1).clamp(min=0)
        share = ((x - self.at[low]) / (self.at[high] - self.at[low]).clamp(min=1e-12)).clamp(0, 1)
        return self.value[low] + share * (self.value[high] - self.value[low])
