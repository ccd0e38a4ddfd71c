"""Training pairs by class, as heads see them: what class lessons ask, answered from embeddings at hand.

Knows heads and pairs at hand; nothing of losses, barycentres or how pairs are split.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ncaudit.matchers.heads.projection import Heads
from ncaudit.matchers.steps.batch import Batch
from ncaudit.verbs.train.data.classes import unpacked
from ncaudit.verbs.train.data.embedded_pairs import EmbeddedPairs, as_batch
from ncaudit.verbs.train.data.training_set import EVERY_ROW
from ncaudit.verbs.train.lessons.by_class import Seen
from ncaudit.verbs.train.lessons.view import blocks_seen_by

READ_PAIRS = 8_192


class SeenByHeads:
    """The `ClassPairs` of heads."""

    def __init__(self, heads: Heads, pairs: EmbeddedPairs, classes: int) -> None:
        """heads: on the device to compute on when they are asked. classes: that the pairs carry."""
        self._heads, self._pairs = heads, pairs
        self.carried = _carried(pairs, classes)

    def now(self, epoch: int) -> Seen:
        """All pairs in the heads' space."""
        blocks = list(blocks_seen_by(self._heads, self._pairs, np.arange(len(self._pairs))))
        return Seen(*(torch.cat([getattr(block, name) for block in blocks]) for name in ("image", "text", "image_id")))

    def before(self, side: str, at: Tensor) -> Tensor:
        """The embeddings that the heads begin from."""
        blocks = [torch.from_numpy(self._pairs.take(some)[side].copy()) for some in _some_thousands(at.cpu().numpy())]
        return torch.cat(blocks).to(at.device).float()

    def batches(
        self, epoch: int, *, batch_pairs: int, seed: int, rows: slice = EVERY_ROW
    ) -> Iterator[tuple[Tensor, Batch]]:
        """In the order that `EmbeddedPairs` has."""
        for places in self._pairs.places(epoch, batch_pairs=batch_pairs, seed=seed, rows=rows):
            yield torch.from_numpy(places), as_batch(self._pairs.take(places))


def _carried(pairs: EmbeddedPairs, classes: int) -> Tensor:
    blocks = [torch.empty(0, classes, dtype=torch.bool)]
    for places in _some_thousands(np.arange(len(pairs))):
        blocks.append(torch.from_numpy(unpacked(pairs.take(places)["classes"], classes)))
    return torch.cat(blocks)


def _some_thousands(places: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    for start in range(0, len(places), READ_PAIRS):
        yield places[start : start + READ_PAIRS]
