"""What Arrow's messages would take in memory, told by their heads before arrow unpacks them: buffers may be packed.

Knows Arrow's messages, in files and in streams; nothing of columns.
"""

import struct
from collections.abc import Callable
from typing import Any

from ncaudit.shards.readers.bounds.flatbuffers import Table, root
from ncaudit.shards.readers.bounds.unpacked import refuse_bomb

FOOTER_END = 10  # bytes: the footer's length, and the mark
CONTINUES = b"\xff\xff\xff\xff"
DICTIONARY, BATCH = 2, 3  # kinds of messages
BLOCK, BUFFER = "<qi4xq", "<qq"  # where a message is in a file; where a buffer is in a message
LONGEST_HEAD = 256 << 20
AT_ONCE = 64 << 20  # bytes that are asked for together, as a length may be a lie
BAD = (struct.error, IndexError, OverflowError)
ReadAt = Callable[[int, int], bytes]


class FileMessages:
    """The messages of an Arrow file. Raises BadTable where dictionaries, which are read when it is opened, are bombs.

    What cannot be made out is left to arrow, which says what is wrong.
    """

    def __init__(self, path: str, source: Any, max_row_bytes: int) -> None:
        self._path, self._source, self._max_row_bytes = path, source, max_row_bytes
        self._batches: list[tuple[int, ...]] = []
        try:
            footer = self._footer()
            dictionaries, self._batches = footer.structs(2, BLOCK), footer.structs(3, BLOCK)
        except BAD:
            return
        for place in dictionaries:
            self._refuse("its dictionaries", place)

    def refuse_bomb(self, piece: int) -> None:
        """Raises BadTable where a record batch would become far more than it is."""
        if piece < len(self._batches):
            self._refuse(f"record batch {piece}", self._batches[piece])

    def _footer(self) -> Table:
        end = self._source.seek(0, 2)
        end = self._source.tell() if end is None else end
        told = self._read(end - FOOTER_END, 4)
        length = struct.unpack("<i", told)[0]
        return root(self._read(end - FOOTER_END - length, length))

    def _refuse(self, what: str, place: tuple[int, ...]) -> None:
        offset, head, body = place
        try:
            data = self._read(offset, head)
            message = root(data[8:] if data[:4] == CONTINUES else data[4:])
            sizes = _unpacked(message, lambda at, size: self._read(offset + head + at, size))
        except BAD:
            return
        refuse_bomb(f"{self._path}: {what}", body, sizes, self._max_row_bytes)

    def _read(self, at: int, size: int) -> bytes:
        if at < 0 or not 0 <= size <= LONGEST_HEAD:
            raise IndexError("outside of the file")
        self._source.seek(at)
        return bytes(self._source.read(size))


class StreamMessages:
    """An Arrow stream as a file for arrow, each message of which is looked at before it is handed on.

    Raises BadTable where a message would become far more than it is.
    """

    def __init__(self, name: str, file: Any, max_row_bytes: int) -> None:
        self._name, self._file, self._max_row_bytes = name, file, max_row_bytes
        self._parts: list[Any] = []  # of a message: what arrow asks for one after the other
        self.last, self.closed = b"", False

    def read(self, size: int = -1) -> Any:
        """The next bytes."""
        if not self._parts:
            self._parts = self._message()
        if self._parts and len(self._parts[0]) == size:
            data = self._parts.pop(0)
        else:
            data = self._pieced(size)
        self.last = (self.last + bytes(data[-8:]))[-8:]
        return data

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is read forwards."""
        return False

    def writable(self) -> bool:
        """It is not."""
        return False

    def close(self) -> None:
        """Nothing more is asked for; the file is that of whoever opened it."""
        self.closed = True

    def _pieced(self, size: int) -> bytes:
        """Bytes that arrow asks for in another way than messages are made of."""
        found = b""
        while len(found) < size and (self._parts or (self._extend())):
            part = bytes(self._parts.pop(0))
            taken = size - len(found)
            found += part[:taken]
            if part[taken:]:
                self._parts.insert(0, part[taken:])
        return found

    def _extend(self) -> bool:
        self._parts = self._message()
        return bool(self._parts)

    def _message(self) -> list[Any]:
        """A message in parts, none of them empty: its length, its head, its body."""
        start = self._file.read(4)
        told = self._file.read(4) if start == CONTINUES else b""
        parts = [start, told]
        length = int.from_bytes((told or start)[:4], "little", signed=True)
        if 0 < length <= LONGEST_HEAD and len(told or start) == 4:
            head = self._file.read(length)
            parts += [head, self._body(head)]
        return [part for part in parts if part]

    def _body(self, head: bytes) -> Any:
        try:
            message = root(head)
            length = message.number(3, "<q")
        except BAD:
            return b""
        body = _exactly(self._file, length)
        try:
            size = _unpacked(message, lambda at, size: bytes(body[at : at + size]))
        except BAD:
            return body
        refuse_bomb(f"{self._name}: a record batch", len(body), size, self._max_row_bytes)
        return body


def _exactly(file: Any, length: int) -> Any:
    """So many bytes, or those that are there."""
    if length <= AT_ONCE:
        return file.read(max(0, length))
    found = bytearray()
    while len(found) < length and (more := file.read(min(AT_ONCE, length - len(found)))):
        found += more
    return found


def _unpacked(message: Table, read: ReadAt) -> int:
    """Bytes of all buffers of a batch, or of a dictionary's, once they are unpacked. read: of the body."""
    kind, header = message.number(1, "<B"), message.table(2)
    if kind == DICTIONARY and header is not None:
        header = header.table(1)
    if header is None or kind not in (DICTIONARY, BATCH):
        return 0
    buffers = header.structs(2, BUFFER)
    if header.table(3) is None:
        return sum(length for _, length in buffers)
    return sum(_of_buffer(read(offset, 8), length) for offset, length in buffers if length)


def _of_buffer(told: bytes, length: int) -> int:
    """A packed buffer begins with the length of what it becomes; -1 where it is not packed."""
    size = int(struct.unpack("<q", told)[0])
    return length if size < 0 else size
