"""Pairs as a scorer sees them: embeddings and identities. Knows nothing of files, encoders or the CLI."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Pairs:
    """n pairs whose rows are ok; row i of every field is pair i.

    image: (n, d), text: (n, d') float32 unit rows. image_id, caption_id: (n,) int64, equal ⇔ same photo / same caption.
    """

    image: Tensor
    text: Tensor
    image_id: Tensor
    caption_id: Tensor
    pair_id: Sequence[str]

    def __len__(self) -> int:
        return len(self.image)

    @property
    def groups(self) -> list[Tensor]:
        """What two pairs must not share when one judges the other: the photo, the caption."""
        return [self.image_id, self.caption_id]

    def to(self, device: torch.device) -> "Pairs":
        """The same pairs on another device."""
        image_id, caption_id = self.image_id.to(device), self.caption_id.to(device)
        return Pairs(self.image.to(device), self.text.to(device), image_id, caption_id, self.pair_id)

    def take(self, index: Tensor) -> "Pairs":
        """The pairs at `index`, (m,) int64, in that order."""
        ids = [self.pair_id[i] for i in index.tolist()]
        return Pairs(self.image[index], self.text[index], self.image_id[index], self.caption_id[index], ids)

    def head(self, most: int) -> "Pairs":
        """The first `most` pairs, or all."""
        few = slice(0, most)
        return Pairs(self.image[few], self.text[few], self.image_id[few], self.caption_id[few], list(self.pair_id[few]))

    def similarity(self) -> Tensor:
        """Cosine of each pair's own two embeddings, (n,); higher = likelier to correspond; nan where widths differ."""
        if self.image.shape[1] != self.text.shape[1]:
            return self.image.new_full((len(self),), torch.nan)
        return (self.image * self.text).sum(dim=1)
