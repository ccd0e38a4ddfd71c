"""People's verdicts joined with the scores of the pairs they judged. Knows no files, no scorers and no sites."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ncaudit.core.statistics.judges import NOT_JUDGED, Agreement, agreement
from ncaudit.core.statistics.null_rate import NoiseRate
from ncaudit.core.statistics.stratified_sample import merge_unjudged, post_stratify, stratified_rate
from ncaudit.counts import counted
from ncaudit.errors import BadTable
from ncaudit.shards.people.pair_finder import Found
from ncaudit.shards.people.verdicts import Verdicts, both_said, read_verdicts, whole
from ncaudit.shards.people.words import HOW_TO_SAY
from ncaudit.shards.tables.key_index import NOWHERE
from ncaudit.verbs.score.judged.likely_rows import Looked

Numbers = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
Edges = tuple[npt.NDArray[np.floating[Any]], Places]


@dataclass(frozen=True)
class Judged:
    """The judged pairs: (v,) scores, whether mismatched, rows each stands for; and the design-weighted rate."""

    score: Numbers
    mismatched: npt.NDArray[np.bool_]
    weight: Numbers
    rate: NoiseRate
    judging: "Judging"


@dataclass(frozen=True)
class Judging:
    """Who judged, and what became of it."""

    judges: int
    cannot_tell: int  # pairs of which a judge could not tell, counted for each judge
    disputed: int  # pairs of which one judge says yes and another no: they count as not told
    changed_ids: int  # rows of the files that were found by shard and row, as their pair_id was no longer what it was
    agreement: Agreement | None  # None with one judge

    def facts(self) -> Mapping[str, Any]:
        """As JSON."""
        return asdict(self)


def read_judges(paths: Sequence[str], max_row_bytes: int) -> list[Verdicts]:
    """One judge for each file. Raises BadTable as `read_verdicts` does, and where nobody has judged a pair."""
    judges = [read_verdicts(path, alone=len(paths) == 1, max_row_bytes=max_row_bytes) for path in paths]
    if not any(len(judge.pairs) for judge in judges):
        raise _nothing_said(judges)
    return judges


def require_known(judges: Sequence[Verdicts], looked: Looked) -> None:
    """Raises BadTable when a judged pair is none of the tables', or its name is that of several."""
    for judge, found in zip(judges, looked.found(), strict=True):
        _require_all(judge, found.row == NOWHERE, looked.first_id)


