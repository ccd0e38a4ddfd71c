"""What shards share that are one piece, and were read through once for their columns and the number of rows."""

from collections.abc import Collection, Mapping
from typing import Protocol

import pyarrow as pa


class Survey(Protocol):
    """What one pass over a file told."""

    @property
    def schema(self) -> pa.Schema:
        """The columns."""

    @property
    def rows(self) -> int:
        """How many."""


class OnePiece:
    """The part of a `ShardFile` that a survey answers; `batches` is the format's own."""

    def __init__(self, path: str, survey: Survey) -> None:
        self._path, self._survey = path, survey

    @property
    def schema(self) -> pa.Schema:
        """Without metadata: these formats have none."""
        return self._survey.schema

    @property
    def rows(self) -> int:
        """Counted once per version of the file."""
        return self._survey.rows

    @property
    def pieces(self) -> int:
        """The file."""
        return 1

    @property
    def piece_rows(self) -> list[int]:
        """As the survey counted them."""
        return [self._survey.rows]

    def beyond(self, columns: Collection[str] | None = None) -> Mapping[int, str]:
        """Lines are whole, or an error."""
        return {}

    def nulls(self, piece: int, column: str) -> int | None:
        """Not known."""
        return None
