"""What repeats among the rows of all tables: photos and captions, and names that should tell rows apart.

Knows tables, blocks of them and parts of their numbers; nothing of who does a block or a part, or where. A block is
written once, then every part is counted, then parts are put together; in memory there is one block, or one part.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ncaudit import own_json
from ncaudit.hashing import hash_values
from ncaudit.progress import SILENT, Progress
from ncaudit.shards.files.writer import atomic_file
from ncaudit.shards.tables.embeddings import EmbeddingTable
from ncaudit.shards.tables.repeats.counts import Ids, count_part
from ncaudit.shards.tables.repeats.kept import HEAD_BYTES, head_of, headed, read_array, write_counts
from ncaudit.shards.tables.repeats.spread import Spread

BLOCK_ROWS = 1 << 20  # some 64 bytes each while it is written; a table with more is a block of its own
PART: own_json.Shape = {"of": str, "lengths": [int]}
PLACE_BITS = 40  # of a name's number within its table; the bits above are the table's
CONTENTS, NAMES = 2, 1  # kinds of numbers: photos and captions; names


@dataclass(frozen=True)
class Block:
    """Some tables that are written together, each with its number among all."""

    number: int
    tables: Sequence[tuple[int, EmbeddingTable]]

    @property
    def rows(self) -> int:
        """Of all its tables."""
        return sum(table.rows for _, table in self.tables)


def blocks_of(tables: Sequence[EmbeddingTable]) -> list[Block]:
    """All tables in blocks, in their order."""
    found: list[Block] = []
    held: list[tuple[int, EmbeddingTable]] = []
    for number, table in enumerate(tables):
        if held and sum(one.rows for _, one in held) + table.rows > BLOCK_ROWS:
            found.append(Block(len(found), held))
            held = []
        held.append((number, table))
    return [*found, Block(len(found), held)] if held else found


def write_contents(spread: Spread, block: Block, progress: Progress = SILENT) -> None:
    """Write photo and caption of a block's ok rows, by photo and by caption, unless they are there."""
    if spread.has(block.number, CONTENTS):
        progress.advance(block.rows)
        return
    both = contents([table for _, table in block.tables], progress)
    by_image = np.concatenate([_NOTHING, *(np.stack(one, axis=1) for one in both)])
    spread.write(block.number, [by_image, by_image[:, ::-1]])


def contents(tables: Iterable[EmbeddingTable], progress: Progress) -> Iterator[tuple[Ids, Ids]]:
    """(image_id, caption_id) of the ok rows, see `EmbeddingTable.identities`."""
    for table in tables:
        ok = 0
        for image_id, caption_id in table.identities():
            yield image_id, caption_id
            ok += len(image_id)
            progress.advance(len(image_id))
        progress.advance(table.rows - ok, table.rows - ok)


def count_contents(spread: Spread, part: int, blocks: int) -> list[int]:
    """Count a part and write that, unless it is there. Returns how long its arrays are."""
    path = spread.path("part", part)
    if (there := head_of(path, PART)) is not None and there["of"] == spread.of:
        return list(there["lengths"])
    arrays = count_part(*spread.read(part, blocks, CONTENTS)).arrays
    lengths = [len(array) for array in arrays]
    with atomic_file(path, asked=False) as file:
        file.write(headed({"of": spread.of, "lengths": lengths}))
        for array in arrays:
            file.write(np.ascontiguousarray(array))
    return lengths


def put_together(file: Any, spread: Spread, lengths: Sequence[Sequence[int]]) -> list[int]:
    """Write what all parts found as `kept.py` keeps it. lengths: of each part's arrays. Returns those of the whole."""

    def pieces(array: int) -> Iterator[Ids]:
        for part, each in enumerate(lengths):
            yield read_array(spread.path("part", part), HEAD_BYTES + 8 * sum(each[:array]), each[array])

    return write_counts(file, spread.of, pieces)


@dataclass(frozen=True)
class SharedNames:
    """Rows whose name another row has too, and the place of the first of them: its table, and which of its names."""

    rows: int
    table: int
    number: int

    def name(self, tables: Sequence[EmbeddingTable]) -> str:
        """What that row is called."""
        before = 0
        for names in tables[self.table].names():
            if self.number < before + len(names):
                return str(names[self.number - before])
            before += len(names)
        raise AssertionError("what was counted is there")


def named(tables: Sequence[EmbeddingTable]) -> list[EmbeddingTable]:
    """The tables whose names may be shared: `embed` gives no name twice, nor do we where a table has no names."""
    return [table for table in tables if (table.provenance or {}).get("verb") != "embed" and table.names_pairs]


def write_names(spread: Spread, block: Block) -> None:
    """Write the names of a block's rows and their places, unless they are there."""
    if not spread.has(block.number, NAMES):
        spread.write(block.number, [places_of_names(block)])


def places_of_names(block: Block) -> Ids:
    """(n, 2): the hash of each name, and its place among the names of all tables."""
    found = [_NOTHING]
    for number, table in block.tables:
        first = number << PLACE_BITS
        for names in table.names():
            places = np.arange(first, first + len(names), dtype=np.int64)
            found.append(np.stack([hash_values(names), places], axis=1))
            first += len(names)
    return np.concatenate(found)


def shared_names(names: Ids) -> SharedNames | None:
    """Of some names with their places, (n, 2): those that are there more than once; None where none is."""
    names = names[np.argsort(names[:, 0], kind="stable")]
    again = names[1:, 0] == names[:-1, 0]
    shared = np.concatenate([again, [False]]) | np.concatenate([[False], again]) if len(names) else again
    if not shared.any():
        return None
    first = int(names[shared, 1].min())
    return SharedNames(int(shared.sum()), first >> PLACE_BITS, first & ((1 << PLACE_BITS) - 1))


def first_shared(found: Iterable[SharedNames | None]) -> SharedNames | None:
    """Of all parts together."""
    told = [one for one in found if one is not None]
    if not told:
        return None
    first = min(told, key=lambda one: (one.table, one.number))
    return SharedNames(sum(one.rows for one in told), first.table, first.number)


_NOTHING: Ids = np.empty((0, 2), dtype=np.int64)
