"""What the pages of a parquet file would take in memory, told by their own headers before any is unpacked.

Knows parquet's footers, pages and encodings; nothing of what columns mean. The footer's sizes are only what somebody
wrote there, and a dictionary's cells are in no size at all: 100 kB can stand for gigabytes in either way.
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow.parquet as pq

from ncaudit.errors import BadTable
from ncaudit.shards.files.provenance import MADE_ANEW
from ncaudit.shards.leaves import leaf_columns
from ncaudit.shards.readers.bounds.thrift import read_struct
from ncaudit.shards.readers.bounds.unpacked import FLAG, RATIO, refuse_bomb
from ncaudit.shards.readers.bounds.weights import BATCH_BYTES, TEXT_TIMES, Sizes

HEADER, LONGEST_HEADER = 512, 16 << 20  # statistics in it may be long; arrow reads no longer one
DATA, DICTIONARY, DATA_V2 = 0, 2, 3
DICTIONARIES, PREFIXES = (2, 8), 7  # encodings: indices into a dictionary; what values share with the one before
BYTES, TEXTS = "BYTE_ARRAY", ("STRING", "JSON", "ENUM")
MOST_VALUES = 4_096  # of a dictionary that is looked through here
FURTHEST = 1 << 62  # place in a file that a system can name
CHEAP = 32  # values in a byte of a page: of nested columns, runs of what is nowhere written down
ReadAt = Callable[[int, int], bytes]


@dataclass(frozen=True)
class Page:
    """One page by its header: of data, or a dictionary."""

    kind: int
    values: int
    packed: int
    unpacked: int
    encoding: int
    at: int = 0  # where what is packed begins, in the file


class Looks(Protocol):
    """A second look at a chunk, of a row group and a leaf by its number, with its dictionary left as it is."""

    def widest(self, group: int, leaf: int) -> int:
        """The bytes of the dictionary's longest value."""

    def row_bytes(self, group: int, leaf: int) -> Sizes:
        """The bytes of each row, exactly: all rows are gone through."""


@dataclass(frozen=True)
class Chunk:
    """One leaf of one row group."""

    column: str
    group: int
    number: int  # of the leaf
    leaf: Any  # as parquet's schema has it
    rows: int
    pages: Sequence[Page]
    size: int  # bytes in the file, by the footer

    @property
    def data(self) -> list[Page]:
        """The pages that are no dictionary."""
        return [page for page in self.pages if page.kind != DICTIONARY]

    @property
    def dictionary(self) -> int:
        """Bytes that no value of its dictionary is longer than."""
        return max((page.unpacked for page in self.pages if page.kind == DICTIONARY), default=0)


def local_pages(file: int, facts: Any) -> Iterator[Page]:
    """The pages of a column chunk on this machine, as far as their headers can be read: arrow says what is wrong.

    file: as the system numbers it.
    """
    return _walk(lambda at, size: os.pread(file, size, at), facts)


def told_pages(facts: Any) -> list[Page]:
    """The chunk as one page, by what the footer says: behind an address each header would be a journey."""
    coded = facts.has_dictionary_page
    encoding = DICTIONARIES[1] if coded else PREFIXES if "DELTA_BYTE_ARRAY" in facts.encodings else DATA
    sizes = facts.total_compressed_size, facts.total_uncompressed_size
    told = [Page(DATA, facts.num_values, *sizes, encoding)]
    return [Page(DICTIONARY, 0, *sizes, 0), *told] if coded else told


def _walk(read: ReadAt, facts: Any) -> Iterator[Page]:
    at = facts.data_page_offset
    if facts.has_dictionary_page and facts.dictionary_page_offset:
        at = min(at, facts.dictionary_page_offset)
    left = facts.num_values
    while left > 0 and 0 <= at < FURTHEST and (found := _header(read, at)) is not None:
        page, length = found
        yield page
        left -= 0 if page.kind == DICTIONARY else max(page.values, 1)
        at += length + page.packed


def _header(read: ReadAt, at: int) -> tuple[Page, int] | None:
    """The page that begins there, and the length of its header."""
    size = HEADER
    while True:
        data = read(at, size)
        try:
            fields, length = read_struct(data)
            return _page(fields, at + length), length
        except (IndexError, ValueError):
            if len(data) < size or size >= LONGEST_HEADER:
                return None
            size *= 32


def _page(fields: dict[int, Any], at: int) -> Page:
    kind, unpacked, packed = (_number(fields, place) for place in (1, 2, 3))
    told = fields.get({DATA: 5, DICTIONARY: 7, DATA_V2: 8}.get(kind, 0), {})
    encoding = _number(told, 4 if kind == DATA_V2 else 2, 0)
    return Page(kind, _number(told, 1, 0), packed, unpacked, encoding, at)


def _number(fields: Any, place: int, otherwise: int | None = None) -> int:
    """A count, a size or a name's number, of 31 bits. Raises ValueError where the header has anything else there."""
    found = fields.get(place, otherwise) if isinstance(fields, dict) else None
    if not isinstance(found, int) or not 0 <= found < 2**31:
        raise ValueError("no number that a page's header may have")
    return found


