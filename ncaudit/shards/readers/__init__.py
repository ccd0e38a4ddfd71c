"""One file per input format: each shows a shard as a table that is read in pieces. Found by looking at the data.

Knows how files begin; nothing of images, captions or embeddings.
"""

from collections.abc import Callable, Collection, Iterator, Sequence

import pyarrow as pa

from ncaudit.errors import BadTable
from ncaudit.shards.files.formats import READABLE, Format, format_of
from ncaudit.shards.files.layouts import array_pair, arrays_beside, features_told, partition_of
from ncaudit.shards.readers.arrays.clip_retrieval import open_clip_retrieval
from ncaudit.shards.readers.arrays.datacomp import open_datacomp
from ncaudit.shards.readers.arrays.npy_pair import open_npy_pair
from ncaudit.shards.readers.arrow_ipc import ArrowShard
from ncaudit.shards.readers.parquet import ParquetShard
from ncaudit.shards.readers.shard_file import ShardFile
from ncaudit.shards.readers.tars.tar import TarShard
from ncaudit.shards.readers.text.delimited import DelimitedShard
from ncaudit.shards.readers.text.json_lines import JsonLinesShard

__all__ = ["ShardFile", "open_shard", "read_batches"]

READERS: dict[Format, Callable[[str], ShardFile]] = {
    Format.parquet: ParquetShard,
    Format.tar: TarShard,
    Format.arrow_file: ArrowShard,
    Format.arrow_stream: ArrowShard,
    Format.json_lines: JsonLinesShard,
    Format.csv: DelimitedShard,
    Format.tsv: DelimitedShard,
}


def open_shard(path: str) -> ShardFile:
    """The shard at this place, whatever its format. Raises BadTable when it is of none that we read, or damaged."""
    if array_pair(path) is not None:
        return open_npy_pair(path)
    if partition_of(path) is not None:
        return open_clip_retrieval(path)
    table, features = features_told(path)
    if features is not None or arrays_beside(table) is not None:
        return open_datacomp(path)
    kind = format_of(path)
    if kind not in READERS:
        raise BadTable(f"{path} is a file of another kind ({kind})", fix=READABLE)
    return READERS[kind](path)


def read_batches(
    path: str, columns: Collection[str], rows: int, pieces: Sequence[int] | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows of a shard in order, at most `rows` at a time; columns that are not there are left out.

    pieces: only these; None for all. Raises BadTable when it cannot be read, also in the middle.
    """
    return open_shard(path).batches(rows, columns, pieces)
