"""The numbers of many rows, spread over parts: written block by block, each block once, read part by part.

Knows rows of two numbers and files; nothing of what they stand for, or of who writes and reads them where. The first
number of a row says which part it is in. Whoever writes a block holds its rows, whoever reads a part holds that; nobody
holds all.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from ncaudit import own_json
from ncaudit.shards.files import locations
from ncaudit.shards.files.writer import atomic_file
from ncaudit.shards.places.partials import partials_among, sweep
from ncaudit.shards.tables.repeats.counts import Ids
from ncaudit.shards.tables.repeats.kept import HEAD_BYTES, head_of, headed, read_array

ROWS_PER_PART = 1 << 20
MOST_BITS = 10
SHAPE: own_json.Shape = {"of": str, "bits": int, "kinds": int}


def bits_for(rows: int) -> int:
    """How many high bits of a number tell its part: each has about a million rows, up to a thousand million in all."""
    return min(MOST_BITS, (rows // ROWS_PER_PART).bit_length())


@dataclass(frozen=True)
class Spread:
    """Where blocks lie. bits: there are 2**bits parts. of: all that is spread, as it is."""

    folder: str
    bits: int
    of: str

    @property
    def parts(self) -> int:
        """How many there are."""
        return 1 << self.bits

    def path(self, kind: str, number: int) -> str:
        """Of a block, or of what was made of a part."""
        return locations.join(self.folder, f"{kind}-{number:06}.bin")

    def has(self, block: int, kinds: int) -> bool:
        """Whether a block is there, whole."""
        told = {"of": self.of, "bits": self.bits, "kinds": kinds}
        return head_of(self.path("block", block), SHAPE) == told

    def write(self, block: int, by_kind: Sequence[Ids]) -> None:
        """Write a block: (n, 2) rows of each kind, however many of each."""
        parted = [self._parted(rows) for rows in by_kind]
        held = np.stack([np.diff(edges) for _, edges in parted], axis=1).astype(np.int64)
        with atomic_file(self.path("block", block), asked=False) as file:
            file.write(headed({"of": self.of, "bits": self.bits, "kinds": len(by_kind)}))
            file.write(held)
            for part in range(self.parts):
                for rows, edges in parted:
                    file.write(np.ascontiguousarray(rows[edges[part] : edges[part + 1]]))

    def read(self, part: int, blocks: int, kinds: int) -> list[Ids]:
        """(n, 2) of each kind: the rows of a part in all blocks, in their order."""
        found: list[list[Ids]] = [[np.empty((0, 2), dtype=np.int64)] for _ in range(kinds)]
        for block in range(blocks):
            path = self.path("block", block)
            held = read_array(path, HEAD_BYTES, self.parts * kinds).reshape(self.parts, kinds)
            start = HEAD_BYTES + 8 * held.size + 16 * int(held[:part].sum())
            rows = read_array(path, start, 2 * int(held[part].sum())).reshape(-1, 2)
            for kind, some in zip(found, np.split(rows, np.cumsum(held[part])[:-1]), strict=True):
                kind.append(some)
        return [np.concatenate(kind) for kind in found]

    def clear(self) -> None:
        """Take away all that was written here, and the folder where nothing else is in it."""
        clear(self.folder)

    def _parted(self, rows: Ids) -> tuple[Ids, Ids]:
        """The rows by their part, and where each part begins and the last ends: (2**bits + 1,)."""
        if self.bits == 0:
            return rows, np.array([0, len(rows)])
        part = (rows[:, 0] >> (64 - self.bits)) + (1 << (self.bits - 1))  # hashes: every part gets its share
        order = np.argsort(part, kind="stable")
        return rows[order], np.searchsorted(part[order], np.arange(self.parts + 1))


def clear(folder: str) -> None:
    """Take away all numbers that were written to a folder, and the folder where nothing else is in it."""
    names = locations.names_in(folder)
    for name in names:
        if name.endswith(".bin"):
            locations.remove(locations.join(folder, name))
    if not locations.is_remote(folder):
        sweep(partials_among(folder, names))
        with suppress(OSError):  # something of somebody else's is in it, or it is gone
            os.rmdir(folder)
