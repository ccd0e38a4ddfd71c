"""The columns of some rows as numbers and words, whether they are there or not. Knows arrow; nothing of galleries."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ncaudit.schema import OK

Numbers = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

MOST_CHARACTERS = 20_000  # of a text that is kept: what people look at, where a caption may have a million
LENGTH = "_characters"  # behind the name of a text that was cut: how long it is


class Cells:
    """A batch of a table's rows; every column is looked at when it is asked for, and is empty where it is not there."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch

    def __len__(self) -> int:
        return int(self._batch.num_rows)

    def has(self, name: str) -> bool:
        """Whether there is such a column."""
        return name in self._batch.schema.names

    def number(self, name: str) -> Numbers:
        """(n,) float64; nan where it is null, no number or not there."""
        if not self.has(name) or not _is_number(self._batch[name].type):
            return np.full(len(self), np.nan)
        numbers: Numbers = self._batch[name].cast(pa.float64()).to_numpy(zero_copy_only=False)
        return numbers

    def equals(self, name: str, word: str) -> Bools:
        """(n,) whether the cell is this word."""
        if not self.has(name) or not _is_word(self._batch[name].type):
            return np.zeros(len(self), bool)
        return _true(pc.equal(self._batch[name].cast(pa.large_string()), word))

    def there(self, name: str) -> Bools:
        """(n,) whether there is anything."""
        return _true(self._batch[name].is_valid()) if self.has(name) else np.zeros(len(self), bool)

    def words(self, name: str) -> pa.Array:
        """(n,) text, null where there is none; numbers as text."""
        if not self.has(name) or pa.types.is_nested(self._batch[name].type):
            return pa.nulls(len(self), pa.large_string())
        return self._batch[name].cast(pa.large_string())

    @property
    def ok(self) -> Bools:
        """(n,) whether the row has embeddings."""
        return self.equals("status", OK)

    def rows(self, at: npt.NDArray[np.int64], names: Sequence[str]) -> list[dict[str, Any]]:
        """Some rows with those of these columns that are there; long text is cut, and its length told beside it."""
        some = self._batch.select([name for name in names if self.has(name)]).take(pa.array(at))
        columns = {
            name: texts(some[name]) if _is_word(some[name].type) else some[name].to_pylist()
            for name in some.schema.names
        }
        return [_cut(dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]


def texts(words: pa.Array) -> list[str | None]:
    """Text as strings; bytes in it that are not UTF-8 become replacement characters, not an error."""
    raw = words.cast(pa.large_string()).cast(pa.large_binary()).to_pylist()
    return [None if value is None else value.decode("utf-8", "replace") for value in raw]


def whole_length(row: Mapping[str, Any], name: str) -> int | None:
    """How many characters a text of a row has that was cut; None where it is whole."""
    text, length = row.get(name), row.get(name + LENGTH)
    return length if text is not None and length is not None and length > len(text) else None


def _cut(row: dict[str, Any]) -> dict[str, Any]:
    long = {name: len(text) for name, text in row.items() if isinstance(text, str) and len(text) > MOST_CHARACTERS}
    return {
        **row,
        **{name: row[name][:MOST_CHARACTERS] for name in long},
        **{name + LENGTH: length for name, length in long.items()},
    }


def _true(column: pa.Array) -> Bools:
    told: Bools = column.fill_null(False).to_numpy(zero_copy_only=False)
    return told


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind))


def _is_word(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
