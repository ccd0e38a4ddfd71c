"""Reads embedding tables, ours or another tool's, and checks them once: what comes out can be trusted.

Knows arrow tables and unit rows; nothing of encoders or scorers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ncaudit.counts import counted
from ncaudit.errors import BadTable
from ncaudit.hashing import hash_rows, hash_values
from ncaudit.schema import EMBEDDING_COLUMNS, OK, SCORE, STATUSES, SUGGESTION, carried_name
from ncaudit.shards.arrow_types import repeated_names
from ncaudit.shards.columns import not_carried
from ncaudit.shards.dataset.null_types import Types, settled_types
from ncaudit.shards.files.provenance import Provenance, provenance_of
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.readers import ShardFile, open_shard, read_batches
from ncaudit.shards.readers.promised import refuse_repeated
from ncaudit.shards.tables.checks import (
    ALWAYS_THERE,
    is_light,
    is_present,
    require_column,
    require_plain,
    require_word,
    strings,
)
from ncaudit.shards.tables.contents import Matrix, caption_texts, content_column, content_ids, has_content, host_ids

IMAGE, TEXT = "image_embedding", "text_embedding"
BATCH_ROWS = 4_096
SUCCESS = "success"  # what img2dataset calls ok
CONTENTS = ("image_hash", "caption")
SIDES = {"image_hash": (IMAGE, "image_dims"), "caption": (TEXT, "text_dims")}
ALIKE = 0.999  # cosine of one photo, or caption, encoded in two batches
Identities = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Named:
    """What ok rows of a table are called: (n,) each. place: their numbers, counted through; text is null for none."""

    place: npt.NDArray[np.int64]
    pair_id: pa.Array
    shard: pa.Array
    row: pa.Array
    caption: pa.Array


@dataclass(frozen=True)
class Told:
    """Some rows of one embedding table, in its order, without their embeddings: (n,) each, as in `EmbeddingBatch`."""

    pair_id: list[str]
    shard: list[str]
    row: npt.NDArray[np.int64]
    status: list[str]
    ok: npt.NDArray[np.bool_]
    carried: pa.RecordBatch

    def __len__(self) -> int:
        return len(self.pair_id)


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

    def named(self, first: int) -> Named:
        """What its ok rows are called. first: the number of its first row."""
        return _named(first, self.ok, self.pair_id, self.shard, self.row, self.caption)


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
    names_pairs: bool  # there is a column pair_id; else pairs are named by file and row
    names_nothing: tuple[str, ...] = ()  # of CONTENTS, those that are alike in all rows while embeddings differ
    stratify: str | None = None  # the column whose values labels are calibrated by; None: the shard
    left_out: tuple[str, ...] = ()  # columns that no table of ours can hold, each with its type

    def batches(self, rows: int = BATCH_ROWS) -> Iterator[EmbeddingBatch]:
        """All rows, in order, none dropped: an ok row without a usable embedding becomes `embedding_invalid`.

        Memory is bounded by the batch. Raises BadTable for a list of another width, naming the first and how many.
        """
        first = 0
        wanted = {*ALWAYS_THERE, IMAGE, TEXT, "image_hash", "caption", "url", *self.carried_from}
        wanted |= {self.stratify} if self.stratify else set()
        for batch in read_batches(self.shard, wanted, rows):
            yield self._checked(batch, first)
            first += len(batch)

    def side(self, name: str, ok: npt.NDArray[np.bool_], rows: int = BATCH_ROWS) -> Iterator[Matrix]:
        """The unit rows of one side, IMAGE or TEXT, in the batches of `batches`; the other side is not read again.

        ok: (all rows,), as `batches` has told them.
        """
        dims, first = self.image_dims if name == IMAGE else self.text_dims, 0
        for batch in read_batches(self.shard, {name}, rows):
            yield self._unit_rows(batch[name], ok[first : first + len(batch)], name, dims)[0]
            first += len(batch)

    def told(self, ok: npt.NDArray[np.bool_], rows: int = BATCH_ROWS) -> Iterator[Told]:
        """What `batches` says of all rows but for their embeddings, which are not read again. ok: as for `side`."""
        first = 0
        for batch in read_batches(self.shard, {*ALWAYS_THERE, *self.carried_from}, rows):
            fine = ok[first : first + len(batch)]
            yield Told(
                pair_id=self._pair_ids(batch, first),
                shard=self._shards(batch),
                row=self._row_numbers(batch, first),
                status=self._statuses(self._told_statuses(batch), fine),
                ok=fine,
                carried=self._carried(batch),
            )
            first += len(batch)

    def embeddings_differ(self, content: str, *, among: bool) -> bool:
        """Whether rows are not all alike in the embeddings of a content, beyond rounding. among: those that have it."""
        (name, side), first = SIDES[content], None
        for batch in read_batches(self.shard, {name, content}, BATCH_ROWS):
            asked = is_present(batch[name]) & (has_content(batch, content) if among else True)
            unit, usable = self._unit_rows(batch[name], asked, name, getattr(self, side))
            unit = unit[usable]
            first = unit[:1] if first is None or not len(first) else first
            if len(unit) and float((unit @ first.T).min()) < ALIKE:
                return True
        return False

    def identities(self, rows: int = 65_536) -> Iterator[tuple[Identities, Identities]]:
        """(image_id, caption_id) of the ok rows, in order, at most `rows` at a time: the numbers that `batches` gives.

        Embeddings are decoded only in row groups where some ok row has no image_hash or no caption, or where the
        footer cannot tell that every ok row has both embeddings. Rows whose embedding is null are left out, as in
        `batches`; one whose embedding is not finite or zero is found only where it had to be decoded, and counted as
        ok elsewhere. Both arrays are (n_ok,) int64.
        """
        file = open_shard(self.shard, choosing=True)
        for group in range(file.pieces):
            yield from self._group_identities(file, group, rows)

    def named(self, rows: int = 65_536) -> Iterator[Named]:
        """What the rows are called whose status is ok, numbered from 0; no embedding is read, and some may be none."""
        first = 0
        for batch in read_batches(self.shard, {*ALWAYS_THERE, "caption"}, rows):
            shard = self._shards(batch)
            ids, row = self._pair_ids(batch, first), self._row_numbers(batch, first)
            yield _named(first, self._told_ok(batch), ids, shard, row, caption_texts(batch))
            first += len(batch)

    def names(self, rows: int = 65_536) -> Iterator[pa.Array]:
        """The pair_ids that the file has, in order, as text; no embedding is read."""
        for batch in read_batches(self.shard, {"pair_id"}, rows):
            yield batch["pair_id"].cast(pa.string()).drop_null()

    def captions(self, rows: int = 65_536) -> Iterator[tuple[Identities, pa.Array]]:
        """(caption_id, text) of the rows with a caption, failed ones too, in order; no embedding is read."""
        for batch in read_batches(self.shard, {"caption"}, rows):
            texts = caption_texts(batch).drop_null()
            yield hash_values(texts), texts

    def _group_identities(self, file: ShardFile, group: int, rows: int) -> Iterator[tuple[Identities, Identities]]:
        done = 0
        if self.names_contents and self._has_all_embeddings(file, group):
            for batch in file.batches(rows, {"status", *CONTENTS}, [group]):
                ok = self._told_ok(batch)
                if any((ok & ~has_content(self._naming(batch), content)).any() for content in CONTENTS):
                    break
                yield self._identities(batch, ok)
                done += len(batch)
            else:
                return
        yield from self._decoded_identities(file, group, done)

    def _decoded_identities(self, file: ShardFile, group: int, done: int) -> Iterator[tuple[Identities, Identities]]:
        """Those of a row group whose first `done` rows are known already."""
        for batch in file.batches(BATCH_ROWS, {"status", *CONTENTS, IMAGE, TEXT}, [group]):
            rest = batch.slice(min(done, len(batch)))
            done -= len(batch) - len(rest)
            if len(rest):
                yield self._identities(rest, self._told_ok(rest) & is_present(rest[IMAGE]) & is_present(rest[TEXT]))

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
        named = ok & has_content(self._naming(batch), content)
        column = content_column(batch, content)
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

    def _has_all_embeddings(self, file: ShardFile, group: int) -> bool:
        """Whether footer and status prove that every ok row of this row group has both embeddings."""
        nulls = [file.nulls(group, name) for name in (IMAGE, TEXT)]
        if nulls == [0, 0]:
            return True
        if self.provenance is None or None in nulls:
            return False
        # `embed` writes embeddings into ok rows only: as many nulls as failures means that they are the same rows
        batches = file.batches(65_536, {"status"}, [group])
        failed = sum(int((~self._told_ok(batch)).sum()) for batch in batches)
        return nulls == [failed, failed]

    def _checked(self, batch: pa.RecordBatch, first: int) -> EmbeddingBatch:
        told = self._told_statuses(batch)
        image_column, text_column = batch[IMAGE], batch[TEXT]
        ok = (
            np.array([status == OK for status in told], dtype=bool) & is_present(image_column) & is_present(text_column)
        )
        image, image_usable = self._unit_rows(image_column, ok, IMAGE, self.image_dims)
        text, text_usable = self._unit_rows(text_column, ok, TEXT, self.text_dims)
        usable = image_usable & text_usable
        if not usable.all():
            image, text = image[usable], text[usable]
            ok[ok] = usable
        naming = self._naming(batch)
        image_id = content_ids(naming, "image_hash", ok, image)
        return EmbeddingBatch(
            pair_id=self._pair_ids(batch, first),
            shard=self._shards(batch),
            row=self._row_numbers(batch, first),
            status=self._statuses(told, ok),
            ok=ok,
            carried=self._carried(batch),
            caption=caption_texts(batch),
            image=image,
            text=text,
            image_id=image_id,
            caption_id=content_ids(naming, "caption", ok, text),
            host_id=host_ids(batch, ok, image_id),
            stratum=self._strata(batch, ok),
        )

    def _carried(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        pairs = zip(self.carried_from, self.carried.types, strict=True)
        columns = [pa.nulls(len(batch), k) if t.is_null(batch[name].type) else batch[name] for name, k in pairs]
        return pa.RecordBatch.from_arrays(columns, schema=self.carried)

    def _naming(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch without columns that name nothing: the embedding tells photos or captions apart instead."""
        if not self.names_nothing:
            return batch
        return batch.select([name for name in batch.schema.names if name not in self.names_nothing])

    def _strata(self, batch: pa.RecordBatch, ok: npt.NDArray[np.bool_]) -> list[str]:
        name = self.stratify or "shard"
        words = strings(batch.filter(pa.array(ok)), name)
        return [word or self.shard.name for word in words or [None] * int(ok.sum())]

    def _told_statuses(self, batch: pa.RecordBatch) -> list[str]:
        told = strings(batch, "status")
        if told is None:
            return [OK] * len(batch)
        if self.provenance is None:  # another tool's column of that name: its words for failures are not ours
            return [_translated(status) for status in told]
        return ["embedding_invalid" if status is None else status for status in told]

    def _pair_ids(self, batch: pa.RecordBatch, first: int) -> list[str]:
        ids = strings(batch, "pair_id")
        if ids is None:
            return [f"{self.shard.stem}/{row}" for row in range(first, first + len(batch))]
        if None in ids:
            raise BadTable(
                f"{self.shard.path} has no pair_id in row {first + ids.index(None)}",
                fix="give every row its pair_id, or remove the column: then <file>/<row> is used",
            )
        return ids

    def _shards(self, batch: pa.RecordBatch) -> list[str]:
        return [name or self.shard.name for name in strings(batch, "shard") or [None] * len(batch)]

    def _statuses(self, told: Sequence[str], ok: npt.NDArray[np.bool_]) -> list[str]:
        return [_final_status(status, fine) for status, fine in zip(told, ok.tolist(), strict=True)]

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
        for batch in read_batches(self.shard, {name}, BATCH_ROWS):
            lengths = pc.list_value_length(batch[name])
            wrong = np.flatnonzero(pc.fill_null(pc.not_equal(lengths, dims), False).to_numpy(zero_copy_only=False))
            if len(wrong) and first < 0:
                first = seen + int(wrong[0])
            count += len(wrong)
            seen += len(batch)
        return BadTable(
            f"{self.shard.path}: {name} is {dims} wide at first, but not in row {first} ({counted(count, 'such row')})",
            fix="embed these rows again with the same encoder, or set their embedding to null",
        )


