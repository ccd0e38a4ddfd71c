"""Rows of an array on disk, some at a time: an .npy file, or a member of an .npz. Nothing is ever unpickled.

Knows NumPy's file format; nothing of what the rows mean.
"""

import io
import tokenize
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from ncaudit.errors import BadTable
from ncaudit.shards.files import locations
from ncaudit.shards.files.layouts import ARCHIVE_DAMAGE

Rows = npt.NDArray[np.floating[Any]]
FLOATS = ("f2", "f4", "f8")
LOCAL_HEADER = 30  # bytes of a zip member's own header before its name
MAX_DIMS = 32_768  # numbers in a row: thousands of rows are held at once
MAX_HEADER = 10_000  # bytes; NumPy parses no longer one either, but reads it first
PICKLE = b"\x80"
# what NumPy lets through when a header is no dictionary of what it should be
BAD_HEADER = (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, SyntaxError, TypeError)
OpenBytes = Callable[[], AbstractContextManager[BinaryIO]]
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


@dataclass(frozen=True)
class NpyRows:
    """A checked (n, dims) array of floating point numbers on disk. `name` is for messages."""

    name: str
    rows: int
    dims: int
    dtype: np.dtype[Any]
    column_major: bool
    start: int  # of the numbers in what `open_bytes` opens
    open_bytes: "OpenBytes"

    @contextmanager
    def reading(self) -> Iterator["Reading"]:
        """Open it once for several reads. Raises BadTable when it cannot be opened any more."""
        with ExitStack() as stack:
            try:
                file = stack.enter_context(self.open_bytes())
            except ARCHIVE_DAMAGE as error:
                raise damaged(self.name, error) from error
            yield Reading(self, file)


class Reading:
    """An open array. Raises BadTable when it turns out damaged."""

    def __init__(self, array: NpyRows, file: BinaryIO) -> None:
        self._array, self._file = array, file

    def read(self, first: int, count: int) -> Rows:
        """(count, dims) from row `first` on, in the machine's own byte order."""
        array = self._array
        found = self._by_columns(first, count) if array.column_major else self._by_rows(first, count)
        return found.astype(array.dtype.newbyteorder("="), copy=False)

    def _by_rows(self, first: int, count: int) -> Rows:
        array = self._array
        return self._numbers(first * array.dims, count * array.dims).reshape(count, array.dims)

    def _by_columns(self, first: int, count: int) -> Rows:
        array = self._array
        columns = [self._numbers(column * array.rows + first, count) for column in range(array.dims)]
        return np.ascontiguousarray(np.stack(columns, axis=1))

    def _numbers(self, first: int, count: int) -> Rows:
        array = self._array
        try:
            self._file.seek(array.start + first * array.dtype.itemsize)
            data = self._file.read(count * array.dtype.itemsize)
        except ARCHIVE_DAMAGE as error:
            raise damaged(array.name, error) from error
        if len(data) < count * array.dtype.itemsize:
            raise damaged(array.name, EOFError("its end is missing"))
        return np.frombuffer(data, array.dtype)


def npy_rows(path: str) -> NpyRows:
    """The rows of an .npy file. Raises BadTable, naming the file, for anything but a whole 2-D array of floats."""
    return _checked(path, lambda: locations.open_file(path), _size_of(path))


def member_rows(path: str, member: str) -> NpyRows:
    """The rows of one array of an .npz; of a compressed one, whatever lies before the wanted rows is decompressed."""
    name = f"{path}, array {member}"
    try:
        with locations.open_file(path) as file, zipfile.ZipFile(file) as members:
            info = members.getinfo(f"{member}.npy")
            begin = _stored_at(file, info) if info.compress_type == zipfile.ZIP_STORED else None
    except ARCHIVE_DAMAGE as error:
        raise damaged(path, error) from error
    if begin is not None:
        end = min(begin + info.file_size, _size_of(path))
        return _checked(name, lambda: locations.open_file(path), end, begin)
    found = _checked(name, lambda: _open_member(path, f"{member}.npy"), info.file_size)
    if found.column_major:
        raise BadTable(
            f"{name} is compressed and stored column by column, which cannot be read in pieces",
            fix="save it again: np.savez(NAME, X_img=np.ascontiguousarray(images), …)",
        )
    return found


def _checked(name: str, open_bytes: OpenBytes, end: int, begin: int = 0) -> NpyRows:
    """The array whose header stands at byte `begin`, and whose numbers must fit before byte `end`."""
    try:
        with open_bytes() as file:
            file.seek(begin)
            shape, column_major, dtype = _header(file)
            start = file.tell()
    except ARCHIVE_DAMAGE as error:
        raise damaged(name, error) from error
    _require_matrix(name, shape, dtype)
    missing = start + shape[0] * shape[1] * dtype.itemsize - end
    if missing > 0:
        raise damaged(name, EOFError(f"its last {missing:,} bytes are missing"))
    return NpyRows(name, shape[0], shape[1], dtype, column_major and shape[0] > 1, start, open_bytes)


def _header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and type. Raises ValueError, and takes no memory that is not needed, whatever the file says."""
    magic = file.read(np.lib.format.MAGIC_LEN)
    if magic.startswith(PICKLE):
        raise ValueError("it is a Python pickle, which is never loaded")
    version = np.lib.format.read_magic(io.BytesIO(magic))
    if version not in HEADERS:
        raise ValueError(f"version {version[0]}.{version[1]} of the format holds no plain numbers")
    length = file.read(2 if version == (1, 0) else 4)
    told = int.from_bytes(length, "little")
    if told > MAX_HEADER:
        raise ValueError(f"a header of {told:,} bytes, where {MAX_HEADER:,} would be many")
    try:
        found: tuple[tuple[int, ...], bool, np.dtype[Any]] = HEADERS[version](io.BytesIO(length + file.read(told)))
    except (*BAD_HEADER, tokenize.TokenError) as error:
        raise ValueError("its header does not say what it holds") from error
    return found


def _require_matrix(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if dtype.hasobject:
        raise BadTable(
            f"{name} holds Python objects, which are never unpickled",
            fix="save the embeddings as one array of floats: np.save(NAME, np.stack(list(rows)).astype(np.float16))",
        )
    if dtype.str[1:] not in FLOATS:
        raise BadTable(f"{name} holds {dtype}, not float16, float32 or float64", fix="give embeddings: rows of floats")
    if len(shape) != 2 or shape[0] < 0 or not 0 < shape[1] <= MAX_DIMS:
        told = f"{name} has the shape {shape}, not (pairs, dimensions) of 1 to {MAX_DIMS:,} dimensions"
        raise BadTable(told, fix="save one row per pair")


def _stored_at(file: BinaryIO, info: zipfile.ZipInfo) -> int:
    """Where the bytes of a member that is not compressed begin."""
    file.seek(info.header_offset)
    header = file.read(LOCAL_HEADER)
    if len(header) < LOCAL_HEADER or header[:4] != b"PK\x03\x04":
        raise zipfile.BadZipFile(f"no header of {info.filename} where the archive says")
    lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    return info.header_offset + LOCAL_HEADER + lengths


@contextmanager
def _open_member(path: str, member: str) -> Iterator[BinaryIO]:
    with locations.open_file(path) as file, zipfile.ZipFile(file) as members, members.open(member) as inner:
        yield inner  # type: ignore[misc]


def _size_of(path: str) -> int:
    try:
        return locations.size(path)
    except OSError as error:
        raise damaged(path, error) from error


def damaged(name: str, error: Exception) -> BadTable:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return BadTable(f"{name} cannot be read as an array: {reason}", fix="fetch or write it again")
