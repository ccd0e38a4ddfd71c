"""Random permutations that give no row what it had. Knows integer groups; nothing of captions or photos."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

TRIES = 64  # partners tried per row that kept its own: all of them where there are fewer rows
Ints = npt.NDArray[np.int64]


def derange(groups: Sequence[Ints], draw: np.random.Generator) -> Ints:
    """For each of n rows the row it gets instead: a uniform permutation, repaired where a row would get its own.

    groups: one or more (n,) arrays; rows that share a number in any of them are each other's own (same photo, same
    caption). Returns (n,) int64, every row once. Where too many rows are alike, some keep their own: see `is_own`.

    >>> derange([np.array([0, 1])], np.random.default_rng(0))
    array([1, 0])
    """
    given = draw.permutation(len(groups[0]))
    for row in np.flatnonzero(is_own(groups, np.arange(len(given)), given)):
        _repair(int(row), given, groups, draw)
    return given


def is_own(groups: Sequence[Ints], rows: Ints, given: Ints) -> npt.NDArray[np.bool_]:
    """Whether each of `rows` shares a group with what it is given. Both (m,) int64; returns (m,) bool."""
    own = np.zeros(len(rows), dtype=bool)
    for group in groups:
        own |= group[rows] == group[given]
    return own


def _repair(row: int, given: Ints, groups: Sequence[Ints], draw: np.random.Generator) -> None:
    """Exchange what `row` was given with another row, if there is one for which both then get another's."""
    partners = draw.choice(len(given), size=min(TRIES, len(given)), replace=False)
    rows = np.full(len(partners), row)
    good = ~is_own(groups, rows, given[partners]) & ~is_own(groups, partners, given[rows])
    if not is_own(groups, rows[:1], given[rows[:1]])[0] or not good.any():
        return
    partner = partners[good.argmax()]
    given[row], given[partner] = given[partner], given[row]
