"""Embeddings of many pairs at hand for training: in memory up to a bound, above it in a file that memory maps.

Knows arrays and one temporary file; nothing of tables, labels' meaning or training.
"""

import mmap
import os
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ncaudit.errors import NcauditError
from ncaudit.matchers.steps.batch import Batch
from ncaudit.shards.files.locations import MIB
from ncaudit.verbs.train.data.split import Mask, epoch_generator, order_of_epoch
from ncaudit.verbs.train.data.training_set import EVERY_ROW

HELD_BYTES = 1024 * MIB  # of a training set that stay in memory; a larger one lies in the spool file
MAPPED_BYTES = 64 * MIB  # of the spool that may count as this process's memory
PAGES_PER_READ = 64 * 1024  # what the kernel maps around one pair that is read
Records = npt.NDArray[Any]


def record_type(image_dims: int, text_dims: int, classes: int = 0) -> np.dtype[Any]:
    """One pair: 2 bytes per dimension of both embeddings, and 20 more; with classes, one bit for each of them."""
    fields = [("image", "<f2", (image_dims,)), ("text", "<f2", (text_dims,))]
    bits = [("classes", "u1", (-(-classes // 8),))] if classes else []
    return np.dtype([*fields, ("label", "<f4"), ("photo", "<i8"), ("caption", "<i8"), *bits])


def as_batch(records: Records) -> Batch:
    """(n,) records as a batch that owns its memory."""

    def column(name: str) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(records[name]))

    return Batch(column("image"), column("text"), column("label"), column("photo"), column("caption"))


class EmbeddedPairs:
    """Pairs with float16 embeddings: `add` all, then ask for batches. Use as a context: the spool goes with it.

    Memory is bounded, but for 8 bytes per pair while an epoch's order is known.
    """

    def __init__(self, image_dims: int, text_dims: int, *, at_most: int, folder: str, classes: int = 0) -> None:
        """at_most: pairs that will be added. folder: for the spool, where that many pairs are too large for memory.

        classes: how many there are, where the pairs carry classes.
        """
        self._type = record_type(image_dims, text_dims, classes)
        self._folder, self._count = folder, 0
        self._spool: Any = None
        self._map: mmap.mmap | None = None
        self._touched = 0
        if at_most * self._type.itemsize > HELD_BYTES:
            os.makedirs(folder, exist_ok=True)
            # without a name where the system can: a killed run leaves nothing behind
            self._spool = tempfile.TemporaryFile(dir=folder, prefix="spool-")
        self._rows = np.empty((0 if self._spool else at_most, self._type.itemsize), dtype=np.uint8)

    def __enter__(self) -> "EmbeddedPairs":
        return self

    def __exit__(self, *error: object) -> None:
        self._rows = self._rows[:0].copy()
        if self._map is not None:
            self._map.close()
        if self._spool is not None:
            self._spool.close()

    def __len__(self) -> int:
        return self._count

    def add(self, records: Records) -> None:
        """Append pairs, (n,) of `record_type`. Raises NcauditError when the disk is full."""
        rows = np.ascontiguousarray(records).view(np.uint8).reshape(len(records), self._type.itemsize)
        if self._spool is not None:
            self._write(rows)
        else:
            self._rows[self._count : self._count + len(rows)] = rows
        self._count += len(rows)

    def take(self, places: npt.NDArray[np.int64]) -> Records:
        """The pairs at these places, (n,), as records in memory of their own."""
        rows = self._all()[places]  # bytes: numpy copies a record of plain bytes four times as fast
        self._forget(len(places))
        taken: Records = rows.view(self._type)[:, 0]
        return taken

    def batches(self, epoch: int, *, batch_pairs: int, seed: int, rows: slice = EVERY_ROW) -> Iterator[Batch]:
        """The `rows` of all whole batches of one epoch, which are a pure function of (seed, epoch).

        The remainder waits for another epoch. Inside a batch, pairs stand in the order of the tables.
        """
        for places in self.places(epoch, batch_pairs=batch_pairs, seed=seed, rows=rows):
            yield as_batch(self.take(places))

    def places(
        self, epoch: int, *, batch_pairs: int, seed: int, rows: slice = EVERY_ROW, among: Mask | None = None
    ) -> Iterator[npt.NDArray[np.int64]]:
        """Where the pairs of each of these batches stand. among: (n,) bool, the only ones; batches are no fewer."""
        order = order_of_epoch(epoch_generator(seed, epoch), len(self), among)
        for first in range(0, len(self) - batch_pairs + 1, batch_pairs):
            yield np.sort(order[first : first + batch_pairs])[rows]

    def _write(self, rows: npt.NDArray[np.uint8]) -> None:
        try:  # written, not mapped: a full disk is an error here, and a killed process there
            self._spool.write(rows.data)
            self._spool.flush()
        except OSError as error:
            raise NcauditError(
                f"{self._folder} cannot take the embeddings of all pairs: {error.strerror}",
                fix="make room there, or give --out on a larger disk; what lies there while training is 2 bytes"
                " per dimension and pair",
            ) from error

    def _all(self) -> npt.NDArray[np.uint8]:
        if self._spool is None or not self._count:
            return self._rows[: self._count]
        if self._map is None:
            self._map = mmap.mmap(self._spool.fileno(), 0, access=mmap.ACCESS_READ)
        return np.frombuffer(self._map, dtype=np.uint8).reshape(self._count, self._type.itemsize)

    def _forget(self, pairs: int) -> None:
        """Pages of the map count as memory of this process until they are given back."""
        self._touched += pairs * PAGES_PER_READ
        if self._map is not None and self._touched > MAPPED_BYTES:
            if hasattr(mmap, "MADV_DONTNEED"):
                self._map.madvise(mmap.MADV_DONTNEED)
            self._touched = 0