def _named(first: int, ok: npt.NDArray[np.bool_], ids: Any, shard: Any, row: Any, caption: pa.Array) -> Named:
    mask = pa.array(ok)
    names, shards = (pa.array(words, pa.large_string()).filter(mask) for words in (ids, shard))
    return Named(first + np.flatnonzero(ok), names, shards, pa.array(row).filter(mask), caption.filter(mask))


def open_embeddings(shard: Shard, columns: Sequence[str] | None = None, stratify: str | None = None) -> EmbeddingTable:
    """An embedding table, ours or another tool's.

    columns: the user's light columns to carry along; None takes all that are not images, embeddings or nested data.
    stratify: the column that `EmbeddingBatch.stratum` gives; None: the shard.
    Raises BadTable when it is no parquet, lacks an embedding column (or one of `columns`), or has one of another type.
    """
    file = open_shard(shard, choosing=True)
    schema = _asked_for(shard.path, file.schema, columns, stratify)
    for name in (IMAGE, TEXT):
        _require_embedding(shard.path, schema, name)
    for name in ("pair_id", "shard", "status"):
        require_word(shard.path, schema, name)
    if stratify is not None:
        fix = "name a column of the embedding tables with --stratify, or auto (shards, else image clusters) or none"
        require_column(shard.path, schema, stratify, fix)
        require_plain(shard.path, schema, stratify, "--stratify")
    carried_from = _carried_names(shard.path, schema, columns)
    fields = [schema.field(name).with_name(_name_beside_scores(name)) for name in carried_from]
    table = EmbeddingTable(
        shard=shard,
        rows=file.rows,
        image_dims=_dims(file, IMAGE),
        text_dims=_dims(file, TEXT),
        provenance=provenance_of(schema),
        carried=pa.schema(fields),
        carried_from=carried_from,
        names_contents=set(CONTENTS) <= set(schema.names),
        names_pairs="pair_id" in schema.names,
        stratify=stratify,
        left_out=tuple(not_carried(schema)) if columns is None else (),
    )
    alike = tuple(name for name in CONTENTS if name in schema.names and _names_nothing(table, name))
    return replace(table, names_nothing=alike)


