"""Files of text: opened as bytes, unpacked where they are gzip.

Knows gzip and how files end; nothing of what the text says.
"""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from ncaudit.errors import BadTable
from ncaudit.shards.files.formats import GZIP
from ncaudit.shards.files.locations import open_file
from ncaudit.shards.readers.bounds.unpacked import FLAG, LARGER

TAIL = 4096
Lines = tuple[int, list[bytes]]  # the number of the first, from 1


class TextFile(io.RawIOBase):
    """The bytes of a text file in order. It remembers the last ones, as a cut file shows only there."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.tail = b""

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self.tail = (self.tail + data[-TAIL:])[-TAIL:]
        return len(data)

    def readable(self) -> bool:
        return True


def line_blocks(name: str, file: BinaryIO, at_once: int, longest: int) -> Iterator[Lines]:
    """All lines of a buffered file, so many together that another one would make it more than `at_once` bytes.

    Raises BadTable naming the line that is longer than `longest`: no more of it is read.
    """
    number, held, weight = 1, list[bytes](), 0
    while line := file.readline(longest + 1):
        if len(line) > longest:
            where = f"{name}, line {number + len(held)}"
            raise BadTable(f"{where} is longer than {longest:,} bytes ({FLAG})", fix=LARGER)
        held.append(line)
        weight += len(line)
        if weight > at_once:
            yield number, held
            number, held, weight = number + len(held), [], 0
    if held:
        yield number, held


@contextmanager
def open_text(path: str) -> Iterator[TextFile]:
    """The text of a file. Raises BadTable when it cannot be read, also in the middle."""
    try:
        with open_file(path) as file:
            packed = file.read(len(GZIP)) == GZIP
            file.seek(0)
            yield TextFile(gzip.open(file) if packed else file)  # type: ignore[arg-type]
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadTable(f"{path} is a damaged gzip file: {error}", fix="fetch or write it again") from error
    except OSError as error:
        raise BadTable(
            f"{path} cannot be read: {error.strerror or error}", fix="check the path and the disk"
        ) from error
