"""Thrift's compact protocol, as far as the headers of parquet's pages need it: whole numbers, by the numbers of fields.

Knows bytes; nothing of files or of what the fields mean.
"""

from typing import Any

STOP, TRUE, FALSE, BYTE, DOUBLE, BINARY, LIST, SET, STRUCT = 0, 1, 2, 3, 7, 8, 9, 10, 12
WHOLE = (4, 5, 6)  # of 16, 32 and 64 bits
DEEPEST = 8
Fields = dict[int, Any]


def read_struct(data: bytes, at: int = 0, depth: int = 0) -> tuple[Fields, int]:
    """The whole numbers, truth values and structs among a struct's fields, by their numbers; and where it ends.

    Raises IndexError where the bytes end before, ValueError where they are no struct.
    """
    if depth > DEEPEST:
        raise ValueError("structs within structs")
    fields: Fields = {}
    number = 0
    while (head := data[at]) & 0x0F != STOP:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _whole(data, at)
        fields[number], at = _value(data, at, head & 0x0F, depth)
    return fields, at + 1


def _value(data: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in (TRUE, FALSE):
        return kind == TRUE, at
    if kind in WHOLE:
        return _whole(data, at)
    if kind == STRUCT:
        return read_struct(data, at, depth + 1)
    return None, _passed(data, at, kind, depth)


def _passed(data: bytes, at: int, kind: int, depth: int) -> int:
    """Where a value ends that nobody asks for."""
    if kind == BYTE:
        return at + 1
    if kind == DOUBLE:
        return at + 8
    if kind == BINARY:
        length, at = _varint(data, at)
        return at + length
    if kind in (LIST, SET):
        return _passed_list(data, at, depth)
    raise ValueError(f"a field of kind {kind}")


def _passed_list(data: bytes, at: int, depth: int) -> int:
    head, at = data[at], at + 1
    count, kind = head >> 4, head & 0x0F
    if count == 0x0F:
        count, at = _varint(data, at)
    if count > len(data):
        raise ValueError(f"a list of {count}")
    for _ in range(count):
        at = at + 1 if kind in (TRUE, FALSE) else _value(data, at, kind, depth)[1]
    return at


def _whole(data: bytes, at: int) -> tuple[int, int]:
    found, at = _varint(data, at)
    return (found >> 1) ^ -(found & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    found = shift = 0
    while True:
        byte = data[at]
        found |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return found, at
        if shift > 63:
            raise ValueError("a number without end")
