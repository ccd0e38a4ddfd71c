"""Scores written back into the user's own dataset: which shard belongs to which table, and proof that it does.

Knows shards, tables and rows; nothing of what a score means.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from ncaudit.counts import counted
from ncaudit.errors import BadTable
from ncaudit.options import MAX_ROW_BYTES
from ncaudit.schema import DATASET_PREFIX, IDENTITY
from ncaudit.shards.files.formats import Format
from ncaudit.shards.files.provenance import Provenance
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.readers import open_shard, read_batches
from ncaudit.shards.rewriting.rewrite import require_format, rewrite_shard
from ncaudit.shards.tables.embeddings import EmbeddingTable
from ncaudit.shards.tables.made_from import match_by_name, refuse_another, source_of

NO_PARQUET = "write score tables instead (without --data) and join them by pair_id"
OTHER_DATA = "embed the dataset as it is now, or give the one that was embedded"


@dataclass(frozen=True)
class DatasetShards:
    """The user's shards, each with the embedding table that was made from it."""

    tables: Mapping[Shard, EmbeddingTable]

    @property
    def shards(self) -> Sequence[Shard]:
        """In the order of their names."""
        return list(self.tables)

    def table_of(self, shard: Shard) -> EmbeddingTable:
        """The shard's embedding table."""
        return self.tables[shard]

    def write(self, shard: Shard, path: str, scores: pa.Table, provenance: Provenance) -> None:
        """The user's shard with our columns behind its own; row i of `scores` belongs to row i on disk."""
        ours = [field for field in scores.schema if field.name not in IDENTITY.names]
        columns = [scores[field.name].combine_chunks() for field in ours]
        named = [field.with_name(DATASET_PREFIX + field.name) for field in ours]

        def added(first: int, batch: pa.RecordBatch) -> list[pa.Array]:
            return [column.slice(first, len(batch)) for column in columns]

        rewrite_shard(shard, path, columns_for=added, add=named, provenance=provenance)


def match_dataset(
    data: Sequence[str], tables: Sequence[EmbeddingTable], max_row_bytes: int = MAX_ROW_BYTES
) -> DatasetShards:
    """Pair the user's shards with the tables embedded from them, by name, and check that they are the same data.

    Raises NcauditError when a shard lacks its table or a table its shard, the dataset has changed since it was
    embedded, or rows do not correspond one to one.
    """
    shards = find_shards(data, max_row_bytes=max_row_bytes)
    require_format(shards, [Format.parquet], "--data", NO_PARQUET)
    matched = match_by_name(shards, tables, "embedding table")
    for shard, table in matched.items():
        _check_same_data(shard, table)
    return DatasetShards(matched)


def _check_same_data(shard: Shard, table: EmbeddingTable) -> None:
    refuse_another(shard, table.shard.path, source_of(table.provenance), OTHER_DATA)
    rows = open_shard(shard).rows
    if rows != table.rows or not _one_pair_per_row(table):
        raise BadTable(
            f"{shard.path} has {counted(rows, 'row')} and {table.shard.path} {counted(table.rows, 'pair')} that are "
            "not one per row, as where rows have several captions",
            fix="score without --data and join by pair_id; `ncaudit filter SCORES --data DATA` then filters captions",
        )


def _one_pair_per_row(table: EmbeddingTable) -> bool:
    """Whether pair i stands in row i; tables without a row column are taken at their word."""
    first = 0
    for batch in read_batches(table.shard, {"row"}, 65_536):
        if "row" not in batch.schema.names:
            return True
        if batch["row"].to_pylist() != list(range(first, first + len(batch))):
            return False
        first += len(batch)
    return True
