"""From what was found about classes to rows of a label table, and the counts of what was written.

Knows arrow and numbered classes; nothing of how they were judged or of files' places.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ncaudit.core.classes.votes import PARTITIONS
from ncaudit.shards.dataset.class_labels import Class, class_values
from ncaudit.shards.readers import read_columns

COUNTED = {"status": pa.string(), "partition": pa.string(), "suggested_label": None, "given_label": None}
Numbers = npt.NDArray[Any]


@dataclass(frozen=True)
class LabelColumns:
    """What is told of some ok rows, (n_ok,): numbers of classes, -1 for none, and names of pairs.

    winner: (n_ok, w) of image and text. suggested: (n_ok,). why: (n_ok, r) numbers among `pair_ids`, -1 for none.
    """

    partition: Numbers
    winner: tuple[Numbers, Numbers]
    share: tuple[Numbers, Numbers]
    quality: Numbers
    suggested: Numbers
    why: Numbers

    def part(self, rows: slice) -> "LabelColumns":
        """Some of these rows."""
        winner, share = ((both[0][rows], both[1][rows]) for both in (self.winner, self.share))
        others = self.partition[rows], self.quality[rows], self.suggested[rows], self.why[rows]
        return LabelColumns(others[0], winner, share, *others[1:])


def label_batch(
    known: dict[str, Any],
    ok: Numbers,
    columns: LabelColumns,
    names: Sequence[Class],
    pair_ids: pa.Array,
    schema: pa.Schema,
) -> pa.RecordBatch:
    """Rows of a label table. known: identity, status and given_label of all rows; ok: (n,) bool."""
    place = pa.array(np.cumsum(ok) - 1, mask=~ok)
    kind = schema.field("suggested_label").type
    image, text = (_named(winner, names, kind) for winner in columns.winner)
    unlabelled = columns.partition < 0
    told = {
        "partition": _partitions(columns.partition),
        "image_neighbour_label": image,
        "image_neighbour_share": pa.array(columns.share[0]),
        "text_neighbour_label": text,
        "text_neighbour_share": pa.array(columns.share[1]),
        "suggested_label": _named(columns.suggested[:, None], names, kind),
        "label_quality": pa.array(columns.quality, mask=np.isnan(columns.quality)),
        "why": _listed(columns.why, pair_ids, pa.list_(pa.string()), null=unlabelled),
    }
    arrays = {name: values.take(place) for name, values in told.items()} | known
    return pa.RecordBatch.from_arrays([_cast(arrays[field.name], field.type) for field in schema], schema=schema)


def _cast(values: Any, kind: pa.DataType) -> pa.Array:
    return values.cast(kind) if isinstance(values, pa.Array) else pa.array(values, kind)


def _partitions(numbers: Numbers) -> pa.Array:
    return pa.array(PARTITIONS, pa.string()).take(pa.array(numbers.astype(np.int64), mask=numbers < 0))


def _named(numbers: Numbers, names: Sequence[Class], kind: pa.DataType) -> pa.Array:
    """(n, w) class numbers as values of the class column's type; null where there is none."""
    words = class_values(names, kind)
    if not (t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind)):
        one = numbers[:, 0].astype(np.int64)
        return _cast_class(words.take(pa.array(one, mask=one < 0)), kind)
    return _listed(numbers, words, pa.list_(words.type), null=np.all(numbers < 0, axis=1))


def _cast_class(values: pa.Array, kind: pa.DataType) -> pa.Array:
    return values.dictionary_encode().cast(kind) if t.is_dictionary(kind) else values.cast(kind)


def _listed(numbers: Numbers, words: pa.Array, kind: pa.DataType, *, null: Any) -> pa.Array:
    """(n, w) places in `words` as lists, -1 left out; null where `null`."""
    there = numbers >= 0
    ends = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    values = words.take(pa.array(numbers[there].astype(np.int64)))
    offsets = pa.array(ends.astype(np.int32), mask=np.append(null, False))
    return pa.ListArray.from_arrays(offsets, values).cast(kind)


@dataclass
class LabelTally:
    """Counts over the rows of label tables; every row is counted once, by its status."""

    statuses: Counter[str] = field(default_factory=Counter)
    partitions: Counter[str] = field(default_factory=Counter)
    suggested: int = 0  # rows with a suggestion
    unlabelled: int = 0  # rows, failed ones too, without a class

    def counted(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Count a batch with the columns COUNTED, and give it back."""
        for name, counts in (("status", self.statuses), ("partition", self.partitions)):
            for entry in pc.value_counts(batch[name].drop_null()).to_pylist():
                counts[entry["values"]] += entry["counts"]
        self.suggested += len(batch) - batch["suggested_label"].null_count
        self.unlabelled += batch["given_label"].null_count
        return batch

    def add(self, other: "LabelTally") -> None:
        """Take over another tally's counts."""
        self.statuses.update(other.statuses)
        self.partitions.update(other.partitions)
        self.suggested += other.suggested
        self.unlabelled += other.unlabelled


def label_tally_of(path: str) -> LabelTally:
    """The tally of a finished table."""
    tally = LabelTally()
    for batch in read_columns(path, COUNTED, rows=65_536):
        tally.counted(batch)
    return tally
