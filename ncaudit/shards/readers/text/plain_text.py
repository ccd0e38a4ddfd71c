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

TAIL = 4096


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
