"""Embeds shards in this process: the model with the heads behind it, its decoding processes, its batch size.

Knows options and what decides on a table's bytes; nothing of which shards are left to do.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pyarrow as pa
import torch

from ncaudit.encoders.batch_size import automatic_batch_pairs
from ncaudit.encoders.decode_pool import DecodePool, default_workers
from ncaudit.encoders.open_clip import Encoder, ModelIdentity, load_encoder
from ncaudit.engines.local import Outcome, ShardRows, outcomes
from ncaudit.errors import BadTable, NcauditError
from ncaudit.matchers.heads.headed_encoder import encoder_options, heads_of, with_heads
from ncaudit.options import EmbedOptions, Layout
from ncaudit.progress import Progress
from ncaudit.shards.columns import carriable, find_columns
from ncaudit.shards.dataset.null_types import Types, leaves_open, types_of_nulls
from ncaudit.shards.files.provenance import Provenance, describe
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.readers import open_shard
from ncaudit.verbs.embed.files import Files, Tables, files_of, with_image_path
from ncaudit.verbs.embed.shard import ShardEmbedder


@dataclass(frozen=True)
class ModelHere:
    """A model that is ready to embed. Close it: its decoding processes are running."""

    options: EmbedOptions
    key: str | None
    types: Types
    encoder: Encoder
    pool: DecodePool
    batch_pairs: int
    files: Files

    @classmethod
    def load(
        cls, options: EmbedOptions, key: str | None, types: Types, record: Mapping[str, Any], shards: Sequence[str] = ()
    ) -> "ModelHere":
        """The model that `options` name; its batch size is asked for, on record for this very model, or found now.

        types: of columns that are null throughout a shard.
        record: `model` and `batch_pairs` of an earlier run into the same folder, or empty. shards: the names of all
        that the run is about, where files are numbered by them.
        """
        workers = default_workers(threads=options.threads) if options.workers is None else options.workers
        pool = DecodePool(workers)  # its processes start while the model loads
        try:
            encoder = _called_as(_load(options), record.get("model"))
            same = record.get("model") == encoder.identity.as_dict()
            batch = options.batch_pairs or (record["batch_pairs"] if same else automatic_batch_pairs(encoder))
        except BaseException:
            pool.close()
            raise
        return cls(options, key, types, encoder, pool, batch, files_of(options, shards))

    @property
    def identity(self) -> ModelIdentity:
        """Of the encoder and its heads together."""
        return self.encoder.identity

    def close(self) -> None:
        """Stop decoding."""
        self.pool.close()

    def at_batch(self, batch_pairs: int) -> "ModelHere":
        """The same with another batch size."""
        return replace(self, batch_pairs=batch_pairs)

    def run(self, shards: Sequence[Shard], progress: Progress) -> list[tuple[Shard, Outcome]]:
        """Embed all of them, one after the other."""
        return outcomes(shards, lambda shard: self.embed(shard, progress))

    def types_in(self, schema: pa.Schema) -> Types:
        """Of the columns of this shard that are null throughout it."""
        return types_of_nulls(carriable(schema, self.options.columns), self.types)

    def embed(self, shard: Shard, progress: Progress, tables: Tables | None = None) -> ShardRows:
        """Write one shard's table; with half the batch when memory runs out, as the table then says.

        tables: None for files below `options.out`.
        """
        options, size, tables = self.options, self.batch_pairs, tables or self.files
        file = open_shard(shard, choosing=True)
        columns = find_columns(
            file.schema, shard.name, options, key=self.key, carry=options.columns, types=self.types_in(file.schema)
        )
        columns = columns if options.layout is Layout.parquet else with_image_path(columns)
        embedder = ShardEmbedder(self.encoder, self.pool, options.image_root, options.max_image_pixels)
        while True:
            told = _Told(progress)
            provenance = table_provenance(shard, options, self.key, self.types, self.identity, size)
            try:
                opened = partial(tables.open, shard, provenance)
                return ShardRows(embedder.run(shard, file, columns, opened, size, told))
            except torch.OutOfMemoryError as error:
                told.take_back()
                if size == 1:
                    raise NcauditError(
                        f"{shard.name}: the device has no memory for a single pair",
                        fix="give a smaller model or --device cpu",
                    ) from error
            size //= 2
            torch.cuda.empty_cache()
            progress.note(f"{shard.name}: out of memory, again with batches of {size}")


def table_provenance(
    shard: Shard, options: EmbedOptions, key: str | None, types: Types, identity: ModelIdentity, batch_pairs: int,
    schema: pa.Schema | None = None,
) -> Provenance:  # fmt: skip
    """Everything that decides on a table's bytes: no workers, no device, no absolute path.

    schema: of the shard, where somebody has looked already.
    """
    said: dict[str, Any] = {
        "batch_pairs": batch_pairs,
        "caption_column": options.caption_column,
        "columns": None if options.columns is None else sorted(options.columns),
        "image_column": options.image_column,
        "image_root": options.image_root and os.path.basename(os.path.abspath(options.image_root)),
        "key": key,
        "max_image_pixels": options.max_image_pixels,
    }
    if options.max_row_bytes != EmbedOptions.max_row_bytes:  # as of the layout
        said["max_row_bytes"] = options.max_row_bytes
    if options.caption_lines:  # as of the layout
        said["caption_lines"] = True
    if options.layout is not Layout.parquet:  # not told where it is as ever, so that tables stay as they were
        said["layout"] = str(options.layout)
    if given := _types_given(shard, options, types, schema):  # nor where no column of the shard is null throughout
        said["types"] = given
    return describe("embed", shard, options=said, model=identity.as_dict())


def _types_given(shard: Shard, options: EmbedOptions, types: Types, schema: pa.Schema | None) -> dict[str, str]:
    """The types that columns of this shard have from others."""
    try:
        schema = open_shard(shard, choosing=True).schema if schema is None else schema
    except BadTable:  # told when it is this shard's turn
        return {}
    if not leaves_open(schema):
        return {}
    open_ones = types_of_nulls(carriable(schema, options.columns), types)
    return {name: str(kind) for name, kind in sorted(open_ones.items())}


def _load(options: EmbedOptions) -> Encoder:
    heads = heads_of(options)
    encoder = load_encoder(encoder_options(options, heads) if heads else options)
    return with_heads(encoder, heads, options.model) if heads else encoder


def _called_as(encoder: Encoder, recorded: Mapping[str, Any] | None) -> Encoder:
    """The encoder by the name that it was recorded under, where only the name is another one now."""
    own = encoder.identity.as_dict()
    if not recorded or own == recorded or {**own, "name": recorded.get("name")} != recorded:
        return encoder
    return encoder.called(str(recorded["name"]))


class _Told:
    """Progress that can be taken back when a shard starts again."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._done = self._failed = 0

    def __call__(self, done: int, failed: int) -> None:
        self._done, self._failed = self._done + done, self._failed + failed
        self._progress.advance(done, failed)

    def take_back(self) -> None:
        self._progress.advance(-self._done, -self._failed)
