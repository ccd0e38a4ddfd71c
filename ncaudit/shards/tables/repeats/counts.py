"""How often each photo and each caption occurs among some rows: counted, and looked up.

Knows the numbers that tables give to photos and captions; nothing of where rows come from or of what repeats mean. Rows
may be counted in parts, each by the photos, and the captions, whose numbers fall into a range: what all parts found,
one behind the other, is what all rows together give.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Repeated:
    """The photos (or captions) that occur in more than one row."""

    ids: Ids  # (r,), ascending
    rows: Counts  # (r,): in how many rows, 2 or more
    partners: Counts  # (r,): with how many distinct captions (or photos), 1 or more


@dataclass(frozen=True)
class RepeatedPairs:
    """The pairs of photo and caption that occur in more than one row, (p,) each; by photo, those of one by caption."""

    images: Ids
    captions: Ids
    rows: Counts

    def count(self, image_id: Ids, caption_id: Ids) -> Counts:
        """How many rows have this photo together with this caption, (n,), each at least 1."""
        low, end = (np.searchsorted(self.images, image_id, side=side) for side in ("left", "right"))
        high = end.copy()
        while len(left := np.flatnonzero(low < high)):  # halves what is left of each photo's captions
            middle = (low[left] + high[left]) // 2
            below = np.asarray(self.captions[middle]) < caption_id[left]
            low[left[below]], high[left[~below]] = middle[below] + 1, middle[~below]
        found = np.flatnonzero(low < end)
        found = found[np.asarray(self.captions[low[found]]) == caption_id[found]]
        counts = np.ones(len(image_id), dtype=np.int64)
        counts[found] = self.rows[low[found]]
        return counts


@dataclass(frozen=True)
class Repeats:
    """How often photos and captions occur among the counted rows. What was met once, or never, counts as 1.

    All methods take ids as `EmbeddingBatch` has them, (n,) int64, and return (n,) int64, each at least 1.
    """

    images: Repeated
    captions: Repeated
    pairs: RepeatedPairs

    def image_count(self, image_id: Ids) -> Counts:
        """How many rows have this photo."""
        return _looked_up(self.images.ids, self.images.rows, image_id)

    def caption_count(self, caption_id: Ids) -> Counts:
        """How many rows have this caption."""
        return _looked_up(self.captions.ids, self.captions.rows, caption_id)

    def captions_of_image(self, image_id: Ids) -> Counts:
        """How many distinct captions this photo comes with."""
        return _looked_up(self.images.ids, self.images.partners, image_id)

    def images_of_caption(self, caption_id: Ids) -> Counts:
        """How many distinct photos this caption comes with."""
        return _looked_up(self.captions.ids, self.captions.partners, caption_id)

    def pair_count(self, image_id: Ids, caption_id: Ids) -> Counts:
        """How many rows have this photo together with this caption."""
        return self.pairs.count(image_id, caption_id)

    @property
    def arrays(self) -> list[Counts]:
        """All that it is made of: `of_arrays` makes it again."""
        images, captions, pairs = self.images, self.captions, self.pairs
        return [
            *(images.ids, images.rows, images.partners), *(captions.ids, captions.rows, captions.partners),
            *(pairs.images, pairs.captions, pairs.rows),
        ]  # fmt: skip

    @classmethod
    def of_arrays(cls, arrays: list[Counts]) -> "Repeats":
        """What these arrays were taken from."""
        return cls(Repeated(*arrays[0:3]), Repeated(*arrays[3:6]), RepeatedPairs(*arrays[6:9]))


ARRAYS = 9  # of `Repeats.arrays`


def count_pairs(pairs: Iterable[tuple[Ids, Ids]]) -> Repeats:
    """Count (image_id, caption_id) arrays, in memory.

    >>> photo, caption = np.array([7, 7, 8]), np.array([1, 1, 1])
    >>> repeats = count_pairs([(photo, caption)])
    >>> repeats.image_count(photo), repeats.images_of_caption(caption), repeats.pair_count(photo, caption)
    (array([2, 2, 1]), array([2, 2, 2]), array([2, 2, 1]))
    """
    nothing = np.empty((0, 2), dtype=np.int64)
    rows = np.concatenate([nothing, *(np.stack([image, caption], axis=1) for image, caption in pairs)])
    return count_part(rows, rows[:, ::-1])


def count_part(by_image: Ids, by_caption: Ids) -> Repeats:
    """Count the rows of one part. by_image: (n, 2), photo and caption of every row whose photo is of the part;
    by_caption: (m, 2), caption and photo of every row whose caption is.
    """
    images, pairs = _count(by_image)
    captions, _ = _count(by_caption)
    return Repeats(Repeated(*images), Repeated(*captions), RepeatedPairs(*pairs))


def _count(pairs: Ids) -> tuple[Ids, Ids]:
    """(3, r): repeated first numbers, their rows, their distinct seconds; (3, p): repeated pairs and their rows."""
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    new = np.diff(pairs, axis=0, prepend=pairs[:1]) != 0
    new[:1] = True
    pair_starts = np.flatnonzero(new.any(axis=1))
    first, second = pairs[pair_starts].T
    pair_rows = np.diff(pair_starts, append=len(pairs))
    starts = np.flatnonzero(new[pair_starts, 0])
    partners = np.diff(starts, append=len(pair_starts))
    rows = np.diff(pair_starts[starts], append=len(pairs))
    many, often = rows > 1, pair_rows > 1
    return (
        np.stack([first[starts], rows, partners])[:, many],
        np.stack([first, second, pair_rows])[:, often],
    )


def _looked_up(ids: Ids, counts: Counts, wanted: Ids) -> Counts:
    place = np.searchsorted(ids, wanted)
    found = np.flatnonzero(place < len(ids))
    found = found[np.asarray(ids[place[found]]) == wanted[found]]
    told = np.ones(len(wanted), dtype=np.int64)
    told[found] = counts[place[found]]
    return told
