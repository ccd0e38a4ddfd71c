"""Flatbuffers, as far as Arrow's messages need them: tables whose fields are found by their numbers.

Knows bytes; nothing of Arrow.
"""

import struct
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table in a buffer. Raises struct.error or IndexError where it points outside of it."""

    data: bytes
    at: int

    def number(self, field: int, form: str, default: int = 0) -> int:
        """A whole number. form: as `struct` spells it."""
        place = self._place(field)
        return default if place is None else _read(self.data, place, form)

    def table(self, field: int) -> "Table | None":
        """A table within."""
        place = self._place(field)
        return None if place is None else Table(self.data, place + _read(self.data, place, "<I"))

    def structs(self, field: int, form: str) -> list[tuple[int, ...]]:
        """A vector of structs of whole numbers."""
        place = self._place(field)
        if place is None:
            return []
        start = place + _read(self.data, place, "<I")
        count, size = _read(self.data, start, "<I"), struct.calcsize(form)
        whole = self.data[start + 4 : start + 4 + count * size]
        if len(whole) < count * size:
            raise IndexError("a vector that ends behind its buffer")
        return list(struct.iter_unpack(form, whole))

    def _place(self, field: int) -> int | None:
        numbers = self.at - _read(self.data, self.at, "<i")
        if _read(self.data, numbers, "<H") < 6 + 2 * field:
            return None
        offset = _read(self.data, numbers + 4 + 2 * field, "<H")
        return self.at + offset if offset else None


def root(data: bytes) -> Table:
    """The table that a buffer is of."""
    return Table(data, _read(data, 0, "<I"))


def _read(data: bytes, at: int, form: str) -> int:
    if at < 0:
        raise IndexError("before the buffer")
    return int(struct.unpack_from(form, data, at)[0])
