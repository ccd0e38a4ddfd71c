"""How often each photo and each caption occurs over all shards: exact counts in bounded memory.

Knows the numbers that tables give to photos and captions; nothing of what repeats mean for a pair.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from types import TracebackType

import numpy as np
import numpy.typing as npt

from ncaudit.hashing import hash_values
from ncaudit.progress import SILENT, Progress
from ncaudit.shards.tables.embeddings import EmbeddingTable

Ids = npt.NDArray[np.int64]
Counts = npt.NDArray[np.int64]

IN_MEMORY_ROWS = 1_000_000  # 16 MB of numbers
ROWS_PER_BUCKET = 1 << 20
MAX_BUCKET_BITS = 10
SPILL_ROWS = 1 << 18


@dataclass(frozen=True)
class Repeated:
    """The photos (or captions) that occur in more than one row."""

    ids: Ids  # (r,), ascending
    rows: Counts  # (r,): in how many rows, 2 or more
    partners: Counts  # (r,): with how many distinct captions (or photos), 1 or more


@dataclass(frozen=True)
class Repeats:
    """How often photos and captions occur among the counted rows. What was met once, or never, counts as 1.

    All methods take ids as `EmbeddingBatch` has them, (n,) int64, and return (n,) int64, each at least 1.
    """

    images: Repeated
    captions: Repeated
    pair_keys: Ids  # (p,), ascending: pairs of photo and caption that occur in more than one row, see `_pair_keys`
    pair_rows: Counts  # (p,)

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
        keys = _pair_keys(self.images.ids, self.captions.ids, image_id, caption_id)
        return _looked_up(self.pair_keys, self.pair_rows, keys)


def count_repeats(tables: Sequence[EmbeddingTable], progress: Progress = SILENT) -> Repeats:
    """Count photos, captions and pairs over the ok rows of all tables (see `EmbeddingTable.identities`).

    Where there are many rows, their numbers go to bucket files in a temporary folder (32 bytes per row, below
    TMPDIR), and each bucket is counted alone. So memory is bounded by one bucket, about a million rows up to a
    thousand million rows in all, plus 24 bytes per photo, caption and pair that repeats. A bucket cannot be smaller
    than the rows of its most frequent photo or caption.
    """
    rows = sum(table.rows for table in tables)
    progress.stage("count repeats", rows)
    bits = 0 if rows < IN_MEMORY_ROWS else min(MAX_BUCKET_BITS, (rows // ROWS_PER_BUCKET).bit_length())
    return count_pairs(_identities(tables, progress), bits)


def count_pairs(pairs: Iterable[tuple[Ids, Ids]], bucket_bits: int = 0) -> Repeats:
    """Count (image_id, caption_id) arrays, in memory or in 2**bucket_bits buckets: the result is the same.

    >>> photo, caption = np.array([7, 7, 8]), np.array([1, 1, 1])
    >>> repeats = count_pairs([(photo, caption)])
    >>> repeats.image_count(photo), repeats.images_of_caption(caption), repeats.pair_count(photo, caption)
    (array([2, 2, 1]), array([2, 2, 2]), array([2, 2, 1]))
    """
    with _Buckets(bucket_bits) as by_image, _Buckets(bucket_bits) as by_caption:
        for image_id, caption_id in pairs:
            by_image.add(image_id, caption_id)
            by_caption.add(caption_id, image_id)
        images, repeated_pairs = _count(by_image)
        captions, _ = _count(by_caption)
    keys = _pair_keys(images.ids, captions.ids, repeated_pairs[0], repeated_pairs[1])
    order = np.argsort(keys)
    return Repeats(images, captions, keys[order], repeated_pairs[2][order])


@dataclass(frozen=True)
class SharedNames:
    """Rows whose pair_id another row has too."""

    rows: int
    first: str  # the first such name
    path: str  # of the table that has it first


def count_shared_names(tables: Sequence[EmbeddingTable]) -> SharedNames | None:
    """The rows of these tables that share their name with others; None where there are none.

    Tables of `embed` are not looked at: it gives no name twice, nor do we where a table has no names.
    """
    named = [table for table in tables if (table.provenance or {}).get("verb") != "embed" and table.names_pairs]
    rows = sum(table.rows for table in named)
    with _Buckets(0 if rows < IN_MEMORY_ROWS else min(MAX_BUCKET_BITS, (rows // ROWS_PER_BUCKET).bit_length())) as by:
        for ids in (hash_values(names) for table in named for names in table.names()):
            by.add(ids, ids)
        shared, _ = _count(by)
    return None if not len(shared.ids) else _shared_names(named, shared)


def _shared_names(tables: Sequence[EmbeddingTable], shared: Repeated) -> SharedNames:
    for table in tables:
        for names in table.names():
            repeated = np.isin(hash_values(names), shared.ids)
            if repeated.any():
                return SharedNames(int(shared.rows.sum()), str(names[int(repeated.argmax())]), table.shard.path)
    raise AssertionError("what was counted is there")


def _identities(tables: Sequence[EmbeddingTable], progress: Progress) -> Iterator[tuple[Ids, Ids]]:
    for table in tables:
        ok = 0
        for image_id, caption_id in table.identities():
            yield image_id, caption_id
            ok += len(image_id)
            progress.advance(len(image_id))
        progress.advance(table.rows - ok, table.rows - ok)


class _Buckets(AbstractContextManager["_Buckets"]):
    """Two columns of numbers, spread over files by the high bits of the first; 0 bits: one part, held in memory."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._folder = TemporaryDirectory(prefix="ncaudit-") if bits else None
        self._held: list[Ids] = []
        self._held_rows = 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held = []
        if self._folder is not None:
            self._folder.cleanup()

    def add(self, first: Ids, second: Ids) -> None:
        self._held.append(np.stack([first, second], axis=1))
        self._held_rows += len(first)
        if self._folder is not None and self._held_rows >= SPILL_ROWS:
            self._spill()

    def parts(self) -> Iterator[Ids]:
        """(rows, 2) of each bucket; the first numbers of one are below those of the next."""
        if self._folder is None:
            yield self._joined()
            return
        self._spill()
        for part in range(1 << self._bits):
            if os.path.exists(path := self._path(part)):
                yield np.fromfile(path, dtype=np.int64).reshape(-1, 2)

    def _spill(self) -> None:
        pairs = self._joined()
        self._held, self._held_rows = [], 0
        part = (pairs[:, 0] >> (64 - self._bits)) + (1 << (self._bits - 1))  # hashes: every part gets its share
        order = np.argsort(part, kind="stable")
        edges = np.searchsorted(part[order], np.arange((1 << self._bits) + 1))
        for number in np.flatnonzero(np.diff(edges)).tolist():
            with open(self._path(number), "ab") as file:
                pairs[order[edges[number] : edges[number + 1]]].tofile(file)

    def _joined(self) -> Ids:
        return np.concatenate([np.empty((0, 2), dtype=np.int64), *self._held])

    def _path(self, part: int) -> str:
        assert self._folder is not None
        return os.path.join(self._folder.name, str(part))


