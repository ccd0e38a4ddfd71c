"""A shard with columns beside those of its file: what the names of folders say, and where its images lie.

Knows tables, partitions (`year=2024/`) and img2dataset's folders of files; nothing of what columns are for.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import unquote

import pyarrow as pa

from ncaudit.schema import METADATA_KEY
from ncaudit.shards.columns import ENCODINGS, IMG2DATASET, image_candidates, is_text
from ncaudit.shards.files import locations
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.readers.shard_file import ShardFile

NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
IMAGE_PATH, KEY, STATUS, SUCCESS = "image_path", "key", "status", "success"


@dataclass(frozen=True)
class WithColumns:
    """A `ShardFile` with more columns behind its own. made: their arrays, from a batch with the columns `needs`."""

    file: ShardFile
    fields: tuple[pa.Field, ...]
    made: Callable[[pa.RecordBatch], Sequence[pa.Array]]
    needs: tuple[str, ...] = ()

    @property
    def schema(self) -> pa.Schema:
        """The file's own columns, then these."""
        own = self.file.schema
        return pa.schema([*own, *self.fields], metadata=own.metadata)

    @property
    def rows(self) -> int:
        """Of the file."""
        return self.file.rows

    @property
    def pieces(self) -> int:
        """Of the file."""
        return self.file.pieces

    @property
    def piece_rows(self) -> Sequence[int] | None:
        """Of the file."""
        return self.file.piece_rows

    def batches(
        self, rows: int, columns: Collection[str] | None = None, pieces: Sequence[int] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """As the file's."""
        added = [field.name for field in self.fields if columns is None or field.name in columns]
        if not added:
            yield from self.file.batches(rows, columns, pieces)
            return
        own = [name for name in self.file.schema.names if columns is None or name in columns]
        for batch in self.file.batches(rows, {*own, *self.needs}, pieces):
            arrays = dict(zip([field.name for field in self.fields], self.made(batch), strict=True))
            kept = [batch.column(name) for name in own]
            yield pa.RecordBatch.from_arrays([*kept, *(arrays[name] for name in added)], names=[*own, *added])

    def beyond(self, columns: Collection[str] | None = None) -> Mapping[int, str]:
        """As the file's."""
        return self.file.beyond(None if columns is None else {*columns, *self.needs})

    def nulls(self, piece: int, column: str) -> int | None:
        """Not known of these."""
        return None if any(column == field.name for field in self.fields) else self.file.nulls(piece, column)


def with_columns(shard: Shard, file: ShardFile) -> ShardFile:
    """The shard with what its place says: the partitions that it lies in, the images that img2dataset put beside it.

    A table of ours has them already, or was told to leave them out.
    """
    if METADATA_KEY in (file.schema.metadata or {}):
        return file
    beside = _BesideTable(shard.path)
    if _of_img2dataset(file.schema) and locations.is_dir(beside.folder):
        file = WithColumns(file, (pa.field(IMAGE_PATH, pa.string()),), beside.paths, (KEY, STATUS))
    told = {name: value for name, value in partitions_of(shard.name).items() if name not in file.schema.names}
    if not told:
        return file
    fields = tuple(pa.field(name, pa.string()) for name in told)
    return WithColumns(file, fields, lambda batch: [pa.array([v] * len(batch), pa.string()) for v in told.values()])


def partitions_of(name: str) -> dict[str, str | None]:
    """What the folders right above a file say as `column=value`: always text, as one folder cannot know the others.

    >>> partitions_of("cc/year=2024/lang=pt%2Fbr/0.parquet"), partitions_of("a=1/b/0.parquet")
    ({'year': '2024', 'lang': 'pt/br'}, {})
    """
    told: dict[str, str | None] = {}
    for folder in reversed(name.split("/")[:-1]):
        column, equals, value = folder.partition("=")
        if not (column and equals):
            break
        told.setdefault(unquote(column), None if value == NULL_PARTITION else unquote(value))
    return dict(reversed(told.items()))


def _of_img2dataset(schema: pa.Schema) -> bool:
    """Whether it is a table of img2dataset without the images."""
    return {*schema.names} >= {*IMG2DATASET, KEY} and is_text(schema.field(KEY).type) and not image_candidates(schema)


@dataclass(frozen=True)
class _BesideTable:
    """The folder of files that img2dataset writes beside a table of the same name."""

    table: str

    @property
    def folder(self) -> str:
        """Called like the table."""
        return self.table.rpartition(".")[0]

    @cached_property
    def _names(self) -> dict[str, str]:
        """The images' files by their keys; of several, the first kind there is."""
        above = locations.dirname(self.folder)
        files = [locations.relative(file, above) for file in locations.files_below([self.folder])]
        by_kind = {kind: [file for file in files if file.lower().endswith(f".{kind}")] for kind in reversed(ENCODINGS)}
        return {_key(file): file for kind in by_kind.values() for file in kind}

    def paths(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """Where the image of each row is; null where the download failed."""
        keys, statuses = batch.column(KEY).to_pylist(), batch.column(STATUS).to_pylist()
        missing = f"{self.folder.rpartition('/')[2]}/"
        paths = [self._names.get(str(key), f"{missing}{key}.{ENCODINGS[0]}") for key in keys]
        told = [path if status == SUCCESS else None for path, status in zip(paths, statuses, strict=True)]
        return [pa.array(told, pa.string())]


def _key(file: str) -> str:
    return file.rpartition("/")[2].rpartition(".")[0]
