"""`train` for heads: where they start, on which embeddings they learn, and the folder they are kept in.

Knows heads, their options and embedding tables; nothing of epochs.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ncaudit import objectives
from ncaudit.core.device import pick_device
from ncaudit.errors import NcauditError
from ncaudit.matchers.heads.in_turn import InTurn
from ncaudit.matchers.heads.projection import (
    HEAD_DESCRIPTION,
    HEAD_WEIGHTS,
    Heads,
    StackedHeads,
    load_heads,
    save_head_description,
    save_head_weights,
)
from ncaudit.matchers.heads.starts import CCA_DIMS, begin_at_likeliest_scale, cca_start, identity_start, jitter
from ncaudit.matchers.heads.tuning import head_tuner
from ncaudit.matchers.steps.batch import Batch
from ncaudit.matchers.steps.optimisation import Learner, Recipe, Throttle
from ncaudit.objectives import AnyObjective, ClassObjective, Objective, TrainsOn
from ncaudit.options import Align, HeadKind, HeadStart, TrainingRecipe, TrainOptions
from ncaudit.progress import Progress, Step, unheard
from ncaudit.scoring.folds import Folds, assign
from ncaudit.scoring.pairs import as_bank
from ncaudit.scoring.shared_space import shares_space
from ncaudit.verbs.train.auto.trials import Sampled
from ncaudit.verbs.train.data.classes import unlabelled_notes
from ncaudit.verbs.train.data.embedded_pairs import EmbeddedPairs, as_batch
from ncaudit.verbs.train.data.head_origins import origins
from ncaudit.verbs.train.data.labelled_tables import EmbeddedSet, open_training_embeddings
from ncaudit.verbs.train.data.training_set import READ, READ_VAL
from ncaudit.verbs.train.lessons.by_class import ClassLessons
from ncaudit.verbs.train.lessons.co_teaching import CoTeaching, Stages
from ncaudit.verbs.train.lessons.judged.recipes import judging
from ncaudit.verbs.train.lessons.judged.seen_by_heads import JudgedByHeads
from ncaudit.verbs.train.lessons.lessons import AsGiven, Lessons
from ncaudit.verbs.train.lessons.relabelling import Relabelling
from ncaudit.verbs.train.lessons.view import as_pairs, identities
from ncaudit.verbs.train.lessons.view_of_heads import SeenByHeads
from ncaudit.verbs.train.matcher_kind import Opened, recipe_of

START_PAIRS = 32_768  # that the start is computed from: 80 MB of 640 + 640 dimensions
HIDDEN = 1_024
BEGIN = "where the heads start"  # a stage
TRIAL_PAIRS, TRIAL_FOLDS = 4_096, 2  # that short trainings learn from and are judged on, each half in turn


class HeadsOnEmbeddings:
    """What `--tune heads` trains."""

    def __init__(self, options: TrainOptions) -> None:
        self._options = options

    def identity(self) -> None:
        """Nothing: the start is computed from the embeddings."""

    def files(self) -> tuple[str, ...]:
        """As `Trained` has it."""
        return HEAD_WEIGHTS, HEAD_DESCRIPTION

    def inputs(self) -> tuple[str, ...]:
        """Embeddings alone, which are told with the data."""
        return ()

    def require_whole(self, out: str) -> None:
        """As `Trained` has it."""
        load_heads(out, torch.device("cpu"))

    def save_weights(self, tensors: Mapping[str, Tensor], out: str) -> None:
        """Whole or not at all."""
        save_head_weights(tensors, out)

    def stages(self) -> tuple[str, ...]:
        """As `Trained` has it."""
        return *((READ_VAL,) if self._options.val_data else ()), READ, BEGIN

    @contextmanager
    def opened(self, objective: AnyObjective, progress: Progress) -> Iterator[Opened]:
        """The embeddings, read and checked, and the heads at their start."""
        options, device = self._options, pick_device(self._options.device)
        with open_training_embeddings(options, _trains_on(options, objective), progress) as embedded:
            progress.stage(BEGIN, len(networks_of(options)), "networks")
            folds = halves_of(embedded.train, options.seed) if len(networks_of(options)) > 1 else None
            start, networks = begin(embedded, options, device, folds, partial(progress.advance, 1))
            heads = StackedHeads(networks) if options.recipe is TrainingRecipe.bicro else networks[0]
            widths = {"image_width": heads.image_width, "text_width": heads.text_width}
            throttle = Throttle()
            description = {"model": embedded.model, "start": start.value, **widths}

            def learner(recipe: Recipe, precision: torch.dtype) -> Learner:
                chunk, steps = options.chunk_pairs, recipe.total_steps // len(networks)
                own = replace(recipe, total_steps=steps, throttle=throttle)
                loss = objective.loss if isinstance(objective, ClassObjective) else objective.batch_loss
                tuners = [head_tuner(each, loss, own, device, precision, chunk_pairs=chunk) for each in networks]
                return InTurn(tuners, heads, device) if len(tuners) > 1 else tuners[0]

            def describe(out: str) -> None:
                save_head_description(heads, out, {**description, **origins(embedded.tables)})

            for note in unlabelled_notes(embedded.pairs.unlabelled, len(embedded.train)):
                progress.note(note)
            lessons = _lessons(options, networks, embedded, folds, objective, throttle)
            yield Opened(embedded.pairs, description, learner, describe, lessons)

    @contextmanager
    def sampled(self, precision: torch.dtype, progress: Progress) -> Iterator[Sampled]:
        """As `Trained` has it; heads begin at what the pairs they learn from tell."""
        options, device = self._options, pick_device(self._options.device)
        with open_training_embeddings(options, objectives.every_pair, progress) as embedded:

            def learner(pairs: Batch, objective: Objective, steps: int) -> Learner:
                sample = pairs.take(torch.arange(min(len(pairs), START_PAIRS))).to(device)
                heads = _begun(_start(embedded, sample, options), sample, options, device, options.seed)
                recipe = recipe_of(options, steps)
                return head_tuner(
                    heads, objective.batch_loss, recipe, device, precision, chunk_pairs=options.chunk_pairs
                )

            yield Sampled(_sample(embedded, options.seed, TRIAL_PAIRS), learner, TRIAL_FOLDS, TRIAL_FOLDS)


def networks_of(options: TrainOptions) -> tuple[int | None, ...]:
    """The networks that learn: for each the half of the photos that it starts from, None for all of them."""
    if options.recipe is TrainingRecipe.bicro:
        return (0, 1)  # from equal starts, linear heads would stay one network, and repeat each other's mistakes
    return (None,) if options.relabel_every is None or options.judges else (None, 0, 1)


def halves_of(pairs: EmbeddedPairs, seed: int) -> Folds:
    """The training photos in two halves. Raises NcauditError where there is one photo only."""
    every = identities(pairs)
    if bool((every.image_id == every.image_id[0]).all()):
        raise NcauditError(
            "all training pairs are of one photo, and this recipe needs two halves of the photos", fix="give more data"
        )
    return assign(every, 2, seed)


def begin(
    embedded: EmbeddedSet,
    options: TrainOptions,
    device: torch.device,
    folds: Folds | None,
    step: Step = unheard,
) -> tuple[HeadStart, list[Heads]]:
    """Every network at its start, on the CPU, a pure function of the training pairs and the options.

    folds: the halves of the photos; None where no network needs them.
    """
    sample = _sample(embedded, options.seed).to(device)
    start = _start(embedded, sample, options)
    heads = []
    for number, half in enumerate(networks_of(options)):
        own = sample if half is None or folds is None else _only(sample, folds, half)
        heads.append(_begun(start, own, options, device, options.seed + number))
        step()
    return start, heads


def _begun(start: HeadStart, sample: Batch, options: TrainOptions, device: torch.device, seed: int) -> Heads:
    hidden = (options.hidden or HIDDEN) if options.head_kind is HeadKind.mlp else None
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        heads = _heads(start, sample, options.dims, hidden)
        if options.recipe is TrainingRecipe.bicro and start is HeadStart.identity:
            jitter(heads)
        heads = heads.to(device)
    begin_at_likeliest_scale(heads, as_bank(as_pairs(sample)), sample.label)
    return heads.cpu()


def _only(sample: Batch, folds: Folds, half: int) -> Batch:
    """The sample with the labels of one half of the photos; the others' only tell how each side's rows spread."""
    return replace(sample, label=sample.label * (folds.of(as_pairs(sample)) == half))


def _trains_on(options: TrainOptions, objective: AnyObjective) -> TrainsOn:
    """Which pairs are read for training. Where labels are made anew, what is refused now may be wanted later."""
    if isinstance(objective, ClassObjective) or options.relabel_every is not None or options.judges:
        return objectives.every_pair
    return objective.trains_on


def _lessons(
    options: TrainOptions,
    networks: list[Heads],
    embedded: EmbeddedSet,
    folds: Folds | None,
    objective: AnyObjective,
    throttle: Throttle,
) -> Lessons:
    pairs = embedded.train
    if isinstance(objective, ClassObjective):
        seen = SeenByHeads(networks[0], pairs, embedded.classes)
        return ClassLessons(seen, partitions=objective.partitions, neighbours=options.neighbours, seed=options.seed)
    if options.recipe is TrainingRecipe.bicro:
        stages = Stages(
            warmup_epochs=options.warming_epochs, warmup_keep=options.warmup_keep, anchor_k=options.anchor_k,
            split_loss=options.split_loss, split_threshold=options.split_threshold,
            noisy_after=options.noisy_after,
        )  # fmt: skip
        return CoTeaching(networks, pairs, stages, objective.trains_on, options.seed)
    if options.judges:
        return judging(options, JudgedByHeads(networks[0], pairs), throttle)
    if options.relabel_every is not None and folds is not None:
        return Relabelling(networks, pairs, folds, objective, every=options.relabel_every, seed=options.seed)
    return AsGiven(pairs)


def _sample(embedded: EmbeddedSet, seed: int, most: int = START_PAIRS) -> Batch:
    """Some of the training pairs, in random order, in float32."""
    train = embedded.train
    places = np.random.default_rng([seed % 2**63, 0]).permutation(len(train))[:most]
    order = np.argsort(np.argsort(places))  # they are read in the order of the tables
    found = as_batch(train.take(np.sort(places))).take(torch.from_numpy(order))
    return Batch(found.image.float(), found.text.float(), found.label, found.photo, found.caption)


def _start(embedded: EmbeddedSet, sample: Batch, options: TrainOptions) -> HeadStart:
    if options.head_start is HeadStart.cca:
        return HeadStart.cca
    image_width, text_width = sample.image.shape[1], sample.text.shape[1]
    if options.head_start is HeadStart.identity and image_width != text_width:
        raise NcauditError(
            f"--head-start identity on image embeddings {image_width} wide and text embeddings {text_width} wide",
            fix="give --head-start cca, which needs no shared space",
        )
    if options.head_start is HeadStart.identity:
        return HeadStart.identity
    if image_width != text_width:
        return HeadStart.cca
    return HeadStart.identity if embedded.model or _looks_shared(sample) else HeadStart.cca


def _looks_shared(sample: Batch) -> bool:
    unit = torch.nn.functional.normalize
    rows = replace(sample, image=unit(sample.image, dim=1), text=unit(sample.text, dim=1))
    return shares_space(as_pairs(rows), Align.auto)


def _heads(start: HeadStart, sample: Batch, dims: int | None, hidden: int | None) -> Heads:
    width = sample.image.shape[1]
    if start is HeadStart.identity:
        _require_dims(dims, width, dims in (None, width), "the identity keeps their width", "--head-start cca")
        return identity_start(width, hidden=hidden)
    heads = cca_start(sample.image, sample.text, sample.label, dims=dims or CCA_DIMS, hidden=hidden)
    _require_dims(dims, heads.dims, dims in (None, heads.dims), "they have no more in common", "a smaller --dims")
    return heads


def _require_dims(dims: int | None, found: int, fits: bool, why: str, instead: str) -> None:
    if not fits:
        raise NcauditError(
            f"--dims is {dims}, but these embeddings give {found}: {why}", fix=f"leave out --dims, or give {instead}"
        )
