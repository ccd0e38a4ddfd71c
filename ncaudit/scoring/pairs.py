"""Pairs as a scorer sees them: embeddings and identities. Knows nothing of files, encoders or the CLI."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Optional

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ncaudit.core.neighbours.bank import Bank
from ncaudit.core.transfers import sent

PER_ROW = (
    *("image", "text", "image_id", "caption_id", "host_id", "stratum_id", "replaced_caption_id"),
    *("image_row", "text_row"),
)


class Origin:
    """The sample whose images and captions some pairs are made of: itself, not its content."""

    def __init__(self, rows: int) -> None:
        self.rows = rows


@dataclass(frozen=True)
class Pairs:
    """n pairs whose rows are ok; row i of every field is pair i.

    image: (n, d), text: (n, d') float32 unit rows. image_id, caption_id: (n,) int64, equal ⇔ same photo / same caption.
    host_id: (n,) int64, equal ⇔ from the same web host; None where unknown.
    stratum_id: (n,) int64, equal ⇔ from the same source (shard, or what labels are calibrated by); None where unknown.
    beside: the real pairs among which a pair of the same photo may vouch for these; None: these pairs themselves.
    replaced_caption_id: of random pairs, the caption that the photo really came with: no witness for the random one.
    origin: whose rows image_row and text_row, (n,) int64, are: pairs made of the same rows share what is looked up.
    """

    image: Tensor
    text: Tensor
    image_id: Tensor
    caption_id: Tensor
    pair_id: Sequence[str]
    host_id: Tensor | None = None
    stratum_id: Tensor | None = None
    beside: Optional["Pairs"] = None
    replaced_caption_id: Tensor | None = None
    origin: Origin | None = None
    image_row: Tensor | None = None
    text_row: Tensor | None = None

    def __len__(self) -> int:
        return len(self.image)

    @property
    def groups(self) -> list[Tensor]:
        """What two pairs must not share when one judges the other: the photo, the caption."""
        return [self.image_id, self.caption_id]

    def to(self, device: torch.device) -> "Pairs":
        """The same pairs on another device."""
        moved: dict[str, Any] = {name: sent(value, device) for name, value in self._per_row().items()}
        return replace(self, **moved, beside=None if self.beside is None else self.beside.to(device))

    def take(self, index: Tensor) -> "Pairs":
        """The pairs at `index`, (m,) int64, in that order; `beside` stays."""
        rows = {name: value[index.to(value.device)] for name, value in self._per_row().items()}
        return replace(self, **rows, pair_id=[self.pair_id[i] for i in index.tolist()])

    def halves(self, index: Tensor) -> "Pairs":
        """`take` without names: only for looking up what the halves are near to."""
        return replace(self, **{name: value[index] for name, value in self._per_row().items()}, pair_id=())

    def head(self, most: int) -> "Pairs":
        """The first `most` pairs, or all."""
        return self.rows(slice(0, most))

    def rows(self, rows: slice) -> "Pairs":
        """The pairs of a slice; `beside` stays."""
        part = {name: value[rows] for name, value in self._per_row().items()}
        return replace(self, **part, pair_id=list(self.pair_id[rows]))

    def similarity(self) -> Tensor:
        """Cosine of each pair's own two embeddings, (n,); higher = likelier to correspond; nan where widths differ."""
        if self.image.shape[1] != self.text.shape[1]:
            return self.image.new_full((len(self),), torch.nan)
        return (self.image * self.text).sum(dim=1)

    def _per_row(self) -> dict[str, Any]:
        return {name: value for name in PER_ROW if (value := getattr(self, name)) is not None}


def rooted(pairs: Pairs) -> Pairs:
    """The pairs as origin of all that is made of them, unless they know theirs; their embeddings must not change."""
    if pairs.origin is not None:
        return pairs
    rows = torch.arange(len(pairs), device=pairs.image_id.device)
    return replace(pairs, origin=Origin(len(pairs)), image_row=rows, text_row=rows)


def bank_of(pairs: Pairs, most: int | None = None) -> Bank:
    """The pairs as rivals of others: each photo and each caption once, at most `most` of them, the first that come."""
    bank = as_bank(pairs).distinct()
    return bank if most is None else bank.head(most)


def as_bank(pairs: Pairs) -> Bank:
    """The pairs as a bank, copies included: for what was chosen already, or is only measured."""
    return Bank(pairs.image, pairs.text, *pairs.groups)


def random_partners(pairs: Pairs, cell: Tensor, *, draws: int, seed: int) -> tuple[Tensor, Tensor]:
    """Rows of images and rows of captions that make random pairs, both (m,) int64: what a mismatch looks like.

    cell: (n,) int64; a random pair must be scored by models that saw neither of its halves, so both come from one cell.
    At most `draws` partners per image, no partner twice; pairs that would join a photo or a caption to itself are left
    out. The same seed gives the same pairs.
    """
    images, captions = (rows.to(pairs.image.device) for rows in _within_cells(cell.cpu().numpy(), draws, seed))
    apart = pairs.image_id[images] != pairs.image_id[captions]
    apart &= pairs.caption_id[images] != pairs.caption_id[captions]
    return images[apart], captions[apart]


def joined(pairs: Pairs, images: Tensor, captions: Tensor) -> Pairs:
    """The images of some rows with the captions of others, both (m,) int64: pairs that nobody made."""
    return Pairs(
        pairs.image[images],
        pairs.text[captions],
        pairs.image_id[images],
        pairs.caption_id[captions],
        [""] * len(images),
        stratum_id=None if pairs.stratum_id is None else pairs.stratum_id[images],
        beside=pairs if pairs.beside is None else pairs.beside,
        replaced_caption_id=pairs.caption_id[images],
        origin=pairs.origin,
        image_row=None if pairs.image_row is None else pairs.image_row[images],
        text_row=None if pairs.text_row is None else pairs.text_row[captions],
    )


def _within_cells(cell: npt.NDArray[np.int64], draws: int, seed: int) -> tuple[Tensor, Tensor]:
    """`draws` partners of each row from its own cell: shifts of one random order, so that no partner comes twice."""
    draw, images, captions = np.random.default_rng(seed), [], []
    for number in np.unique(cell):
        rows = draw.permutation(np.flatnonzero(cell == number))
        for shift in range(1, min(draws, len(rows) - 1) + 1):
            images.append(rows)
            captions.append(np.roll(rows, -shift))
    if not images:
        return torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64)
    return torch.from_numpy(np.concatenate(images)), torch.from_numpy(np.concatenate(captions))
