"""The user's dataset, shard by shard: rows as pairs of image bytes and caption, in windows of bounded memory.

Knows tables, image files beside them and img2dataset's status; nothing of decoding, models or our own tables.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ncaudit.errors import BadTable
from ncaudit.nearest import did_you_mean
from ncaudit.shards.columns import Columns, carried_names, carried_type, is_text
from ncaudit.shards.dataset.caption_cells import caption_problem, captions_in
from ncaudit.shards.dataset.image_cells import NO_IMAGE, image_in, is_encoded, weight_of_text
from ncaudit.shards.dataset.image_files import ImageFiles, Problem, files_below
from ncaudit.shards.files import locations
from ncaudit.shards.files.locations import MIB
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.readers import ShardFile, instead_of_image, open_shard, read_marked
from ncaudit.shards.readers.bounds.weights import text_bytes

COLUMN_ROWS = 65_536  # of one light column at a time
READ_ROWS = 64  # rows per step while a window fills: what its size in bytes may be exceeded by
IMAGE_ROWS = 256  # the same where images alone are read
WINDOW_BYTES = 128 * MIB
TEXT_BYTES = 32 * MIB  # in a window: it is held as arrays and as strings, and again where it is carried
STEPS_OVER = 4  # times a window's bytes that a step may weigh
Numbers = NDArray[np.int64]
Lacking = dict[int, Problem]  # by row

SUCCESS = "success"  # img2dataset's word


@dataclass(frozen=True)
class Rows:
    """A window of pairs, in the shard's order. All fields have one entry per pair; none is dropped.

    row: position on disk from 0. caption_index: which caption of that row. images: encoded bytes, None where missing.
    status: None while nothing is wrong, else why there can be no embedding; detail: more words on that.
    carried: the user's light columns under the names that our tables give them.
    """

    row: NDArray[np.int64]
    caption_index: NDArray[np.int32]
    pair_id: list[str]
    images: list[bytes | None]
    captions: list[str | None]
    status: list[str | None]
    detail: list[str | None]
    carried: pa.RecordBatch

    def __len__(self) -> int:
        return len(self.pair_id)


def read_rows(
    shard: Shard,
    columns: Columns,
    *,
    rows: int,
    image_root: str | None = None,
    window_bytes: int = WINDOW_BYTES,
    file: ShardFile | None = None,
) -> Iterator[Rows]:
    """All pairs of a shard, in windows of `rows` rows, fewer where their images exceed `window_bytes`.

    The windows are a pure function of the shard and the arguments; one with several captions per row holds more pairs.
    image_root: the folder that image paths start from and must stay in; None: the shard's own folder.
    file: the shard, where somebody has it open.
    Raises BadTable when the file turns out damaged, also in the middle.
    """
    root = image_root if image_root is not None else locations.dirname(shard.path)
    files = files_below(root, shard.max_row_bytes)
    first = 0
    file = open_shard(shard, choosing=True) if file is None else file
    lacking: Lacking = {}
    batches = _batches(file, _read_of(columns), min(rows, READ_ROWS), lacking)
    for table in _windows(batches, columns, files, rows, window_bytes):
        pairs = _told(table, first, shard, columns, files, file, lacking)
        files.forget()
        yield pairs
        first += len(table)


def read_images(
    shard: Shard, columns: Columns, *, rows: int, image_root: str | None = None, window_bytes: int = WINDOW_BYTES
) -> Iterator[list[bytes | None]]:
    """The encoded image of every row as in `read_rows`, None where there is none; nothing else of it. In windows."""
    files = files_below(image_root if image_root is not None else locations.dirname(shard.path), shard.max_row_bytes)
    batches = _batches(open_shard(shard, choosing=True), {columns.image}, min(rows, IMAGE_ROWS), {})
    for table in _windows(batches, columns, files, rows, window_bytes):
        yield [image for image, _ in _images(table.column(columns.image), columns, files)]
        files.forget()


def read_image_cells(shard: Shard, columns: Columns, *, rows: int = IMAGE_ROWS) -> Iterator[pa.Array]:
    """The image column of all rows as it is, some rows at a time; a cell that is larger than allowed is null."""
    for batch in _batches(open_shard(shard, choosing=True), {columns.image}, rows, {}):
        yield batch.column(0)


def rows_at(
    shard: Shard,
    columns: Columns,
    places: Collection[int],
    *,
    image_root: str | None = None,
    file: ShardFile | None = None,
) -> Iterator[Rows]:
    """The pairs of some rows, a window for each, ascending; places: which, counted from 0.

    Pieces without any of them are not read where the file tells its pieces' rows, and nothing behind the last one.
    Arguments and errors as in `read_rows`; places that the shard does not have are passed over.
    """
    files = files_below(image_root if image_root is not None else locations.dirname(shard.path), shard.max_row_bytes)
    file = open_shard(shard, choosing=True) if file is None else file
    wanted, lacking = np.unique(np.array(list(places), np.int64)), Lacking()
    for first, batch in _near(file, columns, wanted, lacking):
        for row in wanted[(wanted >= first) & (wanted < first + len(batch))].tolist():
            table = pa.Table.from_batches([batch.slice(row - first, 1)])
            yield _told(table, row, shard, columns, files, file, lacking)
            files.forget()


def read_column(shard: Shard, name: str, file: ShardFile | None = None) -> Iterator[pa.Array]:
    """One light column of a shard, batch by batch. Raises BadTable when it is not there or the file is damaged.

    file: the shard, where somebody has it open.
    """
    file = open_shard(shard, choosing=True) if file is None else file
    if name not in file.schema.names:
        found = ", ".join(file.schema.names)
        raise BadTable(
            f"{shard.name} has no column {name} (found: {found})",
            fix=f"{did_you_mean(name, file.schema.names)}leave it out, or name another column",
        )
    for batch in file.batches(COLUMN_ROWS, [name]):
        yield batch.column(0)


def carried_fields(schema: pa.Schema, columns: Columns) -> list[pa.Field]:
    """The carried columns as our table declares them."""
    pairs = zip(columns.carried, carried_names(columns.carried), strict=True)
    return [pa.field(new, columns.types.get(old) or carried_type(schema.field(old).type)) for old, new in pairs]


def as_type(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """A column in the type that our table declares: what is null throughout may be of any."""
    if column.null_count == len(column):
        return pa.chunked_array([pa.nulls(len(column), kind)])
    return column.cast(kind)


def text(array: pa.Array) -> list[str | None]:
    """A text column as Python strings; bytes that are not UTF-8 become replacement characters, not an error."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    try:
        return [None if value is None else str(value) for value in array.to_pylist()]
    except UnicodeDecodeError:
        raw = array.cast(pa.large_string()).cast(pa.large_binary()).to_pylist()
        return [None if value is None else value.decode("utf-8", "replace") for value in raw]


