"""What kind of file this is, by how it begins and ends; its name decides only between sorts of plain text.

Knows the first bytes of formats; nothing of tables, columns or folders.
"""

import os
import zlib
from enum import StrEnum
from typing import BinaryIO

from ncaudit.errors import BadTable
from ncaudit.shards.files.locations import is_remote, open_file
from ncaudit.shards.files.remembered import MANY, Remembered

HEAD = 4096  # bytes that are looked at
PARQUET, ARROW, ARROW_STREAM, NUMPY, GZIP = b"PAR1", b"ARROW1", b"\xff\xff\xff\xff", b"\x93NUMPY", b"\x1f\x8b"
LEAST_PARQUET = 12  # bytes: a mark at both ends, the length of what is between them
TAR_MARK, TAR_MARK_AT, TAR_BLOCK = b"ustar", 257, 512
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
SUFFIXES = (
    ".parquet", ".tar", ".tar.gz", ".tgz", ".arrow", ".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz", ".csv", ".tsv",
    ".csv.gz", ".tsv.gz", ".npy",
)  # fmt: skip
LONGEST_FIRST = tuple(sorted(SUFFIXES, key=len, reverse=True))
BINARY_SUFFIXES = (".parquet", ".arrow", ".tar", ".npy")
PERMISSIONS = "check the path and its permissions"
DENIED = "get the right to read it (s3:GetObject), or give other credentials"
READABLE = "give parquet, tar, Arrow IPC, JSON lines, CSV or TSV"
UNPACK = "unpack it, and give what is inside"
STRANGERS = (
    (b"PK\x03\x04", "a zip archive", UNPACK),
    (b"PK\x05\x06", "an empty zip archive", "fetch it again"),
    (b"(\xb5/\xfd", "compressed with zstd", "unpack it (zstd -d), and give what is inside"),
    (b"BZh", "compressed with bzip2", "unpack it (bunzip2), and give what is inside"),
    (b"\xfd7zXZ", "compressed with xz", "unpack it (unxz), and give what is inside"),
    (b"7z\xbc\xaf", "a 7z archive", UNPACK),
    (b"version https://git-lfs", "a Git LFS pointer and not the file itself", "fetch the file: git lfs pull"),
    (b"\x89PNG", "a picture", "give a table that names the pictures and their captions"),
    (b"\xff\xd8\xff", "a picture", "give a table that names the pictures and their captions"),
    (b"%PDF", "a PDF", READABLE),
    (b"SQLite format 3", "an SQLite database", "export the table as parquet or CSV"),
    (b"ORC", "an ORC file", "write it as parquet"),
    (b"Obj\x01", "an Avro file", "write it as parquet"),
    (b"FEA1", "a Feather file of version 1", "write it as Arrow IPC or parquet"),
    (b"\x89HDF", "an HDF5 file", "write it as parquet"),
    (b"\xff\xfe", "UTF-16 text", "save it as UTF-8"),
    (b"\xfe\xff", "UTF-16 text", "save it as UTF-8"),
)


class Format(StrEnum):
    """The kinds of files that readers know."""

    parquet = "parquet"
    tar = "tar"
    arrow_file = "Arrow IPC file"
    arrow_stream = "Arrow IPC stream"
    json_lines = "JSON lines"
    csv = "CSV"
    tsv = "TSV"
    numpy = "NumPy array"


def format_of(path: str) -> Format:
    """The format of a file. A wrong name does no harm, unless it promises a binary format and the file is text.

    Raises BadTable saying what the file is instead when it is none that we read, is empty, or was cut short.
    """
    return formats_found(path)


def format_in(path: str, file: BinaryIO) -> Format:
    """`format_of`, by somebody who has the file open and needs more of it."""
    try:
        head = file.read(HEAD)
        found = _by_head(path, head) or _by_text(path, head)
        if found is Format.parquet:
            _refuse_cut(path, file)
    except OSError as error:
        raise cannot_be_read(path, error) from error
    return found


def cannot_be_read(path: str, error: OSError) -> BadTable:
    """The error of a file that the system does not let us read."""
    reason = error.strerror or str(error) or type(error).__name__
    denied = is_remote(path) and isinstance(error, PermissionError)
    return BadTable(f"{path} cannot be read: {reason}", fix=DENIED if denied else PERMISSIONS)


def _look(path: str) -> Format:
    try:
        with open_file(path, jumps=True) as file:
            return format_in(path, file)
    except OSError as error:
        raise cannot_be_read(path, error) from error


