"""The bounded, deterministic sample of pairs that everything global is fitted on.

Knows embedding tables and scorers' pairs; nothing of what is fitted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from ncaudit.hashing import fit_sample_keys, hash_values
from ncaudit.progress import SILENT, Progress
from ncaudit.scoring.pairs import Pairs
from ncaudit.shards.tables.embeddings import EmbeddingBatch, EmbeddingTable

ALL = int(np.iinfo(np.uint64).max)
MORE, FEW = 1.2, 1_000  # rows that are looked for beyond those that are wanted: photos come with all their captions


@dataclass(frozen=True)
class Sample:
    """Pairs in random order, and the names of their strata by `stratum_id`."""

    pairs: Pairs
    names: Mapping[int, str]


def draw(tables: Sequence[EmbeddingTable], *, pairs: int, seed: int, progress: Progress = SILENT) -> Sample:
    """The `pairs` ok rows with the smallest seeded hash of (shard, row), in the order of that hash.

    Rows of one photo that stand close together (in one batch) take the hash of the first, so that they come together or
    not at all: siblings are seen as they will be when all rows are scored. A row's place depends on nothing but its own
    shard. Holds at most twice that many pairs, in half precision, whatever the tables' size.
    """
    sample, names = _Smallest(pairs), dict[int, str]()
    for number, table in enumerate(tables):
        for batch in table.batches():
            sample.add(batch, seed, number)
            names |= _stratum_names(batch)
            progress.advance(len(batch), len(batch) - int(batch.ok.sum()))
    return Sample(sample.pairs(), names)


@dataclass(frozen=True)
class Span:
    """Keys above one and up to another: without an end, all above."""

    above: int | None = None
    upto: int = ALL

    @classmethod
    def likely(cls, pairs: int, rows: int) -> "Span":
        """Where the `pairs` smallest keys of so many rows are, but for little chance, and not many more."""
        share = (MORE * pairs + FEW) / max(rows, 1)
        return cls(None, ALL if share >= 1 else int(share * ALL))

    def next(self, pairs: int, found: int) -> "Span":
        """Where the others are, if only so many rows were found up to its end: some have failed."""
        share = self.upto / ALL * (MORE * pairs + FEW) / max(found, 1)
        return Span(self.upto, ALL if share >= 1 else int(share * ALL))


@dataclass(frozen=True)
class Drawn:
    """The rows of one table that may be in the sample: (n,) keys, and pairs in half precision; None where n is 0."""

    table: int  # its number among all
    keys: npt.NDArray[np.uint64]
    pairs: Pairs | None
    names: Mapping[int, str]


def drawn_of(table: EmbeddingTable, number: int, *, pairs: int, seed: int, span: Span, progress: Progress) -> Drawn:
    """What a table brings to the sample of all: those of its rows whose keys are in the span, `pairs` at most."""
    sample, names = _Smallest(pairs, span), dict[int, str]()
    for batch in table.batches():
        sample.add(batch, seed, number)
        names |= _stratum_names(batch)
        progress.advance(len(batch), len(batch) - int(batch.ok.sum()))
    return sample.drawn(number, names)


class Drawing:
    """The sample, put together of what tables bring, in any order: it is that of `draw`. Holds at most twice as many
    pairs as are wanted, and those that one table brings.
    """

    def __init__(self, pairs: int) -> None:
        self._sample, self._names = _Smallest(pairs), dict[int, str]()
        self.found = 0  # rows that were brought

    @property
    def held(self) -> int:
        """Rows that are in memory."""
        return self._sample.held

    def add(self, drawn: Drawn) -> None:
        """What one more table brings."""
        self._names |= drawn.names
        if drawn.pairs is not None:
            self.found += len(drawn.keys)
            self._sample.take(drawn.keys, np.full(len(drawn.keys), drawn.table), drawn.pairs)

    def sample(self) -> Sample:
        """What is drawn."""
        return Sample(self._sample.pairs(), self._names)


def as_pairs(batch: EmbeddingBatch) -> Pairs:
    """The ok rows of a batch, as scorers take them."""
    ids = [pair_id for pair_id, ok in zip(batch.pair_id, batch.ok.tolist(), strict=True) if ok]
    of_name = {name: number for number, name in _stratum_names(batch).items()}
    return Pairs(
        torch.from_numpy(batch.image),
        torch.from_numpy(batch.text),
        torch.from_numpy(batch.image_id),
        torch.from_numpy(batch.caption_id),
        ids,
        host_id=None if batch.host_id is None else torch.from_numpy(batch.host_id),
        stratum_id=torch.tensor([of_name[name] for name in batch.stratum], dtype=torch.int64),
    )


def _stratum_names(batch: EmbeddingBatch) -> dict[int, str]:
    names = sorted(set(batch.stratum))
    return dict(zip(hash_values(pa.array(names, pa.string())).tolist(), names, strict=True))


WHOLE = Span()


class _Smallest:
    """Keeps the rows with the smallest keys; of equal ones those of the first table, and of its first rows."""

    def __init__(self, most: int, span: Span = WHOLE) -> None:
        self._most, self._above = most, span.above
        self._keys = np.empty(0, dtype=np.uint64)
        self._tables = np.empty(0, dtype=np.int64)
        self._held: list[Pairs] = []
        self._limit: Any = np.uint64(span.upto)

    @property
    def held(self) -> int:
        """Rows that are in memory."""
        return len(self._keys)

    def add(self, batch: EmbeddingBatch, seed: int, table: int) -> None:
        shards = [name for name, ok in zip(batch.shard, batch.ok.tolist(), strict=True) if ok]
        keys = _keys(shards, batch, seed) if shards else self._keys[:0]
        wanted = keys <= self._limit if self._above is None else (keys > np.uint64(self._above)) & (keys <= self._limit)
        if len(taken := np.flatnonzero(wanted)):
            pairs = _halved(as_pairs(batch).take(torch.from_numpy(taken)))
            self.take(keys[taken], np.full(len(taken), table), pairs)

    def take(self, keys: npt.NDArray[np.uint64], tables: npt.NDArray[np.int64], pairs: Pairs) -> None:
        """Rows with their keys, and the number of the table that each is of; those of a table come in its order."""
        self._keys, self._tables = np.concatenate([self._keys, keys]), np.concatenate([self._tables, tables])
        self._held.append(pairs)
        if len(self._keys) > 2 * self._most:
            self._prune()

    def drawn(self, table: int, names: Mapping[int, str]) -> Drawn:
        """What is kept, of one table."""
        self._prune()
        return Drawn(table, self._keys, self._held[0] if self._held else None, names)

    def pairs(self) -> Pairs:
        self._prune()
        if not self._held:
            empty = torch.empty(0, 1)
            return Pairs(empty, empty, empty[:, 0].long(), empty[:, 0].long(), [])
        held = self._held[0]
        unit = torch.nn.functional.normalize
        return replace(held, image=unit(held.image.float()), text=unit(held.text.float()))

    def _prune(self) -> None:
        if not self._held:
            return
        best = np.lexsort((self._tables, self._keys))[: self._most]
        self._held = [_joined(self._held).take(torch.from_numpy(best))]
        self._keys, self._tables = self._keys[best], self._tables[best]
        if len(self._keys) == self._most:
            self._limit = self._keys[-1]


def _keys(shards: list[str], batch: EmbeddingBatch, seed: int) -> npt.NDArray[np.uint64]:
    keys = fit_sample_keys(shards, batch.row[batch.ok], seed)
    _, first, photo = np.unique(batch.image_id, return_index=True, return_inverse=True)
    together: npt.NDArray[np.uint64] = keys[first][photo]
    return together


def _halved(pairs: Pairs) -> Pairs:
    return replace(pairs, image=pairs.image.half(), text=pairs.text.half())


def _joined(parts: list[Pairs]) -> Pairs:
    ids = [pair_id for part in parts for pair_id in part.pair_id]
    hosts = None if any(part.host_id is None for part in parts) else _cat(parts, "host_id")
    image, text, image_id, caption_id = (_cat(parts, name) for name in ("image", "text", "image_id", "caption_id"))
    return Pairs(image, text, image_id, caption_id, ids, host_id=hosts, stratum_id=_cat(parts, "stratum_id"))


def _cat(parts: list[Pairs], name: str) -> torch.Tensor:
    return torch.cat([getattr(part, name) for part in parts])
