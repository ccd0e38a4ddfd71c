"""Counts, labels and the worst rows of every stratum (a shard, or a value of a column), while all rows pass by once.

Knows columns of score tables; nothing of files. Bounded in strata: beyond the first MOST by name all are one. Sums are
exact, so that it does not matter how rows are cut, in which order they come, or where they were looked at.
"""

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ncaudit.core.statistics.wilson import wilson_interval
from ncaudit.judging.galleries.cells import Cells, texts
from ncaudit.judging.galleries.collector import SHOWN, Best, Row
from ncaudit.judging.galleries.rules import label_or_rank

MOST_STRATA = 2_000
OTHERS = "all others"
NAMELESS = "(none)"
Ids = npt.NDArray[np.int64]


@dataclass
class Stratum:
    """Sums over the rows of one stratum. mismatched: of 1 - soft_label, in [0, 1], over the `labelled` rows."""

    name: str
    rows: int = 0
    ok: int = 0
    labelled: int = 0
    mismatched: Fraction = Fraction(0)
    noisy: int = 0
    best: Best = field(default_factory=lambda: Best(0))

    @property
    def noise_rate(self) -> float | None:
        """Expected share of mismatches by the labels; None without any."""
        return float(self.mismatched / self.labelled) if self.labelled else None

    @property
    def surely_noisy(self) -> float:
        """The lower end of its 90 % interval: of two rows one may be wrong by chance, of two hundred not a hundred."""
        rate = self.noise_rate
        return 0.0 if rate is None else wilson_interval(rate, self.labelled)[0]

    @property
    def worst(self) -> list[Row]:
        """The rows with the lowest labels."""
        return self.best.rows

    def join(self, other: "Stratum") -> None:
        """Take in the same sums over other rows."""
        self.rows += other.rows
        self.ok += other.ok
        self.labelled += other.labelled
        self.mismatched += other.mismatched
        self.noisy += other.noisy
        self.best.join(other.best.kept)


class PerStratum:
    """Collects strata by a column. most: worst rows kept of each. number: what says, in [0, 1], how right a row is."""

    def __init__(
        self,
        column: str,
        most: int,
        strata: int = MOST_STRATA,
        columns: Sequence[str] = SHOWN,
        number: str = "soft_label",
        *,
        first: int = 0,
    ) -> None:
        self._column, self._most, self._strata, self._columns = column, most, strata, columns
        self._number = number
        self._found: dict[str, Stratum] = {}
        self._names: list[str] = []  # of these, in order
        self._others: Stratum | None = None
        self._first = first

    def add(self, batch: pa.RecordBatch) -> None:
        """The next rows, in the order of the tables."""
        cells = Cells(batch)
        words = cells.words(self._column).fill_null(NAMELESS).dictionary_encode()
        codes = words.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        strata = self._strata_of([str(name) for name in texts(words.dictionary)])
        self._count(cells, codes, strata)
        self._keep(cells, codes, strata)
        self._first += len(batch)

    def part(self) -> Sequence[Stratum]:
        """What was found so far, for the strata of another process; those of all others last, where there are any."""
        return [*self._found.values(), *([self._others] if self._others else [])]

    def join(self, part: Sequence[Stratum]) -> None:
        """Take in what others of this kind have found in other rows."""
        named = [one for one in part if one.name != OTHERS]
        for own, other in zip(self._strata_of([one.name for one in named]), named, strict=True):
            own.join(other)
        for other in (one for one in part if one.name == OTHERS):
            self._all_others().join(other)

    def _strata_of(self, names: Sequence[str]) -> list[Stratum]:
        """Those of these names. All names are known before any is found: a later one may be before an earlier one."""
        for name in names:
            self._know(name)
        return [self._found.get(name) or self._all_others() for name in names]

    def _know(self, name: str) -> None:
        if name in self._found or name == OTHERS or (self._is_full and name > self._names[-1]):
            return
        insort(self._names, name)
        self._found[name] = self._new(name)
        if len(self._names) > self._strata:
            self._all_others().join(self._found.pop(self._names.pop()))

    @property
    def _is_full(self) -> bool:
        return len(self._names) >= self._strata

    def _all_others(self) -> Stratum:
        if self._others is None:
            self._others = self._new(OTHERS)
        return self._others

    def _new(self, name: str) -> Stratum:
        return Stratum(name, best=Best(self._most, self._columns))

    def _count(self, cells: Cells, codes: Ids, strata: Sequence[Stratum]) -> None:
        label = cells.number(self._number)
        wrong = np.nan_to_num(1 - label).clip(0, 1)
        weights = (None, cells.ok, ~np.isnan(label), wrong, cells.equals("verdict", "noisy"))
        sums = [np.bincount(codes, weight, len(strata)).tolist() for weight in weights]
        for stratum, rows, ok, labelled, mismatched, noisy in zip(strata, *sums, strict=True):
            stratum.rows += int(rows)
            stratum.ok += int(ok)
            stratum.labelled += int(labelled)
            stratum.mismatched += Fraction(mismatched)
            stratum.noisy += int(noisy)

    def _keep(self, cells: Cells, codes: Ids, strata: Sequence[Stratum]) -> None:
        rank = label_or_rank(cells) if self._number == "soft_label" else cells.number(self._number)
        tie = cells.number("score")
        usable = np.flatnonzero(cells.ok & ~np.isnan(rank))
        order = usable[np.lexsort((usable, tie[usable], rank[usable], codes[usable]))]
        if not self._most or not len(order):
            return
        starts = np.searchsorted(codes[order], np.arange(len(strata) + 1))
        for number, stratum in enumerate(strata):
            own = order[starts[number] : starts[number + 1]][: self._most]
            if len(own):
                stratum.best.add(cells, own, rank[own], tie[own], self._first)

    def found(self) -> list[Stratum]:
        """All strata, those that are surely the noisiest first; by name where that is alike."""
        return sorted(self.part(), key=lambda one: (-one.surely_noisy, one.name))
