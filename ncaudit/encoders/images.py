"""From the bytes of an image to the pixels an encoder wants.

Knows PIL and numpy only: it runs in worker processes that must not pay for torch. Normalisation is the encoder's.
"""

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ncaudit.encoders.image_work import Metered, TooMuchWork, require_affordable, require_affordable_inside

DRAFT_SCALE = 2  # a JPEG is decoded at 1/2, 1/4 or 1/8 while its sides stay this many times the target's
RESIZED_AREAS = 256  # of the target's: a sliver of 1 x 100,000 pixels is harmless until its short side becomes 224

# What the web serves. Other PIL plugins stay shut: captions and images are untrusted, and EPS alone runs Ghostscript.
_WANTED = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "ICO")
Image.init()
FORMATS = tuple(name for name in _WANTED if name in Image.OPEN)  # a PIL may be built without some

_RESAMPLING = {"bilinear": Image.Resampling.BILINEAR}  # open_clip takes anything else as bicubic
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_PILS_BOUND = threading.Lock()

WITHIN = "within"  # pictures for people: no encoder asks for it

UNFINISHED = "image_unfinished"  # as the schema has it, whose arrow types these processes must not pay for


@dataclass(frozen=True)
class Preprocess:
    """How open_clip prepares an image for one model: its `PreprocessCfg`, hashable and free of torch."""

    size: tuple[int, int]  # height, width in pixels
    mode: str = "RGB"
    mean: tuple[float, ...] = (0.48145466, 0.4578275, 0.40821073)  # per channel, of pixels in [0, 1]
    std: tuple[float, ...] = (0.26862954, 0.26130258, 0.27577711)
    interpolation: str = "bicubic"
    resize_mode: str = "shortest"  # or longest, squash; or ours: within, at most this size and neither cut nor padded
    fill_color: int = 0

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Preprocess":
        """From open_clip's own settings, where `size` may be one number and mean and std lists."""
        size = config["size"]
        height, width = (size, size) if isinstance(size, int) else (size[0], size[-1])
        more = {"mean": _triple(config["mean"]), "std": _triple(config["std"]), "size": (int(height), int(width))}
        return cls(**{**config, **more})


@dataclass(frozen=True)
class Decoded:
    """An image as the encoder wants it: pixels (height, width, 3) uint8, and the original's size in pixels."""

    pixels: NDArray[np.uint8]
    width: int
    height: int


class ImageError(Exception):
    """An image without pixels: the row's status, and why in words that are the same in every run.

    One status is not the image's own doing: `UNFINISHED`, of an image that another run may well decode.
    """

    def __init__(self, status: str, detail: str) -> None:
        super().__init__(status, detail)
        self.status = status
        self.detail = detail


def decode(data: bytes, preprocess: Preprocess, max_pixels: int) -> Decoded:
    """The pixels of one image, equal to open_clip's `preprocess_val` before normalisation.

    Equal also in what one may not expect: EXIF orientation is not applied, and conversion to RGB comes after resizing,
    so that a palette image is resized without blending. Only large JPEGs differ, see `DRAFT_SCALE`.
    max_pixels: width times height above which nothing is decoded; `image_work` bounds what the rest may take.
    Raises ImageError: image_too_large, image_undecodable, image_unfinished.
    """
    with opened(data, max_pixels) as image:
        return _decoded(image, preprocess)


@contextmanager
def opened(data: bytes, max_pixels: int) -> Iterator[Image.Image]:
    """An image by its header, in a format of `FORMATS`, of bounded size and work. What the block raises is its fault.

    Raises ImageError as `decode` does.
    """
    if not data:
        raise ImageError("image_undecodable", "0 bytes")
    try:
        require_affordable_inside(data, max_pixels)
        # PIL's own bound is one for the whole process, whatever the user allows
        with _without_pils_bound(), Image.open(file := Metered(data), formats=FORMATS) as image:
            _require_at_most(max_pixels, *image.size, "")
            require_affordable(image, file, max_pixels)
            yield image
    except ImageError:
        raise
    except TooMuchWork as error:
        raise ImageError("image_too_large", _words(error)) from None
    except MemoryError:  # the machine's fault, not the image's
        raise ImageError(UNFINISHED, "there was no memory to decode it") from None
    except UnidentifiedImageError:
        found = "a web page (HTML), no image" if _is_page(data) else "no image format that is known"
        raise ImageError("image_undecodable", f"{found}: starts with {data[:16]!r}") from None
    except Exception as error:  # fed hostile bytes, decoders raise anything: SyntaxError, struct.error, …
        raise ImageError("image_undecodable", _words(error)) from None


