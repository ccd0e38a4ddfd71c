"""A file as the program in which people filled it in has saved it: which kind it is, and its text as UTF-8.

Knows encodings, what workbooks begin with, and the line in which a spreadsheet program names its separator; nothing of
columns.
"""

import codecs
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

from ncaudit.errors import BadTable
from ncaudit.shards.files.locations import MIB, exists, is_dir, open_file
from ncaudit.shards.readers.text.plain_text import TextFile, open_text

DELIMITED = (".csv", ".tsv", ".txt")  # a spreadsheet's "Unicode text" is tabs in a .txt
JSON_LINES = (".jsonl", ".ndjson", ".json")
WORKBOOKS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".numbers")
WORKBOOK_STARTS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
PARQUET = b"PAR1"
SEPARATOR_LINE = re.compile(r'\A"?sep=[^\r\n]"?(\r\n?|\n)', re.IGNORECASE)
MARK = "\ufeff"
MARKS = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
OTHERWISE = "cp1252"  # what spreadsheet programs call plain CSV where they do not say UTF-8


class Kind(Enum):
    """How a file of people's holds its rows."""

    delimited = "delimited"
    json_lines = "JSON lines"
    parquet = "parquet"


def kind_of(path: str) -> Kind:
    """By the file's name, unless its first bytes say that it is something else.

    Raises BadTable when it is not there, or is a folder, a workbook, or nothing that is known.
    """
    if is_dir(path):
        raise BadTable(f"{path} cannot be read: it is a folder", fix="name the file in it that people filled in")
    if not exists(path):
        raise BadTable(f"{path} cannot be read: there is no such file", fix="check its name and folder")
    name = path.lower().removesuffix(".gz")
    if name.endswith(WORKBOOKS) or _start(path).startswith(WORKBOOK_STARTS):
        raise BadTable(
            f"{path} is no .csv, .parquet, .jsonl file: it is a workbook of a spreadsheet program",
            fix="open it there, save it as CSV (UTF-8), and give that file",
        )
    if name.endswith(".parquet") or _start(path).startswith(PARQUET):
        return Kind.parquet
    if name.endswith(DELIMITED):
        return Kind.delimited
    if name.endswith(JSON_LINES):
        return Kind.json_lines
    raise BadTable(
        f"{path} is no .csv, .parquet, .jsonl file", fix="save it as one of these; a .tsv or .txt with tabs will do too"
    )


@contextmanager
def as_utf8(path: str) -> Iterator[str]:
    """Where the same text lies as UTF-8 and without the line that names the separator: here, or in a file for a while.

    Text that is not UTF-8, and says so by no mark, is taken to be CP1252: its captions may look odd, and `is_plain`
    says whether what was read of it is beyond doubt.
    """
    encoding, told = _encoding(path), _head(path)
    if encoding == "utf-8" and not _has_more_than_text(told):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="ncaudit-") as folder:
        copy = os.path.join(folder, os.path.basename(path))
        _write(path, copy, encoding)
        try:
            yield copy
        except BadTable as error:
            raise type(error)(error.message.replace(copy, path), fix=error.fix) from error


def is_plain(path: str) -> bool:
    """Whether the file says, by being UTF-8 or by a mark, what its bytes stand for."""
    return _encoding(path) != OTHERWISE


def _write(path: str, copy: str, encoding: str) -> None:
    decoder = codecs.getincrementaldecoder(encoding)("replace" if encoding == OTHERWISE else "strict")
    first = True
    with open_text(path) as file, open(copy, "wb") as written:
        for block in _blocks(file):
            text = _decoded(path, decoder, block)
            written.write((_bare(text) if first else text).encode())
            first = False
        written.write(_decoded(path, decoder, b"", final=True).encode())


def _bare(text: str) -> str:
    """The text without marks; the line that names the separator stays, empty, so that lines are counted as ever."""
    return SEPARATOR_LINE.sub("\n", text.lstrip(MARK), count=1)


def _has_more_than_text(head: bytes) -> bool:
    """Whether there is a line that names the separator, or a second mark: some program took the first for text."""
    text = head.decode("utf-8", "replace").removeprefix(MARK)
    return text.startswith(MARK) or bool(SEPARATOR_LINE.match(text))


def _decoded(path: str, decoder: codecs.IncrementalDecoder, block: bytes, *, final: bool = False) -> str:
    try:
        return decoder.decode(block, final)
    except UnicodeDecodeError as error:
        raise BadTable(
            f"{path} begins as {error.encoding} and is not: {error.reason}", fix="save it again as CSV, in UTF-8"
        ) from error


def _encoding(path: str) -> str:
    head = _head(path)
    for mark, encoding in MARKS.items():
        if head.startswith(mark):
            return encoding
    if b"\0" in head[:4]:
        return "utf-16-be" if head[:1] == b"\0" else "utf-16-le"
    return "utf-8" if _is_utf8(path) else OTHERWISE


def _is_utf8(path: str) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with open_text(path) as file:
            for block in _blocks(file):
                decoder.decode(block)
            decoder.decode(b"", True)
    except UnicodeDecodeError:
        return False
    return True


def _blocks(file: TextFile) -> Iterator[bytes]:
    yield from iter(lambda: file.read(MIB) or b"", b"")


def _head(path: str) -> bytes:
    with open_text(path) as file:
        return file.read(256) or b""


def _start(path: str) -> bytes:
    try:
        with open_file(path) as file:
            return file.read(8)
    except OSError as error:
        reason = error.strerror or error
        raise BadTable(f"{path} cannot be read: {reason}", fix="check the path and the disk") from error