def _names_nothing(table: EmbeddingTable, content: str) -> bool:
    """Whether a column holds one value at most, in several rows whose embeddings are not all alike.

    Of a table like all others it reads the first batch of that column only.
    """
    values: set[Any] = set()
    for batch in read_batches(table.shard, {content}, BATCH_ROWS):
        column = content_column(batch, content)
        values |= set() if column is None else set(column.unique().drop_null().slice(0, 2).to_pylist())
        if column is None or len(values) > 1:
            return False
    return table.embeddings_differ(content, among=bool(values))


def with_common_nulls(tables: Sequence[EmbeddingTable]) -> list[EmbeddingTable]:
    """The tables, where a carried column that is null throughout one has the type that it has in others."""
    types = settled_types([table.carried for table in tables], {})
    shown = {field.name for table in tables for field in table.carried if not t.is_null(field.type)}
    return [
        replace(table, carried=_typed(table.carried, {n: k for n, k in types.items() if n in shown}))
        for table in tables
    ]


def _typed(carried: pa.Schema, types: Types) -> pa.Schema:
    return pa.schema([f.with_type(types.get(f.name, f.type)) if t.is_null(f.type) else f for f in carried])


def left_out_notes(tables: Sequence[EmbeddingTable]) -> list[str]:
    """What must be said of columns that are not carried, as no table of ours can hold them."""
    names = dict.fromkeys(name for table in tables for name in table.left_out)
    return [f"left out, as parquet has no such type: {', '.join(names)}"] if names else []


