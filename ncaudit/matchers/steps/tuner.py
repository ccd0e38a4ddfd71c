"""One training step of any network: loss, backward pass and optimiser, on a device and in low precision.

Knows batches and what a network must offer to be tuned; nothing of files, epochs' order or validation, nor of what
towers and heads are made of.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ncaudit.matchers.steps.backward import backward
from ncaudit.matchers.steps.batch import Batch
from ncaudit.matchers.steps.optimisation import Optimiser, Recipe, Step, low_precision
from ncaudit.objectives import BatchLoss, ClassLoss


class Tunable(Protocol):
    """A network and how it sees pairs: what differs between towers and heads."""

    @property
    def module(self) -> nn.Module:
        """All weights, on `device`, float32; with a parameter `logit_scale`. What requires no gradient stays."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    def set_training(self) -> None:
        """The mode to learn in, before every step."""

    def image(self, x: Tensor) -> Tensor:
        """A batch's `image`, on the device, to (n, d) float32 unit rows."""

    def text(self, x: Tensor) -> Tensor:
        """A batch's `text`, on the device, to (n, d) float32 unit rows."""


class Tuner:
    """A network with its optimiser, as a Learner."""

    def __init__(
        self,
        network: Tunable,
        batch_loss: BatchLoss | ClassLoss,
        recipe: Recipe,
        *,
        learns_in: torch.dtype,
        validates_in: torch.dtype,
        chunk_pairs: int | None,
    ) -> None:
        """learns_in, validates_in: what the network computes in; weights and loss stay float32.

        chunk_pairs: how many pairs have a graph at a time; None: a whole batch.
        """
        self._network, self._batch_loss, self._chunk_pairs = network, batch_loss, chunk_pairs
        self._learns_in, self._validates_in = learns_in, validates_in
        self._optimiser = Optimiser(network.module, recipe)

    def step(self, batch: Batch, number: int) -> Step:
        """Learn from one batch; `number` counts steps from 0 and decides the learning rate.

        A loss or a gradient that is not finite changes nothing: the caller stops.
        """
        self._network.set_training()
        self._optimiser.zero_grad()
        batch = batch.to(self._network.device)
        # the loss is outside autocast: at scale 100 a bfloat16 logit is off by .5
        scale: Any = self._network.module.logit_scale
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
        """A batch's `image` to (n, d) float32 unit rows, in eval mode, on the network's device."""
        self._network.module.eval()
        with low_precision(self._network.device, self._validates_in):
            return self._network.image(image.to(self._network.device))

    @torch.no_grad()
    def encode_captions(self, text: Tensor) -> Tensor:
        """A batch's `text` to (n, d) float32 unit rows, in eval mode, on the network's device."""
        self._network.module.eval()
        with low_precision(self._network.device, self._validates_in):
            return self._network.text(text.to(self._network.device))

    def state_dict(self) -> dict[str, Any]:
        """Weights and optimiser: what `load_state_dict` continues from, bit for bit."""
        return {"model": self._network.module.state_dict(), "optimizer": self._optimiser.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` gave."""
        self._network.module.load_state_dict(state["model"])
        self._optimiser.load_state_dict(state["optimizer"])

    def _encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        with low_precision(self._network.device, self._learns_in):
            return self._network.image(batch.image), self._network.text(batch.text)
