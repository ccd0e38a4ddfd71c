"""The pictures of a page: small WebP files as data addresses, decoded by the pool at reduced scale.

Knows images and places in the dataset; nothing of HTML. People see what the model saw: EXIF rotation is not applied.
"""

import base64
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from ncaudit.encoders.decode_pool import DecodePool, default_workers
from ncaudit.encoders.images import WITHIN, Decoded, Preprocess
from ncaudit.options import ReportOptions
from ncaudit.progress import Progress
from ncaudit.verbs.report.found.data_rows import Dataset, Pair, Place, caption_number

LARGE, SMALL = 320, 144  # longest side in pixels
QUALITY = 72
AT_ONCE = 64  # pictures in the pool
FEWER_WORKERS = 4  # so many pictures at least for each process that is started
SHRINK = 0.85  # of the sides, until a page is small enough
LEAST = 64  # pixels


@dataclass(frozen=True)
class Picture:
    """An encoded picture with its size in pixels."""

    webp: bytes
    width: int
    height: int

    @property
    def url(self) -> str:
        """As a data address."""
        return f"data:image/webp;base64,{base64.b64encode(self.webp).decode()}"

    def shrunk(self) -> "Picture":
        """A smaller one."""
        with Image.open(io.BytesIO(self.webp)) as image:
            longest = max(LEAST, round(max(image.size) * SHRINK))
            return _encoded(np.asarray(image.convert("RGB")), longest)


@dataclass(frozen=True)
class Shown:
    """What the dataset has at a place. sizes: the pictures by their longest side, none where there is no image."""

    sizes: Mapping[int, Picture]
    captions: Sequence[str | None]
    problem: str | None  # why there is no picture

    def caption_of(self, pair_id: str | None) -> str | None:
        """The caption of one of the row's pairs."""
        return self.captions[caption_number(pair_id, len(self.captions))] if self.captions else None


@dataclass
class Pictures:
    """All pictures of a page. asked: whether there is a dataset to take them from."""

    asked: bool
    found: dict[Place, Shown]

    def at(self, place: Place | None) -> Shown | None:
        """What is there; None where nobody looked."""
        return None if place is None else self.found.get(place)

    @property
    def count(self) -> int:
        """Places with a picture."""
        return sum(1 for one in self.found.values() if one.sizes)

    @property
    def failed(self) -> int:
        """Places without one."""
        return len(self.found) - self.count

    @property
    def none_of_them(self) -> str | None:
        """What to say where not one picture could be read."""
        if self.count or not self.found:
            return None
        first = next(shown.problem for shown in self.found.values()) or ""
        root = " Relative paths start from --image-root." if first.startswith("image_missing") else ""
        return f"No picture of the rows shown could be read; each says why, the first: {first}.{root}"

    def shrunk(self) -> "Pictures":
        """All of them smaller."""
        found = {
            place: Shown({size: one.shrunk() for size, one in shown.sizes.items()}, shown.captions, shown.problem)
            for place, shown in self.found.items()
        }
        return Pictures(self.asked, found)

    @property
    def smallest(self) -> bool:
        """Whether no picture can shrink any more."""
        sides = [max(one.width, one.height) for shown in self.found.values() for one in shown.sizes.values()]
        return max(sides, default=0) <= LEAST


def take_pictures(
    dataset: Dataset | None,
    sizes: Mapping[Place, Collection[int]],
    captions: Mapping[Place, Mapping[int, str]],
    options: ReportOptions,
    progress: Progress,
) -> Pictures:
    """Read and decode what is at these places. sizes: the longest sides wanted of each.

    captions: as `Dataset.pairs` checks them. Raises BadTable where the dataset is not what was scored.
    """
    if dataset is None or not sizes:
        return Pictures(dataset is not None, {})
    progress.stage("pictures", len(sizes), "pictures")
    found: dict[Place, Shown] = {}
    with DecodePool(_workers(options, len(sizes))) as pool:
        pending: list[Pair] = []
        for pair in dataset.pairs(sizes, captions):
            pending.append(pair)
            if len(pending) == AT_ONCE:
                found |= _decoded(pool, pending, sizes, options)
                progress.advance(len(pending))
                pending = []
        found |= _decoded(pool, pending, sizes, options)
        progress.advance(len(pending))
    return Pictures(True, found)


def _workers(options: ReportOptions, pictures: int) -> int:
    if options.workers is not None:
        return options.workers
    return max(1, min(default_workers(), pictures // FEWER_WORKERS))


def _decoded(
    pool: DecodePool, pairs: Sequence[Pair], sizes: Mapping[Place, Collection[int]], options: ReportOptions
) -> dict[Place, Shown]:
    with_image = [pair for pair in pairs if pair.image is not None and pair.problem is None]
    task = Preprocess((LARGE, LARGE), resize_mode=WITHIN)
    images = [pair.image for pair in with_image if pair.image is not None]
    outcomes = dict(
        zip(
            (pair.place for pair in with_image),
            pool.submit(images, task, options.max_image_pixels).results(),
            strict=True,
        )
    )
    found = {}
    for pair in pairs:
        outcome = outcomes.get(pair.place)
        if isinstance(outcome, Decoded):
            found[pair.place] = Shown(_encodings(outcome, sizes[pair.place]), pair.captions, None)
        else:
            why = pair.problem if outcome is None else f"{outcome.status}: {outcome.detail}"
            found[pair.place] = Shown({}, pair.captions, why or "no image")
    return found


def _encodings(decoded: Decoded, sizes: Collection[int]) -> dict[int, Picture]:
    return {size: _encoded(decoded.pixels, size) for size in sorted(sizes)}


def _encoded(pixels: npt.NDArray[np.uint8], longest: int) -> Picture:
    image = Image.fromarray(pixels)
    if max(image.size) > longest:
        ratio = longest / max(image.size)
        sides = (max(1, round(image.width * ratio)), max(1, round(image.height * ratio)))
        image = image.resize(sides, Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "WEBP", quality=QUALITY, method=4)
    return Picture(file.getvalue(), image.width, image.height)
