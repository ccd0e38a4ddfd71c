"""What every reader offers: a shard of any format as a table that is read in pieces."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol

import pyarrow as pa


class ShardFile(Protocol):
    """One open shard. Its columns are what parquet of the same data would hold, images as their encoded bytes."""

    @property
    def schema(self) -> pa.Schema:
        """The columns, with whatever schema metadata the format has."""

    @property
    def rows(self) -> int:
        """How many; formats without a count are read through once for it, without decoding values."""

    @property
    def pieces(self) -> int:
        """Parts that can be read alone (parquet's row groups); 1 where a format has none, 0 perhaps where no row is."""

    @property
    def piece_rows(self) -> Sequence[int] | None:
        """Rows of each piece by the file's own count; None where there is none that could differ from what is read."""

    def batches(
        self, rows: int, columns: Collection[str] | None = None, pieces: Sequence[int] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """All rows in order, at most `rows` at a time, in bounded memory; every call begins anew.

        columns: only these, in the schema's order; names that are not there are left out; None for all.
        pieces: only these; None for all. Raises BadTable when the file turns out damaged.
        """

    def beyond(self, columns: Collection[str] | None = None) -> Mapping[int, str]:
        """Rows that `batches` gives without what one of these columns would hold, as that is larger than allowed, each
        with the words on it. Nothing where all that is there is read.
        """

    def nulls(self, piece: int, column: str) -> int | None:
        """How many nulls a piece holds in a column (a null list counts as one), where that is known unread; or None."""
