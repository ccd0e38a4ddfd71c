"""Parquet: of img2dataset, of Hugging Face, ours, anybody's."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as t

from ncaudit.errors import BadTable
from ncaudit.options import MAX_ROW_BYTES
from ncaudit.shards.files.locations import MIB, is_remote, open_file, open_native
from ncaudit.shards.files.provenance import DAMAGE, MADE_ANEW, fingerprint_in, fingerprints, said_in, unreadable
from ncaudit.shards.files.remembered import Remembered, version_now
from ncaudit.shards.leaves import leaf_columns
from ncaudit.shards.readers.bounds.dictionaries import longest_in
from ncaudit.shards.readers.bounds.pages import Page, chunks_of, local_pages, most_rows, refuse_bombs, told_pages
from ncaudit.shards.readers.bounds.weights import BATCH_BYTES, Sizes, cell_bytes, fixed_bytes, weight
from ncaudit.shards.readers.int96 import Int96, int96_columns, look_at_int96, refused_words

CHECKSUM = "CRC checksum verification failed"
LOOK_ROWS = 8_192  # of a dictionary's indices at a time
FINER = "write it as text, or leave it out (`embed --columns` names those that are carried)"


class OpenParquet(pq.ParquetFile):  # type: ignore[misc]
    """A parquet file that remembers what it is read from, for who looks at its pages."""

    def __init__(self, source: Any, **asked: Any) -> None:
        super().__init__(source, **asked)
        self.source = source


def open_parquet(path: str) -> OpenParquet:
    """A parquet file read in small pieces, no value of which is changed by it. Raises BadTable when it is none."""
    try:
        return _read_by(path, open_native(path))
    except OSError as error:
        raise unreadable(path, error) from error


def _read_by(path: str, file: Any) -> OpenParquet:
    parquet = _in_unit(path, file, None)
    if not int96_columns(parquet):
        return parquet
    unit = int96_found(path).unit
    return parquet if unit == "ns" else _in_unit(path, open_native(path), unit)


def _in_unit(path: str, file: Any, unit: str | None) -> OpenParquet:
    """The default reader took 1.2 GiB for a file of images; these settings 0.2 to 0.3 GiB, and they are faster.

    From afar each request costs more than memory does: what is asked for of a row group is fetched at once, and
    nothing else. Pages that have a checksum are held against it.
    """
    asked: dict[str, Any] = {"coerce_int96_timestamp_unit": unit, "page_checksum_verification": True}
    try:
        if is_remote(path):
            return OpenParquet(file, pre_buffer=True, metadata=_footers(path), **asked)
        return OpenParquet(file, pre_buffer=False, buffer_size=MIB, **asked)
    except DAMAGE as error:
        raise unreadable(path, error) from error


def _int96_in(path: str) -> Int96:
    def opens(unit: str) -> OpenParquet:
        return _in_unit(path, open_native(path), unit)

    with telling(path):
        return look_at_int96(opens, int96_columns(opens("ns")))


int96_found = Remembered(_int96_in)


@contextmanager
def telling(path: str) -> Iterator[None]:
    """Whatever parquet raises while it reads, as BadTable."""
    try:
        yield
    except DAMAGE as error:
        if CHECKSUM in str(error):
            raise BadTable(f"{path} is damaged: a page of it is not what its checksum says", fix=MADE_ANEW) from error
        raise unreadable(path, error) from error


def refuse_finer(path: str, parquet: pq.ParquetFile, names: Collection[str]) -> None:
    """Raises BadTable where one of these columns has values that no unit holds: see `int96`."""
    if set(names).isdisjoint(int96_columns(parquet)):
        return
    for name, row in sorted(int96_found(path).refused.items()):
        if name in names:
            raise BadTable(refused_words(path, name, row), fix=FINER)


_footers = Remembered(lambda path: pq.read_metadata(open_file(path, jumps=True)), at_most=1024)  # of remote files


@dataclass(frozen=True)
class _Facts:
    """What the footer tells that is asked for again and again."""

    schema: pa.Schema
    piece_rows: tuple[int, ...]


def _facts_in(parquet: pq.ParquetFile) -> _Facts:
    groups = range(parquet.num_row_groups)
    return _Facts(parquet.schema_arrow, tuple(int(parquet.metadata.row_group(g).num_rows) for g in groups))


_facts = Remembered(lambda path: _facts_in(open_parquet(path)), at_most=32_768)


def knows_parquet(path: str) -> bool:
    """Whether the file was found to be parquet, and is as it was then."""
    return _facts.known(path) is not None


class ParquetShard:
    """A `ShardFile` whose pieces are row groups. Raises BadTable when the file is no parquet.

    A file that was met before is opened only when rows are read, or what the footer alone knows is asked for.
    """

    def __init__(
        self, path: str, file: Any = None, seen: str | None = None, max_row_bytes: int = MAX_ROW_BYTES
    ) -> None:
        """file: where somebody has it open; it is read on from there. seen: its version from before that."""
        self._path, self._max_row_bytes = path, max_row_bytes
        told = _facts.known(path) if file is None else None
        if told is None:
            seen = version_now(path) if file is None else seen
            self._file = _first_look(path, file, seen)
            said_in(path, self._file.schema_arrow)
            told = _facts.learn(path, _facts_in(self._file), seen)
        self._told = told

    @cached_property
    def _file(self) -> OpenParquet:
        file = open_parquet(self._path)
        if _facts_in(file) != self._told:  # another file has taken its place since it was asked for
            raise BadTable(f"{self._path} was changed while it was read", fix="run it again when nothing writes there")
        return file

    @property
    def schema(self) -> pa.Schema:
        """Of the footer, its metadata included."""
        return self._told.schema

    @property
    def rows(self) -> int:
        """By the footer."""
        return sum(self._told.piece_rows)

    @property
    def pieces(self) -> int:
        """Row groups."""
        return len(self._told.piece_rows)

    @property
    def piece_rows(self) -> list[int]:
        """Rows of each row group."""
        return list(self._told.piece_rows)

    def batches(
        self, rows: int, columns: Collection[str] | None = None, pieces: Sequence[int] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Local batches may span row groups: over several, arrow reads ahead of what is asked for."""
        names = [name for name in self.schema.names if columns is None or name in columns]
        groups = [pieces]
        if is_remote(self._path):  # fetched ahead, several row groups would all be in memory
            groups = [[piece] for piece in (range(self.pieces) if pieces is None else pieces)]
        refuse_finer(self._path, self._file, names)
        with telling(self._path):
            for chosen in groups:
                for batch in read_bounded(self._path, self._file, rows, names, chosen, self._max_row_bytes):
                    # asked for `a`, arrow also gives a column called `a.b`
                    yield batch if batch.schema.names == names else batch.select(names)

    def beyond(self, columns: Collection[str] | None = None) -> Mapping[int, str]:
        """Cells are whole."""
        return {}

    def nulls(self, piece: int, column: str) -> int | None:
        """By the footer, where it has statistics."""
        group, owners = self._file.metadata.row_group(piece), leaf_columns(self.schema)
        if column not in owners or len(owners) != group.num_columns:
            return None
        told = group.column(owners.index(column)).statistics
        return int(told.null_count) if told is not None and told.has_null_count else None


