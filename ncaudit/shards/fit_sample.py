"""The bounded, deterministic sample of pairs that everything global is fitted on.

Knows embedding tables and scorers' pairs; nothing of what is fitted.
"""

from collections.abc import Sequence

import numpy as np
import torch

from ncaudit.progress import SILENT, Progress
from ncaudit.scorers.pairs import Pairs
from ncaudit.shards.hashing import fit_sample_keys
from ncaudit.shards.tables import EmbeddingBatch, EmbeddingTable


def draw(tables: Sequence[EmbeddingTable], *, pairs: int, seed: int, progress: Progress = SILENT) -> Pairs:
    """The `pairs` ok rows with the smallest seeded hash of (shard, row), in the order of that hash.

    A row's place depends on nothing but its own name: neither on the other shards nor on how they are read.
    Holds at most twice that many pairs, in half precision, whatever the tables' size.
    """
    sample = _Smallest(pairs)
    for table in tables:
        for batch in table.batches():
            sample.add(batch, seed)
            progress.advance(len(batch), len(batch) - int(batch.ok.sum()))
    return sample.pairs()


def as_pairs(batch: EmbeddingBatch) -> Pairs:
    """The ok rows of a batch, as scorers take them."""
    ids = [pair_id for pair_id, ok in zip(batch.pair_id, batch.ok.tolist(), strict=True) if ok]
    image, text = torch.from_numpy(batch.image), torch.from_numpy(batch.text)
    return Pairs(image, text, torch.from_numpy(batch.image_id), torch.from_numpy(batch.caption_id), ids)


class _Smallest:
    """Keeps the rows with the smallest keys."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._keys = np.empty(0, dtype=np.uint64)
        self._held: list[Pairs] = []
        self._limit = np.iinfo(np.uint64).max

    def add(self, batch: EmbeddingBatch, seed: int) -> None:
        shards = [name for name, ok in zip(batch.shard, batch.ok.tolist(), strict=True) if ok]
        keys = fit_sample_keys(shards, batch.row[batch.ok], seed) if shards else self._keys[:0]
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
        return Pairs(unit(held.image.float()), unit(held.text.float()), held.image_id, held.caption_id, held.pair_id)

    def _prune(self) -> None:
        if not self._held:
            return
        best = np.argsort(self._keys, kind="stable")[: self._most]
        self._held = [_joined(self._held).take(torch.from_numpy(best))]
        self._keys = self._keys[best]
        if len(self._keys) == self._most:
            self._limit = self._keys[-1]


def _halved(pairs: Pairs) -> Pairs:
    return Pairs(pairs.image.half(), pairs.text.half(), pairs.image_id, pairs.caption_id, pairs.pair_id)


def _joined(parts: list[Pairs]) -> Pairs:
    ids = [pair_id for part in parts for pair_id in part.pair_id]
    image, text = torch.cat([part.image for part in parts]), torch.cat([part.text for part in parts])
    image_id, caption_id = (torch.cat([part.groups[side] for part in parts]) for side in (0, 1))
    return Pairs(image, text, image_id, caption_id, ids)
