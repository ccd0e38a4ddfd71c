"""An open_clip model as it is tuned: its towers, frozen BatchNorm, captions trimmed as in encoding.

Knows encoders and tensors; nothing of the step, of files, epochs' order or validation.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ncaudit.encoders.captions import encode_trimmed, trimmable_tower
from ncaudit.encoders.open_clip import Encoder
from ncaudit.matchers.steps.optimisation import Recipe
from ncaudit.matchers.steps.tuner import Tuner
from ncaudit.matchers.towers.frozen_blocks import learn_last_blocks
from ncaudit.objectives import BatchLoss, ClassLoss


def fine_tuner(
    encoder: Encoder,
    batch_loss: BatchLoss | ClassLoss,
    recipe: Recipe,
    autocast: torch.dtype,
    *,
    train_batchnorm: bool = False,
    last_blocks: int | None = None,
    chunk_pairs: int | None = None,
) -> Tuner:
    """A model with its optimiser: images are pixels (n, height, width, 3) uint8, captions are tokens (n, context).

    encoder: with float32 weights. autocast: what the towers compute in; weights and loss stay float32.
    last_blocks: of each tower, the only ones to learn; None: everything learns. chunk_pairs: how many pairs have
    a graph at a time; None: a whole batch. Raises NcauditError for a tower whose blocks cannot be found.
    """
    encoder.model.requires_grad_(True)
    if last_blocks is not None:
        learn_last_blocks(encoder.model, last_blocks)
    network = _TunableTowers(encoder, train_batchnorm=train_batchnorm)
    return Tuner(network, batch_loss, recipe, learns_in=autocast, validates_in=autocast, chunk_pairs=chunk_pairs)


class _TunableTowers:
    """Towers as a Tunable."""

    def __init__(self, encoder: Encoder, *, train_batchnorm: bool) -> None:
        self.module: Any = encoder.model
        self.device = encoder.device
        self._encoder, self._train_batchnorm = encoder, train_batchnorm
        self._tower = trimmable_tower(encoder.model) if encoder.trims else None

    def set_training(self) -> None:
        """BatchNorm's statistics move only where that was asked for."""
        set_training(self.module, train_batchnorm=self._train_batchnorm)

    def image(self, x: Tensor) -> Tensor:
        """(n, height, width, 3) uint8 to (n, d) float32 unit rows."""
        encoded = self.module.encode_image(self._encoder.normalise(x))
        return nn.functional.normalize(encoded.float(), dim=-1)

    def text(self, x: Tensor) -> Tensor:
        """(n, context) token numbers to (n, d) float32 unit rows."""
        tokens = x.long()
        encoded = self.module.encode_text(tokens) if self._tower is None else encode_trimmed(self._tower, tokens)
        return nn.functional.normalize(encoded.float(), dim=-1)


def set_training(model: nn.Module, *, train_batchnorm: bool) -> None:
    """Training mode; BatchNorm stays in eval mode unless it is to be trained, so that its statistics do not move."""
    model.train()
    for module in model.modules():
        if isinstance(module, _BatchNorm) and not (train_batchnorm and _learns(module)):
            module.eval()


def _learns(module: nn.Module) -> bool:
    return all(parameter.requires_grad for parameter in module.parameters())