def read_bounded(
    path: str, parquet: OpenParquet, rows: int, names: Sequence[str] | None = None,
    groups: Sequence[int] | None = None, max_row_bytes: int = MAX_ROW_BYTES,
) -> Iterator[pa.RecordBatch]:  # fmt: skip
    """`rows` rows at a time, fewer only where they would take too much memory. names, groups: None for all.

    Raises BadTable where a page would unpack to far more than it is; else as arrow does.
    """
    named = parquet.schema_arrow.names if names is None else names
    chosen = range(parquet.num_row_groups) if groups is None else groups
    chunks = list(chunks_of(parquet, named, chosen, partial(_pages, path, parquet)))
    for chunk in chunks:
        refuse_bombs(path, chunk, max_row_bytes)
    fixed = sum(fixed_bytes(field.type) for field in parquet.schema_arrow if field.name in named)
    step = most_rows(chunks, fixed, rows, _Looks(parquet))
    batches = parquet.iter_batches(step, columns=names, row_groups=groups)
    yield from batches if step == rows else _joined(batches, rows)


def _pages(path: str, parquet: OpenParquet, facts: Any) -> Iterable[Page]:
    return told_pages(facts) if is_remote(path) else local_pages(parquet.source.fileno(), facts)


@dataclass(frozen=True)
class _Looks:
    """Chunks of a file read with their dictionaries left as they are, which takes what they take on disk."""

    parquet: OpenParquet
    known: dict[tuple[int, int], int] = field(default_factory=dict)  # the longest value by row group and leaf

    def widest(self, group: int, leaf: int) -> int:
        """The bytes of the longest value of a row group's dictionary, which comes with the first row."""
        if (group, leaf) not in self.known:
            told = self._told(group, leaf)
            self.known[group, leaf] = self._built(group, leaf) if told is None else told
        return self.known[group, leaf]

    def _told(self, group: int, leaf: int) -> int | None:
        """By the dictionary's own page; None where that does not tell, or is far away."""
        facts = self.parquet.metadata.row_group(group).column(leaf)
        if not isinstance(self.parquet.source, pa.OSFile):
            return None
        file = self.parquet.source.fileno()
        page = next(local_pages(file, facts), None)
        return None if page is None else longest_in(page, file, facts.compression)

    def _built(self, group: int, leaf: int) -> int:
        first = next(self._read(group, leaf, 1), None)
        values = None if first is None else _dictionary_in(first)
        return 0 if values is None else int(cell_bytes(values).max(initial=0))

    def row_bytes(self, group: int, leaf: int) -> Sizes:
        """The bytes of each row."""
        return np.concatenate([np.zeros(0, np.int64), *map(cell_bytes, self._read(group, leaf, LOOK_ROWS))])

    def _read(self, group: int, leaf: int, rows: int) -> Iterator[pa.Array]:
        path = self.parquet.schema.column(leaf).path
        file = pq.ParquetFile(self.parquet.source, metadata=self.parquet.metadata, read_dictionary=[path])
        return (batch.column(0) for batch in file.iter_batches(rows, row_groups=[group], columns=[path]))