class JudgedScores:
    """The scores of the judged pairs among those of all rows that people may have judged."""

    def __init__(self, judges: Sequence[Verdicts], looked: Looked, edges: Callable[[], Edges] | None) -> None:
        """edges: gives where all rows' scores are cut into strata; None: each file tells those of its own pairs."""
        self._judges, self._looked, self._edges = judges, looked, edges
        starts = looked.starts
        tables = looked.told.items()
        self._scores = {starts[n] + row: score for n, told in tables for row, score in told.score.items()}

    def found(self) -> Judged:
        """All judged pairs with their weights.

        Raises BadTable when a judged pair has no score in these tables or is none of its own, a judge contradicts
        himself, or no pair is left that is not disputed.
        """
        found = self._looked.found()
        for judge, places in zip(self._judges, found, strict=True):
            strange = [row == NOWHERE or np.isnan(self._scores[row]) for row in places.row.tolist()]
            _require_all(judge, np.array(strange, dtype=bool), self._looked.first_id)
        said = self._said(found)
        rows = np.array(sorted(said), dtype=np.int64)
        codes = np.array([said[row] for row in rows.tolist()], dtype=np.int8)
        told = _one_verdict(codes)
        if not (told != NOT_JUDGED).any():
            raise _all_disputed(self._judges, len(rows))
        return self._judged(rows[told != NOT_JUDGED], told[told != NOT_JUDGED] == 0, found, codes)

    def _judged(self, rows: Places, wrong: npt.NDArray[np.bool_], found: Sequence[Found], codes: Any) -> Judged:
        score = np.array([self._scores[row] for row in rows.tolist()])
        stratum, members = self._strata(rows, score, found)
        told = stratified_rate(wrong, stratum, members)
        merged, merged_rows = merge_unjudged(stratum, members)
        weight = (merged_rows / np.bincount(merged, minlength=len(merged_rows)))[merged]
        rate = NoiseRate(told.rate, told.low, told.high)
        return Judged(score, wrong, weight, rate, self._judging(found, codes))

    def _judging(self, found: Sequence[Found], codes: npt.NDArray[np.int8]) -> Judging:
        both = agreement(codes)
        return Judging(
            judges=len(self._judges),
            cannot_tell=sum(judge.cannot_tell for judge in self._judges),
            disputed=both.disputed,
            changed_ids=sum(one.changed for one in found),
            agreement=both if len(self._judges) > 1 else None,
        )

    def _said(self, found: Sequence[Found]) -> dict[int, list[int]]:
        """What every judge says of each judged row."""
        said: dict[int, list[int]] = {}
        for number, (judge, places) in enumerate(zip(self._judges, found, strict=True)):
            for entry, row in enumerate(places.row.tolist()):
                words = said.setdefault(row, [NOT_JUDGED] * len(self._judges))
                if words[number] not in (NOT_JUDGED, int(judge.is_match[entry])):
                    raise both_said(judge.path, judge.pair_id[entry])
                words[number] = int(judge.is_match[entry])
        return said

    def _strata(self, rows: Places, score: Numbers, found: Sequence[Found]) -> tuple[Places, Places]:
        """The strata the pairs were drawn from; verdicts from elsewhere are stratified afterwards, by their score."""
        if self._edges is not None:
            return post_stratify(score, *self._edges())
        drawn = [judge.drawn for judge in self._judges if judge.drawn is not None]
        of_row: dict[int, int] = {}
        for judge, places in zip(self._judges, found, strict=True):
            assert judge.stratum is not None
            of_row |= dict(zip(places.row.tolist(), judge.stratum.tolist(), strict=True))
        return np.array([of_row[row] for row in rows.tolist()], dtype=np.int64), whole(drawn)


def _require_all(judge: Verdicts, strange: npt.NDArray[np.bool_], first_id: str) -> None:
    """strange: (n,) of the judged pairs, those that are none of the tables'."""
    if strange.any():
        first = judge.pair_id[int(strange.argmax())]
        raise BadTable(
            f"{judge.path}: {int(strange.sum())} of "
            f"{counted(len(strange), 'judged pair has', 'judged pairs have')} no score in these tables "
            f"(first: {first}; the first one here is {first_id})",
            fix="give the verdicts of a sample that was drawn from these tables (ncaudit sample), its pair_ids as "
            "they were: a spreadsheet program may have changed them, which the columns shard and row make good",
        )


def _one_verdict(codes: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """What all judges who said something agree on; NOT_JUDGED where they do not. codes: (n, judges)."""
    yes, no = (codes == 1).any(axis=1), (codes == 0).any(axis=1)
    return np.where(yes & no, NOT_JUDGED, np.where(yes, 1, 0)).astype(np.int8)


def _nothing_said(judges: Sequence[Verdicts]) -> BadTable:
    unsure, pairs = sum(judge.cannot_tell for judge in judges), sum(judge.unjudged for judge in judges)
    where = " and ".join(judge.path for judge in judges)
    told = f", {unsure:,} of them of which nobody could tell" if unsure else ""
    what = f"{where}: no pair is judged yet ({counted(pairs, 'pair')}{told})"
    return BadTable(what, fix=f"fill in is_match: {HOW_TO_SAY}")


def _all_disputed(judges: Sequence[Verdicts], pairs: int) -> BadTable:
    where = " and ".join(judge.path for judge in judges)
    what = f"{where}: the judges agree on no pair, and disagree on {counted(pairs, 'pair')}"
    return BadTable(what, fix="settle some of them, or ask one more")
