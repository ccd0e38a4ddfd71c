"""From scores to rows of a score table, and the counts of what was written. Knows arrow; nothing of files' places."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from torch import Tensor

from ncaudit.schema import DATASET_PREFIX, OK, SCORE, SUGGESTION, VERDICTS
from ncaudit.scoring.fits import PairScores
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.readers import open_shard, read_columns
from ncaudit.shards.tables.checks import cast_to
from ncaudit.shards.tables.embeddings import EmbeddingBatch
from ncaudit.verbs.score.worst import Worst

NUMBERS = ("soft_label", "similarity", "score", "clean_probability", "image_consistency", "text_consistency")
SUGGESTED = "suggested_pair"
COUNTED: dict[str, pa.DataType | None] = {
    **{name: pa.string() for name in ("status", "verdict", "reason")},
    **{name: pa.float32() for name in ("soft_label", "similarity", "score")},
}


@dataclass(frozen=True)
class ScoredRows:
    """Some rows of an embedding table with the scores of the ok ones (None when there are none).

    anchor_ids: what `PairScores.image_anchor` and `text_anchor` index. more: further columns, values of the ok rows.
    """

    batch: EmbeddingBatch
    scores: PairScores | None
    anchor_ids: Sequence[str]
    more: Mapping[str, Any] = field(default_factory=dict)


def score_schema(carried: pa.Schema, *, suggest: bool = False) -> pa.Schema:
    """The score table's schema, with the user's light columns behind ours."""
    return pa.schema([*SCORE, *(SUGGESTION if suggest else ()), *carried])


def scored_batch(rows: ScoredRows, schema: pa.Schema) -> pa.RecordBatch:
    """The rows as a record batch in `schema`; what was not computed is null, and so is every score of a failed row."""
    batch = rows.batch
    known: dict[str, Any] = {"pair_id": batch.pair_id, "shard": batch.shard, "row": batch.row, "status": batch.status}
    known |= _scores(rows) if rows.scores is not None else {}
    known |= {name: _placed(values, batch.ok) for name, values in rows.more.items()}
    carried = {name: batch.carried[name] for name in batch.carried.schema.names}
    place = str(batch.shard[0]) if len(batch) else ""
    arrays = [_array(field, {**carried, **known}.get(field.name), len(batch), place) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _array(field: pa.Field, values: Any, rows: int, place: str) -> pa.Array:
    if values is None:
        return pa.nulls(rows, field.type)
    whole = isinstance(values, pa.Array)
    return cast_to(field.type, values, field.name, place) if whole else pa.array(values, field.type)


def _scores(rows: ScoredRows) -> dict[str, pa.Array]:
    scores, ok = rows.scores, rows.batch.ok
    assert scores is not None
    numbers = {name: _spread(getattr(scores, name), ok) for name in NUMBERS}
    anchors = {
        "is_anchor": _spread(scores.is_anchor, ok),
        "verdict": _words(scores.verdict, ok),
        "image_anchor": _ids(scores.image_anchor, ok, rows.anchor_ids),
        "text_anchor": _ids(scores.text_anchor, ok, rows.anchor_ids),
    }
    return {name: array for name, array in {**numbers, **anchors}.items() if array is not None}


def _spread(values: Tensor | None, ok: Any) -> pa.Array | None:
    """Values of the ok rows at their places among all rows; nan and failed rows become null."""
    if values is None:
        return None
    given = values.cpu().numpy()
    spread = np.zeros(len(ok), dtype=given.dtype)
    spread[ok] = given
    null = ~ok
    null[ok] = np.isnan(given) if given.dtype.kind == "f" else False
    return pa.array(spread, mask=null)


def _placed(values: Any, ok: Any) -> pa.Array:
    """Values of the ok rows at their places among all rows; failed rows become null."""
    return pa.array(values).take(pa.array(np.cumsum(ok) - 1, mask=~ok))


def _words(verdict: Tensor | None, ok: Any) -> pa.Array | None:
    return _ids(verdict, ok, VERDICTS)


def _ids(index: Tensor | None, ok: Any, ids: Sequence[str]) -> pa.Array | None:
    if index is None:
        return None
    places = np.full(len(ok), -1, dtype=np.int64)
    places[ok] = index.cpu().numpy()
    return pa.array(list(ids), pa.string()).take(pa.array(places, mask=places < 0))


@dataclass
class Tally:
    """Counts and sums over the rows of score tables; every row is counted once, by its status."""

    statuses: Counter[str] = field(default_factory=Counter)
    sums: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    below_half: int = 0
    suggested: int = 0
    worst: Worst = field(default_factory=Worst)

    def scored(self, rows: ScoredRows, schema: pa.Schema) -> pa.RecordBatch:
        """Rows as a record batch, which is counted."""
        batch = scored_batch(rows, schema)
        self.count(batch)
        self.worst.add(batch, rows.batch.caption)
        return batch

    def count(self, batch: pa.RecordBatch) -> None:
        """Count a batch with the columns `COUNTED`, after --suggest with `SUGGESTED`."""
        for entry in pc.value_counts(batch["status"]).to_pylist():
            self.statuses[entry["values"]] += entry["counts"]
        for name, counts in (("verdict", self.verdicts), ("reason", self.reasons)):
            for entry in pc.value_counts(batch[name].drop_null()).to_pylist():
                counts[entry["values"]] += entry["counts"]
        for name in ("soft_label", "similarity"):
            self.sums[name] += pc.sum(pc.cast(batch[name], pa.float64())).as_py() or 0.0  # type: ignore[assignment]
            self.counts[name] += len(batch) - batch[name].null_count
        self.below_half += pc.sum(pc.less(batch["soft_label"], 0.5)).as_py() or 0
        if SUGGESTED in batch.schema.names:
            self.suggested += len(batch) - batch[SUGGESTED].null_count

    def add(self, other: "Tally") -> None:
        """Take over another tally's counts."""
        self.statuses.update(other.statuses)
        self.verdicts.update(other.verdicts)
        self.reasons.update(other.reasons)
        self.sums.update(other.sums)
        self.counts.update(other.counts)
        self.below_half += other.below_half
        self.suggested += other.suggested
        self.worst.take(other.worst)

    def mean(self, name: str) -> float | None:
        """Mean of a column over the rows that have it."""
        return self.sums[name] / self.counts[name] if self.counts[name] else None

    def share_below_half(self) -> float | None:
        """Share of soft labels under .5."""
        return self.below_half / self.counts["soft_label"] if self.counts["soft_label"] else None

    @property
    def ok(self) -> int:
        """Rows with scores."""
        return self.statuses[OK]


def tally_of(path: str, *, prefixed: bool = False) -> Tally:
    """The tally of a finished table, or of a dataset with our columns added, whose pairs have no names there."""
    prefix = DATASET_PREFIX if prefixed else ""
    tally = Tally()
    counted = {prefix + name: kind for name, kind in COUNTED.items()}
    if prefix + SUGGESTED in open_shard(Shard.of_file(path), choosing=True).schema.names:
        counted[prefix + SUGGESTED] = None
    for batch in read_columns(path, counted, rows=65_536):
        names = [name.removeprefix(prefix) for name in batch.schema.names]
        told = pa.RecordBatch.from_arrays(batch.columns, names=names)
        tally.count(told)
        tally.worst.add_unknown() if prefixed else tally.worst.add(told, unread=path)
    return tally
