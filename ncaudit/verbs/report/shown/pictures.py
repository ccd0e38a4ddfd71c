"""The pictures of a page: small WebP files as data addresses, decoded by the pool at reduced scale.

Knows images and pairs of the dataset; nothing of HTML. People see what the model saw: EXIF rotation is not applied.
"""

import base64
import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from ncaudit.encoders.decode_pool import DecodePool, default_workers
from ncaudit.encoders.images import WITHIN, Decoded, Preprocess
from ncaudit.options import ReportOptions
from ncaudit.progress import Progress
from ncaudit.shards.tables.pairs_in_data import Dataset, InData, Wanted

PICTURES = "pictures"  # a stage
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
    """What the dataset has of a pair. sizes: the pictures by their longest side, none where there is no image."""

    sizes: Mapping[int, Picture]
    caption: str | None
    problem: str | None  # why there is no picture


@dataclass
class Pictures:
    """All pictures of a page, by their row's place among all. asked: whether there is a dataset to take them from."""

    asked: bool
    found: dict[int, Shown]

    @property
    def count(self) -> int:
        """Pairs with a picture."""
        return sum(1 for one in self.found.values() if one.sizes)

    @property
    def failed(self) -> int:
        """Pairs without one."""
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
            place: Shown({size: one.shrunk() for size, one in shown.sizes.items()}, shown.caption, shown.problem)
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
    wanted: Mapping[int, Wanted],
    sizes: Mapping[int, Collection[int]],
    options: ReportOptions,
    progress: Progress,
) -> Pictures:
    """Read and decode the pictures of some rows. sizes: the longest sides wanted of each.

    Both by the row's place among all. Raises BadTable where the dataset is not what was scored.
    """
    if dataset is None or not wanted:
        return Pictures(dataset is not None, {})
    progress.stage(PICTURES, len(wanted), "pictures")
    found, places = dict[int, Shown](), list(wanted)
    with DecodePool(_workers(options, len(wanted))) as pool:
        pending: dict[int, InData] = {}
        for number, pair in dataset.pairs(list(wanted.values())):
            pending[places[number]] = pair
            if len(pending) == AT_ONCE:
                found |= _decoded(pool, pending, sizes, options)
                progress.advance(len(pending))
                pending = {}
        found |= _decoded(pool, pending, sizes, options)
        progress.advance(len(pending))
    return Pictures(True, found)


def _workers(options: ReportOptions, pictures: int) -> int:
    if options.workers is not None:
        return options.workers
    return max(1, min(default_workers(), pictures // FEWER_WORKERS))


def _decoded(
    pool: DecodePool, pairs: Mapping[int, InData], sizes: Mapping[int, Collection[int]], options: ReportOptions
) -> dict[int, Shown]:
    task = Preprocess((LARGE, LARGE), resize_mode=WITHIN)
    images = {place: pair.image for place, pair in pairs.items() if pair.image is not None}
    results = pool.submit(list(images.values()), task, options.max_image_pixels).results()
    outcomes, found = dict(zip(images, results, strict=True)), {}
    for place, pair in pairs.items():
        outcome = outcomes.get(place)
        if isinstance(outcome, Decoded):
            found[place] = Shown(_encodings(outcome, sizes[place]), pair.caption, None)
        else:
            why = pair.missing if outcome is None else f"{outcome.status}: {outcome.detail}"
            found[place] = Shown({}, pair.caption, why)
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
