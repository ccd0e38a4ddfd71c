"""What decides a training step, whatever is trained: optimiser, schedule, and the rule that only a finite step counts.

Knows modules with a logit scale; nothing of batches, towers or heads.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from ncaudit.core.gathering import average_gradients
from ncaudit.matchers.steps.batch import Batch

MAX_LOGIT_SCALE = math.log(100)  # CLIP's bound: above it one pair's logit drowns the batch
BETAS, EPSILON = (0.9, 0.98), 1e-6  # CLIP's, for its transformers


@dataclass
class Throttle:
    """What every learning rate of a run is multiplied with from now on: whoever holds it may change it."""

    factor: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a step depends on besides the model and the batch."""

    learning_rate: float
    weight_decay: float
    warmup_share: float  # of all steps
    clip_norm: float
    total_steps: int
    throttle: Throttle = field(default_factory=Throttle)


@dataclass(frozen=True)
class Step:
    """What one step did; `finite` is false when it was refused because loss or gradient were not."""

    loss: float
    finite: bool


class Learner(Protocol):
    """What a training loop needs to know of what it trains. `step` is the only thing that changes it."""

    def step(self, batch: Batch, number: int) -> Step:
        """Learn from one batch; `number` counts steps from 0. A step that is not finite changes nothing."""

    def learning_rate(self, number: int) -> float:
        """The learning rate of step `number`."""

    @property
    def scale(self) -> float:
        """1 / temperature: what similarities are multiplied with."""

    def encode_images(self, image: Tensor) -> Tensor:
        """A batch's `image` to (n, d) float32 unit rows, without a gradient."""

    def encode_captions(self, text: Tensor) -> Tensor:
        """A batch's `text` to (n, d) float32 unit rows, without a gradient."""

    def state_dict(self) -> dict[str, Any]:
        """`model`, its weights, and what else `load_state_dict` needs to continue bit for bit."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` gave."""


class Optimiser:
    """AdamW over the trained parameters of a model: `zero_grad`, a backward pass of the caller's, then `step`."""

    def __init__(self, model: nn.Module, recipe: Recipe) -> None:
        """model: with a parameter `logit_scale`; what requires no gradient is left alone."""
        self._model, self._recipe = model, recipe
        self._logit_scale: Any = model.logit_scale
        fused = self._logit_scale.device.type in ("cpu", "cuda")  # one pass over the weights instead of ten
        groups = parameter_groups(model, recipe.weight_decay)
        self._adamw = torch.optim.AdamW(groups, recipe.learning_rate, betas=BETAS, eps=EPSILON, fused=fused)

    def zero_grad(self) -> None:
        """Forget the gradients of the step before."""
        self._adamw.zero_grad(set_to_none=True)

    def step(self, loss: Tensor, number: int) -> Step:
        """Move the parameters by the gradients they hold; nothing moves when loss or gradient are not finite.

        Where several ranks learn together, each first gets the mean of all ranks' gradients.
        loss: the number whose gradients they are. number: of the step, from 0; it decides the learning rate.
        """
        average_gradients(self._model.parameters())
        norm = clip_grad_norm_(self._model.parameters(), self._recipe.clip_norm)
        value = float(loss.detach())
        if not (math.isfinite(value) and math.isfinite(float(norm))):
            return Step(value, False)
        for group in self._adamw.param_groups:
            group["lr"] = self.learning_rate(number)
        self._adamw.step()
        self._clamp_scale()
        return Step(value, True)

    def learning_rate(self, number: int) -> float:
        """The learning rate of step `number`."""
        recipe = self._recipe
        scheduled = recipe.learning_rate * schedule(number, recipe.total_steps, recipe.warmup_share)
        return scheduled * recipe.throttle.factor

    @property
    def scale(self) -> float:
        """1 / temperature."""
        return float(self._logit_scale.detach().exp())

    def state_dict(self) -> dict[str, Any]:
        """The moments, and how many steps they saw."""
        return self._adamw.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave."""
        self._adamw.load_state_dict(state)

    @torch.no_grad()
    def _clamp_scale(self) -> None:
        self._logit_scale.clamp_(0, MAX_LOGIT_SCALE)


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


def low_precision(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Compute what is inside in `dtype`; weights stay float32."""
    low = dtype != torch.float32
    return torch.autocast(device.type, dtype=dtype if low else torch.bfloat16, enabled=low)
