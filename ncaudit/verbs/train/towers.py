"""`train` for towers: an open_clip model, the user's images and captions, and the folder that open_clip loads.

Knows encoders, decoding and their options; nothing of epochs.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ncaudit import objectives
from ncaudit.encoders.decode_pool import DecodePool, default_workers
from ncaudit.encoders.model_folder import require_sound_weights, sound_settings
from ncaudit.encoders.open_clip import CONFIG, Encoder, load_encoder, model_source
from ncaudit.errors import NcauditError
from ncaudit.matchers.steps.batch import Batch
from ncaudit.matchers.steps.optimisation import Learner, Recipe, Throttle
from ncaudit.matchers.towers.fine_tuning import fine_tuner
from ncaudit.matchers.towers.folder import WEIGHTS, files_of_tokenizer, save_description, save_weights
from ncaudit.objectives import AnyObjective, ClassObjective, Objective, TrainsOn
from ncaudit.options import Precision, TrainOptions
from ncaudit.progress import Progress
from ncaudit.shards.files.locations import join, on_this_machine, real
from ncaudit.verbs.train.auto.trials import Sampled
from ncaudit.verbs.train.data.classes import unlabelled_notes
from ncaudit.verbs.train.data.decoded_pairs import DecodedSet, open_training_set, sampled_pairs
from ncaudit.verbs.train.data.training_set import READ, READ_VAL
from ncaudit.verbs.train.lessons.by_class import ClassLessons
from ncaudit.verbs.train.lessons.judged.recipes import judging
from ncaudit.verbs.train.lessons.judged.seen_by_towers import JudgedByTowers
from ncaudit.verbs.train.lessons.lessons import AsGiven, Lessons
from ncaudit.verbs.train.lessons.view_of_towers import SeenByTowers
from ncaudit.verbs.train.matcher_kind import Opened, recipe_of

LOAD = "load the model"  # a stage
# For short trainings: a step is dear, so two thirds learn once, and the last is judged
TRIAL_PAIRS, TRIAL_FOLDS = 3_072, 3


class Towers:
    """What `--tune towers` and `--tune last:N` train."""

    def __init__(self, options: TrainOptions) -> None:
        """Raises NcauditError when the start model is not there, or is the output folder itself."""
        self._options, self._source = options, model_source(options)
        place = self._source.place
        if place is not None and real(place) == real(options.out):
            raise NcauditError(
                f"{options.out} is both --model and --out",
                fix="give another folder with --out: the start model is not overwritten",
            )

    def identity(self) -> dict[str, Any]:
        """Which weights training starts from."""
        return {"name": self._source.name, "fingerprint": self._source.fingerprint()}

    def files(self) -> tuple[str, ...]:
        """As `Trained` has it."""
        return WEIGHTS, CONFIG, *files_of_tokenizer(self._source, self._options.out)

    def inputs(self) -> tuple[str, ...]:
        """As `Trained` has it."""
        return self._source.files

    def require_whole(self, out: str) -> None:
        """As `Trained` has it."""
        with on_this_machine(join(out, CONFIG)) as config, on_this_machine(join(out, WEIGHTS)) as weights:
            require_sound_weights(config, sound_settings(config), [weights], [])

    def save_weights(self, tensors: Mapping[str, Tensor], out: str) -> None:
        """Whole or not at all."""
        save_weights(tensors, out)

    @contextmanager
    def opened(self, objective: AnyObjective, progress: Progress) -> Iterator[Opened]:
        """The model and its pairs, read and checked."""
        options = self._options
        with DecodePool(self._workers()) as pool:
            progress.stage(LOAD, None)
            encoder = self._start_model()
            trains_on = objectives.every_pair if options.judges else _trains_on(objective)
            pairs = open_training_set(options, encoder, pool, trains_on, progress, called=options.judges)
            for note in unlabelled_notes(pairs.unlabelled, len(pairs.train)):
                progress.note(note)
            seen, throttle = self._seen(encoder, pairs, objective, progress), Throttle()

            def learner(recipe: Recipe, precision: torch.dtype) -> Learner:
                if seen is not None:
                    seen.precision = precision
                loss = objective.loss if isinstance(objective, ClassObjective) else objective.batch_loss
                return fine_tuner(
                    encoder, loss, replace(recipe, throttle=throttle), precision,
                    train_batchnorm=options.train_batchnorm, last_blocks=options.last_blocks,
                    chunk_pairs=options.chunk_pairs,
                )  # fmt: skip

            def describe(out: str) -> None:
                save_description(encoder.model, self._source, out)

            lessons = self._lessons(pairs, seen, objective, throttle)
            yield Opened(pairs, encoder.identity.as_dict(), learner, describe, lessons)

    @contextmanager
    def sampled(self, precision: torch.dtype, progress: Progress) -> Iterator[Sampled]:
        """As `Trained` has it; every short training begins at the start model, which is loaded anew."""
        options = self._options
        with DecodePool(self._workers()) as pool:
            pairs = sampled_pairs(options, self._start_model(), pool, TRIAL_PAIRS)

        def learner(pairs: Batch, objective: Objective, steps: int) -> Learner:
            return fine_tuner(
                self._start_model(), objective.batch_loss, recipe_of(options, steps), precision,
                train_batchnorm=options.train_batchnorm, last_blocks=options.last_blocks,
                chunk_pairs=options.chunk_pairs,
            )  # fmt: skip

        yield Sampled(pairs, learner, TRIAL_FOLDS, judged=1)

    def stages(self) -> tuple[str, ...]:
        """As `Trained` has it."""
        return LOAD, *((READ_VAL,) if self._options.val_data else ()), READ

    def _workers(self) -> int:
        asked = self._options.workers
        return default_workers(threads=self._options.threads) if asked is None else asked

    def _start_model(self) -> Encoder:
        return load_encoder(replace(self._options, precision=Precision.float32))

    def _seen(
        self, encoder: Encoder, pairs: DecodedSet, objective: AnyObjective, progress: Progress
    ) -> SeenByTowers | JudgedByTowers | None:
        """What lessons ask of the pairs, where they ask anything."""
        if self._options.judges and pairs.roll is not None:
            return JudgedByTowers(encoder, pairs.train, pairs.roll, progress)
        if not isinstance(objective, ClassObjective) or pairs.roll is None:
            return None
        start = self._start_model if objective.partitions else None
        return SeenByTowers(encoder, pairs.train, pairs.roll, start, progress)

    def _lessons(
        self,
        pairs: DecodedSet,
        seen: SeenByTowers | JudgedByTowers | None,
        objective: AnyObjective,
        throttle: Throttle,
    ) -> Lessons:
        if isinstance(seen, JudgedByTowers):
            return judging(self._options, seen, throttle)
        if seen is None or not isinstance(objective, ClassObjective):
            return AsGiven(pairs.train)
        neighbours, seed = self._options.neighbours, self._options.seed
        return ClassLessons(seen, partitions=objective.partitions, neighbours=neighbours, seed=seed)


def _trains_on(objective: AnyObjective) -> TrainsOn:
    return objectives.every_pair if isinstance(objective, ClassObjective) else objective.trains_on