def chunks_of(
    parquet: pq.ParquetFile, names: Collection[str], groups: Sequence[int], pages: Callable[[Any], Iterable[Page]]
) -> Iterator[Chunk]:
    """The chunks of these columns. pages: of what the footer says of a chunk."""
    owners = leaf_columns(parquet.schema_arrow)
    if len(owners) != len(parquet.schema):
        owners = [parquet.schema.column(i).path.split(".")[0] for i in range(len(parquet.schema))]
    wanted = [(leaf, owner) for leaf, owner in enumerate(owners) if owner in names]
    for group in groups:
        told = parquet.metadata.row_group(group)
        for leaf, owner in wanted if told.num_rows else ():
            facts = told.column(leaf)
            own, size = list(pages(facts)), facts.total_compressed_size
            yield Chunk(owner, group, leaf, parquet.schema.column(leaf), told.num_rows, own, size)


def refuse_bombs(path: str, chunk: Chunk, max_row_bytes: int) -> None:
    """Raises BadTable where a page would unpack to far more than it is, says values without end in a few bytes, or
    says that it is larger than all of its column.
    """
    where = f"{path}: a page of column {chunk.column} (row group {chunk.group})"
    for page in chunk.pages:
        if page.packed > chunk.size:  # arrow takes memory for it before it looks whether so much is there
            told = f"{where} says that it has {page.packed:,} bytes, and all pages there have {chunk.size:,}"
            raise BadTable(told, fix=MADE_ANEW)
        refuse_bomb(where, page.packed, page.unpacked, max_row_bytes)
    if chunk.leaf.max_repetition_level:
        cheap = sum(page.values for page in chunk.data if page.values > CHEAP * page.unpacked)
        if cheap > max_row_bytes and cheap > RATIO * chunk.rows:
            raise BadTable(
                f"{path}: column {chunk.column} (row group {chunk.group}) says {cheap:,} values in a few bytes",
                fix=f"they would fill the memory: leave it out, or raise {FLAG} if that is right",
            )


def most_rows(chunks: Sequence[Chunk], fixed: int, rows: int, looks: Looks) -> int:
    """How many rows at once, `rows` at most and halved until it fits, surely take no more than a batch may.

    fixed: what each row takes in columns of a fixed width.
    """
    by_leaf: dict[int, list[Chunk]] = {}
    for chunk in chunks:
        if chunk.leaf.physical_type == BYTES:
            by_leaf.setdefault(chunk.number, []).append(chunk)
    spans = {leaf: _spans(own, rows, None) for leaf, own in by_leaf.items()}

    def takes(count: int) -> int:
        return _fixed_beyond(fixed, count) + sum(_most(*own, count) for own in spans.values())

    for leaf in sorted(spans, key=lambda leaf: _most(*spans[leaf], rows), reverse=True):
        if takes(rows) <= BATCH_BYTES // 2:  # a look costs more than headers do
            return rows
        spans[leaf] = _spans(by_leaf[leaf], rows, looks)
    found = rows
    while found > 1 and takes(found) > BATCH_BYTES // 2:
        found //= 2
    return found


def _fixed_beyond(fixed: int, rows: int) -> int:
    """What columns of a fixed width take, where a row of them is no usual one: embeddings are what they are."""
    return fixed * rows if fixed > BATCH_BYTES // 1024 else 0


def _spans(chunks: Sequence[Chunk], rows: int, looks: Looks | None) -> tuple[Sizes, Sizes, Sizes]:
    """Of runs of rows: how many, the bytes of all, and of one, each at most; by the headers where looks is None."""
    parts = [_of_chunk(chunk, rows, looks) for chunk in chunks]
    counts, whole, each = (np.concatenate([part[place] for part in parts]) for place in range(3))
    text = TEXT_TIMES if chunks[0].leaf.logical_type.type in TEXTS else 1
    return counts, whole * text, each * text


def _of_chunk(chunk: Chunk, rows: int, looks: Looks | None) -> tuple[Sizes, Sizes, Sizes]:
    said = [_span(chunk, page, rows, looks) for page in chunk.data]
    if chunk.leaf.max_repetition_level and (total := sum(whole for _, whole, _ in said)) > BATCH_BYTES:
        if looks is None:
            return np.ones(1, np.int64), np.full(1, total), np.full(1, total)
        sizes = looks.row_bytes(chunk.group, chunk.number)  # no page says which rows hold how many of its values
        return np.ones(len(sizes), np.int64), sizes, sizes
    counts, whole, each = np.array(said, np.int64).reshape(-1, 3).T
    return counts, whole, each


def _span(chunk: Chunk, page: Page, rows: int, looks: Looks | None) -> tuple[int, int, int]:
    values = max(1, page.values)
    if page.encoding in DICTIONARIES:
        longest = chunk.dictionary
        if looks is not None and min(rows, values) * longest > BATCH_BYTES // 16:
            longest = min(longest, looks.widest(chunk.group, chunk.number))
        return values, values * longest, longest
    if page.encoding == PREFIXES:
        return values, values * page.unpacked, page.unpacked
    return values, page.unpacked, -(-page.unpacked // values)


def _most(rows: Sizes, whole: Sizes, each: Sizes, count: int) -> int:
    """The most bytes that `count` rows in a row take: of the pages that they touch a part, or all."""
    if not len(rows):
        return 0
    ends, before = np.cumsum(rows), np.concatenate([[0], np.cumsum(np.minimum(whole, each * count))])
    last = np.searchsorted(ends, ends + count - 1)  # a run that begins with a page's last row touches most
    return int((before[np.minimum(last, len(rows) - 1) + 1] - before[:-1]).max())
