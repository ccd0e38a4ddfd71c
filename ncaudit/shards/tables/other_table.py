"""Columns of another table beside the rows of a shard, by a key of the user's: that table streams past one shard.

Knows tables and keys; nothing of what the columns mean. Holds one shard's keys and the rows that have them, no more.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as t

from ncaudit.errors import BadTable
from ncaudit.hashing import hash_values
from ncaudit.nearest import did_you_mean
from ncaudit.options import MAX_ROW_BYTES
from ncaudit.schema import SCORE, SUGGESTION
from ncaudit.shards.columns import carried_type, is_key
from ncaudit.shards.dataset.keys import key_text
from ncaudit.shards.files.provenance import Provenance, fingerprint
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.readers import open_shard, read_batches
from ncaudit.shards.tables.checks import is_light
from ncaudit.shards.tables.embeddings import EmbeddingBatch, EmbeddingTable
from ncaudit.shards.tables.key_index import NOWHERE, KeyIndex, Places

BATCH_ROWS = 65_536
REMEDY = "--join-key names the column of the embedding tables, and after = the one of the table joined to them"


@dataclass(frozen=True)
class OtherTable:
    """The table to be joined: one file or many, whose schemas have been unified."""

    files: tuple[Shard, ...]
    schema: pa.Schema
    key: str  # the column of the embedding tables
    other_key: str  # the column with the same values in this table

    def own(self, columns: Sequence[str] | None, shards: Sequence[Shard]) -> list[str] | None:
        """Which of the columns asked for are the shards' own: all but those that this table alone has."""
        if columns is None:
            return None
        names = {name for shard in shards for name in open_shard(shard).schema.names}
        return [name for name in columns if name in names or name not in self.schema.names]

    def beside(self, tables: Sequence[EmbeddingTable], columns: Sequence[str] | None) -> "Join":
        """What is brought to these tables: of `columns` those that they lack; None for all light ones but the key.

        A column whose name is taken, by a score or by a carried column, becomes `input_NAME`. Raises BadTable when a
        table lacks the key, or a column holds bytes.
        """
        for table in tables:
            _require_key(table.shard.path, open_shard(table.shard).schema, self.key)
        carried = {name for table in tables for name in table.carried.names}
        light = [f.name for f in self.schema if is_light(f.type) and f.name != self.other_key]
        known = {name for table in tables for name in table.carried_from}
        chosen = light if columns is None else [c for c in dict.fromkeys(columns) if c not in known]
        for name in chosen:
            if _holds_bytes(self.schema.field(name).type):
                what = f"{self.files[0].path}: column {name} holds bytes, and tables carry light columns only"
                raise BadTable(what, fix="leave it out of --columns")
        taken = {*SCORE.names, *SUGGESTION.names, *carried}
        return Join(self, tuple(chosen), tuple(_free_names(chosen, taken)))


@dataclass(frozen=True)
class Join:
    """Which columns of another table come beside the rows of embedding tables, and what they are called there."""

    other: OtherTable
    columns: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def fields(self) -> list[pa.Field]:
        """As the score tables declare them."""
        types = (carried_type(self.other.schema.field(name).type) for name in self.columns)
        return [pa.field(new, kind) for new, kind in zip(self.names, types, strict=True)]

    def provenance(self, table: EmbeddingTable) -> Provenance:
        """What was joined to a shard: a change of it makes the shard's table unfinished."""
        files = [{"name": file.name, "fingerprint": self._fingerprints[file]} for file in self._files(table.shard)]
        by = {"key": self.other.key, "other_key": self.other.other_key}
        return {**by, "columns": list(self.columns), "files": files}

    def rows(self, table: EmbeddingTable) -> "JoinedRows":
        """The columns for every row of a shard. Raises BadTable when a key of the shard is there more than once."""
        keys = _keys(table.shard, self.other.key)
        found = self._having(KeyIndex(keys.unique()), self._files(table.shard))
        index = KeyIndex(found[self.other.other_key] if len(found) else [])
        self._refuse_repeats(index)
        arrays = [_column(found, name, field) for name, field in zip(self.columns, self.fields, strict=True)]
        return JoinedRows(pa.table(arrays, schema=pa.schema(self.fields)).combine_chunks(), index.places(keys))

    def refuse_repeats(self, tables: Sequence[EmbeddingTable]) -> None:
        """Raises BadTable when a key of any of these tables is there more than once: asked before any work.

        One pass over the keys, 8 bytes each; only where two are alike it is asked which table they are of.
        """
        keys = [hash_values(_keys(file, self.other.other_key).drop_null()) for file in self.other.files]
        hashes = np.concatenate(keys)
        if len(np.unique(hashes)) == len(hashes):
            return
        for table in tables:
            self.rows(table)

    @cached_property
    def _fingerprints(self) -> dict[Shard, str]:
        return {file: fingerprint(file) for file in self.other.files}

    def _files(self, shard: Shard) -> Sequence[Shard]:
        """The file of the shard's own name, where there is one; else all."""
        same = [file for file in self.other.files if file.output("") == shard.output("")]
        return same or self.other.files

    def _having(self, wanted: KeyIndex, files: Sequence[Shard]) -> pa.Table:
        """The rows whose key is wanted, with the key as text."""
        parts = []
        for file in files:
            for batch in self._candidates(file, wanted):
                ids = key_text(batch[self.other.other_key])
                place = batch.schema.get_field_index(self.other.other_key)
                batch = batch.set_column(place, self.other.other_key, ids)
                parts.append(batch.filter(pa.array(wanted.knows(ids))))
        tables = [pa.Table.from_batches([part]) for part in parts if len(part)]
        return pa.concat_tables(tables, promote_options="permissive") if tables else pa.table({})

    def _candidates(self, file: Shard, wanted: KeyIndex) -> Iterator[pa.RecordBatch]:
        """The columns of all pieces of a file in which a wanted key occurs: the others' are never decoded."""
        shard, key = open_shard(file), self.other.other_key
        _require_key(file.path, shard.schema, key)
        for piece in range(shard.pieces):
            keys = (batch[key] for batch in shard.batches(BATCH_ROWS, [key], [piece]))
            if shard.pieces == 1 or any(wanted.knows(part).any() for part in keys):
                yield from shard.batches(BATCH_ROWS, {key, *self.columns}, [piece])

    def _refuse_repeats(self, index: KeyIndex) -> None:
        if (twice := index.repeated) is not None:
            where = ", ".join(file.path for file in self.other.files[:2]) + (", …" if len(self.other.files) > 2 else "")
            raise BadTable(
                f"{where}: the {self.other.other_key} {twice!r} is there more than once", fix="keep one row per key"
            )


