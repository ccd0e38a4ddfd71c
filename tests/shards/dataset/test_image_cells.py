"""An image is found in whatever a cell holds; base64 is told from paths by what it stands for."""

import base64
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncaudit.shards.dataset.image_cells import image_in, is_encoded, weight_of_text
from ncaudit.shards.dataset.image_files import files_below
from tests.worlds.images import drawn

KINDS = ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"]


@pytest.fixture
def files(tmp_path):
    (tmp_path / "A").mkdir()
    (tmp_path / "A/1.jpg").write_bytes(b"one")
    return files_below(str(tmp_path))


def spellings(image):
    plain = base64.b64encode(image).decode()
    lines = base64.encodebytes(image).decode()
    return [
        plain, plain.rstrip("="), lines, lines.replace("\n", "\r\n"), base64.urlsafe_b64encode(image).decode(),
        f" {plain}",
        f"data:image/x;base64,{plain}", f"DATA:image/x;charset=utf-8;BASE64,{plain}", f"data:;base64,{lines}",
        "data:image/x;base64," + plain.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D"),
        "data:image/x," + "".join(f"%{byte:02x}" for byte in image),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_every_spelling_is_the_same_image(files, kind, seed):
    image = drawn(seed, (16 + seed, 9), kind)
    for text in spellings(image):
        assert image_in(text, files) == (image, None)
        assert image_in({"bytes": None, "path": text}, files) == (image, None)
    letters = base64.b64encode(image)
    assert image_in(letters, files) == image_in(image, files) == (image, None)


PATHS = ["/9j/photos/1.jpg", "iVBORw0KGgo.png", "A/1.jpg", "/9j/" + "a" * 20, "R0lGODlh", "A" * 300, "ab" * 40 + ".jpg"]


@pytest.mark.parametrize("path", PATHS)
def test_paths_stay_paths(path):
    assert not is_encoded(path)


@settings(deadline=None)
@given(st.text("/abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=250).map(lambda stem: f"{stem}.jpg"))
def test_a_path_with_a_suffix_is_no_image(path):
    assert not is_encoded(path)


def test_what_cannot_be_decoded_is_told_in_few_words(files):
    broken = base64.b64encode(drawn(0, (40, 40), "JPEG")).decode()[:-3] + "é=="
    assert image_in(f"data:image/png;base64,{broken}", files)[1] == (
        "image_undecodable", f"base64 text of {len(broken):,} characters that cannot be decoded",
    )  # fmt: skip
    assert image_in("data:image/png;base64", files)[1] == ("image_undecodable", "a data: address without content")
    for text in ("x" * 100_000, "A/" + "y" * 5_000 + ".jpg", "http://" + "z" * 9_000):
        found, (status, detail) = image_in(text, files)
        assert (found, status) == (None, "image_missing")
        assert len(detail) < 300


def test_what_is_read_is_weighed(files):
    image = drawn(0, (40, 40), "PNG")
    assert weight_of_text(["A/1.jpg", None, ""], files) == 3
    assert len(image) <= weight_of_text([base64.b64encode(image).decode()], files) <= len(image) + 3


@pytest.mark.parametrize(("path", "found"), [("A\\1.jpg", b"one"), ("..\\A\\1.jpg", None), ("A\\2.jpg", None)])
def test_backslashes_may_lead_into_folders(files, path, found):
    assert image_in(path, files)[0] == found


def test_a_file_whose_name_has_a_backslash_is_itself(files, tmp_path):
    (tmp_path / "A\\1.jpg").write_bytes(b"itself")
    assert image_in("A\\1.jpg", files) == (b"itself", None)


def test_a_pipe_among_the_images_is_not_opened(files, tmp_path):
    os.mkfifo(tmp_path / "p.jpg")
    assert image_in("p.jpg", files) == (None, ("image_missing", "p.jpg: no regular file"))
