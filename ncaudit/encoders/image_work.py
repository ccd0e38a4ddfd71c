"""How much work the bytes of an image ask for, told before any of it is done: a few kilobytes can ask for hours.

Knows PIL's open images and the formats' own headers; nothing of models, of time or of how busy the machine is: what is
too much is a function of the bytes and of the pixels allowed, so that tables do not depend on load.
"""

import io
import re
import struct
from collections.abc import Callable, Iterator
from typing import Any

from PIL import Image

# The unit of work is one pixel of one scan of a JPEG without content, a tenth of a nanosecond.
WORK_PER_PIXEL = 64  # times the pixels allowed; the scans of a progressive JPEG are ten or twenty
WORK_ALWAYS = 2**28  # whatever is allowed: small bounds are for small images, not for those of few scans
SCAN_OVERHEAD = 4_096  # of setting up one scan
UNPACKING_COST = 8  # of one pixel in a strip or tile of a TIFF
PYTHON_COST = 1_000  # of one value of a pixel where PIL's decoder is written in Python
READ_TIMES, READ_ALWAYS = 4, 2**24  # bytes that may be read: so many times the file's own, and some more
READ_OVERHEAD = 256  # bytes that asking for a few costs as much as: a chunk without content is not free
STORED_TIMES = 16  # strips of a TIFF may say together that they hold so many times the file

_MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)
_ALONE = frozenset([0x01, *range(0xD0, 0xD8)])  # markers without a length: TEM, and restarts amid a scan
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_TILE_WIDTH, _TILE_LENGTH, _TILE_BYTES, _TILE_OFFSETS = 322, 323, 325, 324
_ROWS_PER_STRIP, _STRIP_BYTES, _STRIP_OFFSETS = 278, 279, 273
_ICON_START = b"\0\0\1\0"
_PNG_START = b"\x89PNG\r\n\x1a\n"


class TooMuchWork(Exception):
    """An image that asks for more than is allowed; in words that are the same in every run."""


class Metered(io.BytesIO):
    """The bytes of an image, which may be read a few times over but not for ever.

    Readers in Python take a file apart chunk by chunk, and follow what it says of where its parts lie: as many times as
    it likes, over the same bytes.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._left = READ_TIMES * len(data) + READ_ALWAYS

    def allow(self, times: int) -> None:
        """So many more times a few bytes may be asked for."""
        self._left += times * 2 * READ_OVERHEAD

    def read(self, size: int | None = -1, /) -> bytes:
        """As any file's. Raises TooMuchWork once too much was read."""
        found = super().read(size)
        self._left -= len(found) + READ_OVERHEAD
        if self._left < 0:
            raise TooMuchWork("its parts are too many, or are read over and over")
        return found


