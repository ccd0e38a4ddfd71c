"""The bounded, deterministic sample of pairs that everything global is fitted on.

Knows embedding tables and scorers' pairs; nothing of what is fitted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from ncaudit.hashing import fit_sample_keys, hash_values
from ncaudit.progress import SILENT, Progress
from ncaudit.scoring.pairs import Pairs
from ncaudit.shards.tables.embeddings import EmbeddingBatch, EmbeddingTable


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
    for table in tables:
        for batch in table.batches():
            sample.add(batch, seed)
            names |= _stratum_names(batch)
            progress.advance(len(batch), len(batch) - int(batch.ok.sum()))
    return Sample(sample.pairs(), names)


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


class _Smallest:
    """Keeps the rows with the smallest keys."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._keys = np.empty(0, dtype=np.uint64)
        self._held: list[Pairs] = []
        self._limit = np.iinfo(np.uint64).max

    def add(self, batch: EmbeddingBatch, seed: int) -> None:
        shards = [name for name, ok in zip(batch.shard, batch.ok.tolist(), strict=True) if ok]
        keys = _keys(shards, batch, seed) if shards else self._keys[:0]
        taken = np.flatnonzero(keys <= self._limit)
        if len(taken):
            self._keys = np.concatenate([self._keys, keys[taken]])
            self._held.append(_halved(as_pairs(batch).take(torch.from_numpy(taken))))
        if len(self._keys) > 2 * self._most:
            self._prune()

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
        best = np.argsort(self._keys, kind="stable")[: self._most]
        self._held = [_joined(self._held).take(torch.from_numpy(best))]
        self._keys = self._keys[best]
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