@dataclass(frozen=True)
class JoinedRows:
    """What a shard's rows get: row i the found row `places[i]`, nulls where it is -1."""

    found: pa.Table
    places: Places

    def beside(self, batch: EmbeddingBatch, first: int) -> EmbeddingBatch:
        """A batch of the shard whose first row is the shard's row `first`, with the joined columns behind its own."""
        places = self.places[first : first + len(batch)]
        taken = pa.array(places, mask=places == NOWHERE)
        arrays = [column.combine_chunks().take(taken) for column in self.found.columns]
        schema = pa.schema([*batch.carried.schema, *self.found.schema])
        return replace(batch, carried=pa.RecordBatch.from_arrays([*batch.carried.columns, *arrays], schema=schema))

    @property
    def alone(self) -> int:
        """How many rows of the shard have no match."""
        return int((self.places == NOWHERE).sum())


def open_join(sources: Sequence[str], keys: str, max_row_bytes: int = MAX_ROW_BYTES) -> OtherTable:
    """The table to join. keys: the key column of the embedding tables, or `KEY=COLUMN` where it is called otherwise.

    Raises NcauditError when a source does not exist, a file lacks the key, or the files' columns cannot go together.
    """
    key, _, other = keys.partition("=")
    files = find_shards(sources, max_row_bytes=max_row_bytes)
    schema = pa.schema([])
    for file in files:
        own = open_shard(file).schema
        _require_key(file.path, own, other or key)
        try:
            schema = pa.unify_schemas([schema, own.remove_metadata()], promote_options="permissive")
        except pa.ArrowException as error:
            what = f"{file.path} has a column of another type than the files before it: {str(error).splitlines()[0]}"
            raise BadTable(what, fix="write the column as one type in all files") from error
    return OtherTable(tuple(files), schema, key, other or key)


def _require_key(path: str, schema: pa.Schema, name: str) -> None:
    if name not in schema.names:
        found = ", ".join(schema.names) or "none"
        fix = did_you_mean(name, schema.names) + REMEDY
        raise BadTable(f"{path} has no column {name} to join by (found: {found})", fix=fix)
    if not is_key(schema.field(name).type):
        raise BadTable(f"{path}: {name} is {schema.field(name).type}, which is no key", fix=REMEDY)


def _keys(shard: Shard, name: str) -> pa.Array:
    parts = [key_text(batch[name]) for batch in read_batches(shard, [name], BATCH_ROWS)]
    return pa.concat_arrays(parts or [pa.array([], pa.large_string())])


def _column(found: pa.Table, name: str, field: pa.Field) -> Any:
    there = name in found.column_names
    return found[name].cast(field.type) if there else pa.nulls(len(found), field.type)


def _free_names(names: Sequence[str], taken: Collection[str]) -> list[str]:
    """The names as they are, or `input_NAME` where they are taken.

    >>> _free_names(["score", "input_score", "lang"], {"score"})
    ['input_input_score', 'input_score', 'lang']
    """
    used, free = {*taken, *names}, []
    for name in names:
        new = name
        while new in taken or (new != name and new in used):
            new = f"input_{new}"
        used.add(new)
        free.append(new)
    return free


def _holds_bytes(kind: pa.DataType) -> bool:
    if t.is_nested(kind):
        return any(_holds_bytes(kind.field(i).type) for i in range(kind.num_fields))
    return bool(t.is_binary(kind) or t.is_large_binary(kind) or t.is_fixed_size_binary(kind) or t.is_binary_view(kind))
