"""`train` for towers: an open_clip model, the user's images and captions, and the folder that open_clip loads.

Knows encoders, decoding and their options; nothing of epochs.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ncaudit.encoders.decode_pool import DecodePool
from ncaudit.encoders.open_clip import load_encoder, model_source
from ncaudit.errors import NcauditError
from ncaudit.matchers.fine_tuning import FineTuner
from ncaudit.matchers.optimisation import Learner, Recipe
from ncaudit.matchers.towers import save_description, save_weights
from ncaudit.objectives import AnyObjective, ClassObjective
from ncaudit.options import Precision, TrainOptions
from ncaudit.progress import Progress
from ncaudit.verbs.lessons import AsGiven
from ncaudit.verbs.trained import Opened
from ncaudit.verbs.training_pairs import open_training_set


class Towers:
    """What `--tune towers` and `--tune last:N` train."""

    def __init__(self, options: TrainOptions) -> None:
        """Raises NcauditError when the start model is not there, or is the output folder itself."""
        self._options, self._source = options, model_source(options)
        folder = self._source.folder
        if folder is not None and os.path.realpath(folder) == os.path.realpath(options.out):
            raise NcauditError(
                f"{options.out} is both --model and --out",
                fix="give another folder with --out: the start model is not overwritten",
            )

    def identity(self) -> dict[str, Any]:
        """Which weights training starts from."""
        return {"name": self._source.name, "fingerprint": self._source.fingerprint()}

    def save_weights(self, tensors: Mapping[str, Tensor], out: str) -> None:
        """Whole or not at all."""
        save_weights(tensors, out)

    @contextmanager
    def opened(self, objective: AnyObjective, progress: Progress) -> Iterator[Opened]:
        """The model and its pairs, read and checked."""
        options = self._options
        assert not isinstance(objective, ClassObjective), "TrainOptions refuses a class objective for towers"
        with DecodePool(options.workers) as pool:
            encoder = load_encoder(replace(options, precision=Precision.float32))
            pairs = open_training_set(options, encoder, pool, objective.trains_on, progress)

            def learner(recipe: Recipe, precision: torch.dtype) -> Learner:
                return FineTuner(
                    encoder, objective.batch_loss, recipe, precision, train_batchnorm=options.train_batchnorm,
                    last_blocks=options.last_blocks, chunk_pairs=options.chunk_pairs,
                )  # fmt: skip

            def describe(out: str) -> None:
                save_description(encoder.model, self._source, out)

            yield Opened(pairs, encoder.identity.as_dict(), learner, describe, AsGiven(pairs.train))
