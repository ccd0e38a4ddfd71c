"""A few kilobytes do not buy hours: what is too much work is said before it is done, whatever the machine does else."""

import struct
import time
import warnings
import zlib

import pytest
from PIL import Image

from ncaudit.encoders import images
from ncaudit.encoders.image_work import scans
from ncaudit.encoders.images import FORMATS, ImageError, Preprocess, decode
from ncaudit.schema import STATUSES, UNFINISHED
from tests.worlds.images import encoded

MANY = 100_000_000
SCAN = b"\xff\xda\x00\x08\x01\x01\x00\x3f\x3f\x10"  # refines all of the luminance, with nothing behind it


def progressive(side, more=0):
    """A progressive JPEG with the ten scans that libjpeg makes, and `more`."""
    data = encoded(Image.new("RGB", (side, side), (90, 120, 30)), "JPEG", progressive=True, quality=10)
    return data[:-2] + SCAN * more + data[-2:]


def refusal(data, allowed=MANY):
    begun = time.process_time()
    with pytest.raises(ImageError) as caught:
        decode(data, Preprocess((32, 32)), allowed)
    assert time.process_time() - begun < 5
    return caught.value


def size(data, allowed=MANY):
    decoded = decode(data, Preprocess((32, 32)), allowed)
    return decoded.width, decoded.height


def test_scans_are_counted_as_a_decoder_meets_them():
    data = progressive(64)
    preview = b"\xff\xe1" + struct.pack(">H", 2 + 40) + SCAN * 4
    assert scans(data) == 10
    assert scans(data[:2] + preview + data[2:]) == 10  # those in a segment are of another picture
    assert scans(data[:-2] + SCAN * 7 + data[-2:]) == 17
    assert scans(data[:-2] + SCAN.replace(b"\xff", b"\xff" * 5) + b"rubbish" + SCAN + data[-2:]) == 12
    assert scans(data + SCAN * 7) == 10  # behind the end
    assert scans(encoded(Image.new("L", (64, 64)), "JPEG", restart_marker_blocks=1)) == 1
    assert scans(b"\xff\xd8\xff") == scans(b"") == 0


def test_a_large_jpeg_of_many_scans_is_refused_before_it_is_decoded():
    told = refusal(progressive(3_000, more=200), allowed=9_000_000)
    assert told.status == "image_too_large"
    # 210 scans, each of 188 x 188 blocks of 16 x 16 pixels and 4,096 more: 210 x 9,052,160
    assert told.detail == "decoding is the work of 1900953600 pixels, allowed are 844435456"


def test_scans_of_a_small_jpeg_or_of_previews_in_a_large_one_cost_nothing():
    data = progressive(3_000)
    previews = b"\xff\xe1" + struct.pack(">H", 2 + 6_000) + SCAN * 600
    assert size(progressive(64, more=1_000)) == (64, 64)
    assert size(data[:2] + previews + data[2:], allowed=9_000_000) == (3_000, 3_000)


def png_chunk(name, data=b""):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def test_parts_without_end_are_refused():
    png = encoded(Image.new("RGB", (16, 16)))
    gif = encoded(Image.new("P", (16, 16)), "GIF")
    at = gif.index(b",", 13)
    for data in (
        png[:33] + png_chunk(b"abCd") * 300_000 + png[33:],
        gif[:at] + b"\x21\xfe" + b"\x01a" * 1_000_000 + b"\0" + gif[at:],  # a comment, byte by byte
        b"P6\n#" + b"x" * 1_000_000 + b"\n1 1\n255\n\0\0\0",
    ):
        assert refusal(data).detail == "its parts are too many, or are read over and over"
    assert size(png[:33] + png_chunk(b"abCd") * 1_000 + png[33:]) == (16, 16)


def icon(inside, claims=32):
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, claims, claims, 0, 0, 1, 32, len(inside), 22) + inside


@pytest.mark.parametrize("side", [4_000, 60_000])
def test_an_icon_is_as_large_as_what_is_inside(side):
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT") + png_chunk(b"IEND")
    bitmap = struct.pack("<IiiHHIIiiII", 40, side, 2 * side, 1, 8, 1, 0, 0, 0, 0, 0) + bytes(1024)
    for inside in (png, bitmap):
        told = refusal(icon(inside))
        assert (told.status, told.detail[:7]) == ("image_too_large", "inside:")


