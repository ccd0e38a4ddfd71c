"""One training step of an open_clip model and what decides it: optimiser, schedule, frozen parts, precision.

Knows tensors and modules; nothing of files, epochs' order or validation.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import clip_grad_norm_

from ncaudit.encoders.captions import encode_trimmed, trimmable_tower
from ncaudit.encoders.open_clip import Encoder
from ncaudit.objectives import BatchLoss

MAX_LOGIT_SCALE = math.log(100)  # CLIP's bound: above it one pair's logit drowns the batch
BETAS, EPSILON = (0.9, 0.98), 1e-6  # CLIP's, for its transformers


@dataclass(frozen=True)
class Batch:
    """Pairs of one step, on any device; row i of every tensor is pair i."""

    pixels: Tensor  # (n, height, width, 3) uint8
    tokens: Tensor  # (n, context) integers
    label: Tensor  # (n,) float32 in [0, 1]
    photo: Tensor  # (n,) int64, a hash: equal for equal photos
    caption: Tensor  # (n,) int64, a hash: equal for equal captions

    def __len__(self) -> int:
        return len(self.label)

    def allowed(self) -> Tensor:
        """(n, n) bool, false where caption j is no true negative of image i: same photo or same caption."""
        return (self.photo[:, None] != self.photo) & (self.caption[:, None] != self.caption)

    def to(self, device: torch.device) -> "Batch":
        """The same batch on `device`."""
        return Batch(*(value.to(device, non_blocking=True) for value in vars(self).values()))


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a step depends on besides the model and the batch."""

    learning_rate: float
    weight_decay: float
    warmup_share: float  # of all steps
    clip_norm: float
    train_batchnorm: bool
    total_steps: int


@dataclass(frozen=True)
class Step:
    """What one step did; `finite` is false when it was refused because loss or gradient were not."""

    loss: float
    finite: bool


class FineTuner:
    """A model with its optimiser. `step` is the only thing that changes either."""

    def __init__(self, encoder: Encoder, batch_loss: BatchLoss, recipe: Recipe, autocast: torch.dtype) -> None:
        """encoder: with float32 weights. autocast: what the towers compute in; weights and loss stay float32."""
        self.model: Any = encoder.model.requires_grad_(True)
        self._encoder, self._batch_loss, self._recipe, self._autocast = encoder, batch_loss, recipe, autocast
        self._tower = trimmable_tower(encoder.model) if encoder.trims else None
        groups = parameter_groups(self.model, recipe.weight_decay)
        fused = encoder.device.type in ("cpu", "cuda")  # one pass over the weights instead of ten
        self._optimizer = torch.optim.AdamW(groups, recipe.learning_rate, betas=BETAS, eps=EPSILON, fused=fused)

    def step(self, batch: Batch, number: int) -> Step:
        """Learn from one batch; `number` counts steps from 0 and decides the learning rate.

        A loss or a gradient that is not finite changes nothing: the caller stops.
        """
        set_training(self.model, train_batchnorm=self._recipe.train_batchnorm)
        batch = batch.to(self._encoder.device)
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = clip_grad_norm_(self.model.parameters(), self._recipe.clip_norm)
        value = float(loss.detach())
        if not (math.isfinite(value) and math.isfinite(float(norm))):
            return Step(value, False)
        for group in self._optimizer.param_groups:
            group["lr"] = self.learning_rate(number)
        self._optimizer.step()
        self._clamp_scale()
        return Step(value, True)

    def learning_rate(self, number: int) -> float:
        """The learning rate of step `number`."""
        recipe = self._recipe
        return recipe.learning_rate * schedule(number, recipe.total_steps, recipe.warmup_share)

    @property
    def scale(self) -> float:
        """1 / temperature: what similarities are multiplied with."""
        return float(self.model.logit_scale.detach().exp())

    @torch.no_grad()
    def encode_images(self, pixels: Tensor) -> Tensor:
        """(n, height, width, 3) uint8 to (n, d) float32 unit rows, in eval mode, on the model's device."""
        self.model.eval()
        with self._low_precision():
            return self._images(pixels)

    @torch.no_grad()
    def encode_captions(self, tokens: Tensor) -> Tensor:
        """(n, context) token numbers to (n, d) float32 unit rows, in eval mode, on the model's device."""
        self.model.eval()
        with self._low_precision():
            return self._captions(tokens.to(self._encoder.device))

    def state_dict(self) -> dict[str, Any]:
        """Weights and optimiser: what `load_state_dict` continues from, bit for bit."""
        return {"model": self.model.state_dict(), "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` gave."""
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])

    def _loss(self, batch: Batch) -> Tensor:
        with self._low_precision():
            image, text = self._images(batch.pixels), self._captions(batch.tokens)
        # outside autocast: at scale 100 a bfloat16 logit is off by .5
        scale = self.model.logit_scale.exp()
        return self._batch_loss(image @ text.T, batch.label, scale=scale, allowed=batch.allowed())

    def _low_precision(self) -> torch.autocast:
        low = self._autocast != torch.float32
        return torch.autocast(self._encoder.device.type, dtype=self._autocast if low else torch.bfloat16, enabled=low)

    def _images(self, pixels: Tensor) -> Tensor:
        encoded = self.model.encode_image(self._encoder.normalise(pixels))
        return nn.functional.normalize(encoded.float(), dim=-1)

    def _captions(self, tokens: Tensor) -> Tensor:
        tokens = tokens.long()
        encoded = self.model.encode_text(tokens) if self._tower is None else encode_trimmed(self._tower, tokens)
        return nn.functional.normalize(encoded.float(), dim=-1)

    @torch.no_grad()
    def _clamp_scale(self) -> None:
        self.model.logit_scale.clamp_(0, MAX_LOGIT_SCALE)


def schedule(number: int, total: int, warmup_share: float) -> float:
    """The learning rate of step `number` (from 0) as a share of its peak: linear warm-up, then a half cosine to 0.

    >>> [round(schedule(step, 6, 0.34), 2) for step in range(6)]
    [0.5, 1.0, 1.0, 0.85, 0.5, 0.15]
    """
    warmup = round(total * warmup_share)
    if number < warmup:
        return (number + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (number - warmup) / max(1, total - warmup)))


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices and kernels only: on biases, norms and the logit scale it would pull towards 0."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decayed = [parameter for parameter in trained if parameter.ndim > 1]
    kept = [parameter for parameter in trained if parameter.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": kept, "weight_decay": 0.0}]


def set_training(model: nn.Module, *, train_batchnorm: bool) -> None:
    """Training mode; BatchNorm stays in eval mode unless it is to be trained, so that its statistics do not move."""
    model.train()
    for module in model.modules():
        if isinstance(module, _BatchNorm) and not train_batchnorm:
            module.eval()
