"""One file per input format: each shows a shard as a table that is read in pieces. Found by looking at the data.

Knows how files begin; nothing of images, captions or embeddings.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import pyarrow as pa

from ncaudit.errors import BadTable
from ncaudit.shards.files.formats import READABLE, Format, cannot_be_read, format_in, formats_found
from ncaudit.shards.files.locations import open_native
from ncaudit.shards.files.provenance import MADE_ANEW
from ncaudit.shards.files.remembered import version_now
from ncaudit.shards.files.shard import ArrayPair, ClipRetrievalFiles, Shard
from ncaudit.shards.readers.arrays.clip_retrieval import open_clip_retrieval
from ncaudit.shards.readers.arrays.datacomp import open_datacomp
from ncaudit.shards.readers.arrays.npy_pair import open_npy_pair
from ncaudit.shards.readers.arrow_ipc import ArrowShard
from ncaudit.shards.readers.parquet import ParquetShard, knows_parquet
from ncaudit.shards.readers.promised import PromisedShard, refuse_repeated, versions_of
from ncaudit.shards.readers.shard_file import ShardFile
from ncaudit.shards.readers.tars.tar import TarShard
from ncaudit.shards.readers.text.delimited import DelimitedShard
from ncaudit.shards.readers.text.json_lines import JsonLinesShard
from ncaudit.shards.readers.with_columns import WithColumns, with_columns

__all__ = ["ShardFile", "instead_of_image", "open_shard", "read_batches", "read_columns", "read_marked"]

READERS: dict[Format, Callable[[str, int], ShardFile]] = {
    Format.tar: TarShard,
    Format.arrow_file: ArrowShard,
    Format.arrow_stream: ArrowShard,
    Format.json_lines: JsonLinesShard,
    Format.csv: DelimitedShard,
    Format.tsv: DelimitedShard,
}  # and parquet, which is handed on as it was opened to be told from these


def open_shard(shard: Shard, *, choosing: bool = False) -> ShardFile:
    """The rows of a shard, whatever its format. Raises BadTable when it is of none that we read, or damaged.

    What an earlier look has told of a file (its format, a parquet's columns and rows, what a survey found) is asked
    of memory: the file itself is opened when rows are read.
    Two columns of one name are refused here; choosing: only once one of them is asked for, by somebody who can tell.
    """
    seen = versions_of(shard)
    file = PromisedShard(_open(shard), shard.path, seen, shard.max_row_bytes)
    if not choosing:
        refuse_repeated(shard.path, file.schema)
    return file


def _open(shard: Shard) -> ShardFile:
    if shard.parts is None:
        return with_columns(shard, _open_file(shard.path, shard.max_row_bytes))
    if isinstance(shard.parts, ArrayPair):
        return open_npy_pair(shard.parts)
    if isinstance(shard.parts, ClipRetrievalFiles):
        return open_clip_retrieval(shard.parts, shard.path)
    return open_datacomp(shard.parts)


def _open_file(path: str, max_row_bytes: int) -> ShardFile:
    if knows_parquet(path):
        return ParquetShard(path, max_row_bytes=max_row_bytes)
    seen = version_now(path)
    try:
        file = open_native(path)
    except OSError as error:
        raise cannot_be_read(path, error) from error
    kind = formats_found.learn(path, format_in(path, file), seen)
    if kind is Format.parquet:
        return ParquetShard(path, file, seen, max_row_bytes)
    file.close()
    if kind not in READERS:
        raise BadTable(f"{path} is a file of another kind ({kind})", fix=READABLE)
    return READERS[kind](path, max_row_bytes)


def read_batches(shard: Shard, columns: Collection[str], rows: int) -> Iterator[pa.RecordBatch]:
    """The rows of a shard in order, at most `rows` at a time; columns that are not there are left out.

    Raises BadTable when it cannot be read, also in the middle.
    """
    return open_shard(shard, choosing=True).batches(rows, columns)


def read_columns(path: str, kinds: Mapping[str, pa.DataType | None], rows: int) -> Iterator[pa.RecordBatch]:
    """The same of a table that ncaudit wrote, whose columns are there, and of these types (None: of any).

    Raises BadTable when one is not: then the table is not as it was written.
    """
    schema = open_shard(Shard.of_file(path), choosing=True).schema
    for name, kind in kinds.items():
        if schema.names.count(name) != 1 or schema.field(name).type != (kind or schema.field(name).type):
            raise BadTable(f"{path} is damaged: its column {name} is not as ncaudit wrote it", fix=MADE_ANEW)
    yield from read_batches(Shard.of_file(path), kinds, rows)


def read_marked(
    file: ShardFile, columns: Collection[str], rows: int, pieces: Sequence[int] | None = None
) -> Iterator[tuple[pa.RecordBatch, Mapping[int, str]]]:
    """The batches of an open shard, and which of their rows lack a cell that is larger than allowed, with the words.

    Whoever has no use for such rows asks for `batches`, which raises BadTable there.
    """
    if isinstance(file, PromisedShard):
        return file.marked(rows, columns, pieces)
    return ((batch, {}) for batch in file.batches(rows, columns, pieces))


def instead_of_image(file: ShardFile, row: int) -> str | None:
    """What a row has that has no image, where the format can tell."""
    while isinstance(file, (PromisedShard, WithColumns)):
        file = file.file
    return file.instead_of_image(row) if isinstance(file, TarShard) else None