def test_icons_of_both_kinds_open():
    picture = Image.new("RGBA", (64, 64), (1, 2, 3, 4))
    for kind in ("png", "bmp"):
        assert size(encoded(picture, "ICO", bitmap_format=kind, sizes=[(64, 64)])) == (64, 64)


def test_what_is_decoded_in_python_is_bounded_by_what_python_can_do():
    bitmap = bytearray(encoded(Image.new("P", (4_000, 4_000)), "BMP"))
    struct.pack_into("<I", bitmap, 30, 1)  # packed
    for data in (bytes(bitmap[:1078]) + b"\0\0" * 4_000 + b"\0\1", b"P5 4000 4000 200\n" + bytes(16_000_000)):
        assert refusal(data).status == "image_too_large"
    assert size(b"P5 400 400 200\n" + bytes(160_000)) == (400, 400)
    assert size(b"P5 4000 4000 255\n" + bytes(16_000_000)) == (4_000, 4_000)  # as it is: decoded at once


def tiff(tags, rest=b""):
    """A TIFF of one grey pixel row, but for what `tags` say. Values: (type, count, value)."""
    plain = {256: (4, 1, 16), 257: (4, 1, 16), 258: (3, 1, 8), 259: (3, 1, 8), 262: (3, 1, 1), 277: (3, 1, 1)}
    entries = sorted({**plain, **tags}.items())
    packed = b"".join(struct.pack("<HHI", tag, kind, count) + struct.pack("<I", v) for tag, (kind, count, v) in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + packed + bytes(4) + rest


def test_the_tiles_of_a_tiff_are_counted_at_their_whole_size():
    one = {322: (4, 1, 65_520), 323: (4, 1, 65_520), 324: (4, 1, 200), 325: (4, 1, 9)}
    assert refusal(tiff(one)).status == "image_too_large"


def test_the_strips_of_a_tiff_hold_no_more_than_the_file_many_times_over():
    count, entries = 2_000, 10
    behind = 8 + 2 + 12 * entries + 4
    starts, sizes = struct.pack("<I", behind) * count, struct.pack("<I", 20_000) * count
    told = {257: (4, 1, count), 273: (4, count, behind), 278: (4, 1, 1), 279: (4, count, behind + 4 * count)}
    more = {277: (3, 1, 1), 284: (3, 1, 1)}
    assert "strips say that they hold" in refusal(tiff({**told, **more}, starts + sizes + bytes(20_000))).detail


@pytest.mark.parametrize("compression", ["raw", "jpeg", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_ordinary_tiffs_open(compression):
    assert size(encoded(Image.effect_noise((300, 200), 50), "TIFF", compression=compression)) == (300, 200)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_opens_at_the_size_that_is_just_allowed(kind):
    data = encoded(Image.effect_noise((32, 32), 50).convert("RGB"), kind)
    assert size(data, allowed=1_024) == (32, 32)
    assert refusal(data, allowed=1_023).status == "image_too_large"


@pytest.mark.parametrize("kind", ["DDS", "EPS", "ICNS", "PCX", "SGI", "TGA", "XBM", "PSD"])
def test_no_other_format_opens_whatever_pil_knows(kind):
    starts = {"PSD": b"8BPS\0\1" + bytes(100)}
    grey = Image.new("1" if kind == "XBM" else "RGB", (32, 32))
    data = starts.get(kind) or encoded(grey, kind)
    assert "no image format that is known" in refusal(data).detail


def test_what_is_allowed_is_allowed_whatever_pil_thinks_of_it_and_pil_is_left_as_it_was(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert size(encoded(Image.new("1", (100, 100)))) == (100, 100)
        refusal(b"<html>")
    assert Image.MAX_IMAGE_PIXELS == 1_000


def test_a_lack_of_memory_is_not_the_images_fault(monkeypatch):
    def full(*_):
        raise MemoryError

    monkeypatch.setattr(images, "_resize", full)
    assert refusal(encoded(Image.new("L", (64, 64)))).status == images.UNFINISHED == UNFINISHED
    assert UNFINISHED in STATUSES
