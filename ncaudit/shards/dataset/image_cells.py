"""An image from whatever a cell holds: its bytes, bytes and a path, a path, base64 text, or a data: address.

Knows cells and how files of images begin; decodes no picture. Base64 is taken for an image, and not for a path, where
it says so (`data:image/jpeg;base64,…`) or where what it stands for begins like the file of an image: a path that does
so by chance has no dot and is as long as a picture.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

from ncaudit.shards.dataset.image_files import ImageFiles, Problem
from ncaudit.shards.files.image_bytes import begins_an_image

NO_IMAGE: Problem = ("image_missing", "null")
LEAST = 64  # characters of a picture in base64; the smallest GIF has 56, and nobody's photo is one
LOOKED_AT = 64  # characters by which it is told
OF_BASE64 = re.compile(r"[A-Za-z0-9+/_\-\s]+={0,2}\s*\Z")
DATA = "data:"
URL_SAFE = str.maketrans("-_", "+/")
BLANKS = re.compile(r"\s+")


def image_in(value: Any, files: ImageFiles) -> tuple[bytes | None, Problem | None]:
    """The encoded image, or why there is none. files: where paths lead."""
    if isinstance(value, dict):  # struct<bytes, path>: path-backed sets leave the bytes null
        value = value["bytes"] if value["bytes"] is not None else value["path"]
    if isinstance(value, bytes):
        return _of_bytes(value), None
    if not isinstance(value, str) or not value:
        return None, NO_IMAGE
    if is_encoded(value):
        return _decoded(value)
    return files.read(value)


def is_encoded(text: str) -> bool:
    """Whether a text is an image itself and not the path of one.

    >>> is_encoded("data:image/png;base64,iVBO"), is_encoded("/9j/photos/1.jpg")
    (True, False)
    """
    if text[: len(DATA)].lower() == DATA:
        return True
    head = BLANKS.sub("", text[: 2 * LOOKED_AT])[:LOOKED_AT]
    if len(text) < LEAST or OF_BASE64.match(head) is None:
        return False
    return begins_an_image(_from_base64(head[: len(head) // 4 * 4]) or b"")


def weight_of_text(values: Sequence[str | None], files: ImageFiles) -> int:
    """Bytes that the images of these cells take once they are read."""
    encoded = [value for value in values if value and is_encoded(value)]
    paths = [value for value in values if value and not is_encoded(value)]
    return sum(len(value) * 3 // 4 for value in encoded) + files.weight(paths)


def _of_bytes(value: bytes) -> bytes:
    """Bytes as they are, unless they are the letters of base64."""
    if len(value) < LEAST or begins_an_image(value) or not value[:LOOKED_AT].isascii():
        return value
    text = value.decode("ascii", "replace")
    return (_decoded(text)[0] if is_encoded(text) else None) or value


def _decoded(text: str) -> tuple[bytes | None, Problem | None]:
    """The image that a text is."""
    kind, content = "", text
    if text[: len(DATA)].lower() == DATA:
        kind, comma, content = text[len(DATA) :].partition(",")
        if not comma:
            return None, ("image_undecodable", "a data: address without content")
        if not kind.lower().rstrip().endswith(";base64"):
            return unquote_to_bytes(content), None
        content = content.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=")
    found = _from_base64(content)
    if found is None:
        return None, ("image_undecodable", f"base64 text of {len(content):,} characters that cannot be decoded")
    return found, None


def _from_base64(text: str) -> bytes | None:
    """What base64 stands for, in either of its alphabets, with or without padding and line breaks; None: it is none."""
    letters = BLANKS.sub("", text).translate(URL_SAFE).rstrip("=")
    try:
        return base64.b64decode(letters + "=" * (-len(letters) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
