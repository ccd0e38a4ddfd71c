"""`embed --out -`: the rows of all shards as one stream, written as they are made. Nothing is kept, so nothing resumes.

Knows `embed_here`, schemas and standard output; nothing of how a shard is embedded.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import torch

from ncaudit.encoders.open_clip import ModelIdentity
from ncaudit.engines.local import Outcome
from ncaudit.errors import BadTable, NcauditError
from ncaudit.options import EmbedOptions
from ncaudit.progress import Progress
from ncaudit.schema import embedding_schema
from ncaudit.shards.columns import find_columns
from ncaudit.shards.dataset.null_types import Types
from ncaudit.shards.dataset.rows import carried_fields
from ncaudit.shards.files.provenance import Provenance, attach
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.readers import open_shard
from ncaudit.shards.streams.standard_output import StreamWriter
from ncaudit.shards.tables.checks import cast_to
from ncaudit.verbs.embed.model_here import ModelHere, table_provenance


@dataclass(frozen=True)
class ModelToStream:
    """A model whose shards all go to standard output. Close it."""

    here: ModelHere

    @classmethod
    def load(cls, options: EmbedOptions, key: str | None, types: Types) -> "ModelToStream":
        """The model that `options` name."""
        return cls(ModelHere.load(options, key, types, {}))

    @property
    def identity(self) -> ModelIdentity:
        """Of the encoder and its heads together."""
        return self.here.identity

    @property
    def batch_pairs(self) -> int:
        """How many pairs the model takes at once."""
        return self.here.batch_pairs

    def close(self) -> None:
        """Stop decoding."""
        self.here.close()

    def run(self, shards: Sequence[Shard], progress: Progress) -> list[tuple[Shard, Outcome]]:
        """Embed all of them in their order. Raises NcauditError for the first that cannot be done: what is in the
        stream cannot be taken back.
        """
        options = self.here.options
        schema = attach(self._schema(shards), self._provenance(shards))
        writer = StreamWriter(sys.stdout.buffer, schema, options.format, csv_safe=options.csv_safe)
        stream = _Stream(writer, schema)
        done: list[tuple[Shard, Outcome]] = [(shard, self.here.embed(shard, progress, stream)) for shard in shards]
        writer.close()
        return done

    def _schema(self, shards: Sequence[Shard]) -> pa.Schema:
        """Of all shards, embeddings in single precision: DuckDB reads no half floats from Arrow."""
        here, options, carried = self.here, self.here.options, pa.schema([])
        for shard in shards:
            schema = open_shard(shard, choosing=True).schema
            types = here.types_in(schema)
            columns = find_columns(schema, shard.name, options, key=here.key, carry=options.columns, types=types)
            carried = _unified(carried, pa.schema(carried_fields(schema, columns)), shard)
        halves = embedding_schema(self.identity.image_dims, self.identity.text_dims, list(carried))
        return pa.schema([field.with_type(_single(field.type)) for field in halves])

    def _provenance(self, shards: Sequence[Shard]) -> Provenance:
        """One shard's own, or what all have in common and the shards' own. Not the batch size: it may yet be halved."""
        here = self.here
        told = [
            table_provenance(s, here.options, here.key, here.types, self.identity, self.batch_pairs) for s in shards
        ]
        for one in told:
            del one["options"]["batch_pairs"]
        common = {name: value for name, value in told[0].items() if name != "source"}
        return told[0] if len(told) == 1 else {**common, "shards": [one["source"] for one in told]}


class _Stream:
    """Takes the rows of one shard after the other, in the schema of all."""

    def __init__(self, writer: StreamWriter, schema: pa.Schema) -> None:
        self._writer, self._schema, self._batches = writer, schema, 0

    @contextmanager
    def open(self, shard: Shard, provenance: Provenance, schema: pa.Schema) -> Iterator["_Stream"]:
        """Memory may run out before a shard's first rows are written, and it is begun again; not later."""
        before = self._batches
        try:
            yield self
        except torch.OutOfMemoryError as error:
            if self._batches == before:
                raise
            raise NcauditError(
                f"{shard.name}: out of memory, and some of its rows are in the stream already",
                fix=f"give a --batch-pairs below {provenance['options']['batch_pairs']}",
            ) from error

    def write(self, batch: pa.RecordBatch) -> None:
        arrays = [_column(batch, field) for field in self._schema]
        self._writer.write(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self._batches += 1


def _column(batch: pa.RecordBatch, field: pa.Field) -> pa.Array:
    there = field.name in batch.schema.names
    if not there:
        return pa.nulls(len(batch), field.type)
    place = str(batch["shard"][0]) if len(batch) else ""
    return cast_to(field.type, batch[field.name], field.name, place)


def _single(kind: Any) -> pa.DataType:
    halves = pa.types.is_fixed_size_list(kind) and kind.value_type == pa.float16()
    return pa.list_(pa.float32(), kind.list_size) if halves else kind


def _unified(known: pa.Schema, new: pa.Schema, shard: Shard) -> pa.Schema:
    try:
        return pa.unify_schemas([known, new], promote_options="permissive")
    except pa.ArrowException as error:
        raise BadTable(
            f"{shard.name} has a column of another type than the shards before it: {str(error).splitlines()[0]}",
            fix="choose columns with --columns, or embed the shards one by one",
        ) from error