def _asked_for(path: str, schema: pa.Schema, columns: Sequence[str] | None, stratify: str | None) -> pa.Schema:
    """The columns that are the only ones of their names. Raises BadTable where somebody asks for one that is not."""
    ours = {*ALWAYS_THERE, *EMBEDDING_COLUMNS, "url", stratify}
    asked = [f for f in schema if f.name in ours or (is_light(f.type) if columns is None else f.name in columns)]
    refuse_repeated(path, schema, {field.name for field in asked})
    names = set(repeated_names(schema.names))
    return pa.schema([field for field in schema if field.name not in names], schema.metadata)


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
            fix=_as_floats(name, kind),
        )


def _as_floats(name: str, kind: pa.DataType) -> str:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if is_list and (pa.types.is_integer(kind.value_type) or pa.types.is_decimal(kind.value_type)):
        return (
            f"quantised rows must be given back their scale: write {name} as lists of float32 (int8: divide by 127, or "
            "by the scale of the row)"
        )
    return "give embedding tables: what `ncaudit embed` wrote, or lists of float16, float32 or float64 in both columns"


def _dims(file: ShardFile, name: str) -> int:
    kind = file.schema.field(name).type
    if pa.types.is_fixed_size_list(kind):
        return int(kind.list_size)
    for batch in file.batches(BATCH_ROWS, {name}):
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


def _name_beside_scores(name: str) -> str:
    return carried_name(name) if name in {*SCORE.names, *SUGGESTION.names} else name


def _translated(status: str | None) -> str:
    if status is None or status == SUCCESS:
        return OK  # the embeddings decide
    return status if status in STATUSES else "upstream_failed"


def _final_status(told: str, ok: bool) -> str:
    return "embedding_invalid" if told == OK and not ok else told


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
