"""The images of a dataset by a sample of them: formats, sizes by their headers, and whether a resize added borders.

Knows rows of pairs and PIL; nothing of tables of ours.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ncaudit.encoders.images import ImageError, opened
from ncaudit.errors import BadTable
from ncaudit.options import DataOptions
from ncaudit.shards.columns import Columns
from ncaudit.shards.dataset.rows import read_rows
from ncaudit.shards.files.shard import Shard

SAMPLED = 64  # images per run
SHARDS = 16  # at most so many shards are opened for them
RESIZED = (256, 256)  # what img2dataset makes of every image unless told otherwise, the rest filled with white
WHITE = 250  # of 255: JPEG leaves white not quite white
BORDERED = 0.25  # share of 256 x 256 images with white along two opposite sides that is no accident


@dataclass(frozen=True, kw_only=True)
class ImageSample:
    """What the first rows of some shards hold. Sizes in pixels: smallest, median and largest."""

    sampled: int  # pairs looked at
    read: int  # of them, images whose header could be read
    formats: Mapping[str, int]
    width: tuple[int, int, int] | None
    height: tuple[int, int, int] | None
    problems: Mapping[str, int]  # by status, as `embed` would give it
    first_problem: str | None
    bordered: bool  # img2dataset's default resize is likely: 256 x 256 images with white borders


def sample_images(shards: Sequence[tuple[Shard, Columns]], image_root: str | None) -> ImageSample:
    """Look at up to 64 images, the first rows of up to 16 shards that are spread over the dataset.

    A shard that cannot be read adds nothing. image_root: as in `read_rows`.
    """
    places = np.unique(np.linspace(0, max(0, len(shards) - 1), SHARDS).astype(int)).tolist() if shards else []
    seen = _Seen()
    for place in places:
        shard, columns = shards[place]
        wanted = -(-SAMPLED // len(places))
        try:
            _look(seen, shard, columns, wanted, image_root)
        except BadTable:
            continue
    return seen.summary()


def _look(seen: "_Seen", shard: Shard, columns: Columns, wanted: int, image_root: str | None) -> None:
    for rows in read_rows(shard, columns, rows=min(wanted, 8), image_root=image_root):
        known: set[int] = set()  # rows with several captions come several times
        for i, row in enumerate(rows.row.tolist()):
            if row in known:
                continue
            known.add(row)
            status = rows.status[i] if rows.status[i] != "caption_missing" else None
            seen.add(rows.images[i], status, f"{shard.name} row {row}: {rows.detail[i] or status}")
            wanted -= 1
            if not wanted:
                return


class _Seen:
    """Collects what is found."""

    def __init__(self) -> None:
        self.sampled = self.edges = self.white_edges = 0
        self.sizes: list[tuple[int, int]] = []
        self.formats: Counter[str] = Counter()
        self.problems: Counter[str] = Counter()
        self.first_problem: str | None = None

    def add(self, image: bytes | None, status: str | None, told: str) -> None:
        self.sampled += 1
        if image is None or status is not None:
            self._problem(status or "image_missing", told)
            return
        try:
            with opened(image, DataOptions.max_image_pixels) as picture:
                self.sizes.append(picture.size)
                self.formats[picture.format or "unknown"] += 1
                if picture.size == RESIZED:
                    self.edges += 1
                    self.white_edges += _has_white_sides(np.asarray(picture.convert("L")))
        except ImageError as error:
            kind = f"starts with {image[:12]!r}" if image else "0 bytes"
            said = kind if error.status == "image_undecodable" else error.detail
            self._problem(error.status, f"{told.rsplit(': ', 1)[0]}: {said}")

    def summary(self) -> ImageSample:
        all_resized = bool(self.sizes) and len(self.sizes) == self.edges
        return ImageSample(
            sampled=self.sampled,
            read=len(self.sizes),
            formats=dict(self.formats.most_common()),
            width=_spread([width for width, _ in self.sizes]),
            height=_spread([height for _, height in self.sizes]),
            problems=dict(self.problems),
            first_problem=self.first_problem,
            bordered=all_resized and self.white_edges >= BORDERED * self.edges,
        )

    def _problem(self, status: str, told: str) -> None:
        self.problems[status] += 1
        self.first_problem = self.first_problem or told


def _has_white_sides(grey: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> bool:
    """(h, w) grey values: whether top and bottom, or left and right, are white all along."""
    ends = (grey[[0, -1], :], grey[:, [0, -1]])
    return any(bool((end >= WHITE).all()) for end in ends)


def _spread(values: Sequence[int]) -> tuple[int, int, int] | None:
    return (min(values), int(np.median(values)), max(values)) if values else None
