"""How often photos and captions occur, kept beside the fit: counted once for all parts of a run.

Knows one file of whole numbers; nothing of how they are counted or what they mean. The file is a line of JSON, filled
up to 4 KiB, and behind it the arrays as they are in memory, so that a large one is mapped: the processes of one machine
share it, and of its pages only those that are looked up are read.
"""

import json
import os
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np

from ncaudit import own_json
from ncaudit.shards.files import locations
from ncaudit.shards.files.writer import atomic_file
from ncaudit.shards.tables.embeddings import EmbeddingTable
from ncaudit.shards.tables.repeats import Counts, Repeated, Repeats
from ncaudit.verbs.outputs import versions_of

REPEATS = "repeats.bin"
HEAD_BYTES = 4096
HELD_BYTES = 64 << 20  # a smaller file is read, and its bytes are compared with their hash
SHAPE: own_json.Shape = {"of": str, "lengths": [int], "hash": str}


def keep_repeats(path: str, repeats: Repeats, tables: Sequence[EmbeddingTable]) -> None:
    """Write the counts of these tables."""
    arrays = _arrays(repeats)
    digest = blake2b(digest_size=16)
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    head = {"of": rests_on(tables), "lengths": [len(array) for array in arrays], "hash": digest.hexdigest()}
    with atomic_file(path) as file:
        file.write(json.dumps(head, sort_keys=True).encode().ljust(HEAD_BYTES - 1) + b"\n")
        for array in arrays:
            file.write(np.ascontiguousarray(array))


def kept_repeats(path: str, tables: Sequence[EmbeddingTable]) -> Repeats | None:
    """The counts that are kept; None where none are, or those of other tables."""
    try:
        with locations.open_file(path) as file:
            head = own_json.parsed(file.read(HEAD_BYTES), SHAPE)
            small = locations.is_remote(path) or 8 * sum(head["lengths"]) <= HELD_BYTES
            body = np.frombuffer(file.read(), np.int64) if small else None
    except (OSError, ValueError):
        return None
    if head["of"] != rests_on(tables):
        return None
    if body is None:
        return _mapped(path, head["lengths"])
    whole = len(body) == sum(head["lengths"]) and blake2b(body.data, digest_size=16).hexdigest() == head["hash"]
    return _split(body, head["lengths"]) if whole else None


def rests_on(tables: Sequence[EmbeddingTable]) -> str:
    """Of all tables that were counted, as they are."""
    return blake2b(json.dumps(versions_of(table.shard for table in tables)).encode(), digest_size=16).hexdigest()


def _mapped(path: str, lengths: Sequence[int]) -> Repeats | None:
    if os.path.getsize(path) != HEAD_BYTES + 8 * sum(lengths):
        return None
    return _split(np.memmap(path, np.int64, "r", HEAD_BYTES), lengths)


def _arrays(repeats: Repeats) -> list[Counts]:
    each = [(one.ids, one.rows, one.partners) for one in (repeats.images, repeats.captions)]
    return [*each[0], *each[1], repeats.pair_keys, repeats.pair_rows]


def _split(body: Any, lengths: Sequence[int]) -> Repeats | None:
    if len(lengths) != 8:
        return None
    parts = np.split(body, np.cumsum(lengths)[:-1])
    return Repeats(Repeated(*parts[0:3]), Repeated(*parts[3:6]), parts[6], parts[7])
