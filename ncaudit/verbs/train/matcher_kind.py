"""What every kind of matcher offers `train`: towers on images, heads on embeddings.

Knows what training asks for; nothing of how any kind gives it.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ncaudit.matchers.steps.optimisation import Learner, Recipe
from ncaudit.objectives import AnyObjective
from ncaudit.options import TrainOptions
from ncaudit.progress import Progress
from ncaudit.verbs.train.auto.trials import Sampled
from ncaudit.verbs.train.data.training_set import TrainingSet
from ncaudit.verbs.train.lessons.lessons import Lessons

Json = dict[str, Any]


@dataclass(frozen=True)
class Opened:
    """What is trained and on what: read and checked, but not begun."""

    pairs: TrainingSet
    start: Json  # what it starts from, for the record
    learner: Callable[[Recipe, torch.dtype], Learner]  # computing in that type where it can
    describe: Callable[[str], None]  # everything but the weights, into a folder
    lessons: Lessons  # what each step teaches


def recipe_of(options: TrainOptions, total_steps: int, learning_rate: float | None = None) -> Recipe:
    """What decides a step of so many. learning_rate: where neither the user nor what is tuned says it."""
    rate = options.pace.learning_rate if learning_rate is None else learning_rate
    assert rate is not None, "of towers by class it is chosen by the number of steps"
    return Recipe(
        learning_rate=rate, weight_decay=options.weight_decay, total_steps=total_steps,
        warmup_share=options.warmup_share, clip_norm=options.clip_norm,
    )  # fmt: skip


class Trained(Protocol):
    """One kind of matcher."""

    def identity(self) -> Json | None:
        """Which weights training starts from; None where they are computed from the pairs."""

    def files(self) -> tuple[str, ...]:
        """Names in the output folder, beside those of any run."""

    def inputs(self) -> tuple[str, ...]:
        """Files that training starts from."""

    def require_whole(self, out: str) -> None:
        """Raises NcauditError unless what was trained is whole in the folder `out`, as far as can be told fast."""

    def save_weights(self, tensors: Mapping[str, Tensor], out: str) -> None:
        """Into the folder `out`, whole or not at all."""

    def stages(self) -> tuple[str, ...]:
        """What `opened` tells of its progress, in order."""

    def opened(self, objective: AnyObjective, progress: Progress) -> AbstractContextManager[Opened]:
        """Read and check everything; what was opened is closed at the end."""

    def sampled(self, precision: torch.dtype, progress: Progress) -> AbstractContextManager[Sampled]:
        """Some of the training pairs, and how each short training begins; precision: what it computes in."""