formats_found = Remembered(_look, at_most=MANY)


def suffix_of(name: str) -> str:
    """The known suffix that a file's name ends in, as it is written there; empty when there is none.

    >>> suffix_of("A/00000.tar.gz"), suffix_of("00000.PARQUET"), suffix_of("notes.txt")
    ('.tar.gz', '.PARQUET', '')
    """
    lower = name.lower()
    if not lower.endswith(SUFFIXES):
        return ""
    longest = next(len(suffix) for suffix in LONGEST_FIRST if lower.endswith(suffix))
    return name[len(name) - longest :]


def _by_head(path: str, head: bytes) -> Format | None:
    """What the first bytes settle; None for text."""
    if not head:
        raise BadTable(f"{path} is empty: 0 bytes", fix="fetch or write it again, or leave it out")
    starts = ((PARQUET, Format.parquet), (ARROW, Format.arrow_file), (ARROW_STREAM, Format.arrow_stream))
    for start, kind in (*starts, (NUMPY, Format.numpy)):
        if head.startswith(start):
            return kind
    if _is_tar(path, head):
        return Format.tar
    return _in_gzip(path, head) if head.startswith(GZIP) else None


def _by_text(path: str, head: bytes) -> Format:
    promised = suffix_of(path).lower()
    if path.lower().endswith(".npz"):
        fix = "give the table beside it (its name with .parquet), or two .npy files: the images' array, the captions'"
        raise BadTable(f"{path} holds arrays, not a table of pairs", fix=fix)
    for start, what, fix in STRANGERS:
        if head.startswith(start):
            raise _stranger(path, what, fix)
    text = head.removeprefix(BYTE_ORDER_MARK).lstrip()
    if text[:1] == b"<":
        what = "a web page (HTML)" if b"<html" in text.lower() or b"<!doctype" in text.lower() else "XML"
        raise _stranger(path, what, "fetch it again: the address gave a page and not the file; it may need a login")
    found = None if promised in BINARY_SUFFIXES else _plain_text(path, text)
    if found:
        return found
    what = f"not {promised[1:]}: it starts with {head[:8]!r}" if promised else "of no format that is read here"
    raise BadTable(f"{path} is {what}", fix="fetch it again, or leave it out" if promised else READABLE)


def _plain_text(path: str, text: bytes) -> Format | None:
    name = path.lower().removesuffix(".gz")
    if name.endswith((".csv", ".tsv")):
        if b"\x00" in text:
            raise BadTable(f"{path} is not text: it has bytes of value 0", fix="save it as UTF-8 text")
        return Format.tsv if name.endswith(".tsv") else Format.csv
    if text[:1] == b"{":
        return Format.json_lines
    if text[:1] == b"[" and name.endswith((".json", ".jsonl", ".ndjson")):
        raise BadTable(
            f"{path} is one JSON array, not JSON lines",
            fix="write one object per line: jq -c '.[]' IN > OUT.jsonl",
        )
    return None


def _is_tar(path: str, head: bytes) -> bool:
    mark = head[TAR_MARK_AT : TAR_MARK_AT + len(TAR_MARK)]
    empty = path.lower().endswith(".tar") and not head[:TAR_BLOCK].strip(b"\x00") and len(head) >= TAR_BLOCK
    return mark == TAR_MARK or empty


def _in_gzip(path: str, head: bytes) -> Format:
    try:
        inside = zlib.decompressobj(wbits=31).decompress(head, HEAD)
    except zlib.error as error:
        raise BadTable(f"{path} is a damaged gzip file: {error}", fix="fetch it again") from error
    if _is_tar(path.lower().removesuffix(".gz"), inside):
        return Format.tar
    found = _plain_text(path, inside.removeprefix(BYTE_ORDER_MARK).lstrip())
    if found is None:
        raise _stranger(path, "compressed with gzip, and no tar, JSON lines or CSV is inside", UNPACK)
    return found


def _refuse_cut(path: str, file: BinaryIO) -> None:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 4))
    if size < LEAST_PARQUET or file.read(4) != PARQUET:
        what = f"{path} cannot be read as parquet: it was cut short, its end is missing"
        raise BadTable(what, fix="fetch or write it again, or leave it out")


def _stranger(path: str, what: str, fix: str) -> BadTable:
    suffix = suffix_of(path).lstrip(".")
    return BadTable(f"{path} is {what}" + (f", not {suffix}" if suffix and suffix not in what else ""), fix=fix)
