"""What one network is taught in one epoch: which pairs, with which labels, in which order.

Knows places and labels; nothing of where they come from.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from ncaudit.matchers.steps.batch import Batch
from ncaudit.verbs.train.data.embedded_pairs import EmbeddedPairs, as_batch

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Lesson:
    """places: (m,) of the pairs taught, m > 0. label: (n,) float32 in [0, 1], of all training pairs."""

    places: Places
    label: npt.NDArray[np.float32]

    @property
    def mean_label(self) -> float:
        """Over the pairs taught."""
        return float(self.label[self.places].mean(dtype=np.float64))

    def batches(self, pairs: EmbeddedPairs, size: int, generator: np.random.Generator, rows: slice) -> Iterator[Batch]:
        """The `rows` of batches of `size`, without end: where the pairs are few, they come round again.

        Inside a batch, pairs stand in the order of the tables.
        """
        for places in shuffled(self.places, size, generator):
            chosen = np.sort(places)[rows]
            yield replace(as_batch(pairs.take(chosen)), label=torch.from_numpy(self.label[chosen]))


def shuffled(places: Places, size: int, generator: np.random.Generator) -> Iterator[Places]:
    """Batches of `size` places, without end: permutation after permutation, each place once in each."""
    waiting = places[:0]
    while True:
        while len(waiting) < size:
            waiting = np.concatenate([waiting, generator.permutation(places)])
        yield waiting[:size]
        waiting = waiting[size:]
