"""`--recipe bicro`: two networks find the noise for each other, as staged in the paper (BiCro, CVPR 2023).

First each learns from the pairs of every batch that fit best. Then, epoch by epoch, each splits all pairs by their loss
and the other learns from the trusted ones; from half-way on also from the rest, with soft labels that the trusted ones
gave. Knows heads, embeddings at hand and `core.correspondence.co_teaching`; nothing of options, files or validation.

Where paper and released code differ, or leave it open:
- The loss that selects, in warm-up and split, is InfoNCE at the likeliest temperature by default: at 40 % noise on real
  photos its split had a precision of .86, that of the paper's ranking loss between .68 and .80. The ranking loss takes
  the mean of the negatives there, as in the released code: with the hardest one, pairs of crowded photos look wrong.
- The split's negatives are a fixed bank: with those of a batch, a pair's loss would depend on its neighbours.
- Soft labels are the released code's ratio of centred cosines, in [0, 1], of k anchors instead of one: there, the noisy
  pairs' mean label was .07 for mismatches and .28 for matches; by the paper's distances .33 and .45. The anchors come
  from all trusted pairs, not from a mini-batch. No labels under one half are cut.
- The warm-up learns from the chosen pairs as a batch of their own, so every objective has a warm-up.
- An epoch has as many steps as all pairs have batches: while only some are taught, they come round again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ncaudit.core.correspondence.co_teaching import Anchors, Split, smallest, split
from ncaudit.core.correspondence.contrast import likeliest_scale
from ncaudit.matchers.heads.projection import Heads
from ncaudit.matchers.steps.batch import Batch
from ncaudit.objectives import TrainsOn
from ncaudit.options import Loss
from ncaudit.scorers.bicro import pair_loss
from ncaudit.scoring.pairs import Pairs, as_bank
from ncaudit.verbs.train.data.embedded_pairs import EmbeddedPairs, as_batch
from ncaudit.verbs.train.data.split import epoch_generator
from ncaudit.verbs.train.data.training_set import EVERY_ROW
from ncaudit.verbs.train.lessons.lessons import Straight, by_network
from ncaudit.verbs.train.lessons.one_epoch import Lesson
from ncaudit.verbs.train.lessons.view import blocks_seen_by, seen_by

BANK_PAIRS = 1_024  # negatives of the split's loss
MOST_ANCHORS = 20_000
Json = dict[str, Any]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Stages:
    """When the recipe does what, and by which bounds."""

    split_loss: Loss  # that warm-up and split select by
    warmup_epochs: int
    warmup_keep: float  # share of each batch
    split_threshold: float  # P(clean) above which a pair is trusted
    noisy_after: int  # epochs; the noisy pairs join in the next
    anchor_k: int  # anchors per direction


@dataclass(frozen=True)
class Judgement:
    """What one network makes of all training pairs. label: (n,) float32 in [0, 1]; 1 where they are trusted."""

    split: Split
    label: Tensor
    without_anchor: int  # noisy pairs that share photo or caption with every anchor: labelled P(clean)


class CoTeaching(Straight):
    """The lessons of two networks."""

    networks = 2

    def __init__(
        self, heads: Sequence[Heads], pairs: EmbeddedPairs, stages: Stages, trains_on: TrainsOn, seed: int
    ) -> None:
        """heads: two, on the device to compute on; their weights move while the lessons are given."""
        self._heads, self._pairs, self._stages, self._trains_on = heads, pairs, stages, trains_on
        self._order = epoch_generator(seed, 0).permutation(len(pairs))  # who is in the bank, and first among anchors
        self._told: Json = {}

    def batches(self, epoch: int, *, batch_pairs: int, seed: int, rows: slice = EVERY_ROW) -> Iterator[Batch]:
        """Batches for the first and the second network in turn; each has an order of its own."""
        warming = epoch <= self._stages.warmup_epochs
        lessons = [self._everything()] * 2 if warming else self._swapped(epoch, batch_pairs)
        streams = [
            lesson.batches(self._pairs, batch_pairs, epoch_generator(seed, epoch, network), rows)
            for network, lesson in enumerate(lessons)
        ]
        scales = [self._scale(heads) for heads in self._heads] if warming else [1.0, 1.0]
        for both in islice(zip(*streams, strict=True), len(self._pairs) // batch_pairs):
            for heads, batch, scale in zip(self._heads, both, scales, strict=True):
                yield self._fitting(heads, batch, scale) if warming else batch

    def told(self, losses: Sequence[float]) -> Json:
        """Each network's mean loss; after the warm-up its split and its labels, first network first."""
        return {"losses": by_network(losses, self.networks), **self._told}

    def state_dict(self) -> Json:
        """Nothing: labels follow from the networks' weights."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...

    def _everything(self) -> Lesson:
        count = len(self._pairs)
        self._told = {}
        return Lesson(np.arange(count), np.ones(count, dtype=np.float32))

    def _scale(self, heads: Heads) -> float:
        """1 / temperature, the likeliest for the network as it is: the objective may not train one."""
        return likeliest_scale(as_bank(self._seen(heads, self._order[:BANK_PAIRS])))

    def _fitting(self, heads: Heads, batch: Batch, scale: float) -> Batch:
        """The pairs of a batch with the lowest loss, against the others of that batch."""
        pairs = seen_by(heads, batch)
        loss = pair_loss(pairs, pairs, self._stages.split_loss, scale)
        return batch.take(smallest(loss, self._stages.warmup_keep).cpu())

    def _swapped(self, epoch: int, batch_pairs: int) -> list[Lesson]:
        """For each network what the other makes of the pairs."""
        with_noisy = epoch > self._stages.noisy_after
        judged = [self._judge(heads, batch_pairs, with_noisy) for heads in self._heads]
        lessons = [self._lesson(found, with_noisy) for found in reversed(judged)]
        self._told = {
            "clean_pairs": [int(found.split.clean.sum()) for found in judged],
            "noisy_pairs": [int((~found.split.clean).sum()) for found in judged],
            "noisy_label": [_mean(found.label[~found.split.clean]) for found in judged] if with_noisy else None,
            "without_anchor": [found.without_anchor for found in judged] if with_noisy else None,
            "split_fell_back": [found.split.fell_back for found in judged],
            "mean_label": sum(lesson.mean_label for lesson in lessons) / 2,
        }
        return lessons

    def _judge(self, heads: Heads, least: int, with_noisy: bool) -> Judgement:
        stages, every = self._stages, np.arange(len(self._pairs))
        loss_of = partial(pair_loss, kind=stages.split_loss, scale=self._scale(heads))
        bank = self._seen(heads, self._order[:BANK_PAIRS])
        loss = torch.cat([loss_of(block, bank) for block in blocks_seen_by(heads, self._pairs, every)]).cpu()
        found = split(loss, threshold=stages.split_threshold, least=least, fallback_share=stages.warmup_keep)
        label = torch.ones_like(loss)
        if not with_noisy or bool(found.clean.all()):
            return Judgement(found, label, 0)
        noisy = (~found.clean).nonzero()[:, 0]
        told = self._consistency(heads, found.clean.numpy(), noisy.numpy())
        unknown = told.isnan()
        label[noisy] = torch.where(unknown, found.probability[noisy], told)
        return Judgement(found, label, int(unknown.sum()))

    def _consistency(self, heads: Heads, clean: npt.NDArray[np.bool_], noisy: Places) -> Tensor:
        chosen = self._order[clean[self._order]][:MOST_ANCHORS]
        anchors = Anchors.of(as_bank(self._seen(heads, chosen)))
        blocks = blocks_seen_by(heads, self._pairs, noisy)
        return torch.cat([anchors.label(as_bank(block), self._stages.anchor_k) for block in blocks]).cpu()

    def _seen(self, heads: Heads, places: Places) -> Pairs:
        return seen_by(heads, as_batch(self._pairs.take(places)))

    def _lesson(self, found: Judgement, with_noisy: bool) -> Lesson:
        label = found.label.numpy()
        taught = self._trains_on(label) if with_noisy else found.split.clean.numpy()
        return Lesson(np.flatnonzero(taught), label)


def _mean(label: Tensor) -> float | None:
    return float(label.double().mean()) if len(label) else None
