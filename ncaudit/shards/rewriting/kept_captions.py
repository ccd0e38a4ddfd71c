"""Some captions of rows that hold lists of them: a row stays with those that are kept, and goes with the others.

Knows arrow tables and where the captions of a row are; nothing of files, or of why a caption is kept.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ncaudit.shards.tables.caption_join import CaptionLists

KEPT = 0
Flags = npt.NDArray[np.bool_]
HUGGINGFACE = b"huggingface"


@dataclass(frozen=True)
class CutLists:
    """What becomes of rows with lists of captions. codes: (pairs,), 0 for those that are kept, else places in `words`.

    A row whose captions are kept in part is on both sides, with its own captions on each; on that of the dropped ones
    it has a list of reasons, one per caption. A row without captions is on one side, as it is.
    """

    codes: npt.NDArray[np.int16]
    words: pa.Array | None
    plain_reason: pa.Field
    lists: CaptionLists

    @property
    def reason(self) -> pa.Field:
        """The column of reasons: lists."""
        return self.plain_reason.with_type(pa.list_(self.plain_reason.type))

    def schema(self, schema: pa.Schema) -> pa.Schema:
        """Lists of a fixed width become lists of any: they lose captions."""
        at = schema.get_field_index(self.lists.column)
        field = schema.field(at)
        if not t.is_fixed_size_list(field.type):
            return schema
        free = field.with_type(pa.list_(field.type.value_field))
        return schema.set(at, free).with_metadata(_without_width(schema.metadata, field.name))

    def keeps_any(self, first: int, rows: int) -> bool:
        """Whether a caption of these rows is kept."""
        return bool((self._codes(first, rows) == KEPT).any())

    def kept(self, batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
        """The rows with a kept caption, each with those that are."""
        return self._side(batch, first, self._codes(first, len(batch)) == KEPT)

    def dropped(self, batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
        """The rows with a dropped caption, each with those that are and their reasons."""
        codes = self._codes(first, len(batch))
        mine = codes > KEPT
        rows = self._side(batch, first, mine)
        counts = self._counts(first, len(batch), mine)
        assert self.words is not None
        reasons = pa.ListArray.from_arrays(_offsets(counts[counts > 0]), self.words.take(pa.array(codes[mine])))
        return rows.append_column(self.reason, reasons)

    def _codes(self, first: int, rows: int) -> npt.NDArray[np.int16]:
        return self.codes[self.lists.starts[first] : self.lists.starts[first + rows]]

    def _counts(self, first: int, rows: int, mine: Flags) -> npt.NDArray[np.int64]:
        """(rows,): how many of each row's pairs these are."""
        starts = self.lists.starts[first : first + rows + 1] - self.lists.starts[first]
        sums = np.concatenate([[0], np.cumsum(mine)])
        counts: npt.NDArray[np.int64] = sums[starts[1:]] - sums[starts[:-1]]
        return counts

    def _side(self, batch: pa.RecordBatch, first: int, mine: Flags) -> pa.RecordBatch:
        """The rows that have one of these pairs, with their captions alone."""
        counts = self._counts(first, len(batch), mine)
        column = batch[self.lists.column]
        length = pc.list_value_length(column).fill_null(0).to_numpy()
        has_caption = np.repeat(length > 0, np.maximum(length, 1))
        values = pc.list_flatten(column).filter(pa.array(mine[has_caption]))
        kind = self.schema(batch.schema).field(self.lists.column).type
        shortened = _lists_of(values, np.where(length > 0, counts, 0), column.is_valid(), kind)
        schema = self.schema(batch.schema)
        columns = [shortened if name == self.lists.column else batch[name] for name in schema.names]
        rows = pa.RecordBatch.from_arrays(columns, schema=schema)
        return rows if (counts > 0).all() else rows.filter(pa.array(counts > 0))


def _lists_of(values: pa.Array, counts: npt.NDArray[np.int64], valid: pa.Array, kind: pa.DataType) -> pa.Array:
    """Lists of so many values each, null where not valid."""
    make = pa.LargeListArray if t.is_large_list(kind) else pa.ListArray
    size = pa.int64() if t.is_large_list(kind) else pa.int32()
    return make.from_arrays(_offsets(counts).cast(size), values, type=kind, mask=pc.invert(valid))


def _offsets(counts: npt.NDArray[np.int64]) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int64()).cast(pa.int32())


def _without_width(metadata: dict[bytes, bytes] | None, column: str) -> dict[bytes, bytes] | None:
    """Hugging Face's own description of the columns, without the width of these lists."""
    try:
        told: Any = json.loads((metadata or {})[HUGGINGFACE])
        feature = told["info"]["features"][column]
        if feature.get("length", -1) == -1:
            return metadata
        feature["length"] = -1
    except (KeyError, ValueError, TypeError, AttributeError):
        return metadata
    return {**(metadata or {}), HUGGINGFACE: json.dumps(told).encode()}
