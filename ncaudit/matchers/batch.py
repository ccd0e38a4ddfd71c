"""The pairs of one training step, whatever they are made of: pixels and tokens for towers, embeddings for heads."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Pairs of one step, on any device; row i of every tensor is pair i."""

    image: Tensor  # (n, ...): what the learner's `encode_images` takes
    text: Tensor  # (n, ...): what its `encode_captions` takes
    label: Tensor  # (n,) float32 in [0, 1]
    photo: Tensor  # (n,) int64, a hash: equal for equal photos
    caption: Tensor  # (n,) int64, a hash: equal for equal captions

    def __len__(self) -> int:
        return len(self.label)

    def allowed(self) -> Tensor:
        """(n, n) bool, false where caption j is no true negative of image i: same photo or same caption."""
        return (self.photo[:, None] != self.photo) & (self.caption[:, None] != self.caption)

    def to(self, device: torch.device) -> "Batch":
        """The same batch on `device`."""
        return Batch(*(value.to(device, non_blocking=True) for value in vars(self).values()))
