"""What a class objective is taught: pairs with their classes, the barycentres of these, and how far to trust each pair.

The split into pure, hard and noisy pairs, and the barycentres, are made anew at each epoch's start from all training
pairs, as the heads see them at that moment. Two things differ from the paper. Rows that learn wrong classes come to lie
beside the pairs that they wrongly share a class with, and would then vouch for the mistake: so half of what makes
neighbours is the embeddings before training. And where there is a split, a pair counts for the barycentre of the class
that the split believes: digits in two halves, 60 % wrong labels, MAP .795; of the given class .776.

Knows heads, pairs at hand and the arithmetic of classes; nothing of options, files or losses. Memory: for a split 8
bytes per pair and dimension, of embeddings and heads' space together, twice that up to `core.self_search.EXACT_UP_TO`
pairs; and always a byte per pair and class.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ncaudit.core.class_losses import ClassTargets, barycentres
from ncaudit.core.class_split import ClassSplit, class_split, side_by_side
from ncaudit.core.class_votes import PARTITIONS, PURE, UNLABELLED
from ncaudit.core.consistency import centre
from ncaudit.matchers.batch import Batch
from ncaudit.matchers.heads import Heads
from ncaudit.verbs.embedded_pairs import EmbeddedPairs, as_batch
from ncaudit.verbs.lessons import EVERY_ROW
from ncaudit.verbs.recipes.seen_by import blocks_seen_by
from ncaudit.verbs.training_classes import unpacked

READ_PAIRS = 8_192
Json = dict[str, Any]


class ClassLessons:
    """The lessons of one network."""

    networks = 1

    def __init__(
        self, heads: Heads, pairs: EmbeddedPairs, classes: int, *, partitions: bool, neighbours: int | None, seed: int
    ) -> None:
        """heads: on the device to compute on when batches are asked for. classes: that the pairs carry.

        partitions: split the pairs by their neighbours' classes. neighbours: how many vote; None: chosen once, from
        the pairs as the heads see them at the start.
        """
        self._heads, self._pairs, self._partitions = heads, pairs, partitions
        self._neighbours, self._seed = neighbours, seed
        self._carried = carried_classes(pairs, classes)
        self._told: Json = {}

    def batches(self, epoch: int, *, batch_pairs: int, seed: int, rows: slice = EVERY_ROW) -> Iterator[Batch]:
        """Batches in the order that `EmbeddedPairs` has, with their targets."""
        targets = self.targets()
        for places in self._pairs.places(epoch, batch_pairs=batch_pairs, seed=seed, rows=rows):
            chosen = torch.from_numpy(places).to(targets.part.device)
            yield replace(as_batch(self._pairs.take(places)), targets=targets.take(chosen))

    def targets(self) -> ClassTargets:
        """Those of all training pairs, by the heads as they are now."""
        seen = _seen(self._heads, self._pairs)
        carried = self._carried.to(seen.image.device)
        part = torch.where(carried.any(dim=1), PURE, UNLABELLED).to(torch.int8)
        believed, voted, trust = carried.float(), carried.int().argmax(dim=1), torch.ones_like(seen.image[:, 0])
        if self._partitions:
            at = carried.any(dim=1).nonzero()[:, 0]
            found = self._split(seen, at)
            part, voted, trust, believed = (
                whole.index_copy(0, at, own)
                for whole, own in (
                    (part, found.part), (voted, found.voted), (trust, found.trust), (believed, found.believed),
                )
            )  # fmt: skip
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

    def _split(self, seen: "_Seen", at: Tensor) -> ClassSplit:
        """The labelled pairs, at these places, split."""
        places = at.cpu().numpy()
        image, text = (
            side_by_side(_given(self._pairs, name, places, at.device), _centred(rows[at]))
            for name, rows in (("image", seen.image), ("text", seen.text))
        )
        carried = self._carried.to(at.device)[at]
        found = class_split(image, text, seen.photo[at], carried, neighbours=self._neighbours, seed=self._seed)
        self._neighbours = found.neighbours
        share = torch.bincount(found.part.long(), minlength=len(PARTITIONS)).double() / len(at)
        self._told = {"neighbours": found.neighbours, **dict(zip(PARTITIONS, share.tolist(), strict=True))}
        return found


@dataclass(frozen=True)
class _Seen:
    """All pairs as the heads see them now."""

    image: Tensor
    text: Tensor
    photo: Tensor


def carried_classes(pairs: EmbeddedPairs, classes: int) -> Tensor:
    """(n, classes) bool: which classes each pair carries."""
    blocks = [torch.empty(0, classes, dtype=torch.bool)]
    for places in _some_thousands(np.arange(len(pairs))):
        blocks.append(torch.from_numpy(unpacked(pairs.take(places)["classes"], classes)))
    return torch.cat(blocks)


def _seen(heads: Heads, pairs: EmbeddedPairs) -> _Seen:
    blocks = list(blocks_seen_by(heads, pairs, np.arange(len(pairs))))
    return _Seen(*(torch.cat([getattr(block, name) for block in blocks]) for name in ("image", "text", "image_id")))


def _given(pairs: EmbeddedPairs, name: str, places: npt.NDArray[np.int64], device: torch.device) -> Tensor:
    """Embeddings before any training, centred unit rows."""
    blocks = [torch.from_numpy(pairs.take(some)[name].copy()) for some in _some_thousands(places)]
    return _centred(torch.cat(blocks).to(device).float())


def _centred(rows: Tensor) -> Tensor:
    """In a narrow cone all cosines are alike, and the other half of a sum of two would decide alone."""
    return centre(rows, rows.mean(dim=0))


def _some_thousands(places: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    for start in range(0, len(places), READ_PAIRS):
        yield places[start : start + READ_PAIRS]
