"""Short trainings that tell which objective holds up: each learns from some photos, and is judged on pairs of others.

Judged as the audit judges a scorer, without a label: by how often an observed pair is above random pairs that share its
image or its caption, and above random pairs of the same topic. With a share p of mismatches that is
(1 - p) AUROC + p / 2, so what is best at the one is best at the other. Knows learners and batches in memory; nothing of
options, files or heads and towers.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ncaudit.core.neighbours.clusters import kmeans
from ncaudit.engines.ranks import Ranks
from ncaudit.matchers.steps.batch import Batch, true_negatives
from ncaudit.matchers.steps.optimisation import Learner
from ncaudit.objectives import Objective
from ncaudit.progress import Step, unheard
from ncaudit.scoring.folds import assign
from ncaudit.scoring.pairs import Pairs
from ncaudit.verbs.train.data.split import epoch_generator

CLUSTERS = 20  # of images: a topic, as `corrupt --kind topic` has it
CLUSTER_PAIRS = 10  # fewer per cluster on average, and there is no topic
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


def placed(
    sampled: Sampled, fold: Fold, objective: Objective, course: Course, step: Step = unheard
) -> Tensor | None:
    """(m,) share of made mismatches that each judged pair is above after training; None where training diverged.

    step: called after each epoch.
    """
    taught = torch.from_numpy(objective.trains_on(fold.learnt.label.numpy()))
    learnt = fold.learnt.take(taught.nonzero()[:, 0])
    size = course.batch(len(learnt))
    learner = sampled.learner(learnt, objective, course.epochs * (len(learnt) // size))
    topic = _topics(learner, fold.judged)
    number = 0
    with torch.random.fork_rng(devices=_devices()):
        torch.manual_seed(course.seed)
        for epoch in range(1, course.epochs + 1):
            for batch in _batches(learnt, epoch, size, course):
                if not learner.step(batch, number).finite:
                    return None
                number += 1
            step()
    return placements(*_encoded(learner, fold.judged), fold.judged, topic)


def placements(image: Tensor, text: Tensor, pairs: Batch, topic: Tensor | None) -> Tensor:
    """(m,) in [0, 1] of every pair: the share of wrong captions for its image, and of wrong images for its caption,
    that are less similar; mean of all of them and of those on its topic. A tie counts half.

    image, text: (m, d) unit rows. topic: (m,), or None. Photos and captions that are the pair's own are no wrong ones;
    a pair that has none gets one half.

    >>> pair = Batch(*(torch.empty(2, 0),) * 2, torch.ones(2), torch.tensor([0, 1]), torch.tensor([0, 1]))
    >>> placements(torch.eye(2), torch.eye(2), pair, None), placements(torch.eye(2), torch.eye(2)[[1, 0]], pair, None)
    (tensor([1., 1.], dtype=torch.float64), tensor([0., 0.], dtype=torch.float64))
    """
    similarity, wrong = image @ text.T, true_negatives(pairs.photo, pairs.caption)
    found = [_above(similarity, wrong)]
    if topic is not None:
        near = wrong & (topic[:, None] == topic)
        found.append(torch.where(near.any(dim=1), _above(similarity, near), found[0]))
    return torch.stack(found).mean(dim=0)


def _above(similarity: Tensor, wrong: Tensor) -> Tensor:
    own = similarity.diagonal()
    count = wrong.sum(dim=1).double()  # as many wrong images as wrong captions: what is no own one is mutual
    total = torch.zeros_like(count)
    for rows in (similarity, similarity.T):
        less = (rows < own[:, None]).double() + 0.5 * (rows == own[:, None]).double()
        total += (less * wrong).sum(dim=1)
    return torch.where(count > 0, total / (2 * count).clamp(min=1), total.new_full((), 0.5))


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


def _topics(learner: Learner, pairs: Batch) -> Tensor | None:
    """(m,) which cluster each image is in, as what is trained sees it before; None where the pairs are few."""
    count = min(CLUSTERS, len(pairs) // CLUSTER_PAIRS)
    if count < 2:
        return None
    return kmeans(_encoded(learner, pairs)[0], count, seed=0)


def _encoded(learner: Learner, pairs: Batch) -> tuple[Tensor, Tensor]:
    image = torch.cat([learner.encode_images(part).float().cpu() for part in torch.split(pairs.image, ENCODE_PAIRS)])
    return image, torch.cat([learner.encode_captions(p).float().cpu() for p in torch.split(pairs.text, ENCODE_PAIRS)])


def _devices() -> list[int]:
    """The GPU in use, if any: fork_rng would take those of other processes, too."""
    in_use: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return [torch.cuda.current_device()] if in_use else []
