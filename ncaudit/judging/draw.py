"""Which ok rows of score tables people are to judge: drawn from every range of the score, by names and seed alone.

Knows score tables and strata of scores; nothing of where the drawn rows go.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ncaudit.core.statistics.stratified_sample import allocate, score_strata
from ncaudit.errors import BadTable
from ncaudit.hashing import fit_sample_keys, hash_values
from ncaudit.schema import OK
from ncaudit.shards.tables.scores import ScoreTable

Numbers = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]
LABEL_UNIT = 2.0**-32  # labels are numbers of 24 bits, and there are fewer than 2**31 rows in a sum


@dataclass(frozen=True)
class Drawable:
    """The rows that may be drawn, (n,) each."""

    place: Places  # counted over all rows of all tables
    score: Numbers
    soft_label: Numbers  # nan where there is none
    key: Keys  # random; of the pair_id and the seed alone

    def put(self, where: slice, some: "Drawable") -> None:
        """Write rows into arrays that were made large enough: joining parts would hold all rows twice."""
        self.place[where], self.score[where] = some.place, some.score
        self.soft_label[where], self.key[where] = some.soft_label, some.key

    @classmethod
    def room(cls, most: int) -> "Drawable":
        """Arrays for so many rows, which `put` fills."""
        score, label = (np.empty(most, np.float32) for _ in range(2))
        return cls(np.empty(most, np.int64), score, label, np.empty(most, np.uint64))

    def upto(self, end: int) -> "Drawable":
        """The first rows."""
        return Drawable(self.place[:end], self.score[:end], self.soft_label[:end], self.key[:end])


@dataclass(frozen=True)
class Design:
    """What is drawn."""

    stratum: Places  # (n,) of all rows
    sizes: Places  # (H,)
    mean_label: npt.NDArray[np.float64]  # (H,)
    drawn: Places  # (H,)
    chosen: Places  # (sum of drawn,) among the n rows, ascending


@dataclass(frozen=True)
class Drawn:
    """What is drawn, without the rows that are not: sizes and what is drawn of the H strata, and the m rows, ascending.

    place: (m,), counted over all rows of all tables. stratum: (m,).
    """

    sizes: Places
    drawn: Places
    place: Places
    stratum: Places

    @classmethod
    def of(cls, design: Design, rows: Drawable) -> "Drawn":
        """Of rows that are all held."""
        return cls(design.sizes, design.drawn, rows.place[design.chosen], design.stratum[design.chosen])


def drawable(batch: pa.RecordBatch, path: str, first: int, seed: int) -> Drawable:
    """The ok rows of a batch that have a score."""
    ok = pc.fill_null(pc.equal(batch["status"], OK), False).to_numpy(zero_copy_only=False)
    score = _numbers(batch, "score", path)
    use = ok & ~np.isnan(score)
    ids = batch["pair_id"].filter(pa.array(use))
    label = _numbers(batch, "soft_label", path)[use]
    return Drawable(first + np.flatnonzero(use), score[use], label, keys("draw", ids, seed))


def keys(purpose: str, ids: pa.Array, seed: int) -> Keys:
    """Random numbers that depend on pair_id, purpose and seed alone: (n,)."""
    return fit_sample_keys(purpose, hash_values(ids), seed)


def _numbers(batch: pa.RecordBatch, name: str, path: str) -> Numbers:
    """A column as float32; nan where it is null or not there."""
    if name not in batch.schema.names:
        return np.full(len(batch), np.nan, dtype=np.float32)
    kind = batch[name].type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
        raise BadTable(f"{path}: {name} is {kind}, not a number", fix="rename or convert the column")
    numbers: Numbers = batch[name].cast(pa.float64()).to_numpy(zero_copy_only=False).astype(np.float32)
    return numbers


def designed(rows: Drawable, count: int, strata: int) -> Design:
    """Draw so many rows, more from the strata that tell more. rows: at least one."""
    strata = strata_for(len(rows.score), count, strata)
    stratum = score_strata(rows.score, strata, tie=rows.key)
    sizes = np.bincount(stratum, minlength=strata)
    mean_label = mean_labels(*summed_labels(rows.soft_label, stratum, strata))
    drawn = allocate(sizes, mean_label, count)
    chosen = [smallest(np.flatnonzero(stratum == h), rows.key, int(drawn[h])) for h in range(strata)]
    return Design(stratum, sizes, mean_label, drawn, np.sort(np.concatenate(chosen)))


def strata_for(rows: int, count: int, most: int) -> int:
    """How many strata there are of so many rows, where `count` are drawn: there are at least two verdicts of each."""
    return max(1, min(most, count // 2, rows // 2))


def summed_labels(label: Numbers, stratum: Places, strata: int) -> tuple[Places, Places]:
    """Of each stratum the sum of its labels, in units of LABEL_UNIT, and how many there are: (H,) each.

    Whole numbers: the sums of parts are those of all, in whatever order they are added.
    """
    labelled = ~np.isnan(label)
    units = np.rint(label[labelled].astype(np.float64).clip(0, 1) / LABEL_UNIT).astype(np.int64)
    own = stratum[labelled]
    sums = np.array([units[own == h].sum() for h in range(strata)], dtype=np.int64)
    return sums, np.bincount(own, minlength=strata)


def mean_labels(sums: Places, labels: Places) -> npt.NDArray[np.float64]:
    """The mean label of each stratum; nan where there is none. As `summed_labels` gives them."""
    return np.where(labels > 0, sums * LABEL_UNIT / np.maximum(labels, 1), np.nan)


def smallest(members: Places, key: Keys, count: int) -> Places:
    """The members with the smallest random keys, a random part of them; of equal keys the first. members: ascending."""
    own = key[members]
    near = np.flatnonzero(own <= np.partition(own, count - 1)[count - 1]) if count else np.zeros(0, np.int64)
    return members[near[np.argsort(own[near], kind="stable")[:count]]]


def fetched(tables: Sequence[ScoreTable], places: Places, part: Callable[[ScoreTable, Places], pa.Table]) -> pa.Table:
    """The rows at these places of all tables, ascending. part: those of one table, by their places there.

    Raises BadTable where the tables have columns of different types.
    """
    parts, first = [], 0
    for table in tables:
        low, high = np.searchsorted(places, [first, first + table.rows])
        if low < high:
            parts.append(part(table, places[low:high] - first))
        first += table.rows
    try:
        pairs = pa.concat_tables(parts, promote_options="permissive")
    except pa.ArrowException as error:
        raise BadTable(
            f"the score tables have columns of different types: {str(error).splitlines()[0]}",
            fix="draw from them separately, or convert the column",
        ) from error
    return pairs


def require_unique(ids: pa.ChunkedArray) -> None:
    """Raises BadTable where two drawn rows have one name."""
    counts = Counter(ids.to_pylist())
    pair_id, times = counts.most_common(1)[0]
    if times > 1:
        raise BadTable(
            f"pair_id {pair_id} names {times} different rows: a verdict on it could not be told apart",
            fix="give the score tables of one dataset, each once, with a pair_id per row",
        )