def _dictionary_in(array: pa.Array) -> pa.Array | None:
    """The first dictionary at any depth."""
    if isinstance(array, pa.DictionaryArray):
        return array.dictionary
    if t.is_struct(array.type):
        return next(filter(None, (_dictionary_in(array.field(i)) for i in range(array.type.num_fields))), None)
    return _dictionary_in(array.values) if t.is_nested(array.type) and not t.is_map(array.type) else None


def _joined(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """The same rows, `rows` at a time again where they are not more than a batch may be."""
    held: list[pa.RecordBatch] = []
    count = heavy = 0
    for batch in batches:
        while len(batch):
            part = batch.slice(0, rows - count)
            if held and heavy + weight(part) > BATCH_BYTES:
                yield pa.concat_batches(held)
                held, count, heavy = [], 0, 0
                continue
            batch = batch.slice(len(part))
            held.append(part)
            count, heavy = count + len(part), heavy + weight(part)
            if count == rows:
                yield pa.concat_batches(held)
                held, count, heavy = [], 0, 0
    if held:
        yield pa.concat_batches(held)


def _first_look(path: str, file: Any, seen: str | None) -> OpenParquet:
    """Opened, with what its fingerprint takes read on the way; from afar that would be a journey more."""
    try:
        file = open_native(path) if file is None else file
        if not is_remote(path):
            fingerprints.learn(path, fingerprint_in(file), seen)
    except OSError as error:
        raise unreadable(path, error) from error
    return _read_by(path, file)
