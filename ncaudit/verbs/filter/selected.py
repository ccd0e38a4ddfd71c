"""Where the best of all rows end, found by whoever does the shards: no key of a row is held by anybody.

Knows sites, and keys as whole numbers, labels in their upper halves; nothing of what else a key is made of. A cut is
found digit by digit: each table tells how many of its keys have which first digits, then, of the keys that begin as the
cut does, which come next. So this process holds a count for each value of a digit that is there, and stratum; once FEW
keys are left, all their digits are taken as one. Where a mean label says how many are kept, digits of labels tell that
first, with what their labels add up to. Rows at a cut that not all of them pass are told apart by their names, as in
one process.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from ncaudit.engines.jobs import Site, Task, finding, found_by
from ncaudit.progress import SILENT, Progress
from ncaudit.shards.tables.score_input import FileScores
from ncaudit.verbs.filter.best_rows import BestRows, Cut, Keys, Place
from ncaudit.verbs.filter.keep_rules import Chooser, KeepShare, KeptPrecision

KEY_BITS, DIGIT_BITS, LABEL_SHIFT = 64, 16, 32
FEW = 1 << 18  # keys whose remaining digits may be counted as one
Strata = Mapping[Any, Counter[int]]  # by the stratum's value: keys by their digit


@dataclass(frozen=True)
class Digit:
    """Bits of a key, `shift` of them below. begins: by the stratum's value, what stands above; None: all keys."""

    shift: int
    bits: int
    begins: Mapping[Any, int] | None = None


@dataclass
class Found:
    """Of one stratum, while its cut is searched. wanted: keys that are kept of those that begin so."""

    of: int
    kept: int
    wanted: int
    begins: int = 0
    at: int = 0  # keys that do

    def descend(self, digits: Counter[int], bits: int) -> None:
        """Take the digit in which the last kept key is."""
        for digit in sorted(digits, reverse=True):
            if self.wanted <= digits[digit]:
                self.begins, self.at = self.begins << bits | digit, digits[digit]
                return
            self.wanted -= digits[digit]
        raise AssertionError("what is wanted is there")

    @property
    def cut(self) -> Cut:
        """Once there is no digit left."""
        return Cut(self.kept, self.of, self.begins, self.wanted, self.at)


@dataclass
class _Told:
    """What one table tells: keys by digit, of each stratum in the order in which it meets them."""

    table: int
    strata: dict[Any, Counter[int]] = field(default_factory=dict)


def prepare(site: Site, chooser: Chooser, tables: Sequence[FileScores], progress: Progress) -> None:
    """As `Chooser.prepare` has it, and the very same cuts."""
    best = chooser.best
    digit = Digit(KEY_BITS - DIGIT_BITS, DIGIT_BITS)
    strata = _gathered(site, chooser, tables, digit, progress)
    sizes = {value: sum(digits.values()) for value, digits in strata.items()}
    kept = _kept(site, chooser, tables, sizes)
    found = {value: Found(of, kept[value], kept[value]) for value, of in sizes.items()}
    while True:
        open_ones = {value: one for value, one in found.items() if one.kept}
        for value, one in open_ones.items():
            one.descend(strata[value], digit.bits)
        if not digit.shift or not open_ones:
            break
        left = sum(one.at for one in open_ones.values())
        bits = digit.shift if left <= FEW else DIGIT_BITS
        begins = {value: one.begins for value, one in open_ones.items()}
        digit = Digit(digit.shift - bits, bits, begins)
        strata = _gathered(site, chooser, tables, digit, SILENT)
    best.settle({value: one.cut if one.kept else None for value, one in found.items()}, sizes)
    if best.has_open_ties:
        for places in _each(site, tables, partial(_ties, chooser), SILENT):
            best.add_places(places)
        best.break_ties()


def _kept(site: Site, chooser: Chooser, tables: Sequence[FileScores], sizes: Mapping[Any, int]) -> Mapping[Any, int]:
    """How many rows of each stratum the rule keeps. A mean is that of all: then there is one stratum."""
    rule = chooser.ranking
    if isinstance(rule, KeepShare):
        return {value: rule.of(rows) for value, rows in sizes.items()}
    return dict.fromkeys(sizes, _with_mean(site, chooser, tables))


