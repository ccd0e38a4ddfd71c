"""The pairs of one training step, whatever they are made of: pixels and tokens for towers, embeddings for heads."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ncaudit.core.losses.class_losses import ClassTargets


@dataclass(frozen=True)
class Batch:
    """Pairs of one step, on any device; row i of every tensor is pair i."""

    image: Tensor  # (n, ...): what the learner's `encode_images` takes
    text: Tensor  # (n, ...): what its `encode_captions` takes
    label: Tensor  # (n,) float32 in [0, 1]
    photo: Tensor  # (n,) int64, a hash: equal for equal photos
    caption: Tensor  # (n,) int64, a hash: equal for equal captions
    pair_id: Sequence[str] = ()  # of the n pairs, where they are known: for errors
    targets: ClassTargets | None = None  # of the n pairs, where the objective asks for classes

    def __len__(self) -> int:
        return len(self.label)

    def to(self, device: torch.device) -> "Batch":
        """The same batch on `device`."""
        moved = {name: column.to(device, non_blocking=True) for name, column in self._columns().items()}
        targets = None if self.targets is None else self.targets.to(device)
        return Batch(**moved, pair_id=self.pair_id, targets=targets)

    def take(self, rows: Tensor) -> "Batch":
        """The pairs at `rows`, (m,) int64, in that order."""
        pair_id = [self.pair_id[row] for row in rows.tolist()] if self.pair_id else ()
        targets = None if self.targets is None else self.targets.take(rows)
        taken = {name: column[rows] for name, column in self._columns().items()}
        return Batch(**taken, pair_id=pair_id, targets=targets)

    def chunks(self, pairs: int) -> list["Batch"]:
        """The batch in pieces of `pairs`, in order; the last may be smaller."""
        return [self.take(rows) for rows in torch.split(torch.arange(len(self)), pairs)]

    def _columns(self) -> dict[str, Tensor]:
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}


def true_negatives(photo: Tensor, caption: Tensor) -> Tensor:
    """(n, n) bool of pairs' (n,) photo and caption hashes: false where caption j is no true negative of image i."""
    return (photo[:, None] != photo) & (caption[:, None] != caption)
