"""Photos that are equal or nearly so (re-encoded, resized) get one identity. Knows image embeddings and ids, no files.

Otherwise a copy of a photo in the other fold, or among the anchors, vouches for a pair as the photo itself would.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ncaudit.core.neighbours.search import KeyBank, nearest, prepare_keys
from ncaudit.scoring.connected import components
from ncaudit.scoring.pairs import Pairs

# Of the median distance between two photos. Measured: re-encoded copies lie below .002; the nearest other photo of
# real photos above .027 in 99 % of cases, of rendered scenes (which do repeat) above .004
NEAR = 0.01
ROUNDING = 1e-6  # a float32 cosine of a photo with itself may be that far below 1
COMPARED = 20_000  # photos of the sample compared with each other: 2 s of two cores at 512 dimensions
NEIGHBOURS = 8
NAMES = ("same_image", "same_from", "same_to")


@dataclass(frozen=True)
class SamePhotos:
    """What the sample shows to be one photo.

    image: (m, d) photos that have a near-equal other. limit: least cosine of near-equal photos.
    known, becomes: (m,) their ids, ascending, and the identity that each is replaced with.
    """

    image: KeyBank
    limit: float
    known: Tensor
    becomes: Tensor

    def of(self, pairs: Pairs) -> Pairs:
        """The pairs, and those beside them, with one image_id for each family of near-equal photos."""
        if not len(self.known):
            return pairs
        beside = None if pairs.beside is None else self.of(pairs.beside)
        return replace(pairs, image_id=self._identities(pairs), beside=beside)

    def _identities(self, pairs: Pairs) -> Tensor:
        found = nearest(pairs.image, self.image, 1)
        alike = torch.where(found.similarity[:, 0] >= self.limit, self.becomes[found.index[:, 0]], pairs.image_id)
        place = torch.searchsorted(self.known, pairs.image_id.contiguous()).clamp(max=len(self.known) - 1)
        return torch.where(self.known[place] == pairs.image_id, self.becomes[place], alike)

    def tensors(self) -> dict[str, Tensor]:
        """As a fit keeps it; the limit is one number more."""
        image = self.image.keys.half().cpu()
        return dict(zip(NAMES, (image, self.known.cpu(), self.becomes.cpu()), strict=True))

    @classmethod
    def saved(cls, tensors: Mapping[str, Tensor], limit: float, device: torch.device) -> "SamePhotos":
        """What `tensors` gave."""
        image, known, becomes = (tensors[name].to(device) for name in NAMES)
        return cls(prepare_keys(image.float()), limit, known, becomes)


def find(pairs: Pairs) -> SamePhotos:
    """Families of near-equal photos among the first COMPARED pairs; every family takes its smallest id."""
    ids, first = _distinct(pairs.image_id[:COMPARED])
    image = pairs.image[first]
    limit = 1 - max(NEAR * _median_distance(image), ROUNDING)
    found = nearest(image, image, min(NEIGHBOURS + 1, len(image)))
    near = ((found.similarity >= limit) & (found.index >= 0)).nonzero()
    family = _families(near[:, 0], found.index[near[:, 0], near[:, 1]], len(image)).to(image.device)
    least = torch.full_like(ids, torch.iinfo(ids.dtype).max).scatter_reduce(0, family, ids, "amin")
    several = (torch.bincount(family, minlength=len(family)) > 1)[family]
    return SamePhotos(prepare_keys(image[several]), limit, ids[several], least[family][several])


def _distinct(ids: Tensor) -> tuple[Tensor, Tensor]:
    """The distinct ids, ascending, and the first row of each."""
    values, first = np.unique(ids.cpu().numpy(), return_index=True)
    return torch.from_numpy(values).to(ids.device), torch.from_numpy(first).to(ids.device)


def _median_distance(image: Tensor) -> float:
    """Of a photo and the next one in the sample's random order; 0 when all are equal."""
    return float((1 - (image * image.roll(1, dims=0)).sum(dim=1)).median().clamp(min=0))


def _families(rows: Tensor, others: Tensor, count: int) -> Tensor:
    return torch.from_numpy(components(rows.cpu().numpy(), others.cpu().numpy(), count))
