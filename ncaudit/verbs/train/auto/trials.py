"""Short trainings that tell which objective holds up: each learns from some photos, and is judged on pairs of others.

Judged as the audit judges a scorer, without a label: by where an observed pair stands among random pairs that share its
image or its caption. A mismatch stands anywhere, whatever was learnt, so a share of them pulls all objectives down
alike, and what is best on the observed pairs is best on those that match. The mean share of random pairs that it is
above (the AUROC, by which scorers are chosen) says little of the first places, where recall is decided. The
logarithm of the rank tells those apart, and where matchers are poor it tells as much as the AUROC. Knows learners and
batches in memory; nothing of options, files or heads and towers.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ncaudit.engines.ranks import Ranks
from ncaudit.matchers.steps.batch import Batch, true_negatives
from ncaudit.matchers.steps.optimisation import Learner
from ncaudit.objectives import Objective
from ncaudit.progress import Step, unheard
from ncaudit.scoring.folds import assign
from ncaudit.scoring.pairs import Pairs
from ncaudit.verbs.train.data.split import epoch_generator

FEWEST_STEPS = 4  # of an epoch: else a batch is smaller than asked for
ENCODE_PAIRS = 256  # at once


@dataclass(frozen=True)
class Sampled:
    """Some of the training pairs in random order, on the CPU, and how what is to be trained begins.

    learner: of an objective, at the start that the pairs given allow, for so many steps. folds: that the photos are
    dealt into; the first `judged` of them are judged, each by what learnt from all others.
    """

    pairs: Batch
    learner: Callable[[Batch, Objective, int], Learner]
    folds: int
    judged: int


@dataclass(frozen=True)
class Course:
    """How a trial learns: as the run itself would, on fewer pairs."""

    epochs: int
    batch_pairs: int
    seed: int
    ranks: Ranks

    def batch(self, pairs: int) -> int:
        """How many pairs a step of a trial takes; a multiple of the ranks."""
        size = min(self.batch_pairs, max(2, pairs // FEWEST_STEPS))
        return max(1, size // self.ranks.count) * self.ranks.count


@dataclass(frozen=True)
class Fold:
    """The pairs that a trial learns from, and those that it is judged on."""

    learnt: Batch
    judged: Batch


def folds(sampled: Sampled, seed: int) -> list[Fold]:
    """Those that are judged: no photo, and as far as can be kept no caption, is on both sides of one."""
    pairs = sampled.pairs
    empty = torch.empty(len(pairs), 0)
    fold = assign(Pairs(empty, empty, pairs.photo, pairs.caption, [""] * len(pairs)), sampled.folds, seed)
    of = fold.of(Pairs(empty, empty, pairs.photo, pairs.caption, [""] * len(pairs)))
    sides = [(of == number).nonzero()[:, 0] for number in range(sampled.judged)]
    others = [(of != number).nonzero()[:, 0] for number in range(sampled.judged)]
    return [Fold(pairs.take(rest), pairs.take(own)) for own, rest in zip(sides, others, strict=True)]


@dataclass(frozen=True)
class Standing:
    """Of each judged pair, (m,), mean of both directions. above: the share of random pairs that it is above, in [0, 1];
    log_rank: the logarithm of its place among them, from 0; lower = better."""

    above: Tensor
    log_rank: Tensor


def standing(
    sampled: Sampled, fold: Fold, objective: Objective, course: Course, step: Step = unheard
) -> Standing | None:
    """Where the judged pairs stand after training; None where it diverged. step: called after each epoch."""
    taught = torch.from_numpy(objective.trains_on(fold.learnt.label.numpy()))
    learnt = fold.learnt.take(taught.nonzero()[:, 0])
    size = course.batch(len(learnt))
    learner = sampled.learner(learnt, objective, course.epochs * (len(learnt) // size))
    number = 0
    with torch.random.fork_rng(devices=_devices()):
        torch.manual_seed(course.seed)
        for epoch in range(1, course.epochs + 1):
            for batch in _batches(learnt, epoch, size, course):
                if not learner.step(batch, number).finite:
                    return None
                number += 1
            step()
    return standing_of(*_encoded(learner, fold.judged), fold.judged)


def standing_of(image: Tensor, text: Tensor, pairs: Batch) -> Standing:
    """image, text: (m, d) unit rows of the pairs. Each pair's random ones have its image and a caption of another
    photo, or its caption and such an image; its own captions and photos are none. A tie counts half, and stands before
    the pair. A pair without any random one is above half of them.

    >>> pair = Batch(*(torch.empty(2, 0),) * 2, torch.ones(2), torch.tensor([0, 1]), torch.tensor([0, 1]))
    >>> found = standing_of(torch.eye(2), torch.eye(2)[[1, 0]], pair)
    >>> found.above, found.log_rank.exp()
    (tensor([0., 0.], dtype=torch.float64), tensor([2., 2.], dtype=torch.float64))
    """
    similarity, wrong = image @ text.T, true_negatives(pairs.photo, pairs.caption)
    own, count = similarity.diagonal()[:, None], wrong.sum(dim=1).double()  # who is no own one is so in both directions
    less, rank = torch.zeros_like(count), torch.zeros_like(count)
    for rows in (similarity, similarity.T):
        less += (((rows < own).double() + 0.5 * (rows == own).double()) * wrong).sum(dim=1) / 2
        rank += (1 + ((rows >= own) & wrong).sum(dim=1)).double().log() / 2
    return Standing(torch.where(count > 0, less / count.clamp(min=1), less.new_full((), 0.5)), rank)


def gain(one: Tensor, other: Tensor, photo: Tensor) -> tuple[float, float]:
    """The mean of one - other, (m,) each, and its standard error; the pairs of one photo are one draw. photo: (m,).

    >>> gain(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 0.0]), torch.tensor([7, 8]))
    (0.5, 0.3535...)
    """
    apart = (one - other).double()
    of_photo = torch.unique(photo, return_inverse=True)[1]
    sums = torch.zeros(int(of_photo.max()) + 1, dtype=torch.double).index_add_(0, of_photo, apart - apart.mean())
    return float(apart.mean()), math.sqrt(float(sums.square().sum())) / len(apart)


def _batches(pairs: Batch, epoch: int, size: int, course: Course) -> Iterator[Batch]:
    """This rank's rows of all whole batches of one epoch."""
    order = torch.from_numpy(epoch_generator(course.seed, epoch).permutation(len(pairs)))
    for rows in torch.split(order, size)[: len(pairs) // size]:
        yield pairs.take(rows.sort().values[course.ranks.share(size)])


def _encoded(learner: Learner, pairs: Batch) -> tuple[Tensor, Tensor]:
    image = torch.cat([learner.encode_images(part).float().cpu() for part in torch.split(pairs.image, ENCODE_PAIRS)])
    return image, torch.cat([learner.encode_captions(p).float().cpu() for p in torch.split(pairs.text, ENCODE_PAIRS)])


def _devices() -> list[int]:
    """The GPU in use, if any: fork_rng would take those of other processes, too."""
    in_use: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return [torch.cuda.current_device()] if in_use else []
