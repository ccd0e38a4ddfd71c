"""Reads embedding and score tables, ours or another tool's, and checks them once: what comes out can be trusted.

Knows arrow tables and unit rows; nothing of encoders or scorers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ncaudit.errors import BadTable
from ncaudit.hashing import fit_sample_keys, hash_rows, hash_values
from ncaudit.schema import EMBEDDING_COLUMNS, IDENTITY, OK, SCORE, STATUSES, SUGGESTION, carried_name
from ncaudit.shards.files.formats import Format, format_of
from ncaudit.shards.files.provenance import Provenance, provenance_of
from ncaudit.shards.files.sources import Shard
from ncaudit.shards.readers import open_shard, read_batches
from ncaudit.shards.readers.parquet import ParquetShard, open_parquet

__all__ = [
    "EmbeddingBatch",
    "EmbeddingTable",
    "ScoreTable",
    "check_tables_agree",
    "fit_sample_keys",
    "open_embeddings",
    "open_scores",
    "read_scores",
]

IMAGE, TEXT = "image_embedding", "text_embedding"
ALWAYS_THERE = frozenset([*IDENTITY.names, "status"])
BATCH_ROWS = 4_096
SUCCESS = "success"  # what img2dataset calls ok
CONTENTS = ("image_hash", "caption")
Matrix = npt.NDArray[np.float32]
Identities = npt.NDArray[np.int64]


@dataclass(frozen=True)
class EmbeddingBatch:
    """Some rows of one embedding table, in its order. The arrays at the bottom hold the ok rows only."""

    pair_id: list[str]
    shard: list[str]
    row: npt.NDArray[np.int64]
    status: list[str]
    ok: npt.NDArray[np.bool_]  # (n,): status is ok
    carried: pa.RecordBatch  # (n,): the user's light columns, the caption among them
    caption: pa.Array  # (n,): its text, null where there is none
    image: Matrix  # (n_ok, image_dims), unit rows
    text: Matrix  # (n_ok, text_dims), unit rows
    image_id: npt.NDArray[np.int64]  # (n_ok,): same photo, same number, in every table
    caption_id: npt.NDArray[np.int64]  # (n_ok,): same caption, same number
    host_id: npt.NDArray[np.int64] | None  # (n_ok,): same host of the url column, same number; None without one
    stratum: list[str]  # (n_ok,): the shard, or the value of the column that labels are calibrated by

    def __len__(self) -> int:
        return len(self.pair_id)


@dataclass(frozen=True)
class EmbeddingTable:
    """One embedding table whose schema has been checked; its rows are read when `batches` is called."""

    shard: Shard
    rows: int
    image_dims: int  # 0 where the lists have no fixed width and no row has an embedding
    text_dims: int
    provenance: Provenance | None  # None for a table from another tool
    carried: pa.Schema
    carried_from: tuple[str, ...]  # the names that `carried` has in the file
    names_contents: bool  # there are columns that tell photos and captions apart without embeddings
    stratify: str | None = None  # the column whose values labels are calibrated by; None: the shard

    def batches(self, rows: int = BATCH_ROWS) -> Iterator[EmbeddingBatch]:
        """All rows, in order, none dropped: an ok row without a usable embedding becomes `embedding_invalid`.

        Memory is bounded by the batch. Raises BadTable for a list of another width, naming the first and how many.
        """
        first = 0
        wanted = {*ALWAYS_THERE, IMAGE, TEXT, "image_hash", "caption", "url", *self.carried_from}
        wanted |= {self.stratify} if self.stratify else set()
        for batch in read_batches(self.shard.path, wanted, rows):
            yield self._checked(batch, first)
            first += len(batch)

    def identities(self, rows: int = 65_536) -> Iterator[tuple[Identities, Identities]]:
        """(image_id, caption_id) of the ok rows, in order, at most `rows` at a time: the numbers that `batches` gives.

        Embeddings are decoded only in row groups where some ok row has no image_hash or no caption, or where the
        footer cannot tell that every ok row has both embeddings. Rows whose embedding is null are left out, as in
        `batches`; one whose embedding is not finite or zero is found only where it had to be decoded, and counted as
        ok elsewhere. Both arrays are (n_ok,) int64.
        """
        for group in range(open_shard(self.shard.path).pieces):
            yield from self._group_identities(group, rows)

    def captions(self, rows: int = 65_536) -> Iterator[tuple[Identities, pa.Array]]:
        """(caption_id, text) of the rows with a caption, failed ones too, in order; no embedding is read."""
        for batch in read_batches(self.shard.path, {"caption"}, rows):
            texts = _caption_texts(batch).drop_null()
            yield hash_values(texts), texts

    def _group_identities(self, group: int, rows: int) -> Iterator[tuple[Identities, Identities]]:
        done = 0
        if self.names_contents and self._has_all_embeddings(group):
            for batch in read_batches(self.shard.path, {"status", *CONTENTS}, rows, [group]):
                ok = self._told_ok(batch)
                if any((ok & ~_named(batch, content)).any() for content in CONTENTS):
                    break
                yield self._identities(batch, ok)
                done += len(batch)
            else:
                return
        yield from self._decoded_identities(group, done)

    def _decoded_identities(self, group: int, done: int) -> Iterator[tuple[Identities, Identities]]:
        """Those of a row group whose first `done` rows are known already."""
        for batch in read_batches(self.shard.path, {"status", *CONTENTS, IMAGE, TEXT}, BATCH_ROWS, [group]):
            rest = batch.slice(min(done, len(batch)))
            done -= len(batch) - len(rest)
            if len(rest):
                yield self._identities(rest, self._told_ok(rest) & _present(rest[IMAGE]) & _present(rest[TEXT]))

    def _identities(self, batch: pa.RecordBatch, ok: npt.NDArray[np.bool_]) -> tuple[Identities, Identities]:
        image_id, image_usable = self._ids(batch, ok, "image_hash", IMAGE, self.image_dims)
        caption_id, text_usable = self._ids(batch, ok, "caption", TEXT, self.text_dims)
        ok = ok & image_usable & text_usable
        return image_id[ok], caption_id[ok]

    def _ids(
        self, batch: pa.RecordBatch, ok: npt.NDArray[np.bool_], content: str, embedding: str, dims: int
    ) -> tuple[Identities, npt.NDArray[np.bool_]]:
        """For every row: its number, 0 unless ok; and whether its embedding is usable, true where nobody looked."""
        ids, usable = np.zeros(len(batch), dtype=np.int64), np.ones(len(batch), dtype=bool)
        named = ok & _named(batch, content)
        column = _content(batch, content)
        if column is not None:
            ids[named] = hash_values(column.filter(pa.array(named)))
        unnamed = ok & ~named
        if unnamed.any():
            unit, fine = self._unit_rows(batch[embedding], unnamed, embedding, dims)
            ids[unnamed] = hash_rows(np.where(fine[:, None], unit, np.float32(0)))
            usable[unnamed] = fine
        return ids, usable

    def _told_ok(self, batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
        return np.array([status == OK for status in self._told_statuses(batch)], dtype=bool)

    def _has_all_embeddings(self, group: int) -> bool:
        """Whether footer and status prove that every ok row of this row group has both embeddings."""
        file = open_shard(self.shard.path)
        nulls = [file.nulls(group, name) for name in (IMAGE, TEXT)]
        if nulls == [0, 0]:
            return True
        if self.provenance is None or None in nulls:
            return False
        # `embed` writes embeddings into ok rows only: as many nulls as failures means that they are the same rows
        batches = read_batches(self.shard.path, {"status"}, 65_536, [group])
        failed = sum(int((~self._told_ok(batch)).sum()) for batch in batches)
        return nulls == [failed, failed]

    def _checked(self, batch: pa.RecordBatch, first: int) -> EmbeddingBatch:
        told = self._told_statuses(batch)
        image_column, text_column = batch[IMAGE], batch[TEXT]
        ok = np.array([status == OK for status in told], dtype=bool) & _present(image_column) & _present(text_column)
        image, image_usable = self._unit_rows(image_column, ok, IMAGE, self.image_dims)
        text, text_usable = self._unit_rows(text_column, ok, TEXT, self.text_dims)
        usable = image_usable & text_usable
        if not usable.all():
            image, text = image[usable], text[usable]
            ok[ok] = usable
        image_id = _content_ids(batch, "image_hash", ok, image)
        return EmbeddingBatch(
            pair_id=self._pair_ids(batch, first),
            shard=[name or self.shard.name for name in _strings(batch, "shard") or [None] * len(batch)],
            row=self._row_numbers(batch, first),
            status=[_final_status(status, fine) for status, fine in zip(told, ok.tolist(), strict=True)],
            ok=ok,
            carried=pa.RecordBatch.from_arrays([batch[name] for name in self.carried_from], schema=self.carried),
            caption=_caption_texts(batch),
            image=image,
            text=text,
            image_id=image_id,
            caption_id=_content_ids(batch, "caption", ok, text),
            host_id=_host_ids(batch, ok, image_id),
            stratum=self._strata(batch, ok),
        )

    def _strata(self, batch: pa.RecordBatch, ok: npt.NDArray[np.bool_]) -> list[str]:
        name = self.stratify or "shard"
        words = _strings(batch.filter(pa.array(ok)), name)
        return [word or self.shard.name for word in words or [None] * int(ok.sum())]

    def _told_statuses(self, batch: pa.RecordBatch) -> list[str]:
        told = _strings(batch, "status")
        if told is None:
            return [OK] * len(batch)
        if self.provenance is None:  # another tool's column of that name: its words for failures are not ours
            return [_translated(status) for status in told]
        return ["embedding_invalid" if status is None else status for status in told]

    def _pair_ids(self, batch: pa.RecordBatch, first: int) -> list[str]:
        ids = _strings(batch, "pair_id")
        if ids is None:
            return [f"{self.shard.stem}/{row}" for row in range(first, first + len(batch))]
        if None in ids:
            raise BadTable(
                f"{self.shard.path} has no pair_id in row {first + ids.index(None)}",
                fix="give every row its pair_id, or remove the column: then <file>/<row> is used",
            )
        return ids

    def _row_numbers(self, batch: pa.RecordBatch, first: int) -> npt.NDArray[np.int64]:
        made = np.arange(first, first + len(batch), dtype=np.int64)
        if "row" not in batch.schema.names or not pa.types.is_integer(batch["row"].type) or batch["row"].null_count:
            return made
        told: npt.NDArray[np.int64] = batch["row"].to_numpy().astype(np.int64)
        return told

    def _unit_rows(self, column: pa.Array, wanted: npt.NDArray[np.bool_], name: str, dims: int) -> tuple[Matrix, Any]:
        """The wanted rows, (n, dims) unit; and which of them, (n,) bool, are finite and not zero."""
        rows = column if wanted.all() else column.filter(pa.array(wanted))
        if not pa.types.is_fixed_size_list(rows.type) and (pc.list_value_length(rows).to_numpy() != dims).any():
            raise self._width_error(name, dims)
        flat = rows.flatten().to_numpy(zero_copy_only=False)  # a null entry arrives as nan
        with np.errstate(over="ignore", invalid="ignore"):
            matrix = flat.astype(np.float32, copy=False).reshape(len(rows), dims)
            norm = np.sqrt(np.einsum("ij,ij->i", matrix, matrix))  # nan or infinite as soon as one entry is
            usable = np.isfinite(norm) & (norm > 0)
            return matrix / np.where(usable, norm, np.float32(1))[:, None], usable

    def _width_error(self, name: str, dims: int) -> BadTable:
        first, count, seen = -1, 0, 0
        for batch in read_batches(self.shard.path, {name}, BATCH_ROWS):
            lengths = pc.list_value_length(batch[name])
            wrong = np.flatnonzero(pc.fill_null(pc.not_equal(lengths, dims), False).to_numpy(zero_copy_only=False))
            if len(wrong) and first < 0:
                first = seen + int(wrong[0])
            count += len(wrong)
            seen += len(batch)
        return BadTable(
            f"{self.shard.path}: {name} is {dims} wide at first, but not in row {first} ({count:,} such rows)",
            fix="embed these rows again with the same encoder, or set their embedding to null",
        )


def open_embeddings(shard: Shard, columns: Sequence[str] | None = None, stratify: str | None = None) -> EmbeddingTable:
    """An embedding table, ours or another tool's.

    columns: the user's light columns to carry along; None takes all that are not images, embeddings or nested data.
    stratify: the column that `EmbeddingBatch.stratum` gives; None: the shard.
    Raises BadTable when it is no parquet, lacks an embedding column (or one of `columns`), or has one of another type.
    """
    file = open_shard(shard.path)
    schema = file.schema
    for name in (IMAGE, TEXT):
        _require_embedding(shard.path, schema, name)
    for name in ("pair_id", "shard", "status"):
        _require_word(shard.path, schema, name)
    if stratify is not None:
        require_column(shard.path, schema, stratify)
    carried_from = _carried_names(shard.path, schema, columns)
    fields = [schema.field(name).with_name(_name_beside_scores(name)) for name in carried_from]
    return EmbeddingTable(
        shard=shard,
        rows=file.rows,
        image_dims=_dims(shard.path, schema, IMAGE),
        text_dims=_dims(shard.path, schema, TEXT),
        provenance=provenance_of(schema),
        carried=pa.schema(fields),
        carried_from=carried_from,
        names_contents=set(CONTENTS) <= set(schema.names),
        stratify=stratify,
    )


def check_tables_agree(tables: Sequence[EmbeddingTable]) -> None:
    """Tables used together must come from the same model, computed the same way, and be as wide.

    Tables from other tools carry no model: only their widths must agree. Raises BadTable with the difference and the
    two files.
    """
    _check_dims(tables)
    told = [(table, model) for table in tables if (model := (table.provenance or {}).get("model"))]
    for table, model in told[1:]:
        first, expected = told[0]
        for key in sorted({*expected, *model}):
            if expected.get(key) != model.get(key):
                raise _disagreement(first, table, f"model {key}", expected.get(key), model.get(key))


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
        for batch in read_batches(self.shard.path, set(schema.names), rows):
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
        metadata = open_parquet(self.shard.path).metadata
        for group in range(metadata.num_row_groups):
            end = first + metadata.row_group(group).num_rows
            if np.searchsorted(places, first) < np.searchsorted(places, end):
                for batch in read_batches(self.shard.path, set(schema.names), 65_536, [group]):
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
    parquet = ParquetShard(shard.path)
    for name in ("pair_id", "status"):
        require_column(shard.path, parquet.schema, name)
        _require_word(shard.path, parquet.schema, name)
    return ScoreTable(shard, parquet.rows, parquet.schema, provenance_of(parquet.schema))


def read_scores(shard: Shard, columns: Sequence[str] | None = None) -> pa.Table:
    """pair_id, status and `columns` (None: all) of one score table, checked as in `open_scores`."""
    return open_scores(shard).read(columns)


def require_column(path: str, schema: pa.Schema, name: str) -> None:
    """Raises BadTable, listing what is there, unless the table has the column."""
    if name not in schema.names:
        raise BadTable(
            f"{path} has no column {name} (found: {', '.join(schema.names) or 'none'})",
            fix="name another table, or give the column this name",
        )


def common_schema(tables: Sequence[tuple[str, pa.Schema]]) -> pa.Schema:
    """The columns of one table that is to hold these, told by path and schema.

    Raises BadTable when a column has two types that fit into no third.
    """
    first, common = tables[0]
    for path, schema in tables[1:]:
        try:
            common = pa.unify_schemas([common, schema], promote_options="permissive")
        except pa.ArrowException as error:
            raise BadTable(
                f"{first} and {path} do not fit into one table: {str(error).splitlines()[0]}",
                fix="give a folder with --out, which writes one file per table",
            ) from error
    return common


def _require_embedding(path: str, schema: pa.Schema, name: str) -> None:
    if name not in schema.names:
        raise BadTable(
            f"{path} has no column {name} (found: {', '.join(schema.names) or 'none'})",
            fix="give embedding tables; `ncaudit embed` makes them from a dataset",
        )
    kind = schema.field(name).type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not (is_list and pa.types.is_floating(kind.value_type)):
        raise BadTable(
            f"{path}: {name} is {kind}, not a list of float16, float32 or float64",
            fix="give embedding tables: what `ncaudit embed` wrote, or lists of numbers in both columns",
        )


def _require_word(path: str, schema: pa.Schema, name: str) -> None:
    if name in schema.names and not _is_word(schema.field(name).type):
        raise BadTable(f"{path}: {name} is {schema.field(name).type}, not a string", fix="rename or convert the column")


def _is_word(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_word(kind.value_type)
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return bool(text or pa.types.is_integer(kind))


def _dims(path: str, schema: pa.Schema, name: str) -> int:
    kind = schema.field(name).type
    if pa.types.is_fixed_size_list(kind):
        return int(kind.list_size)
    for batch in read_batches(path, {name}, BATCH_ROWS):
        lengths = pc.list_value_length(batch[name]).drop_null()
        if len(lengths):
            return int(lengths[0].as_py())
    return 0


def _carried_names(path: str, schema: pa.Schema, columns: Sequence[str] | None) -> tuple[str, ...]:
    for name in columns or ():
        require_column(path, schema, name)
    if columns is not None:
        return tuple(dict.fromkeys(name for name in columns if name not in {*ALWAYS_THERE, IMAGE, TEXT}))
    ours = EMBEDDING_COLUMNS - {"caption"}  # the caption is the user's, and is what people look at
    return tuple(field.name for field in schema if field.name not in ours and is_light(field.type))


def is_light(kind: pa.DataType) -> bool:
    """Whether a column of this type is carried along unasked: no bytes, lists or structs."""
    return not _is_binary(kind) and not pa.types.is_nested(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _name_beside_scores(name: str) -> str:
    return carried_name(name) if name in {*SCORE.names, *SUGGESTION.names} else name


def _present(column: pa.Array) -> npt.NDArray[np.bool_]:
    present: npt.NDArray[np.bool_] = column.is_valid().to_numpy(zero_copy_only=False)
    return present


def _strings(batch: pa.RecordBatch, name: str) -> list[Any] | None:
    if name not in batch.schema.names:
        return None
    values: list[Any] = batch[name].cast(pa.string()).to_pylist()
    return values


def _caption_texts(batch: pa.RecordBatch) -> pa.Array:
    if "caption" not in batch.schema.names or not _is_word(batch["caption"].type):
        return pa.nulls(len(batch), pa.large_string())
    return batch["caption"].cast(pa.large_string())


def _translated(status: str | None) -> str:
    if status is None or status == SUCCESS:
        return OK  # the embeddings decide
    return status if status in STATUSES else "upstream_failed"


def _final_status(told: str, ok: bool) -> str:
    return "embedding_invalid" if told == OK and not ok else told


def _content_ids(batch: pa.RecordBatch, name: str, ok: npt.NDArray[np.bool_], unit: Matrix) -> npt.NDArray[np.int64]:
    """What the ok rows have in `name`, hashed; where there is nothing, the embedding speaks for it."""
    column = _content(batch, name)
    if column is None:
        return hash_rows(unit)
    column = column.filter(pa.array(ok))
    present = _present(column)
    ids = np.empty(len(column), dtype=np.int64)
    ids[present] = hash_values(column.drop_null())
    ids[~present] = hash_rows(unit[~present])
    return ids


def _content(batch: pa.RecordBatch, name: str) -> pa.Array | None:
    """The column that tells photos or captions apart, ready for hashing; None where there is none that could."""
    if name not in batch.schema.names or not (_is_word(batch[name].type) or _is_binary(batch[name].type)):
        return None
    return batch[name].cast(pa.large_string()) if _is_word(batch[name].type) else batch[name]


def _named(batch: pa.RecordBatch, name: str) -> npt.NDArray[np.bool_]:
    """(n,): the row has something in this column that tells photos or captions apart."""
    column = _content(batch, name)
    return np.zeros(len(batch), dtype=bool) if column is None else _present(column)


def _host_ids(
    batch: pa.RecordBatch, ok: npt.NDArray[np.bool_], image_id: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64] | None:
    """The host of each ok row's url, hashed; without one the photo speaks for itself."""
    urls = _strings(batch.filter(pa.array(ok)), "url") if "url" in batch.schema.names else None
    if urls is None:
        return None
    hosts = [_host(url) for url in urls]
    told = hash_values(pa.array(hosts, pa.string()))
    return np.where(np.array([bool(host) for host in hosts], dtype=bool), told, image_id)


def _host(url: str | None) -> str:
    try:
        return urlsplit(url or "").netloc
    except ValueError:  # web data: an unclosed bracket is enough
        return ""


def _check_dims(tables: Sequence[EmbeddingTable]) -> None:
    for what in ("image_dims", "text_dims"):
        known = [(table, getattr(table, what)) for table in tables if getattr(table, what)]
        for table, dims in known[1:]:
            if dims != known[0][1]:
                raise _disagreement(known[0][0], table, what.replace("_dims", " dimensions"), known[0][1], dims)


def _disagreement(first: EmbeddingTable, other: EmbeddingTable, what: str, expected: Any, found: Any) -> BadTable:
    return BadTable(
        f"{first.shard.path} and {other.shard.path} do not belong together: {what} {expected!r} against {found!r}",
        fix="embed both with the same model and precision, or give them to separate runs",
    )