def _with_mean(site: Site, chooser: Chooser, tables: Sequence[FileScores]) -> int:
    """How many rows, best label first, have together the mean that is asked for: digit by digit of the labels.

    What labels are above it in all rises from row to row, then falls: the last row is where it would fall below 0.
    """
    rows = surplus = begins = 0
    for shift in range(KEY_BITS - DIGIT_BITS, LABEL_SHIFT - 1, -DIGIT_BITS):
        above = None if shift + DIGIT_BITS == KEY_BITS else {None: begins}
        told = _Labels()
        for one in _each(site, tables, partial(_labels, chooser, Digit(shift, DIGIT_BITS, above)), SILENT):
            told.add(one)
        for digit in sorted(told.rows, reverse=True):
            if surplus + told.surplus[digit] < 0:
                break
            rows, surplus = rows + told.rows[digit], surplus + told.surplus[digit]
        else:
            return rows
        begins = begins << DIGIT_BITS | digit
    lacks = -told.surplus[digit] // told.rows[digit]  # of these rows each: they have one label
    return rows + surplus // lacks


@dataclass
class _Labels:
    """Some rows by a digit of their labels: how many, and how far their labels together are above a mean."""

    rows: Counter[int] = field(default_factory=Counter)
    surplus: Counter[int] = field(default_factory=Counter)

    def add(self, other: "_Labels") -> None:
        """Take over what another has counted."""
        self.rows.update(other.rows)
        self.surplus.update(other.surplus)


def _labels(chooser: Chooser, digit: Digit, item: tuple[int, FileScores], progress: Progress) -> _Labels:
    rule, told, strata = chooser.ranking, _Labels(), chooser.best.without_rows()
    assert isinstance(rule, KeptPrecision)
    for keys, batch, _ in chooser.rankable(item[1]):
        keys, _ = _beginning(keys, strata.numbers(batch), strata, digit)
        values, place, rows = np.unique(_digit(keys, digit), return_inverse=True, return_counts=True)
        surplus = np.zeros(len(values), dtype=np.int64)
        np.add.at(surplus, place, rule.surplus(keys))
        told.rows.update(dict(zip(values.tolist(), rows.tolist(), strict=True)))
        told.surplus.update(dict(zip(values.tolist(), surplus.tolist(), strict=True)))
    return told


def _gathered(
    site: Site, chooser: Chooser, tables: Sequence[FileScores], digit: Digit, progress: Progress
) -> dict[Any, Counter[int]]:
    """All tables' digits; strata in the order in which the tables have them."""
    came: dict[int, list[Any]] = {}
    every: dict[Any, Counter[int]] = {}
    for told in _each(site, tables, partial(_digits, chooser, digit), progress):
        came[told.table] = list(told.strata)
        for value, digits in told.strata.items():
            every.setdefault(value, Counter()).update(digits)
    order = dict.fromkeys(value for table in sorted(came) for value in came[table])
    return {value: every[value] for value in order}


def _each(site: Site, tables: Sequence[FileScores], find: Callable[..., Any], progress: Progress) -> Iterator[Any]:
    tasks = [Task(scores.shard, (number, scores), scores.rows or 0) for number, scores in enumerate(tables)]
    return found_by(site.engine(finding(find)), tasks, progress)


def _digits(chooser: Chooser, digit: Digit, item: tuple[int, FileScores], progress: Progress) -> _Told:
    number, scores = item
    told, strata = _Told(number), chooser.best.without_rows()
    for keys, batch, rows in chooser.rankable(scores):
        stratum = strata.numbers(batch)
        keys, stratum = _beginning(keys, stratum, strata, digit)
        some = _digit(keys, digit)
        for place in np.unique(stratum).tolist():
            values, counts = np.unique(some[stratum == place], return_counts=True)
            of = told.strata.setdefault(strata.value(place), Counter())
            of.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
        if digit.begins is None:
            progress.advance(rows)
    return told


def _digit(keys: Keys, digit: Digit) -> Keys:
    found: Keys = keys >> np.uint64(digit.shift) & np.uint64((1 << digit.bits) - 1)
    return found


def _beginning(keys: Keys, stratum: Any, strata: BestRows, digit: Digit) -> tuple[Keys, Any]:
    """Those keys that begin as their stratum's cut does, and their strata."""
    if digit.begins is None:
        return keys, stratum
    above = digit.shift + digit.bits
    values = [strata.value(place) for place in range(int(stratum.max(initial=-1)) + 1)]
    begins = np.array([digit.begins.get(value, 0) for value in values], dtype=np.uint64)
    asked = np.array([value in digit.begins for value in values], dtype=bool)
    wanted = asked[stratum] & (keys >> np.uint64(above) == begins[stratum])
    return keys[wanted], stratum[wanted]


def _ties(chooser: Chooser, item: tuple[int, FileScores], progress: Progress) -> Mapping[int, list[Place]]:
    number, scores = item
    return chooser.tied_places(scores, number)
