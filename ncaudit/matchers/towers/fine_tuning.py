"""One training step of an open_clip model: its towers, frozen BatchNorm, captions trimmed as in encoding.

Knows tensors and modules; nothing of files, epochs' order or validation.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ncaudit.encoders.captions import encode_trimmed, trimmable_tower
from ncaudit.encoders.open_clip import Encoder
from ncaudit.matchers.steps.backward import backward
from ncaudit.matchers.steps.batch import Batch
from ncaudit.matchers.steps.optimisation import Optimiser, Recipe, Step, low_precision
from ncaudit.matchers.towers.frozen_blocks import learn_last_blocks
from ncaudit.objectives import BatchLoss, ClassLoss


class FineTuner:
    """A model with its optimiser, as a Learner: images are pixels (n, height, width, 3) uint8, captions are tokens."""

    def __init__(
        self,
        encoder: Encoder,
        batch_loss: BatchLoss | ClassLoss,
        recipe: Recipe,
        autocast: torch.dtype,
        *,
        train_batchnorm: bool = False,
        last_blocks: int | None = None,
        chunk_pairs: int | None = None,
    ) -> None:
        """encoder: with float32 weights. autocast: what the towers compute in; weights and loss stay float32.

        last_blocks: of each tower, the only ones to learn; None: everything learns. chunk_pairs: how many pairs have
        a graph at a time; None: a whole batch. Raises NcauditError for a tower whose blocks cannot be found.
        """
        self.model: Any = encoder.model.requires_grad_(True)
        if last_blocks is not None:
            learn_last_blocks(self.model, last_blocks)
        self._encoder, self._batch_loss, self._autocast = encoder, batch_loss, autocast
        self._train_batchnorm, self._chunk_pairs = train_batchnorm, chunk_pairs
        self._tower = trimmable_tower(encoder.model) if encoder.trims else None
        self._optimiser = Optimiser(self.model, recipe)

    def step(self, batch: Batch, number: int) -> Step:
        """Learn from one batch; `number` counts steps from 0 and decides the learning rate.

        A loss or a gradient that is not finite changes nothing: the caller stops.
        """
        set_training(self.model, train_batchnorm=self._train_batchnorm)
        batch = batch.to(self._encoder.device)
        self._optimiser.zero_grad()
        # the loss is outside autocast: at scale 100 a bfloat16 logit is off by .5
        scale = self.model.logit_scale
        loss = backward(batch, self._encode, self._batch_loss, scale, chunk_pairs=self._chunk_pairs)
        return self._optimiser.step(loss, number)

    def learning_rate(self, number: int) -> float:
        """The learning rate of step `number`."""
        return self._optimiser.learning_rate(number)

    @property
    def scale(self) -> float:
        """1 / temperature: what similarities are multiplied with."""
        return self._optimiser.scale

    @torch.no_grad()
    def encode_images(self, image: Tensor) -> Tensor:
        """(n, height, width, 3) uint8 to (n, d) float32 unit rows, in eval mode, on the model's device."""
        self.model.eval()
        with low_precision(self._encoder.device, self._autocast):
            return self._images(image)

    @torch.no_grad()
    def encode_captions(self, text: Tensor) -> Tensor:
        """(n, context) token numbers to (n, d) float32 unit rows, in eval mode, on the model's device."""
        self.model.eval()
        with low_precision(self._encoder.device, self._autocast):
            return self._captions(text.to(self._encoder.device))

    def state_dict(self) -> dict[str, Any]:
        """Weights and optimiser: what `load_state_dict` continues from, bit for bit."""
        return {"model": self.model.state_dict(), "optimizer": self._optimiser.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` gave."""
        self.model.load_state_dict(state["model"])
        self._optimiser.load_state_dict(state["optimizer"])

    def _encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        with low_precision(self._encoder.device, self._autocast):
            return self._images(batch.image), self._captions(batch.text)

    def _images(self, pixels: Tensor) -> Tensor:
        encoded = self.model.encode_image(self._encoder.normalise(pixels))
        return nn.functional.normalize(encoded.float(), dim=-1)

    def _captions(self, tokens: Tensor) -> Tensor:
        tokens = tokens.long()
        encoded = self.model.encode_text(tokens) if self._tower is None else encode_trimmed(self._tower, tokens)
        return nn.functional.normalize(encoded.float(), dim=-1)


def set_training(model: nn.Module, *, train_batchnorm: bool) -> None:
    """Training mode; BatchNorm stays in eval mode unless it is to be trained, so that its statistics do not move."""
    model.train()
    for module in model.modules():
        if isinstance(module, _BatchNorm) and not (train_batchnorm and _learns(module)):
            module.eval()


def _learns(module: nn.Module) -> bool:
    return all(parameter.requires_grad for parameter in module.parameters())
