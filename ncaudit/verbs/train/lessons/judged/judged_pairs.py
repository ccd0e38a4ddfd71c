"""What a recipe that judges its own pairs asks of them, whatever they are made of: how they look now, and batches.

Knows places, labels and batches; nothing of towers, heads or files.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ncaudit.matchers.steps.batch import Batch
from ncaudit.scoring.pairs import Pairs
from ncaudit.verbs.train.data.split import Mask
from ncaudit.verbs.train.data.training_set import EVERY_ROW

Places = npt.NDArray[np.int64]
Labels = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Taught:
    """What each of the n training pairs teaches in one epoch: its picture with whose caption, and with which label."""

    caption: Places  # (n,) places among the pairs; its own unless another's takes its place
    label: Labels  # (n,) in [0, 1]
    learnt: Mask | None = None  # (n,) the only pairs that are in batches, even as negatives; None: all

    @classmethod
    def as_they_are(cls, label: Labels) -> "Taught":
        """Every pair itself."""
        return cls(np.arange(len(label)), label)

    @property
    def mean_label(self) -> float:
        """Over all pairs that are learnt."""
        learnt = self.label if self.learnt is None else self.label[self.learnt]
        return float(learnt.mean(dtype=np.float64))


class JudgedPairs(Protocol):
    """The n training pairs of one network, which sees them differently in every epoch."""

    @property
    def label(self) -> Labels:
        """(n,) what they came with; all 1 where nothing told labels."""

    @property
    def network(self) -> nn.Module:
        """What learns."""

    def seen(self) -> Pairs:
        """All pairs as the network sees them now: unit rows of one space, on the device to compute on."""

    def batches(
        self, epoch: int, taught: Taught, *, batch_pairs: int, seed: int, rows: slice = EVERY_ROW
    ) -> Iterator[Batch]:
        """The batches of an epoch, in the order that the pairs have, each pair as it is to be taught.

        As many where only some are learnt: these come again.
        """


def with_captions(batch: Batch, rows: Tensor, text: Tensor, caption: Tensor) -> Batch:
    """The batch with other captions, (m, ...), in the pairs at `rows`, (m,); its own two columns are written over."""
    batch.text[rows], batch.caption[rows] = text.to(batch.text.dtype), caption
    return batch


def labelled(batch: Batch, label: Labels) -> Batch:
    """The batch with other labels, (n,)."""
    return replace(batch, label=torch.from_numpy(label))
