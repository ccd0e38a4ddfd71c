"""The mean of a network's weights over the steps of an epoch, for a look at pairs in the middle of training.

While the rate is high weights wander about what they are to become: half-way a matcher finds hardly more than the one
that training started from, and the mean of its weights (Polyak's; Izmailov et al., UAI 2018) nearly what training ends
with. Knows modules; nothing of pairs, of what is looked at, or of who makes the steps.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Averaged:
    """The mean of what the parameters of a module were at each `take`."""

    def __init__(self, module: nn.Module) -> None:
        self._module, self._mean, self._taken = module, list[Tensor](), 0

    @torch.no_grad()
    def take(self) -> None:
        """Count the weights as they are now."""
        now = [each.detach() for each in self._module.parameters()]
        self._taken += 1
        if not self._mean:
            self._mean = [each.clone() for each in now]
        for mean, each in zip(self._mean, now, strict=True):
            mean.lerp_(each, 1 / self._taken)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The module has the mean, and afterwards what it had; without a `take` it stays as it is."""
        own = [each.detach().clone() for each in self._module.parameters()] if self._mean else []
        self._put(self._mean)
        try:
            yield
        finally:
            self._put(own)

    @torch.no_grad()
    def _put(self, weights: list[Tensor]) -> None:
        if weights:
            for each, weight in zip(self._module.parameters(), weights, strict=True):
                each.copy_(weight)
