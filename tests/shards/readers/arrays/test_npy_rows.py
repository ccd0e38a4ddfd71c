"""Rows of arrays on disk are those that NumPy reads, whatever way they are stored; nothing is unpickled."""

import io
import pickle
import tracemalloc
import zipfile
from contextlib import suppress

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


def with_header(path, header, version=(1, 0), length=None, data=b""):
    """An .npy file whose header says this, and how long it is."""
    told = header.encode("latin1")
    size = (len(told) if length is None else length).to_bytes(2 if version == (1, 0) else 4, "little")
    path.write_bytes(b"\x93NUMPY" + bytes(version) + size + told + data)
    return str(path)


SHAPED = "{{'descr': '<f4', 'fortran_order': False, 'shape': {}, }}\n"
HEADERS = {
    "rows that the file cannot hold": SHAPED.format("(1000000000000000000, 512)"),
    "rows without end": SHAPED.format(f"({'9' * 5_000}, 5)"),
    "negative rows": SHAPED.format("(-5, 4)"),
    "negative width": SHAPED.format("(5, -4)"),
    "rows so wide that some would fill the memory": SHAPED.format("(0, 1000000000)"),
    "wider than arrow's lists": SHAPED.format("(0, 10000000000000)"),
    "no shape": SHAPED.format("5"),
    "a shape of words": SHAPED.format("('a', 4)"),
    "no type": SHAPED.replace("'<f4'", "7").format("(1, 1)"),
    "a type that is none": SHAPED.replace("'<f4'", "'<f3'").format("(1, 1)"),
    "a type of nothing": SHAPED.replace("'<f4'", "()").format("(1, 1)"),
    "a type without size": SHAPED.replace("'<f4'", "'V0'").format("(1, 1)"),
    "a type of many": SHAPED.replace("'<f4'", "('<f4', (1000000000,))").format("(1, 1)"),
    "objects": SHAPED.replace("'<f4'", "'|O'").format("(1, 1)"),
    "another dictionary": "{'a': 1}\n",
    "a call": "__import__('os').system('true')\n",
    "deep": "(" * 4_000 + "\n",
    "deep and closed": "[" * 4_000 + "]" * 4_000 + "\n",
    "many signs": "-" * 9_000 + "1\n",
    "an open text": "{'descr': '\n",
    "a zero byte": "\0" * 100 + "\n",
    "nothing": "",
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=list(HEADERS))
def test_a_header_that_lies_is_told_in_two_lines(tmp_path, header):
    for version in ((1, 0), (2, 0)):
        with pytest.raises(BadTable, match=r"a\.npy"):
            npy_rows(with_header(tmp_path / "a.npy", header, version, data=bytes(64)))


@pytest.mark.parametrize("save", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_long_header_is_not_read(tmp_path, save):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", save) as archive:
        start = b"\x93NUMPY\x02\x00" + (2**32 - 1).to_bytes(4, "little")
        archive.writestr("x_img.npy", start + bytes(64 << 20))
    tracemalloc.start()
    with pytest.raises(BadTable, match="a header of 4,294,967,295 bytes"):
        member_rows(str(tmp_path / "a.npz"), "x_img")
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_a_file_of_pickle_says_so(tmp_path):
    (tmp_path / "a.npy").write_bytes(pickle.dumps(MATRIX))
    with pytest.raises(BadTable, match="is a Python pickle, which is never loaded"):
        npy_rows(str(tmp_path / "a.npy"))


@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_archive_is_rows_or_two_lines(tmp_path, seed):
    draw = np.random.default_rng(seed)
    (np.savez_compressed if seed % 2 else np.savez)(tmp_path / "a.npz", x_img=MATRIX, x_txt=MATRIX)
    data = bytearray((tmp_path / "a.npz").read_bytes())
    for _ in range(draw.integers(1, 6)):
        data[draw.integers(len(data))] = draw.integers(256)
    (tmp_path / "a.npz").write_bytes(data if seed % 3 else data[: draw.integers(len(data))])
    with suppress(BadTable):
        for kind in ("img", "txt"):
            array = member_rows(str(tmp_path / "a.npz"), f"x_{kind}")
            assert read(array, 0, min(array.rows, 50)).shape[1] == array.dims


@pytest.mark.parametrize("flag", [1, 0x20, 0x40], ids=["encrypted", "patched", "strongly encrypted"])
def test_an_archive_that_is_encrypted_or_packed_otherwise_is_told(tmp_path, flag):
    np.savez_compressed(tmp_path / "a.npz", x_img=MATRIX)
    data = bytearray((tmp_path / "a.npz").read_bytes())
    for mark, at in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        data[data.index(mark) + at] |= flag
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(BadTable, match="cannot be read as an array"):
        member_rows(str(tmp_path / "a.npz"), "x_img")
    packed = bytearray(data)
    packed[data.index(b"PK\x01\x02") + 10] = 97  # a way of packing that Python does not know
    (tmp_path / "a.npz").write_bytes(packed)
    with pytest.raises(BadTable, match="cannot be read as an array"):
        member_rows(str(tmp_path / "a.npz"), "x_img")
