"""Pixels are open_clip's own; what cannot be decoded says why, in the same words every time."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from ncaudit.encoders.images import WITHIN, ImageError, Preprocess, decode
from tests.worlds.images import encoded, of_one_colour

MANY = 100_000_000
PLAIN = {"mean": (0.0,) * 3, "std": (1.0,) * 3}


def picture(width, height, mode="RGB", seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (max(1, height // 8), max(1, width // 8), 3), np.uint8)
    image = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 200)
    return image.quantize(64) if mode == "P" else image.convert(mode)


def open_clips_pixels(data, config):
    floats = image_transform_v2(config, is_train=False)(Image.open(io.BytesIO(data)))
    return (floats * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()


def ours(config):
    return Preprocess.of({**vars(config)})


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("resize_mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("target", [48, (48, 32), (32, 48)])
@pytest.mark.parametrize("size", [(100, 60), (61, 99), (48, 48), (20, 33), (64, 31)])
def test_pixels_equal_open_clips_preprocess_val(size, target, resize_mode, interpolation):
    config = PreprocessCfg(size=target, resize_mode=resize_mode, interpolation=interpolation, fill_color=7, **PLAIN)
    for kind in ("PNG", "JPEG"):
        if kind == "JPEG" and min(size) >= 4 * min(np.atleast_1d(target)):
            continue  # decoded at reduced scale
        data = encoded(picture(*size), kind)
        decoded = decode(data, ours(config), MANY)
        np.testing.assert_array_equal(decoded.pixels, open_clips_pixels(data, config))
        assert (decoded.width, decoded.height) == size


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1", "I;16"])
@pytest.mark.parametrize("resize_mode", ["shortest", "longest", "squash"])
def test_every_pixel_format_becomes_rgb_as_in_open_clip(mode, resize_mode):
    config = PreprocessCfg(size=32, resize_mode=resize_mode, **PLAIN)
    data = encoded(picture(90, 50, mode), "TIFF" if mode == "CMYK" else "PNG")
    np.testing.assert_array_equal(decode(data, ours(config), MANY).pixels, open_clips_pixels(data, config))


def test_exif_orientation_is_left_alone_as_in_open_clip():
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn me by a quarter"
    data = encoded(picture(80, 40), "JPEG", exif=exif)
    config = PreprocessCfg(size=32, **PLAIN)
    decoded = decode(data, ours(config), MANY)
    assert (decoded.width, decoded.height) == (80, 40)
    np.testing.assert_array_equal(decoded.pixels, open_clips_pixels(data, config))


@pytest.mark.parametrize("resize_mode", ["shortest", "longest", "squash"])
def test_a_large_jpeg_at_reduced_scale_is_nearly_the_same_picture(resize_mode):
    data = encoded(picture(1601, 1203), "JPEG", quality=90)
    config = PreprocessCfg(size=64, resize_mode=resize_mode, **PLAIN)
    reduced = decode(data, ours(config), MANY)
    difference = np.abs(reduced.pixels.astype(int) - open_clips_pixels(data, config))
    assert (reduced.width, reduced.height) == (1601, 1203)
    assert difference.mean() < 1.0
    assert difference.any()  # it was reduced


def test_reduced_scale_never_goes_below_twice_the_target(monkeypatch):
    originals = [(1000, 700), (512, 512), (511, 511), (256, 255), (4000, 300)]
    files = [encoded(picture(*size), "JPEG") for size in originals]
    sizes = []
    resize = Image.Image.resize
    monkeypatch.setattr(
        Image.Image, "resize", lambda self, *a, **k: (sizes.append(self.size), resize(self, *a, **k))[1]
    )
    for data in files:
        decode(data, Preprocess((64, 64)), MANY)
    assert all(min(size) >= 2 * 64 for size in sizes)
    # a quarter, a quarter, a half (a quarter of 511 would be one pixel short), all, a half
    assert sizes == [(250, 175), (128, 128), (256, 256), (256, 255), (2000, 150)]


def test_what_is_no_image_says_what_it_starts_with():
    for data, words in [
        (b"<!DOCTYPE html><html>", "a web page (HTML), no image: starts with b'<!DOCTYPE html><'"),
        (b"\n<HTML><body>not found", "a web page (HTML)"),
        (b"", "0 bytes"),
        (b"\0" * 100, "starts with"),
    ]:
        with pytest.raises(ImageError) as caught:
            decode(data, Preprocess((32, 32)), MANY)
        assert caught.value.status == "image_undecodable"
        assert words in caught.value.detail
        assert " at 0x" not in caught.value.detail


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_a_truncated_file_is_undecodable(kind):
    data = encoded(picture(200, 200), kind)
    with pytest.raises(ImageError) as caught:
        decode(data[: len(data) // 2], Preprocess((32, 32)), MANY)
    assert caught.value.status == "image_undecodable"


def test_a_pixel_bomb_is_refused_before_it_is_decoded():
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    with pytest.raises(ImageError) as caught:
        decode(bomb, Preprocess((32, 32)), MANY)
    assert caught.value.status == "image_too_large"


def test_max_pixels_is_the_last_size_allowed():
    data = encoded(picture(40, 30))
    assert decode(data, Preprocess((32, 32)), 1200).width == 40
    with pytest.raises(ImageError, match="allowed are 1199"):
        decode(data, Preprocess((32, 32)), 1199)


def test_a_sliver_does_not_grow_into_a_bomb():
    data = encoded(Image.new("RGB", (1, 60_000)))
    with pytest.raises(ImageError) as caught:
        decode(data, Preprocess((224, 224)), MANY)
    assert caught.value.status == "image_too_large"
    assert decode(data, Preprocess((224, 224), resize_mode="longest"), MANY).pixels.shape == (224, 224, 3)


def test_postscript_is_not_run():
    with pytest.raises(ImageError, match="no image format that is known"):
        decode(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", Preprocess((32, 32)), MANY)


@given(
    position=st.integers(0, 10_000),
    junk=st.binary(min_size=1, max_size=40),
    kind=st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "BMP"]),
)
@settings(deadline=None, max_examples=150)
def test_damaged_bytes_give_pixels_or_a_status_and_nothing_else(position, junk, kind):
    data = bytearray(encoded(picture(60, 40), kind))
    position %= len(data)
    data[position : position + len(junk)] = junk
    try:
        outcome = decode(bytes(data), Preprocess((32, 32)), MANY).pixels.shape
    except ImageError as error:
        outcome = error.status
    assert outcome in ((32, 32, 3), "image_undecodable", "image_too_large")


@pytest.mark.parametrize(
    ("size", "shown"),
    [((640, 480), (320, 240)), ((100, 50), (100, 50)), ((10, 4_000), (1, 320)), ((320, 320), (320, 320))],
)
def test_pictures_for_people_shrink_and_are_neither_cut_nor_padded_nor_enlarged(size, shown):
    task = Preprocess((320, 320), resize_mode=WITHIN)
    pixels = decode(of_one_colour((9, 9, 9), size), task, 10**8).pixels
    assert (pixels.shape[1], pixels.shape[0]) == shown
