"""What a run learns from and validates on, whatever pairs are made of: pixels and tokens, or embeddings.

Knows batches and counts; nothing of how pairs are read, of lessons or of what is learnt.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from ncaudit.errors import NcauditError
from ncaudit.matchers.steps.batch import Batch

EVERY_ROW = slice(None)
READ, READ_VAL = "read the training pairs", "read the validation pairs"  # stages


class TrainingPairs(Protocol):
    """Pairs to learn from, in batches that are a pure function of (seed, epoch)."""

    def __len__(self) -> int: ...

    def batches(self, epoch: int, *, batch_pairs: int, seed: int, rows: slice = EVERY_ROW) -> Iterator[Batch]:
        """The `rows` of all whole batches of one epoch; the remainder waits for another epoch."""


@dataclass(frozen=True)
class TrainingSet:
    """What one run learns from and validates on, and what became of every row."""

    train: TrainingPairs
    val: Batch | None  # every validation pair
    val_photos: int
    dropped: int  # pairs that the objective does not train on
    mean_label: float  # over the training pairs
    statuses: Counter[str]  # of the dataset's rows: ok = training + held out + dropped; without those of --val-data
    shards: int
    unlabelled: int = 0  # training pairs without a class, where the objective asks for classes
    val_carried: Tensor | None = None  # (n, C) bool: the classes of the validation pairs, where it does


def vanished(images: int) -> NcauditError:
    """What to raise where images that were there when the run began cannot be had in its middle."""
    return NcauditError(
        f"{images} image{'s' * (images != 1)} of a batch could be decoded at first, and now cannot",
        fix="look after the disk and the memory, then run the same command again: it goes on",
    )
