"""JSON that ncaudit wrote itself, read as what may have become of it: cut, flipped, emptied, a folder, endless, deep.

Knows bytes and the shape that a reader declares; nothing of what values mean, or of what is to be done without them.

A shape is a type (`float`: any number; `int`: a whole one of 64 bits), None, a tuple of alternatives, a list of one
shape that all entries have, or an object: name -> shape, where `name?` may be missing and `...` stands for every name
that is not listed. Names that a shape does not list may be there: of another version.
"""

import json
import os
from collections.abc import Mapping
from typing import Any

from ncaudit import stores
from ncaudit.errors import BadTable

MOST_BYTES = 64 << 20  # of a file: what half a million shards are listed in. Parsed, it may take 24 times that
DEEPEST = 64  # levels: nothing of ours has ten, and what compares or writes values follows them by calling itself
WHOLE = 2**63  # beyond it no whole number of ours
Shape = Any
OBJECT: Shape = {}


def read(path: str, shape: Shape = OBJECT, *, fix: str) -> Any:
    """What a file says. Raises BadTable, with this `fix`, when it is not there, cannot be read or has another shape."""
    try:
        return _within(_start_of(path), shape)
    except (OSError, ValueError) as error:
        raise BadTable(f"{path} is damaged: {_why(error)}", fix=fix) from error


def lines(path: str, shape: Shape = OBJECT, *, fix: str) -> list[Any]:
    """What each line of a file says. Raises BadTable as `read` does."""
    try:
        return [_within(line, shape) for line in _start_of(path).splitlines()]
    except (OSError, ValueError) as error:
        raise BadTable(f"{path} is damaged: {_why(error)}", fix=fix) from error


def known(path: str, shape: Shape = OBJECT) -> Any:
    """The same, or None for whatever reason there is nothing to go by."""
    try:
        return _within(_start_of(path), shape)
    except (OSError, ValueError):
        return None


def is_damaged(path: str, shape: Shape = OBJECT) -> bool:
    """Whether something is there that says nothing."""
    there = stores.kind(path) is not None if stores.is_remote(path) else os.path.lexists(path)
    return there and known(path, shape) is None


def parsed(text: bytes | str, shape: Shape = OBJECT) -> Any:
    """What a text says that came with something else. Raises ValueError when it is no JSON of this shape."""
    if len(text) > MOST_BYTES:
        raise ValueError(f"it is longer than {MOST_BYTES:,} bytes")
    return _within(text, shape)


def fits(value: Any, shape: Shape) -> bool:
    """Whether a value has a shape.

    >>> rate = {"rate": float, "pairs?": int, "by": (None, [str])}
    >>> [fits(value, rate) for value in ({"rate": 1, "by": ["a"]}, {"rate": "1", "by": None}, {"rate": 1, "by": [1]})]
    [True, False, False]
    >>> [fits(value, {...: int}) for value in ({"a": 1, "b": 2}, {"a": True}, {"a": 10**400}, [])]
    [True, False, False, False]
    """
    if isinstance(shape, tuple):
        return any(fits(value, one) for one in shape)
    if isinstance(shape, list):
        return isinstance(value, list) and all(fits(entry, shape[0]) for entry in value)
    if isinstance(shape, dict):
        return isinstance(value, dict) and _fits_object(value, shape)
    if shape is None or shape is Any:
        return shape is Any or value is None
    if shape in (int, float) and isinstance(value, int):
        return not isinstance(value, bool) and -WHOLE <= value < WHOLE
    return isinstance(value, shape)


def _fits_object(value: Mapping[str, Any], shape: Mapping[Any, Shape]) -> bool:
    named = set()
    for name, each in shape.items():
        if name is ...:
            continue
        bare = name.rstrip("?")
        named.add(bare)
        if not fits(value[bare], each) if bare in value else bare == name:
            return False
    return ... not in shape or all(fits(value[name], shape[...]) for name in value.keys() - named)


def _start_of(path: str) -> bytes:
    if stores.is_remote(path):
        text = stores.read(path, MOST_BYTES + 1)
    else:
        with open(path, "rb") as file:
            text = file.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise ValueError(f"it is longer than {MOST_BYTES:,} bytes")
    return text


def _within(text: bytes | str, shape: Shape) -> Any:
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if _may_be_deep(text) and _is_deep(value):
        raise ValueError("it is nested too deeply")
    if not fits(value, shape):
        raise ValueError("it is no JSON of the kind that belongs there")
    return value


def _may_be_deep(text: bytes | str) -> bool:
    """Whether there are as many brackets as that takes: in most of ours there are not."""
    if isinstance(text, str):
        return text.count("{") + text.count("[") > DEEPEST
    return text.count(b"{") + text.count(b"[") > DEEPEST


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        level = [entry for each in level for entry in _entries(each) if isinstance(entry, (dict, list))]
        if not level:
            return False
    return True


def _entries(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _why(error: Exception) -> str:
    told = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return told.splitlines()[0]
