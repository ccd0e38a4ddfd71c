"""Which fold a pair is held out with. Knows identities; nothing of embeddings or what is fitted on the folds.

A matcher that has seen a pair vouches for it, so each pair is judged by the model that saw neither it, nor its photo,
nor (as far as that can be kept) its caption, nor its host. Pairs that no model saw get a fold by their photo: then
every pair, of the fit or not, is scored in exactly the same way.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ncaudit.scoring.connected import components
from ncaudit.scoring.pairs import Pairs

LARGEST = 0.5  # of a fold: a larger family (hub captions tie everything together) is split by photo
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Folds:
    """The folds of a fit's pairs. image_id, caption_id: sorted, with the fold of each beside it."""

    count: int
    image_id: Tensor
    image_fold: Tensor
    caption_id: Tensor
    caption_fold: Tensor

    def of(self, pairs: Pairs) -> Tensor:
        """Fold of each pair, (n,) int64 in [0, count): its photo's, else its caption's, else by a hash of the photo."""
        strange = torch.from_numpy(_hashed(pairs.image_id.cpu().numpy(), self.count)).to(pairs.image_id.device)
        by_caption = _looked_up(self.caption_id, self.caption_fold, pairs.caption_id, strange)
        return _looked_up(self.image_id, self.image_fold, pairs.image_id, by_caption)

    def tensors(self) -> dict[str, Tensor]:
        """As a fit keeps them."""
        names = ("image_id", "image_fold", "caption_id", "caption_fold")
        return {f"fold_{name}": getattr(self, name) for name in names}

    @classmethod
    def saved(cls, tensors: Mapping[str, Tensor], count: int) -> "Folds":
        """What `tensors` gave."""
        return cls(
            count, *(tensors[f"fold_{name}"] for name in ("image_id", "image_fold", "caption_id", "caption_fold"))
        )


def assign(pairs: Pairs, count: int, seed: int) -> Folds:
    """Deal families of pairs (same photo, caption or host) to `count` folds of about equal size.

    A family larger than half a fold is dealt photo by photo instead: otherwise one caption that everybody uses would
    tie most of the data into one fold.
    """
    photo, caption = pairs.image_id.cpu().numpy(), pairs.caption_id.cpu().numpy()
    host = None if pairs.host_id is None else pairs.host_id.cpu().numpy()
    fold = _dealt(_families(photo, caption, host, int(LARGEST * len(photo) / count)), count, seed)
    device = pairs.image_id.device
    places = [torch.from_numpy(part).to(device) for ids in (photo, caption) for part in _first_of_each(ids, fold)]
    return Folds(count, *places)


def _families(photo: Ids, caption: Ids, host: Ids | None, most: int) -> Ids:
    """A number per row: equal within a family of at most `most` rows, else equal for the same photo."""
    photos = np.unique(photo, return_inverse=True)[1]
    family = photos
    for tie in (caption, host):
        if tie is None:
            continue
        joined = _joined(family, np.unique(tie, return_inverse=True)[1])
        size = np.bincount(joined)[joined]
        family = np.unique(np.where(size <= most, joined, family + joined.max() + 1), return_inverse=True)[1]
    return family


def _joined(family: Ids, tie: Ids) -> Ids:
    """Families that share a tie become one."""
    nodes = family.max() + 1
    return components(family, tie + nodes, nodes + tie.max() + 1)[family]


def _dealt(family: Ids, count: int, seed: int) -> Ids:
    """Largest families first, each to the fold with the fewest rows; families of one size in random order."""
    size = np.bincount(family)
    order = np.random.default_rng(seed).permutation(len(size))
    order = order[np.argsort(-size[order], kind="stable")]
    rows, fold = [0] * count, np.empty(len(size), np.int64)
    for number in order:
        least = min(range(count), key=rows.__getitem__)
        fold[number], rows[least] = least, rows[least] + int(size[number])
    return fold[family]


def _first_of_each(ids: Ids, fold: Ids) -> tuple[Ids, Ids]:
    distinct, first = np.unique(ids, return_index=True)
    return distinct, fold[first]


def _looked_up(known: Tensor, fold: Tensor, ids: Tensor, otherwise: Tensor) -> Tensor:
    place = torch.searchsorted(known, ids.contiguous()).clamp(max=len(known) - 1)
    return torch.where(known[place] == ids, fold[place], otherwise)


def _hashed(ids: Ids, count: int) -> Ids:
    """A fold that depends on the id alone (Fibonacci hashing: ids from elsewhere may be consecutive numbers)."""
    mixed = ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    folds: Ids = ((mixed >> np.uint64(33)) % np.uint64(count)).astype(np.int64)
    return folds
