"""Training pairs as heads see them, for recipes that judge them. Knows heads and embeddings at hand."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from ncaudit.matchers.heads.projection import Heads
from ncaudit.matchers.steps.batch import Batch
from ncaudit.scoring.pairs import Pairs
from ncaudit.verbs.train.data.embedded_pairs import EmbeddedPairs, as_batch
from ncaudit.verbs.train.data.training_set import EVERY_ROW
from ncaudit.verbs.train.lessons.judged.judged_pairs import Labels, Taught, labelled, with_captions
from ncaudit.verbs.train.lessons.view import blocks_seen_by, joined


class JudgedByHeads:
    """The `JudgedPairs` of heads."""

    def __init__(self, heads: Heads, pairs: EmbeddedPairs) -> None:
        """heads: on the device to compute on when they are asked."""
        self._heads, self._pairs = heads, pairs
        self.label: Labels = pairs.take(np.arange(len(pairs)))["label"].copy()

    @property
    def network(self) -> nn.Module:
        """The heads."""
        return self._heads

    def seen(self) -> Pairs:
        """All pairs in the heads' space."""
        return joined(list(blocks_seen_by(self._heads, self._pairs, np.arange(len(self._pairs)))))

    def batches(
        self, epoch: int, taught: Taught, *, batch_pairs: int, seed: int, rows: slice = EVERY_ROW
    ) -> Iterator[Batch]:
        """In the order that `EmbeddedPairs` has."""
        order = self._pairs.places(epoch, batch_pairs=batch_pairs, seed=seed, rows=rows, among=taught.learnt)
        for places in order:
            batch, whose = as_batch(self._pairs.take(places)), taught.caption[places]
            other = np.flatnonzero(whose != places)
            if len(other):
                theirs = as_batch(self._pairs.take(whose[other]))
                batch = with_captions(batch, torch.from_numpy(other), theirs.text, theirs.caption)
            yield labelled(batch, taught.label[places])
