"""Small images, as the bytes of a file: of one colour, or of what chance draws."""

import io
from typing import Any

import numpy as np
from PIL import Image


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """The file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def of_one_colour(colour: tuple[int, int, int], size: tuple[int, int], kind: str = "PNG") -> bytes:
    """Cheap to make and to tell apart."""
    return encoded(Image.new("RGB", size, colour), kind)


def drawn(seed: int, size: tuple[int, int], kind: str = "PNG", **options: Any) -> bytes:
    """Four by four random colours, blurred to this (width, height): an encoder sees another photo for every seed."""
    colours = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    return encoded(Image.fromarray(colours).resize(size), kind, **options)
