"""What a class objective is taught: pairs with their classes, the barycentres of these, and how far to trust each pair.

The split into pure, hard and noisy pairs, and the barycentres, are made anew at each epoch's start from all training
pairs, as the network sees them at that moment. Three things differ from the paper. Rows that learn wrong classes come
to lie beside the pairs that they wrongly share a class with, and would then vouch for the mistake: so half of what
makes neighbours is the embeddings before training. What each pair's class may be is first asked of the audit of given
classes, once, before training: linear models see classes that neighbours do not lie together by. And where there is a
split, a pair that is not pure counts for the barycentres of all classes, for each by its chance.

Knows the arithmetic of classes; nothing of what the network is, of options, files or losses. Memory: for a split 8
bytes per pair and dimension, of the embeddings before and now together, twice that up to
`core.neighbours.self_search.EXACT_UP_TO` pairs, and what `core.classes.belief` needs once; a byte per pair and class
always, and 5 more while the targets of an epoch are made.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from ncaudit.core.classes.belief import class_belief
from ncaudit.core.classes.sparse import SparseClasses
from ncaudit.core.classes.split import ClassSplit, class_split, side_by_side
from ncaudit.core.classes.votes import PARTITIONS, PURE, UNLABELLED
from ncaudit.core.correspondence.consistency import centre
from ncaudit.core.losses.class_losses import ClassTargets, barycentres
from ncaudit.matchers.steps.batch import Batch
from ncaudit.verbs.train.data.training_set import EVERY_ROW
from ncaudit.verbs.train.lessons.lessons import Straight

Json = dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """All n training pairs as the network sees them at one moment, on the device to compute on."""

    image: Tensor  # (n, d) float32 unit rows
    text: Tensor
    photo: Tensor  # (n,) int64, a hash: equal for equal photos


class ClassPairs(Protocol):
    """The n training pairs of one network, which sees them differently in every epoch."""

    @property
    def carried(self) -> Tensor:
        """(n, C) bool on the CPU: which classes each pair carries."""

    def now(self, epoch: int) -> Seen:
        """All pairs, as the network sees them where `epoch`, from 1, begins."""

    def before(self, side: str, at: Tensor) -> Tensor:
        """The embeddings before training of the pairs at `at`, (m,) int64; (m, d) float32 on its device.

        side: image or text. Asked after `now`, of the same epoch.
        """

    def batches(
        self, epoch: int, *, batch_pairs: int, seed: int, rows: slice = EVERY_ROW
    ) -> Iterator[tuple[Tensor, Batch]]:
        """The batches of an epoch, without targets, each with its pairs' places among all, (m,) int64 on the CPU."""


class ClassLessons(Straight):
    """The lessons of one network."""

    networks = 1

    def __init__(self, pairs: ClassPairs, *, partitions: bool, neighbours: int | None, seed: int) -> None:
        """partitions: split the pairs by their neighbours' classes.

        neighbours: how many vote; None: chosen once, from the pairs as the network sees them at the start.
        """
        self._pairs, self._partitions = pairs, partitions
        self._asked, self._neighbours, self._seed = neighbours, neighbours, seed
        self._belief: SparseClasses | None = None
        self._told: Json = {}

    def batches(self, epoch: int, *, batch_pairs: int, seed: int, rows: slice = EVERY_ROW) -> Iterator[Batch]:
        """The batches of the pairs, with their targets."""
        targets = self.targets(epoch)
        for places, batch in self._pairs.batches(epoch, batch_pairs=batch_pairs, seed=seed, rows=rows):
            yield replace(batch, targets=targets.take(places.to(targets.part.device)))

    def targets(self, epoch: int) -> ClassTargets:
        """Those of all training pairs, by the network as it is now, where `epoch` begins."""
        seen = self._pairs.now(epoch)
        carried = self._pairs.carried.to(seen.image.device)
        part = torch.where(carried.any(dim=1), PURE, UNLABELLED).to(torch.int8)
        believed, voted, trust = carried, carried.int().argmax(dim=1), torch.ones_like(seen.image[:, 0])
        if self._partitions:
            at = carried.any(dim=1).nonzero()[:, 0]
            found = self._split(seen, at)
            part[at], voted[at], trust[at] = found.part, found.voted, found.trust
            believed = torch.zeros_like(carried, dtype=found.believed.dtype).index_copy_(0, at, found.believed)
        return ClassTargets(carried, part, voted, trust, barycentres(seen.image, seen.text, believed))

    def told(self, losses: Sequence[float]) -> Json:
        """How many neighbours voted, and the shares of pure, hard and noisy pairs among the labelled ones."""
        return self._told

    def state_dict(self) -> Json:
        """The number of neighbours; the rest follows from the weights."""
        return {"neighbours": self._neighbours}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with as many neighbours."""
        self._neighbours = state["neighbours"]

    def _split(self, seen: Seen, at: Tensor) -> ClassSplit:
        """The labelled pairs, at these places, split."""
        carried, photo = self._pairs.carried.to(at.device)[at], seen.photo[at]
        image, text = (_centred(self._pairs.before(name, at)) for name in ("image", "text"))
        if self._belief is None:
            self._belief = class_belief(image, text, photo, carried, neighbours=self._asked, seed=self._seed)
        image, text = (
            side_by_side(before, _centred(now[at])) for before, now in ((image, seen.image), (text, seen.text))
        )
        found = class_split(image, text, photo, carried, self._belief, neighbours=self._neighbours, seed=self._seed)
        self._neighbours = found.neighbours
        share = torch.bincount(found.part.long(), minlength=len(PARTITIONS)).double() / len(at)
        self._told = {"neighbours": found.neighbours, **dict(zip(PARTITIONS, share.tolist(), strict=True))}
        return found


def _centred(rows: Tensor) -> Tensor:
    """In a narrow cone all cosines are alike, and the other half of a sum of two would decide alone."""
    return centre(rows, rows.mean(dim=0))
