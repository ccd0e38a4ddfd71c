"""A number of each row's photo, by its bytes: however the column holds them."""

import base64

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.options import DataOptions
from ncaudit.progress import SILENT
from ncaudit.shards.columns import find_columns
from ncaudit.shards.dataset.image_files import files_below
from ncaudit.shards.dataset.photo_ids import numbers_of, photo_ids
from ncaudit.shards.dataset.rows import read_images
from ncaudit.shards.files.provenance import read_schema
from ncaudit.shards.files.shard import Shard

JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256))
GIF = b"GIF89a" + b"\x01\x00" * 64  # begins with letters only, as text would
IN_BASE64 = base64.b64encode(JPEG)
SHORT = b"letters"
IMAGES = [JPEG, None, GIF, SHORT, IN_BASE64, JPEG, None, b"", JPEG[:-1], GIF, b""]
ALIKE = [0, 1, 2, 3, 0, 0, 4, 5, 6, 2, 5]  # by hand: rows of one number show the same photo


def ids_of(folder, column, *, name="jpg", group=4):
    table = pa.table({name: column, "caption": ["a caption"] * len(column)})
    path = folder / "s.parquet"
    pq.write_table(table, path, row_group_size=group)
    shard = Shard.of_file(str(path))
    columns = find_columns(read_schema(shard.path), shard.name, DataOptions(), carry=[])
    return shard, columns, photo_ids(shard, columns, None, SILENT)


def alike(ids):
    """Numbers from 0 in the order in which they are met."""
    met = {}
    return [met.setdefault(number, len(met)) for number in ids.tolist()]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_the_same_bytes_have_the_same_number_and_a_missing_image_one_of_its_own(tmp_path, kind):
    _, _, ids = ids_of(tmp_path, pa.array(IMAGES, kind))
    assert ids.dtype == np.int64
    assert alike(ids) == ALIKE


def test_structs_show_their_bytes_or_the_file_that_their_path_leads_to(tmp_path):
    (tmp_path / "1.jpg").write_bytes(JPEG)
    cells = [{"bytes": image, "path": "1.jpg" if image is None else "elsewhere.jpg"} for image in IMAGES]
    cells += [None, {"bytes": None, "path": None}, {"bytes": None, "path": "no.jpg"}]
    _, _, ids = ids_of(tmp_path, pa.array(cells, pa.struct([("bytes", pa.binary()), ("path", pa.string())])))
    assert alike(ids) == [0, 0, 1, 2, 0, 0, 0, 3, 4, 1, 3, 5, 6, 7]


def test_paths_and_base64_are_photos_like_any(tmp_path):
    (tmp_path / "1.jpg").write_bytes(JPEG)
    cells = ["1.jpg", IN_BASE64.decode(), "no.jpg", None, "1.jpg"]
    assert alike(ids_of(tmp_path, pa.array(cells, pa.string()), name="image_path")[2]) == [0, 0, 1, 2, 0]


def test_the_numbers_agree_with_the_images_as_they_are_read_one_by_one(tmp_path):
    draw = np.random.default_rng(0)
    photos = [draw.bytes(int(size)) for size in draw.integers(0, 400, 40)] + [GIF, IN_BASE64, None]
    images = [photos[place] for place in draw.integers(0, len(photos), 500)]
    shard, columns, ids = ids_of(tmp_path, pa.array(images, pa.binary()), group=150)
    read = [image for window in read_images(shard, columns, rows=64) for image in window]
    met = {}
    assert alike(ids) == [met.setdefault(row if one is None else one, len(met)) for row, one in enumerate(read)]


def test_a_slice_is_read_from_its_own_first_row():
    cells = pa.array([*IMAGES, JPEG], pa.binary())
    files = files_below("", 1 << 20)
    assert numbers_of(cells.slice(3, 6), files) == numbers_of(cells, files)[3:9]
    of_structs = pa.StructArray.from_arrays([cells, cells.cast(pa.large_binary())], ["bytes", "path"])
    assert numbers_of(of_structs.slice(3, 3), files) == numbers_of(cells, files)[3:6]


def test_no_rows_have_no_numbers(tmp_path):
    assert len(ids_of(tmp_path, pa.array([], pa.binary()))[2]) == 0
