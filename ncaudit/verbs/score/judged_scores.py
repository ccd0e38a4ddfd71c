"""People's verdicts joined with the scores of the pairs they judged. Knows no files and no scorers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ncaudit.core.statistics.null_rate import NoiseRate
from ncaudit.core.statistics.stratified_sample import merge_unjudged, post_stratify, score_edges, stratified_rate
from ncaudit.errors import BadTable
from ncaudit.shards.people.verdicts import Verdicts
from ncaudit.shards.tables.key_index import NOWHERE

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """The judged pairs: (v,) scores, whether mismatched, rows each stands for; and the design-weighted rate."""

    score: Numbers
    mismatched: npt.NDArray[np.bool_]
    weight: Numbers
    rate: NoiseRate


class JudgedScores:
    """Collects the scores of judged pairs while all rows pass by; 4 bytes per row are kept for the strata."""

    def __init__(self, verdicts: Verdicts) -> None:
        self._verdicts = verdicts
        self._score = np.full(len(verdicts.pair_id), np.nan)
        self._all: list[npt.NDArray[np.float32]] = []

    def add(self, pair_ids: Sequence[str], score: Numbers) -> None:
        """Scores of some rows, (n,)."""
        place = self._verdicts.places(pair_ids)
        self._score[place[place != NOWHERE]] = score[place != NOWHERE]
        self._all.append(score.astype(np.float32))

    def found(self) -> Judged:
        """All judged pairs with their weights. Raises BadTable when a judged pair has no score in these tables."""
        verdicts, strange = self._verdicts, np.isnan(self._score)
        if not len(strange) or strange.any():
            first = verdicts.pair_id[int(strange.argmax())] if len(strange) else "none"
            raise BadTable(
                f"{verdicts.path}: {int(strange.sum())} of {len(strange)} judged pairs have no score in these tables "
                f"(first: {first})",
                fix="give the verdicts of a sample drawn from these tables (ncaudit sample)",
            )
        stratum, rows = self._strata()
        wrong = ~verdicts.is_match
        told = stratified_rate(wrong, stratum, rows)
        merged, merged_rows = merge_unjudged(stratum, rows)
        weight = (merged_rows / np.bincount(merged, minlength=len(merged_rows)))[merged]
        return Judged(self._score, wrong, weight, NoiseRate(told.rate, told.low, told.high))

    def _strata(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The strata the pairs were drawn from; verdicts from elsewhere are stratified afterwards, by their score."""
        if self._verdicts.stratum is not None and self._verdicts.stratum_rows is not None:
            return self._verdicts.stratum, self._verdicts.stratum_rows
        return post_stratify(self._score, *score_edges(np.concatenate(self._all).astype(np.float64)))
