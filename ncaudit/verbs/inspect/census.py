"""What the light columns of a shard hold, counted in one pass: captions, keys, statuses, labels. Images are not read.

Knows arrow columns; nothing of which tool wrote them. Memory: 8 bytes per row and key column, whatever the rest holds.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ncaudit.hashing import hash_values
from ncaudit.shards.columns import is_key, is_text
from ncaudit.shards.dataset.caption_cells import captions_in, lines_of
from ncaudit.shards.dataset.rows import text
from ncaudit.shards.readers import read_marked
from ncaudit.shards.readers.shard_file import ShardFile

EXAMPLES = 3
EXAMPLE_LENGTH = 300  # characters of an example: a caption may be a megabyte
BATCH_ROWS = 8_192
WORDS_KEPT = 50  # different words of a column: one that was no list of statuses must not fill the memory


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Which columns are looked at. keys: what names the pairs. words: columns of few different words. paths: of images
    in files. number: a column of labels from 0 to 1."""

    caption: str | None = None
    caption_fields: tuple[str, ...] = ()
    caption_lines: bool = False
    keys: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    paths: str | None = None
    number: str | None = None


@dataclass
class Census:
    """Counts over rows. hashes: of the keys, by column."""

    rows: int = 0
    pairs: int = 0  # one per caption where a row has several, and one for a row without any
    captions_null: int = 0  # pairs; of a list, its null entries, and the lists that are null or empty
    captions_blank: int = 0
    captions_of_lines: int = 0  # those with several lines that say something
    larger: int = 0  # rows with a cell that is larger than allowed
    first_larger: str = ""
    several_captions: bool = False
    paths_missing: int = 0
    words: dict[str, Counter[str]] = field(default_factory=dict)
    key_nulls: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    number_sum: float = 0.0
    number_rows: int = 0
    number_below_half: int = 0
    hashes: dict[str, list[NDArray[np.int64]]] = field(default_factory=dict)

    def add(self, other: "Census") -> None:
        """Take over the counts of another shard. Its examples are left to whoever knows all shards."""
        for name in ("rows", "pairs", "captions_null", "captions_blank", "captions_of_lines", "paths_missing"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("number_sum", "number_rows", "number_below_half"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.several_captions |= other.several_captions
        self.key_nulls.update(other.key_nulls)
        for name, counts in other.words.items():
            _keep_few(self.words.setdefault(name, Counter()), counts)
        for name, parts in other.hashes.items():
            self.hashes.setdefault(name, []).extend(parts)

    def repeats(self, key: str) -> int:
        """Rows whose key occurred before; null is no key. By 64-bit hashes."""
        hashes = np.concatenate([np.zeros(0, np.int64), *self.hashes.get(key, [])])
        hashes.sort()
        return int((hashes[1:] == hashes[:-1]).sum())


def take_census(file: ShardFile, counted: Counted, advance: Callable[[int], None]) -> Census:
    """Count one shard. Raises BadTable when it turns out damaged, also in the middle."""
    census = Census()
    wanted = {*counted.keys, *counted.words, *(c for c in (counted.caption, counted.paths, counted.number) if c)}
    for batch, beyond in read_marked(file, wanted, BATCH_ROWS):
        census.larger += len(beyond)
        census.first_larger = census.first_larger or _first(census.rows, beyond)
        _count(census, batch, counted)
        advance(len(batch))
    return census


def _first(rows: int, beyond: Mapping[int, str]) -> str:
    """The first of the rows that `beyond` tells of, behind so many others."""
    return next((f"row {rows + row}: {beyond[row]}" for row in sorted(beyond)), "")


def chosen_examples(of_shards: Sequence[Sequence[str]]) -> list[str]:
    """A few captions, of shards far apart where there are several."""
    spread = np.unique(np.linspace(0, max(0, len(of_shards) - 1), EXAMPLES).astype(int)).tolist() if of_shards else []
    firsts = [of_shards[i][0] for i in spread if of_shards[i]]
    rest = [caption for examples in of_shards for caption in examples]
    return list(dict.fromkeys([*firsts, *rest]))[:EXAMPLES]


def _count(census: Census, batch: pa.RecordBatch, counted: Counted) -> None:
    census.rows += len(batch)
    names = batch.schema.names
    if counted.caption in names:
        _count_captions(census, _told_captions(batch[counted.caption], counted))
    else:
        census.pairs += len(batch)
    if counted.paths in names:
        census.paths_missing += sum(1 for path in text(batch[counted.paths]) if not path)
    for name in counted.keys:
        if name in names and is_key(batch[name].type):
            census.key_nulls[name] += batch[name].null_count
            census.hashes.setdefault(name, []).append(hash_values(_plain(batch[name]).drop_null()))
    for name in counted.words:
        if name in names:
            counts = _plain(batch[name]).drop_null().value_counts().to_pylist()
            words = Counter({str(entry["values"]): entry["counts"] for entry in counts})
            _keep_few(census.words.setdefault(name, Counter()), words)
    if counted.number in names and pa.types.is_floating(batch[counted.number].type):
        _count_numbers(census, batch[counted.number].cast(pa.float64()))


def _count_captions(census: Census, column: pa.Array) -> None:
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type) or pa.types.is_fixed_size_list(column.type):
        census.several_captions = True
        lengths = pc.list_value_length(column).fill_null(0)
        empty = int(pc.sum(pc.equal(lengths, 0)).as_py() or 0)
        census.captions_null += empty
        census.pairs += empty
        column = column.flatten()
    census.pairs += len(column)
    if not is_text(column.type):
        census.captions_null += len(column)
        return
    census.captions_null += column.null_count
    for caption in _captions(column):
        census.captions_of_lines += "\n" in caption and len(lines_of(caption)) > 1
        if not caption.strip():
            census.captions_blank += 1
        elif len(census.examples) < EXAMPLES and caption[:EXAMPLE_LENGTH] not in census.examples:
            census.examples.append(caption[:EXAMPLE_LENGTH])


def _told_captions(column: pa.Array, counted: Counted) -> pa.Array:
    """The captions as text, or as lists of text where rows have several."""
    plain = is_text(column.type) or (pa.types.is_list(column.type) and is_text(column.type.value_type))
    if plain and not counted.caption_fields and not counted.caption_lines:
        return column
    rows = captions_in([column], counted.caption_fields, counted.caption_lines)
    told = [[caption if isinstance(caption, str) else None for caption in row] for row in rows]
    one_each = not counted.caption_lines and all(len(row) == 1 for row in told)
    return pa.array([row[0] for row in told], pa.string()) if one_each else pa.array(told, pa.list_(pa.string()))


def _captions(column: pa.Array) -> Iterator[str]:
    yield from (caption for caption in text(column) if caption is not None)


def _count_numbers(census: Census, numbers: pa.Array) -> None:
    known = numbers.drop_null().to_numpy(zero_copy_only=False)
    known = known[~np.isnan(known)]
    census.number_sum += float(known.sum())
    census.number_rows += len(known)
    census.number_below_half += int((known < 0.5).sum())


def _plain(column: pa.Array) -> pa.Array:
    decoded = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    return decoded.cast(pa.large_string())


def _keep_few(counts: Counter[str], more: Counter[str]) -> None:
    """Add the counts; beyond `WORDS_KEPT` different words, new ones are put together."""
    for word, count in more.items():
        counts[word if word in counts or len(counts) < WORDS_KEPT else "others"] += count
