"""Projection heads as they are tuned: the same step as for towers, on embeddings.

Knows heads and tensors; nothing of the step, of files, epochs' order or validation.
"""

import torch
from torch import Tensor

from ncaudit.matchers.heads.projection import Heads
from ncaudit.matchers.steps.optimisation import Recipe
from ncaudit.matchers.steps.tuner import Tuner
from ncaudit.objectives import BatchLoss, ClassLoss


def head_tuner(
    heads: Heads,
    batch_loss: BatchLoss | ClassLoss,
    recipe: Recipe,
    device: torch.device,
    autocast: torch.dtype,
    *,
    chunk_pairs: int | None = None,
) -> Tuner:
    """Heads with their optimiser: images and captions are embeddings, (n, width) of any float type.

    autocast: what the maps compute in while they learn; weights, loss and validation stay float32. chunk_pairs: how
    many pairs have a graph at a time; None: a whole batch.
    """
    network, full = _TunableHeads(heads, device), torch.float32
    return Tuner(network, batch_loss, recipe, learns_in=autocast, validates_in=full, chunk_pairs=chunk_pairs)


class _TunableHeads:
    """Heads as a Tunable."""

    def __init__(self, heads: Heads, device: torch.device) -> None:
        self.module, self.device = heads.to(device), device

    def set_training(self) -> None:
        """The mode changes nothing in heads."""
        self.module.train()

    def image(self, x: Tensor) -> Tensor:
        """(n, image_width) to (n, dims) float32 unit rows."""
        return self.module.image(x)

    def text(self, x: Tensor) -> Tensor:
        """(n, text_width) to (n, dims) float32 unit rows."""
        return self.module.text(x)
