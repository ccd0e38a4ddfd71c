"""The class column that a class objective learns from: counted over all tables first, then read batch by batch.

Knows embedding tables and one column; nothing of losses or heads.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ncaudit.errors import BadTable, NcauditError
from ncaudit.shards.class_labels import Class, Classes, count_classes
from ncaudit.shards.tables import ALWAYS_THERE, EmbeddingBatch, EmbeddingTable, read_batches

COUNTED_ROWS = 65_536
Packed = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class TrainingClasses:
    """The classes of one set of tables, which were opened with the column `name` carried."""

    name: str
    classes: Classes

    def __len__(self) -> int:
        return len(self.classes)

    def packed(self, batch: EmbeddingBatch) -> Packed:
        """One bit per class for each row of the batch, (n, ceil(classes / 8)); see `unpacked`."""
        return np.packbits(self.classes.read(batch.carried.column(0)).hot(len(self)), axis=1)


def unpacked(packed: Packed, classes: int) -> npt.NDArray[np.bool_]:
    """(n, classes) bool: which classes each row carries.

    >>> unpacked(np.packbits([[False, True, True]], axis=1), 3)
    array([[False,  True,  True]])
    """
    return np.unpackbits(packed, axis=1, count=classes).view(np.bool_)


def training_classes(tables: Sequence[EmbeddingTable], name: str) -> TrainingClasses:
    """The classes that there are in column `name` of the tables, a class column that they were opened with.

    Raises BadTable where it is ncaudit's own, or text here and numbers there, NcauditError where fewer than
    two classes occur, or where most occur once: they would have no neighbours of their own.
    """
    counts: Counter[Class] = Counter()
    first: dict[type, str] = {}
    for table in tables:
        found = _count(table, name)
        counts.update(found)
        for kind in {type(value) for value in found}:
            first.setdefault(kind, table.shard.path)
    if len(first) > 1:
        raise BadTable(
            f"column {name} holds text in {first[str]} and numbers in {first[int]}",
            fix="write them alike in all tables",
        )
    _require_several(counts, name)
    return TrainingClasses(name, Classes(counts))


def _count(table: EmbeddingTable, name: str) -> Counter[Class]:
    path = table.shard.path
    if name in ALWAYS_THERE:
        raise BadTable(f"{path}: {name} is a column of ncaudit's own", fix="give --label-column one that holds classes")
    counts: Counter[Class] = Counter()
    for batch in read_batches(path, {name}, COUNTED_ROWS):
        counts.update(count_classes(batch[name]))
    return counts


def _require_several(counts: Counter[Class], name: str) -> None:
    if len(counts) < 2:
        told = f"one class only, {next(iter(counts))!r}" if counts else "no class at all"
        raise NcauditError(
            f"column {name} holds {told}, and a class objective tells classes apart", fix="give another --label-column"
        )
    if len(counts) * 2 > counts.total():
        raise NcauditError(
            f"column {name} holds {len(counts):,} classes for {counts.total():,} labels: most occur once",
            fix="give a --label-column whose classes several pairs share",
        )
