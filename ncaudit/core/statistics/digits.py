"""Numbers of which nobody holds all: told by how they begin, and how many do; then whole, where it matters.

Knows numbers and counts; nothing of who holds which of them. Whoever holds some tells how many have which first digits:
there are 65,536 of these at most, however many numbers there are. Added up, these counts tell in which of them a rank
lies, and only the numbers that begin so are told whole, by how many are equal.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint32]
Counts = npt.NDArray[np.int64]
FIRST_DIGITS = np.uint32(0xFFFF0000)  # the upper half of a key


@dataclass(frozen=True)
class Counted:
    """Some keys, ascending, and how many numbers each stands for: (m,) both."""

    key: Keys
    times: Counts

    @property
    def rows(self) -> int:
        """The numbers of all keys."""
        return int(self.times.sum())

    @property
    def values(self) -> npt.NDArray[np.float32]:
        """The numbers that the keys are."""
        return unordered(self.key)

    def at(self, ranks: npt.ArrayLike) -> Keys:
        """The keys at these ranks, from 0, of all numbers in ascending order."""
        return self.key[np.searchsorted(self.times.cumsum(), ranks, side="right")]


def counted(keys: Keys) -> Counted:
    """Keys in any order."""
    key, times = np.unique(keys, return_counts=True)
    return Counted(key, times.astype(np.int64))


def first_digits(values: npt.NDArray[np.float32]) -> Counted:
    """How these numbers begin; as keys, with zeros behind."""
    return counted(ordered(values) & FIRST_DIGITS)


def beginning_so(values: npt.NDArray[np.float32], begins: Keys) -> Counted:
    """Those of these numbers whole that begin with one of these first digits, as `first_digits` has them."""
    keys = ordered(values)
    return counted(keys[np.isin(keys & FIRST_DIGITS, begins)])


def together(parts: Iterable[Counted]) -> Counted:
    """What several tell, added up; of two at a time all is held.

    >>> together([counted(np.array([7, 3], np.uint32)), counted(np.array([7], np.uint32))]).times
    array([1, 2])
    """
    whole = Counted(np.empty(0, np.uint32), np.empty(0, np.int64))
    for part in parts:
        key, place = np.unique(np.concatenate([whole.key, part.key]), return_inverse=True)
        times = np.zeros(len(key), dtype=np.int64)
        np.add.at(times, place, np.concatenate([whole.times, part.times]))
        whole = Counted(key, times)
    return whole


def known_whole(first: Counted, whole: Counted) -> Counted:
    """All numbers, those that are not known whole as their first digits alone: at every rank that was asked for, and
    for whatever is counted below it, as good as the numbers themselves.

    first: of all of them. whole: those with some first digits, every one.
    """
    kept = ~np.isin(first.key, whole.key & FIRST_DIGITS)
    return together([Counted(first.key[kept], first.times[kept]), whole])


def ordered(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Floats as unsigned whole numbers of the same size in the same order; both zeros are one.

    >>> ordered(np.array([-np.inf, -1, -0.0, 0, 2])).argsort().tolist(), int(np.diff(ordered(np.array([-0.0, 0])))[0])
    ([0, 1, 2, 3, 4], 0)
    """
    bits = np.uint64 if values.dtype == np.float64 else np.uint32
    top = bits(1 << (63 if bits is np.uint64 else 31))
    raw = (values + values.dtype.type(0)).view(bits)
    keys: npt.NDArray[Any] = np.where(raw & top, ~raw, raw | top)
    return keys


def unordered(keys: Keys) -> npt.NDArray[np.float32]:
    """The float32 values that `ordered` made these of."""
    top = np.uint32(1 << 31)
    values: npt.NDArray[np.float32] = np.where(keys & top, keys & ~top, ~keys).view(np.float32)
    return values
