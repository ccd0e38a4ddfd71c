"""Counts of repeats in a file: written part by part, mapped or read by whoever looks them up.

Knows one file of whole numbers; nothing of how they are counted or what they mean. The file is a line of JSON, filled
up to 4 KiB, and behind it the arrays as they are in memory, so that a large one is mapped: the processes of one machine
share it, and of its pages only those that are looked up are read.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import Any

import numpy as np

from ncaudit import own_json
from ncaudit.shards.files import locations
from ncaudit.shards.files.writer import atomic_file
from ncaudit.shards.places import scratch
from ncaudit.shards.tables.repeats.counts import ARRAYS, Counts, Repeats

REPEATS = "repeats.bin"
HEAD_BYTES = 4096
HELD_BYTES = 64 << 20  # a smaller file is read, and its bytes are compared with their hash
SHAPE: own_json.Shape = {"of": str, "lengths": [int], "hash": str}


def keep_repeats(path: str, repeats: Repeats, of: str) -> None:
    """Write counts that are in memory. of: what was counted, as it is."""
    with atomic_file(path) as file:
        write_counts(file, of, lambda number: [repeats.arrays[number]])


def write_counts(file: Any, of: str, arrays: Callable[[int], Iterable[Counts]]) -> list[int]:
    """Write a file of counts, and tell how long its arrays are. arrays: gives the pieces of each, by its number, in
    order; one piece is held at a time.
    """
    digest, lengths = blake2b(digest_size=16), []
    file.write(b"\0" * HEAD_BYTES)
    for number in range(ARRAYS):
        length = 0
        for piece in arrays(number):
            whole = np.ascontiguousarray(piece)
            digest.update(whole.data)
            file.write(whole)
            length += len(whole)
        lengths.append(length)
    file.seek(0)
    file.write(headed({"of": of, "lengths": lengths, "hash": digest.hexdigest()}))
    file.seek(0, os.SEEK_END)
    return lengths


def kept_repeats(path: str, of: str) -> Repeats | None:
    """The counts that are kept; None where none are, or those of something else."""
    head = head_of(path, SHAPE)
    if head is None or head["of"] != of or len(head["lengths"]) != ARRAYS:
        return None
    lengths = head["lengths"]
    if 8 * sum(lengths) > HELD_BYTES:
        return _mapped_at(path, lengths)
    with suppress(OSError, ValueError):
        body = read_array(path, HEAD_BYTES, sum(lengths))
        if blake2b(body.data, digest_size=16).hexdigest() == head["hash"]:
            return _split(body, lengths)
    return None


def mapped(file: Any, lengths: Sequence[int]) -> Repeats:
    """The counts of an open file of this machine, which may have no name any more."""
    return _split(np.memmap(file, np.int64, "r", HEAD_BYTES) if sum(lengths) else np.empty(0, np.int64), lengths)


def headed(told: Mapping[str, Any]) -> bytes:
    """The head of a file."""
    return json.dumps(told, sort_keys=True).encode().ljust(HEAD_BYTES - 1) + b"\n"


def head_of(path: str, shape: own_json.Shape) -> dict[str, Any] | None:
    """What the head of a file says; None where it has none of this shape."""
    try:
        with locations.open_file(path, jumps=True) as file:
            told: dict[str, Any] = own_json.parsed(file.read(HEAD_BYTES), shape)
    except (OSError, ValueError):
        return None
    return told


def read_array(path: str, start: int, length: int) -> Counts:
    """Some of a file's whole numbers. start: in bytes. Raises ValueError where it is shorter."""
    if not locations.is_remote(path):
        found = np.fromfile(path, np.int64, length, offset=start)
    else:
        with locations.open_file(path, jumps=True) as file:
            file.seek(start)
            found = np.frombuffer(file.read(8 * length), np.int64)
    if len(found) != length:
        raise ValueError(f"{path} ends before {length} numbers from {start}")
    return found


def _mapped_at(path: str, lengths: Sequence[int]) -> Repeats | None:
    if locations.is_remote(path):
        with suppress(OSError), scratch.copy_of(path) as copy:  # whose name goes, and which stays while it is mapped
            return _mapped_at(copy, lengths)
        return None
    if os.path.getsize(path) != HEAD_BYTES + 8 * sum(lengths):
        return None
    return _split(np.memmap(path, np.int64, "r", HEAD_BYTES), lengths)


def _split(body: Any, lengths: Sequence[int]) -> Repeats:
    return Repeats.of_arrays(np.split(body, np.cumsum(lengths)[:-1]))
