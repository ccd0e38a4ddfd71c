"""The class column that a class objective learns from: counted over all files first, then read batch by batch.

Knows files and one column of theirs; nothing of losses, heads or towers.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from ncaudit.counts import counted
from ncaudit.errors import BadTable, NcauditError
from ncaudit.shards.dataset.class_labels import Class, Classes, classes_of
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.tables.checks import ALWAYS_THERE

Packed = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class TrainingClasses:
    """The classes that there are in column `name` of some files."""

    name: str
    classes: Classes

    def __len__(self) -> int:
        return len(self.classes)

    def packed(self, column: pa.Array) -> Packed:
        """One bit per class for each row of the column, (n, ceil(classes / 8)); see `unpacked`."""
        return np.packbits(self.classes.read(column).hot(len(self)), axis=1)


def unpacked(packed: Packed, classes: int) -> npt.NDArray[np.bool_]:
    """(n, classes) bool: which classes each row carries.

    >>> unpacked(np.packbits([[False, True, True]], axis=1), 3)
    array([[False,  True,  True]])
    """
    return np.unpackbits(packed, axis=1, count=classes).view(np.bool_)


def training_classes(shards: Sequence[Shard], name: str) -> TrainingClasses:
    """The classes that there are in column `name` of the shards, a class column in all of them.

    Raises BadTable where it is text here and numbers there, NcauditError where fewer than two classes occur, or where
    most occur once: they would have no neighbours of their own.
    """
    counts = classes_of(shards, name)
    _require_several(counts, name)
    return TrainingClasses(name, Classes(counts))


def validation_classes(packed: Packed, classes: TrainingClasses) -> Tensor:
    """(n, C) bool of the usable validation pairs. Raises NcauditError where none of them has a class."""
    if not packed.any():
        raise NcauditError(
            f"no usable pair of --val-data has a class in column {classes.name}", fix="give other --val-data"
        )
    return torch.from_numpy(unpacked(packed, len(classes)))


def refuse_own(path: str, name: str) -> None:
    """Raises BadTable where a column of this name, in a table of ours, is none of the user's."""
    if name in ALWAYS_THERE:
        raise BadTable(f"{path}: {name} is a column of ncaudit's own", fix="give --label-column one that holds classes")


def unlabelled_notes(unlabelled: int, pairs: int) -> list[str]:
    """What is right but surprising about the classes of the training pairs."""
    of_all = counted(pairs, "training pair has no class", "training pairs have no class")
    them = "it" if unlabelled == 1 else "them"
    return [f"{unlabelled:,} of {of_all}: no class loss learns from {them}"] * bool(unlabelled)


def _require_several(counts: Counter[Class], name: str) -> None:
    if len(counts) < 2:
        told = f"one class only, {next(iter(counts))!r}" if counts else "no class at all"
        raise NcauditError(
            f"column {name} holds {told}, and a class objective tells classes apart", fix="give another --label-column"
        )
    if len(counts) * 2 > counts.total():
        raise NcauditError(
            f"column {name} holds {counted(len(counts), 'class', 'classes')} for {counted(counts.total(), 'label')}: "
            "most occur once",
            fix="give a --label-column whose classes several pairs share",
        )
