"""Rows of arrays on disk are those that NumPy reads, whatever way they are stored; nothing is unpickled."""

import io
import zipfile

import numpy as np
import pytest

from ncaudit.errors import BadTable
from ncaudit.shards.readers.arrays.npy_rows import member_rows, npy_rows

MATRIX = np.random.default_rng(0).normal(size=(23, 5))


def read(array, first, count):
    with array.reading() as reading:
        return reading.read(first, count)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["<f2", "<f4", "<f8", ">f4"])
def test_any_rows_of_any_float_array_are_as_numpy_has_them(tmp_path, kind, order):
    matrix = np.array(MATRIX, dtype=kind, order=order)
    np.save(tmp_path / "a.npy", matrix)
    array = npy_rows(str(tmp_path / "a.npy"))
    assert (array.rows, array.dims) == (23, 5)
    for first, count in ((0, 23), (7, 9), (22, 1), (23, 0)):
        found = read(array, first, count)
        assert found.dtype == np.dtype(kind).newbyteorder("=")
        np.testing.assert_array_equal(found, matrix[first : first + count])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_members_of_an_archive_are_read_stored_or_compressed(tmp_path, save):
    save(tmp_path / "a.npz", other=np.zeros(4), b32_img=MATRIX.astype("f2"), b32_txt=MATRIX.astype("f4") + 1)
    image, text = (member_rows(str(tmp_path / "a.npz"), f"b32_{kind}") for kind in ("img", "txt"))
    np.testing.assert_array_equal(read(image, 4, 10), MATRIX[4:14].astype("f2"))
    np.testing.assert_array_equal(read(text, 20, 3), MATRIX[20:].astype("f4") + 1)


def test_an_empty_array_has_no_rows_and_keeps_its_width(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((0, 5), np.float16))
    array = npy_rows(str(tmp_path / "a.npy"))
    assert (array.rows, array.dims, read(array, 0, 0).shape) == (0, 5, (0, 5))


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.array([{"a": 1}, None], dtype=object), "never unpickled"),
        (np.zeros((3, 4), np.int32), "holds int32, not float16, float32 or float64"),
        (np.zeros(7), r"shape \(7,\), not \(pairs, dimensions\)"),
        (np.zeros((2, 3, 4)), "shape"),
        (np.zeros((3, 0)), "shape"),
        (np.zeros(3, dtype=[("中", "f4")]), "version 3.0"),
    ],
)
@pytest.mark.filterwarnings("ignore:Stored array in format 3.0")
def test_what_holds_no_rows_of_floats_is_refused_by_name(tmp_path, array, told):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(BadTable, match=told) as raised:
        npy_rows(str(tmp_path / "a.npy"))
    assert str(tmp_path / "a.npy") in raised.value.message


def test_a_pickle_is_never_loaded(tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path.joinpath("sprung").touch, ())

    np.save(tmp_path / "a.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    with pytest.raises(BadTable):
        npy_rows(str(tmp_path / "a.npy"))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("bytes_left", [0, 5, 40, 128, 200])
def test_a_truncated_array_is_told_before_any_row_is_read(tmp_path, bytes_left):
    np.save(tmp_path / "a.npy", MATRIX)
    data = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(data[:bytes_left])
    with pytest.raises(BadTable, match=r"a\.npy cannot be read as an array"):
        npy_rows(str(tmp_path / "a.npy"))


def test_a_damaged_archive_is_told_by_name(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x_img=MATRIX)
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[400:420] = b"\xff" * 20
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(BadTable, match="array x_img cannot be read as an array"):
        read(member_rows(str(tmp_path / "a.npz"), "x_img"), 0, 23)
    (tmp_path / "a.npz").write_bytes(data[:300])
    with pytest.raises(BadTable, match=r"a\.npz cannot be read as an array"):
        member_rows(str(tmp_path / "a.npz"), "x_img")


def test_a_compressed_array_in_columns_is_refused_as_it_cannot_be_read_in_pieces(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x_img=np.asfortranarray(MATRIX))
    with pytest.raises(BadTable, match="column by column"):
        member_rows(str(tmp_path / "a.npz"), "x_img")
    np.savez(tmp_path / "a.npz", x_img=np.asfortranarray(MATRIX))
    np.testing.assert_array_equal(read(member_rows(str(tmp_path / "a.npz"), "x_img"), 3, 4), MATRIX[3:7])


def test_a_member_with_a_comment_field_in_its_header_is_found(tmp_path):
    data = io.BytesIO()
    np.save(data, MATRIX)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        info = zipfile.ZipInfo("x_img.npy")
        info.extra = b"\x99\x99\x04\x00abcd"
        archive.writestr(info, data.getvalue())
    np.testing.assert_array_equal(read(member_rows(str(tmp_path / "a.npz"), "x_img"), 0, 23), MATRIX)
