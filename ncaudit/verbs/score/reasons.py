"""How often a pair's photo and caption occur, and why a pair should be looked at: beside the label, never in it.

Knows counts, verdicts and near-equal photos; nothing of how scores are made.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ncaudit.schema import VERDICTS
from ncaudit.scoring.same_photo import SamePhotos
from ncaudit.shards.tables.repeats.counts import Repeats

OFTEN = 10  # distinct captions of one photo, or photos of one caption, from which on it is no coincidence
CLEAN, NOISY = VERDICTS.index("clean"), VERDICTS.index("noisy")
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Family:
    """Near-equal photos as one: sorted ids, and rows and distinct captions of the whole family that each belongs to."""

    ids: Ids
    rows: Ids
    captions: Ids

    @classmethod
    def of(cls, photos: SamePhotos, repeats: Repeats) -> "Family":
        """Counts summed over each family of `photos`."""
        known, becomes = (ids.cpu().numpy() for ids in (photos.known, photos.becomes))
        _, family = np.unique(becomes, return_inverse=True)
        both = (repeats.image_count(known), repeats.captions_of_image(known))
        rows, captions = (np.bincount(family, weights=count).astype(np.int64)[family] for count in both)
        return cls(known, rows, captions)

    def counts(self, raw: Ids, merged: Ids, repeats: Repeats) -> tuple[Ids, Ids]:
        """Rows and distinct captions of each photo with its near-equals. raw: (n,) ids; merged: the family's ids."""
        rows, captions = repeats.image_count(raw), repeats.captions_of_image(raw)
        if not len(self.ids):
            return rows, captions
        place = np.searchsorted(self.ids, merged).clip(max=len(self.ids) - 1)
        inside = self.ids[place] == merged
        # a photo that only looks like the family is not counted in it yet
        own = np.isin(raw, self.ids, invert=True)
        rows = np.where(inside, self.rows[place] + own * rows, rows)
        return rows, np.where(inside, self.captions[place] + own * captions, captions)


def columns(
    image_id: Ids, merged_id: Ids, caption_id: Ids, verdict: Ids | None, family: Family, repeats: Repeats
) -> dict[str, Any]:
    """caption_count, image_count and reason of n ok rows.

    reason: `placeholder_image` (a photo with at least OFTEN distinct captions, this one not clean), `generic_caption`
    (a caption of at least OFTEN photos, not clean here), `mismatch` (noisy), `duplicate` (same photo and caption occur
    again), or None; the first that holds.
    """
    image_count, captions = family.counts(image_id, merged_id, repeats)
    suspect = np.zeros(len(image_id), bool) if verdict is None else verdict != CLEAN
    noisy = np.zeros(len(image_id), bool) if verdict is None else verdict == NOISY
    reason = np.full(len(image_id), None, dtype=object)
    reason[repeats.pair_count(image_id, caption_id) > 1] = "duplicate"
    reason[noisy] = "mismatch"
    reason[suspect & (repeats.images_of_caption(caption_id) >= OFTEN)] = "generic_caption"
    reason[suspect & (captions >= OFTEN)] = "placeholder_image"
    return {"caption_count": repeats.caption_count(caption_id), "image_count": image_count, "reason": reason}
