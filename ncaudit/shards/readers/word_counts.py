"""How often each word stands in a column of a table of ours: from afar told by its footer where it can be, else read.

Knows row groups and their statistics; nothing of what words mean.
"""

from collections import Counter
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from ncaudit.errors import BadTable
from ncaudit.shards.files.locations import is_remote
from ncaudit.shards.files.provenance import MADE_ANEW
from ncaudit.shards.readers.parquet import OpenParquet, ParquetShard, open_parquet, telling

ROWS = 65_536
SHORT = 32  # characters: of longer words some writers keep the beginning alone, which several may share


def word_counts(path: str, column: str, file: OpenParquet | None = None) -> dict[str, int]:
    """By word how many rows have it. Raises BadTable where the table has no such column of text, or is none.

    file: the table, where somebody has it open.

    From afar only row groups that hold several words, or that do not say so, are read: most hold one. Of a file that
    is here all are, which costs little, and shows where a disk has lost what the footer tells of.
    """
    file = open_parquet(path) if file is None else file
    schema = file.schema_arrow
    if schema.names.count(column) != 1 or schema.field(column).type != pa.string():
        raise BadTable(f"{path} is damaged: its column {column} is not as ncaudit wrote it", fix=MADE_ANEW)
    counts, asked = Counter[str](), list[int]()
    with telling(path):
        words = _only_words(file, column)
        if not is_remote(path):
            _read_alike(file, column, [number for number, word in enumerate(words) if word is not None])
    for number, word in enumerate(words):
        if word is None:
            asked.append(number)
        elif rows := file.metadata.row_group(number).num_rows:
            counts[word] += rows
    if asked:
        counts.update(_read(path, column, asked))
    return dict(counts)


def _read_alike(file: pq.ParquetFile, column: str, groups: Sequence[int]) -> None:
    """Pages of row groups that hold one word, which are small: for whether they can be read."""
    if len(groups) == 1:  # of which arrow makes less ado than of a stream
        file.read_row_group(groups[0], columns=[column], use_threads=False)
        return
    for _ in file.iter_batches(ROWS, columns=[column], row_groups=groups, use_threads=False) if groups else ():
        pass


def _only_words(file: pq.ParquetFile, column: str) -> list[str | None]:
    """Of each row group what all of its rows have."""
    place = next(n for n in range(len(file.schema.names)) if file.schema.column(n).path == column)
    groups = range(file.metadata.num_row_groups)
    return [_only_word(file.metadata.row_group(number).column(place)) for number in groups]


def _only_word(chunk: pq.ColumnChunkMetaData) -> str | None:
    """What every row has; None where they differ, some have none, or the footer does not tell."""
    told = chunk.statistics
    if told is None or not told.has_min_max or not told.has_null_count or told.null_count:
        return None
    word = told.min
    return word if isinstance(word, str) and word == told.max and len(word) < SHORT else None


def _read(path: str, column: str, groups: Sequence[int]) -> Counter[str]:
    counts = Counter[str]()
    for batch in ParquetShard(path).batches(ROWS, [column], groups):
        counts.update({str(each["values"]): each["counts"] for each in batch[column].value_counts().to_pylist()})
    return counts