def require_affordable_inside(data: bytes, max_pixels: int) -> None:
    """Raises TooMuchWork for an icon that holds an image of more pixels than it may: PIL unpacks those to open it.

    data: the bytes of any image, not opened yet.
    """
    most = min(max_pixels, _allowed(max_pixels) // PYTHON_COST)  # packed bitmaps are among them
    for width, height in _inside(data):
        if width * height > most:
            raise TooMuchWork(f"inside: {width} x {height} pixels, allowed are {most}")


def require_affordable(image: Image.Image, file: Metered, max_pixels: int) -> None:
    """Raises TooMuchWork for an open image that would take out of all proportion to the pixels that are allowed.

    file: it was opened from. max_pixels: width times height allowed, which its size has been held against.
    """
    allowed = _allowed(max_pixels)
    asked = _WORK.get(image.format or "", _plain_work)(image, file.getvalue(), allowed)
    if asked > allowed:
        raise TooMuchWork(f"decoding is the work of {asked} pixels, allowed are {allowed}")
    if _in_python(image):
        file.allow(image.width * image.height)  # such decoders read pixel by pixel


def _allowed(max_pixels: int) -> int:
    return WORK_PER_PIXEL * max_pixels + WORK_ALWAYS


def scans(data: bytes) -> int:
    """How many scans a JPEG decoder would go through: each may visit every block again, and takes ten bytes to ask for.

    Markers are followed as libjpeg follows them: over rubbish between segments, up to the end of the image.
    """
    found, place = 0, 2
    while marker := _MARKER.search(data, place):
        code, place = marker[1][0], marker.end()
        if code in _ALONE:
            continue
        if code in (_START, _END) or place + 2 > len(data):
            break
        found += code == _SCAN
        place += max(2, int.from_bytes(data[place : place + 2]))
    return found


def _scanned(data: bytes, width: int, height: int, allowed: int) -> int:
    """The work of a JPEG's scans."""
    each = _padded(width, height, 16) + SCAN_OVERHEAD
    most = data.count(b"\xff\xda")  # of previews and profiles too; quicker than following the markers
    return each * max(1, most if most * each <= allowed else scans(data))


def _padded(width: int, height: int, block: int) -> int:
    return -(-width // block) * -(-height // block) * block * block


def _jpeg_work(image: Image.Image, data: bytes, allowed: int) -> int:
    return _scanned(data, *image.size, allowed)


def _plain_work(image: Image.Image, data: bytes, allowed: int) -> int:
    return image.width * image.height * (PYTHON_COST * len(image.getbands()) if _in_python(image) else 1)


def _in_python(image: Image.Image) -> bool:
    tiles: Any = getattr(image, "tile", ())
    return any(tile[0] in Image.DECODERS for tile in tiles)  # the registry of those that are written in Python


def _tiff_work(image: Image.Image, data: bytes, allowed: int) -> int:
    """Of all strips or tiles at their whole size: libtiff unpacks each as it is, however little of it is seen."""
    tags: Any = image.tag_v2  # type: ignore[attr-defined]
    tiled = _TILE_OFFSETS in tags
    width, height = (tags.get(_TILE_WIDTH, 0), tags.get(_TILE_LENGTH, 0)) if tiled else (image.width, image.height)
    height = height if tiled else max(1, min(int(tags.get(_ROWS_PER_STRIP, height)), height))
    starts = _numbers(tags.get(_TILE_OFFSETS if tiled else _STRIP_OFFSETS))
    sizes = _numbers(tags.get(_TILE_BYTES if tiled else _STRIP_BYTES))
    if sum(sizes) > STORED_TIMES * len(data) + READ_ALWAYS:
        raise TooMuchWork(f"{len(sizes)} strips say that they hold {sum(sizes)} bytes, the file has {len(data)}")
    plain = len(starts) * width * height * UNPACKING_COST
    if plain > allowed or image.info.get("compression") not in ("jpeg", "tiff_jpeg"):
        return plain
    parts = (data[start : start + size] for start, size in zip(starts, sizes, strict=False))
    return sum(_scanned(part, width, height, allowed) for part in parts)


def _numbers(value: Any) -> tuple[int, ...]:
    return tuple(int(v) for v in value) if isinstance(value, tuple) else () if value is None else (int(value),)


def _inside(data: bytes) -> Iterator[tuple[int, int]]:
    """Sizes of the images in an icon: those tell how much is decoded, whatever the icon says of itself."""
    if not data.startswith(_ICON_START) or len(data) < 6:
        return
    for entry in range(struct.unpack_from("<H", data, 4)[0]):
        if 22 + 16 * entry <= len(data):
            (start,) = struct.unpack_from("<I", data, 6 + 16 * entry + 12)
            yield _size_inside(data[start : start + 26])


def _size_inside(header: bytes) -> tuple[int, int]:
    if len(header) < 26:
        return 0, 0  # cut: the decoder will say so
    if header.startswith(_PNG_START):
        width, height = struct.unpack_from(">II", header, 16)
        return width, height
    long = int.from_bytes(header[:4], "little") != 12  # else the first bitmaps' own, with 16 bits for each side
    width, height = struct.unpack_from("<ii" if long else "<HH", header, 4)
    return abs(width), abs(height) // 2  # the mask lies below the picture


_WORK: dict[str, Callable[[Image.Image, bytes, int], int]] = {
    "JPEG": _jpeg_work,
    "MPO": _jpeg_work,  # several JPEGs, of which the first is decoded
    "TIFF": _tiff_work,
}
