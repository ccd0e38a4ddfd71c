"""Some rows of a parquet shard in a file like it, and if asked for the others in a second one with the reason.

Knows parquet files; nothing of why a row is kept.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ncaudit.errors import BadTable
from ncaudit.shards.files.locations import MIB
from ncaudit.shards.files.provenance import Provenance, attach
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.overlap import ahead
from ncaudit.shards.readers.promised import refuse_changed, versions_of
from ncaudit.shards.rewriting.kept_captions import KEPT, CutLists
from ncaudit.shards.rewriting.rewrite import group_batches, open_whole, parquet_like
from ncaudit.shards.tables.caption_join import CaptionLists

PIECE_BYTES = 96 * MIB  # of rows that are written at once; two such pieces are held, and one is being encoded
AHEAD_BYTES = 32 * MIB  # of pieces that wait to be encoded while the next is read
NEITHER = -1  # a row that goes to neither file


@dataclass(frozen=True)
class Target:
    """A file to write, and what it is made from."""

    path: str
    provenance: Provenance


@dataclass(frozen=True)
class _Piece:
    """What becomes one row group of each file; None: no rows."""

    kept: pa.Table | None
    dropped: pa.Table | None

    def weight(self) -> int:
        """Bytes of both."""
        return sum(int(table.nbytes) for table in (self.kept, self.dropped) if table is not None)


def split_shard(
    shard: Shard,
    codes: npt.NDArray[np.int16],
    kept: Target,
    dropped: Target | None,
    reason: pa.Field,
    reasons: Sequence[str],
    captions: CaptionLists | None = None,
) -> None:
    """Write the rows of `shard` whose code is 0 to `kept`, the others to `dropped` with the column `reason` behind.

    codes: (rows,) places in `reasons`; -1: to neither. captions: where codes are of pairs, several in a row: see
    `kept_captions`. Row order, row groups (less the rows that go; one above 96 MiB
    is cut), schema, codecs and all schema metadata stay, and values are never looked into. Row groups of which nothing
    is written are not even read. Both files appear whole or not at all. Raises BadTable when the shard cannot be read,
    or has a column that is called like `reason`.
    """
    seen = versions_of(shard)
    parquet = open_whole(shard)
    schema = parquet.schema_arrow
    if dropped is not None and reason.name in schema.names:
        raise BadTable(f"{shard.path} already has a column {reason.name}", fix="rename or drop that column first")
    with ExitStack() as stack:
        words = None if dropped is None else pa.array(list(reasons), pa.string())
        cut: _Cut = _CutRows(codes, words, reason) if captions is None else CutLists(codes, words, reason, captions)
        files = [_writer(stack, parquet, cut.schema(schema), kept)]
        if dropped is not None:
            files.append(_writer(stack, parquet, cut.schema(schema).append(cut.reason), dropped))
        split = _Split(shard, parquet, cut)
        for piece in stack.enter_context(closing(ahead(split.pieces(), _Piece.weight, AHEAD_BYTES))):
            for writer, table in zip(files, (piece.kept, piece.dropped), strict=False):
                if table is not None:
                    writer.write_table(table, row_group_size=len(table))
        refuse_changed(seen)


def _writer(stack: ExitStack, parquet: pq.ParquetFile, schema: pa.Schema, target: Target) -> pq.ParquetWriter:
    return stack.enter_context(parquet_like(parquet, target.path, attach(schema, target.provenance)))


class _Cut(Protocol):
    """What becomes of rows that are read: those that are kept, and those that are dropped, with the reason."""

    @property
    def words(self) -> pa.Array | None:
        """The reasons; None: dropped rows are not wanted."""

    @property
    def reason(self) -> pa.Field:
        """The column of reasons, in the type that it has."""

    def schema(self, schema: pa.Schema) -> pa.Schema:
        """Of the kept rows of a shard of this one."""

    def keeps_any(self, first: int, rows: int) -> bool:
        """Whether something of these rows is kept."""

    def kept(self, batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
        """Of a batch whose first row is `first`."""

    def dropped(self, batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
        """Of such a batch, with the reasons behind."""


@dataclass(frozen=True)
class _CutRows:
    codes: npt.NDArray[np.int16]
    words: pa.Array | None
    reason: pa.Field

    def schema(self, schema: pa.Schema) -> pa.Schema:
        return schema

    def keeps_any(self, first: int, rows: int) -> bool:
        return bool((self.codes[first : first + rows] == KEPT).any())

    def kept(self, batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
        mine = self.codes[first : first + len(batch)] == KEPT
        return batch if mine.all() else batch.filter(pa.array(mine))

    def dropped(self, batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
        codes = self.codes[first : first + len(batch)]
        at = np.flatnonzero(codes > KEPT)
        rows = batch.take(pa.array(at)) if len(at) < len(batch) else batch
        assert self.words is not None
        return rows.append_column(self.reason, self.words.take(pa.array(codes[at])))


@dataclass(frozen=True)
class _Split:
    shard: Shard
    parquet: pq.ParquetFile
    cut: _Cut

    def pieces(self) -> Iterator[_Piece]:
        """One row group after the other, in pieces of bounded size."""
        first = 0
        for group in range(self.parquet.num_row_groups):
            rows = self.parquet.metadata.row_group(group).num_rows
            if self.cut.words is not None or self.cut.keeps_any(first, rows):
                yield from self._of_group(group, first)
            first += rows

    def _of_group(self, group: int, first: int) -> Iterator[_Piece]:
        kept: list[pa.RecordBatch] = []
        dropped: list[pa.RecordBatch] = []
        for batch in group_batches(self.shard, self.parquet, group):
            kept.append(self.cut.kept(batch, first))
            if self.cut.words is not None:
                dropped.append(self.cut.dropped(batch, first))
            first += len(batch)
            if sum(part.nbytes for part in (*kept, *dropped)) >= PIECE_BYTES:
                yield _Piece(_table(kept), _table(dropped))
                kept, dropped = [], []
        yield _Piece(_table(kept), _table(dropped))


def _table(batches: list[pa.RecordBatch]) -> pa.Table | None:
    table = pa.Table.from_batches(batches) if batches else None
    return table if table is not None and len(table) else None