@contextmanager
def _without_pils_bound() -> Iterator[None]:
    with _PILS_BOUND:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _is_page(data: bytes) -> bool:
    """What a server sends when it has no image: often saved as one."""
    return data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype html", b"<html"))


def _decoded(image: Image.Image, preprocess: Preprocess) -> Decoded:
    width, height = image.size
    target = _resized(width, height, preprocess)
    _require_at_most(RESIZED_AREAS * preprocess.size[0] * preprocess.size[1], *target, "resized: ")
    resized = _resize(image, target, _resampling(preprocess))
    pixels = np.array(_center(resized, preprocess).convert(preprocess.mode))
    return Decoded(pixels, width, height)


def _require_at_most(max_pixels: int, width: int, height: int, what: str) -> None:
    if width * height > max_pixels:
        raise ImageError("image_too_large", f"{what}{width} x {height} pixels, allowed are {max_pixels}")


def _resized(width: int, height: int, preprocess: Preprocess) -> tuple[int, int]:
    """Width and height after resizing, before cropping or padding; rounded as torchvision or open_clip rounds them."""
    target_height, target_width = preprocess.size
    if preprocess.resize_mode == "squash":
        return target_width, target_height
    if preprocess.resize_mode == WITHIN:
        ratio = max(1.0, height / target_height, width / target_width)
        return max(1, round(width / ratio)), max(1, round(height / ratio))
    if preprocess.resize_mode == "shortest" and target_height == target_width:
        short, long = min(width, height), max(width, height)
        longer = int(target_width * long / short)
        return (target_width, longer) if width <= height else (longer, target_width)
    fit = max if preprocess.resize_mode == "longest" else min
    ratio = fit(height / target_height, width / target_width)
    return max(1, round(width / ratio)), max(1, round(height / ratio))


def _resampling(preprocess: Preprocess) -> Image.Resampling:
    square = preprocess.size[0] == preprocess.size[1]
    if preprocess.resize_mode == "shortest" and not square:
        return Image.Resampling.BICUBIC  # open_clip forgets the interpolation there
    return _RESAMPLING.get(preprocess.interpolation, Image.Resampling.BICUBIC)


def _resize(image: Image.Image, target: tuple[int, int], resampling: Image.Resampling) -> Image.Image:
    if image.size == target:
        image.load()
        return image
    drafted = image.draft(image.mode, (target[0] * DRAFT_SCALE, target[1] * DRAFT_SCALE))
    box = None if drafted is None else drafted[1]  # the whole original in drafted pixels: its sides may end inside one
    return image.resize(target, resampling, box=box)


def _center(image: Image.Image, preprocess: Preprocess) -> Image.Image:
    """The middle of the image at the target's size, padded where the image is smaller."""
    if preprocess.resize_mode in ("squash", WITHIN):
        return image
    height, width = preprocess.size
    if image.width < width or image.height < height:
        image = _pad(image, max(width, image.width), max(height, image.height), preprocess.fill_color)
    left, top = round((image.width - width) / 2.0), round((image.height - height) / 2.0)
    return image.crop((left, top, left + width, top + height))


def _pad(image: Image.Image, width: int, height: int, fill: int) -> Image.Image:
    canvas = Image.new(image.mode, (width, height), _fill(image.mode, fill))
    if image.mode == "P" and image.palette is not None:
        canvas.putpalette(image.palette)
    canvas.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    return canvas


def _fill(mode: str, fill: int) -> int | tuple[int, ...]:
    bands = len(Image.new(mode, (1, 1)).getbands())
    return fill if bands == 1 else (fill,) * bands


def _triple(values: float | list[float] | tuple[float, ...]) -> tuple[float, ...]:
    return (float(values),) * 3 if isinstance(values, int | float) else tuple(float(v) for v in values)


def _words(error: Exception) -> str:
    """The error's first line, without addresses in memory: a rerun must write the same bytes."""
    lines = str(error).splitlines()
    return _ADDRESS.sub("", lines[0] if lines else type(error).__name__)
