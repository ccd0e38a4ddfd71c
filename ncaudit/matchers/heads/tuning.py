"""One training step of projection heads: the same loss, optimiser and rules as for towers, on embeddings.

Knows tensors and modules; nothing of files, epochs' order or validation.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ncaudit.matchers.heads.projection import Heads
from ncaudit.matchers.steps.backward import backward
from ncaudit.matchers.steps.batch import Batch
from ncaudit.matchers.steps.optimisation import Optimiser, Recipe, Step, low_precision
from ncaudit.objectives import BatchLoss, ClassLoss


class HeadTuner:
    """Heads with their optimiser, as a Learner: images and captions are embeddings, (n, width) of any float type."""

    def __init__(
        self,
        heads: Heads,
        batch_loss: BatchLoss | ClassLoss,
        recipe: Recipe,
        device: torch.device,
        autocast: torch.dtype,
        *,
        chunk_pairs: int | None = None,
    ) -> None:
        """autocast: what the maps compute in while they learn; weights, loss and validation stay float32.

        chunk_pairs: how many pairs have a graph at a time; None: a whole batch.
        """
        self.heads = heads.to(device).train()
        self._batch_loss, self._device, self._autocast = batch_loss, device, autocast
        self._chunk_pairs = chunk_pairs
        self._optimiser = Optimiser(heads, recipe)

    def step(self, batch: Batch, number: int) -> Step:
        """Learn from one batch; `number` counts steps from 0 and decides the learning rate.

        A loss or a gradient that is not finite changes nothing: the caller stops.
        """
        self._optimiser.zero_grad()
        batch, scale = batch.to(self._device), self.heads.logit_scale
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
        """(n, image_width) to (n, dims) float32 unit rows, on the heads' device."""
        return self.heads.image(image.to(self._device))

    @torch.no_grad()
    def encode_captions(self, text: Tensor) -> Tensor:
        """(n, text_width) to (n, dims) float32 unit rows, on the heads' device."""
        return self.heads.text(text.to(self._device))

    def state_dict(self) -> dict[str, Any]:
        """Weights and optimiser: what `load_state_dict` continues from, bit for bit."""
        return {"model": self.heads.state_dict(), "optimizer": self._optimiser.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` gave."""
        self.heads.load_state_dict(state["model"])
        self._optimiser.load_state_dict(state["optimizer"])

    def _encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        with low_precision(self._device, self._autocast):
            return self.heads.image(batch.image), self.heads.text(batch.text)
