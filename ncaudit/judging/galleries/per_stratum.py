"""Counts, labels and the worst rows of every stratum (a shard, or a value of a column), while all rows pass by once.

Knows columns of score tables; nothing of files. Bounded in strata: those that come later than the first MOST are one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

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
    """Sums over the rows of one stratum. mismatched: of 1 - soft_label over the `labelled` rows."""

    name: str
    rows: int = 0
    ok: int = 0
    labelled: int = 0
    mismatched: float = 0.0
    noisy: int = 0
    best: Best = field(default_factory=lambda: Best(0))

    @property
    def noise_rate(self) -> float | None:
        """Expected share of mismatches by the labels; None without any."""
        return self.mismatched / self.labelled if self.labelled else None

    @property
    def surely_noisy(self) -> float:
        """The lower end of its 90 % interval: of two rows one may be wrong by chance, of two hundred not a hundred."""
        rate = self.noise_rate
        return 0.0 if rate is None else wilson_interval(rate, self.labelled)[0]

    @property
    def worst(self) -> list[Row]:
        """The rows with the lowest labels."""
        return self.best.rows


class PerStratum:
    """Collects strata by a column. most: worst rows kept of each. number: what says, in [0, 1], how right a row is."""

    def __init__(
        self,
        column: str,
        most: int,
        strata: int = MOST_STRATA,
        columns: Sequence[str] = SHOWN,
        number: str = "soft_label",
    ) -> None:
        self._column, self._most, self._strata, self._columns = column, most, strata, columns
        self._number = number
        self._found: dict[str, Stratum] = {}
        self._first = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """The next rows, in the order of the tables."""
        cells = Cells(batch)
        words = cells.words(self._column).fill_null(NAMELESS).dictionary_encode()
        codes = words.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        strata = [self._stratum(str(name)) for name in texts(words.dictionary)]
        self._count(cells, codes, strata)
        self._keep(cells, codes, strata)
        self._first += len(batch)

    def _stratum(self, name: str) -> Stratum:
        if name not in self._found and len(self._found) >= self._strata:
            name = OTHERS
        if name not in self._found:
            self._found[name] = Stratum(name, best=Best(self._most, self._columns))
        return self._found[name]

    def _count(self, cells: Cells, codes: Ids, strata: Sequence[Stratum]) -> None:
        label = cells.number(self._number)
        weights = (None, cells.ok, ~np.isnan(label), np.nan_to_num(1 - label), cells.equals("verdict", "noisy"))
        sums = [np.bincount(codes, weight, len(strata)).tolist() for weight in weights]
        for stratum, rows, ok, labelled, mismatched, noisy in zip(strata, *sums, strict=True):
            stratum.rows += int(rows)
            stratum.ok += int(ok)
            stratum.labelled += int(labelled)
            stratum.mismatched += mismatched
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
        return sorted(self._found.values(), key=lambda one: (-one.surely_noisy, one.name))