def _count(buckets: _Buckets) -> tuple[Repeated, Ids]:
    """The repeated first numbers, ascending; and the repeated pairs as (3, p): first, second, rows."""
    parts = [_count_part(pairs) for pairs in buckets.parts()]
    repeated = np.concatenate([np.empty((3, 0), dtype=np.int64), *(part[0] for part in parts)], axis=1)
    pairs = np.concatenate([np.empty((3, 0), dtype=np.int64), *(part[1] for part in parts)], axis=1)
    return Repeated(*repeated), pairs


def _count_part(pairs: Ids) -> tuple[Ids, Ids]:
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


def _pair_keys(images: Ids, captions: Ids, image_id: Ids, caption_id: Ids) -> Ids:
    """One number per pair, from the places of its photo and its caption among the repeated ones; -1 where one is not.

    A pair that repeats has both among them. Exact while there are less than 3e9 of each.
    """
    image, caption = _place(images, image_id), _place(captions, caption_id)
    return np.where((image < 0) | (caption < 0), -1, image * len(captions) + caption)


def _looked_up(ids: Ids, counts: Counts, wanted: Ids) -> Counts:
    place = _place(ids, wanted)
    return np.where(place < 0, 1, counts[place] if len(counts) else 1).astype(np.int64)


def _place(ids: Ids, wanted: Ids) -> Ids:
    """Where each wanted number is among the ascending ids; -1 where it is not."""
    place = np.searchsorted(ids, wanted)
    found = place < len(ids)
    found[found] = ids[place[found]] == wanted[found]
    return np.where(found, place, -1).astype(np.int64)