def _windows(
    batches: Iterator[pa.RecordBatch], columns: Columns, files: ImageFiles, rows: int, window_bytes: int
) -> Iterator[pa.Table]:
    """A shard cut into tables of `rows` rows; of fewer once images weigh more than `window_bytes`, or text much."""
    pending: list[pa.RecordBatch] = []
    held = weight = words = 0
    for batch in batches:
        while len(batch):
            part, heavy = _fitting(batch.slice(0, rows - held), columns, files, window_bytes)
            batch = batch.slice(len(part))
            pending.append(part)
            held += len(part)
            weight += heavy
            words += text_bytes(part)
            if held == rows or weight >= window_bytes or words >= TEXT_BYTES:
                yield pa.Table.from_batches(pending)
                pending, held, weight, words = [], 0, 0, 0
    if pending:
        yield pa.Table.from_batches(pending)


def _fitting(
    part: pa.RecordBatch, columns: Columns, files: ImageFiles, window_bytes: int
) -> tuple[pa.RecordBatch, int]:
    """The part, or so much of it that its images do not weigh many times what a window may; and what they weigh."""
    weight = _weight(part.column(columns.image), files)
    while weight > STEPS_OVER * window_bytes and len(part) > 1:
        part = part.slice(0, len(part) // 2)
        weight = _weight(part.column(columns.image), files)
    return part, weight


def _batches(file: ShardFile, wanted: set[str], rows: int, lacking: Lacking) -> Iterator[pa.RecordBatch]:
    """lacking: gets the rows that lack a cell, as that is larger than allowed, before they come."""
    first = 0
    for piece in range(file.pieces):
        # one row group at a time: over several, arrow reads ahead of what is asked for
        for batch, beyond in read_marked(file, wanted, rows, [piece]):
            lacking.update({first + row: ("row_too_large", told) for row, told in beyond.items()})
            first += len(batch)
            yield batch


def _near(file: ShardFile, columns: Columns, places: Numbers, lacking: Lacking) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The batches of the pieces that hold one of these rows, each with the place of its first."""
    first, sizes = 0, file.piece_rows
    for piece in range(file.pieces):
        if not len(places) or first > places[-1]:
            return
        if sizes is not None and not np.any((places >= first) & (places < first + sizes[piece])):
            first += sizes[piece]
            continue
        for batch, beyond in read_marked(file, _read_of(columns), READ_ROWS, [piece]):
            lacking.update({first + row: ("row_too_large", told) for row, told in beyond.items()})
            yield first, batch
            first += len(batch)
            if first > places[-1]:
                return


def _read_of(columns: Columns) -> set[str]:
    named = {columns.image, columns.caption, *columns.carried, *(c for c in (columns.key, columns.status) if c)}
    return named | ({"error_message"} if columns.status else set())


def _weight(images: pa.Array, files: ImageFiles) -> int:
    """Bytes that the images of these rows will take once they are read."""
    kind = images.type
    if pa.types.is_struct(kind) or pa.types.is_nested(kind):
        return int(images.nbytes)  # close enough: the paths beside the bytes are short
    if pa.types.is_null(kind):
        return 0
    if is_text(kind):
        return weight_of_text(text(images), files)
    return int(pc.sum(pc.binary_length(images)).as_py() or 0)


def _told(
    table: pa.Table, first: int, shard: Shard, columns: Columns, files: ImageFiles, file: ShardFile,
    lacking: Lacking,
) -> Rows:  # fmt: skip
    try:
        return _pairs(table, first, shard, columns, files, file, lacking)
    except UnicodeDecodeError as error:
        where = f"{shard.name}, rows {first} to {first + len(table) - 1}"
        raise BadTable(f"{where}: text that is not UTF-8", fix="write the column anew with valid text") from error


def _pairs(
    table: pa.Table, first: int, shard: Shard, columns: Columns, files: ImageFiles, file: ShardFile,
    lacking: Lacking,
) -> Rows:  # fmt: skip
    """The pairs of one window: one per row, or one per caption where a row has a list of them."""
    captions = captions_in(table.column(columns.caption).chunks, columns.caption_fields, columns.caption_lines)
    source = np.repeat(np.arange(len(table)), [len(own) for own in captions])
    index = np.concatenate([np.arange(len(own), dtype=np.int32) for own in captions])
    row = (first + source).astype(np.int64)
    images = _images(table.column(columns.image), columns, files)
    upstream = [lacking.pop(first + i, told) for i, told in enumerate(_upstream(table, columns))]
    own = [caption for captions_of_row in captions for caption in captions_of_row]
    problem_of = _without(images, file, first)
    problems = [upstream[i] or problem_of[i] or caption_problem(c) for i, c in zip(source, own, strict=True)]
    return Rows(
        row=row,
        caption_index=index,
        pair_id=_pair_ids(table, row, source, index, shard, columns),
        images=[images[i][0] for i in source],
        captions=[None if isinstance(caption, bytes) else caption for caption in own],
        status=[problem and problem[0] for problem in problems],
        detail=[problem and problem[1] for problem in problems],
        carried=_carried(table, columns, source),
    )


def _upstream(table: pa.Table, columns: Columns) -> list[Problem | None]:
    """What img2dataset says of each row's download."""
    if columns.status is None:
        return [None] * len(table)
    said = zip(table.column(columns.status).to_pylist(), table.column("error_message").to_pylist(), strict=True)
    return [
        None if status in (None, SUCCESS) else ("upstream_failed", f"{status}: {error}" if error else str(status))
        for status, error in said
    ]


def _images(column: pa.ChunkedArray, columns: Columns, files: ImageFiles) -> list[tuple[bytes | None, Problem | None]]:
    values = [value for chunk in column.chunks for value in (text(chunk) if is_text(chunk.type) else chunk.to_pylist())]
    if columns.many_images:
        values = [value[0] if value else None for value in values]
    return [image_in(value, files) for value in values]


def _without(
    images: Sequence[tuple[bytes | None, Problem | None]], file: ShardFile, first: int
) -> list[Problem | None]:
    """What is wrong with each image; of one that is null, what its row has instead, where the shard can tell."""
    problems = [problem for _, problem in images]
    return [
        ("image_missing", instead_of_image(file, first + i) or problem[1]) if problem == NO_IMAGE else problem
        for i, problem in enumerate(problems)
    ]


def _pair_ids(
    table: pa.Table, row: Numbers, source: Numbers, index: NDArray[np.int32], shard: Shard, columns: Columns
) -> list[str]:
    if columns.key is None:
        names = [f"{shard.stem}/{n}" for n in row]
    else:
        keys = [value for chunk in table.column(columns.key).chunks for value in text(chunk)]
        _refuse_null_key(keys, row, source, shard, columns.key)
        names = [str(keys[i]) for i in source]
    return [f"{name}/{i}" for name, i in zip(names, index, strict=True)] if columns.many_captions else names


def _refuse_null_key(keys: Sequence[str | None], row: Numbers, source: Numbers, shard: Shard, column: str) -> None:
    missing = [int(n) for n, i in zip(row, source, strict=True) if keys[i] is None]
    if missing:
        raise BadTable(
            f"{shard.name} row {missing[0]} has no {column}, which names the pairs",
            fix="name a column without gaps with --key, or give --key '' to name pairs by shard and row",
        )


def _light(column: pa.Array, of_images: bool) -> pa.Array:
    """The column without images that are written into it as text: of those, nothing is a path."""
    if not of_images or not is_text(column.type):
        return column
    return pa.array([None if value and is_encoded(value) else value for value in text(column)], column.type)


def _carried(table: pa.Table, columns: Columns, source: Numbers) -> pa.RecordBatch:
    fields = carried_fields(table.schema, columns)
    rows = pa.array(source)
    arrays = [
        _light(pa.concat_arrays(as_type(table.column(old), field.type).chunks), old == columns.image).take(rows)
        for old, field in zip(columns.carried, fields, strict=True)
    ]
    if not arrays:
        return pa.RecordBatch.from_struct_array(pa.array([{}] * len(source), pa.struct([])))
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))
