"""A fixed bank of reference pairs that other pairs are measured against, and which of them may judge which.

Knows unit rows and group ids as tensors; nothing of how the bank was chosen or of what is measured with it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

ROWS = 8_192  # measured at once, at most
ENTRIES = 2**21  # numbers of one intermediate tensor: 8 MiB in float32, and a formula holds several


@dataclass(frozen=True)
class Bank:
    """m reference pairs; row j of every field is pair j. image: (m, d), text: (m, d') unit rows; ids: (m,) int64."""

    image: Tensor
    text: Tensor
    image_id: Tensor
    caption_id: Tensor

    def __len__(self) -> int:
        return len(self.image)

    @property
    def groups(self) -> list[Tensor]:
        """What a bank pair must not share with the pair it judges: the photo, the caption."""
        return [self.image_id, self.caption_id]

    def distinct(self) -> "Bank":
        """Each photo with each of its captions once, the first time: copies of a pair are one witness, not many."""
        _, kind = torch.unique(torch.stack(self.groups, dim=1), dim=0, return_inverse=True)
        place = torch.arange(len(self), device=kind.device)
        first = torch.full_like(place, len(self)).scatter_reduce(0, kind, place, "amin")
        kept = first[first < len(self)].sort().values
        return self.take(kept)

    def head(self, most: int) -> "Bank":
        """The first `most` pairs, or all."""
        return self.take(slice(most))

    def take(self, rows: Tensor | slice) -> "Bank":
        """The pairs at these places, (k,) int64 or a mask (m,) bool, or of a slice."""
        return Bank(self.image[rows], self.text[rows], self.image_id[rows], self.caption_id[rows])

    def tensors(self, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        """The bank as a fit keeps it. dtype: of the embeddings; half precision where the bank is large."""
        # copies: a slice of the sample would keep all of the sample in memory
        image, text = self.image.to(dtype, copy=True), self.text.to(dtype, copy=True)
        ids = {"bank_image_id": self.image_id.clone(), "bank_caption_id": self.caption_id.clone()}
        return {"bank_image": image, "bank_text": text, **ids}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], device: torch.device) -> "Bank":
        """The bank that `tensors` gave, on this device and in float32."""
        image, text = (tensors[name].to(device).float() for name in ("bank_image", "bank_text"))
        return cls(image, text, tensors["bank_image_id"].to(device), tensors["bank_caption_id"].to(device))


def strangers(query_groups: Sequence[Tensor], key_groups: Sequence[Tensor]) -> Tensor:
    """Which keys may judge which queries: those that share none of the ids.

    query_groups, key_groups: as many (n,) as (m,) int64 tensors, in the same order; at least one.
    Returns (n, m) bool; false where any id is equal.

    >>> strangers([torch.tensor([1]), torch.tensor([7])], [torch.tensor([1, 2, 3]), torch.tensor([9, 7, 9])])
    tensor([[False, False,  True]])
    """
    apart = query_groups[0][:, None] != key_groups[0][None, :]
    for query_ids, key_ids in zip(query_groups[1:], key_groups[1:], strict=True):
        apart &= query_ids[:, None] != key_ids[None, :]
    return apart


def row_blocks(rows: int, entries_per_row: int) -> Iterator[slice]:
    """Slices over `rows` rows, such that a block's intermediate tensor has at most ENTRIES numbers (or one row's).

    There is always one slice, so that results can be joined. entries_per_row: >= 0.

    >>> list(row_blocks(3, 2**20))
    [slice(0, 2, None), slice(2, 4, None)]
    """
    size = max(1, min(ROWS, ENTRIES // max(1, entries_per_row)))
    return (slice(start, start + size) for start in range(0, max(1, rows), size))
