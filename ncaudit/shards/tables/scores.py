"""Reads score tables, ours or another tool's, and checks them once. Knows arrow tables; nothing of scorers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ncaudit.errors import BadTable
from ncaudit.shards.files.formats import Format, format_of
from ncaudit.shards.files.provenance import Provenance, provenance_of
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.readers import open_shard, read_batches
from ncaudit.shards.tables.checks import (
    is_light,
    require_column,
    require_word,
)


@dataclass(frozen=True)
class ScoreTable:
    """One score table that has pair_id and status; its rows are read when asked for."""

    shard: Shard
    rows: int
    schema: pa.Schema
    provenance: Provenance | None

    def batches(self, columns: Sequence[str] | None = None, rows: int = 65_536) -> Iterator[pa.RecordBatch]:
        """All rows in order: pair_id and status as strings, then `columns` (None: all others).

        Raises BadTable when a column is missing, or a pair_id is null.
        """
        schema = self._schema(columns)
        for batch in read_batches(self.shard, set(schema.names), rows):
            self._require_ids(batch["pair_id"])
            yield batch.select(schema.names).cast(schema)

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """`batches` as one table: the whole of it in memory."""
        return pa.Table.from_batches(list(self.batches(columns)), schema=self._schema(columns))

    def rows_at(self, places: npt.NDArray[np.int64], columns: Sequence[str]) -> pa.Table:
        """The rows at these places, (n,) ascending, counted from 0; only the row groups that hold them are read.

        Columns and errors as in `batches`.
        """
        schema, found, first = self._schema(columns), [], 0
        file = open_shard(self.shard)
        for group, rows in enumerate(file.piece_rows or ()):
            end = first + rows
            if np.searchsorted(places, first) < np.searchsorted(places, end):
                for batch in file.batches(65_536, set(schema.names), [group]):
                    low, high = np.searchsorted(places, [first, first + len(batch)])
                    found.append(batch.select(schema.names).take(pa.array(places[low:high] - first)).cast(schema))
                    first += len(batch)
            first = end
        return pa.Table.from_batches(found, schema=schema)

    def light_columns(self) -> list[str]:
        """The names of the columns that are not bytes, lists or structs."""
        return [field.name for field in self.schema if is_light(field.type)]

    def _schema(self, columns: Sequence[str] | None) -> pa.Schema:
        for name in columns or ():
            require_column(self.shard.path, self.schema, name)
        words = {name: pa.field(name, pa.string()) for name in ("pair_id", "status")}
        others = self.schema.names if columns is None else columns
        fields = [self.schema.field(name) for name in dict.fromkeys(others) if name not in words]
        return pa.schema([*words.values(), *fields])

    def _require_ids(self, ids: pa.Array) -> None:
        if ids.null_count:
            raise BadTable(f"{self.shard.path} has rows without a pair_id", fix="give every row its pair_id")


def open_scores(shard: Shard) -> ScoreTable:
    """A score table, ours or another tool's. Raises BadTable without pair_id or status, or when it is no parquet."""
    if (kind := format_of(shard.path)) is not Format.parquet:
        raise BadTable(
            f"{shard.path} is not parquet, as score tables in files are, but {kind}",
            fix="give it to a command that reads - on standard input (`ncaudit filter - < FILE`), or write parquet",
        )
    parquet = open_shard(shard)
    for name in ("pair_id", "status"):
        require_column(shard.path, parquet.schema, name)
        require_word(shard.path, parquet.schema, name)
    return ScoreTable(shard, parquet.rows, parquet.schema, provenance_of(parquet.schema))
