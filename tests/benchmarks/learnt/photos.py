"""Real photos with people's captions, as two encoders see them that know nothing of each other; heads learn.

For every seed the photos are dealt into parts, and each part is tested once by heads that learnt from the others: so
every photo is tested in every seed, among those of its own part. A tenth of the others' photos validate. Features are
those of $NCAUDIT_BENCH.
"""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from learnt.cells import Draw, Sizes
from learnt.noise import source
from learnt.recalls import Recalls, recalls
from learnt.scored import scored
from ncaudit.matchers.heads.projection import Heads, load_heads
from ncaudit.matchers.heads.starts import cca_start

BENCH = os.environ.get("NCAUDIT_BENCH", "")
VALIDATE = 10  # one photo in so many of those that are not tested
HERE: dict[str, Any] = {"tune": "heads", "device": "cpu", "precision": "float32"}


def why_not() -> str | None:
    """Why this world cannot be measured here."""
    there = Path(BENCH or "?", "sport", "photos.parquet").is_file()
    return None if there else "NCAUDIT_BENCH names no folder with sport/photos.parquet"


@dataclass(frozen=True)
class World:
    """All photos and captions."""

    root: Path
    sizes: Sizes

    def open(self, draw: Draw) -> "Noisy":
        """One draw, its tables made."""
        return Noisy(self, draw)

    @cached_property
    def photos(self) -> np.ndarray:
        """(p, 1280) float16."""
        return _rows(pq.read_table(Path(BENCH, "sport", "photos.parquet"))["image"])

    @cached_property
    def captions(self) -> dict[str, np.ndarray]:
        """photo: (c,) the row of its photo. nth: (c,). words, text: (c,) and (c, 384)."""
        names = pq.read_table(Path(BENCH, "sport", "photos.parquet"), columns=["photo"])["photo"].to_pylist()
        place = {name: row for row, name in enumerate(names)}
        table = pq.read_table(Path(BENCH, "sport", "captions.parquet"))
        photo = np.array([place[name] for name in table["photo"].to_pylist()])
        words = np.array(table["caption"].to_pylist())
        return {"photo": photo, "nth": table["nth"].to_numpy(), "words": words, "text": _rows(table["text"])}

    def dealt(self, draw: Draw) -> dict[str, np.ndarray]:
        """Which photos are tested, validate, and are learnt from."""
        order = np.random.default_rng([draw.seed, 7]).permutation(len(self.photos))
        tested = np.array_split(order, self.sizes.parts)[draw.part]
        others = np.setdiff1d(order, tested, assume_unique=True)
        others = others[np.random.default_rng([draw.seed, draw.part, 8]).permutation(len(others))]
        return {
            "test": np.sort(tested),
            "val": others[: len(others) // VALIDATE],
            "train": others[len(others) // VALIDATE :],
        }

    def table(self, photos: np.ndarray, captions: int) -> pa.Table:
        """An embedding table from elsewhere of these photos with so many captions each."""
        every = self.captions
        rows = np.flatnonzero(np.isin(every["photo"], photos) & (every["nth"] < captions))
        columns = {
            "pair_id": pa.array([f"c{row:06d}" for row in rows]), "shard": pa.array(["pairs"] * len(rows)),
            "row": pa.array(np.arange(len(rows))), "status": pa.array(["ok"] * len(rows)),
            "image_embedding": _lists(self.photos[every["photo"][rows]]), "text_embedding": _lists(every["text"][rows]),
            "image_hash": pa.array([f"p{photo:06d}" for photo in every["photo"][rows]]),
            "caption": pa.array(every["words"][rows]), "is_match": pa.array(np.ones(len(rows), bool)),
        }  # fmt: skip
        return pa.table(columns)


class Noisy:
    """A draw of noise: its tables, its scores, and what is trained on them."""

    tune = "heads"

    def __init__(self, world: World, draw: Draw) -> None:
        self._world, self._dealt = world, world.dealt(draw)
        root = self.root = world.root / f"{draw.kind}-{draw.rate}-{draw.seed}-{draw.part}"
        self._val, self._clean, self._noisy, self.scores = (root / name for name in ("val", "full", "noisy", "scores"))
        full = world.table(self._dealt["train"], world.sizes.captions)
        self._table = _swapped(full, draw)
        val = world.table(self._dealt["val"], 5)
        for folder, table in ((self._clean, full), (self._noisy, self._table), (self._val, val)):
            folder.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, folder / "pairs.parquet")
        self.facts = scored(self._noisy, self.scores, draw.seed)

    def options(self, *, labels: bool, clean: bool) -> dict[str, Any]:
        """Of `train`, whatever it learns by."""
        sizes = self._world.sizes
        pace = {name: getattr(sizes, f"head_{name}") for name in ("epochs", "batch_pairs", "learning_rate")}
        files = {"embeddings": [str(self._clean if clean else self._noisy)], "val_data": [str(self._val)]}
        joined = {"scores": [str(self.scores)]} if labels else {}
        return {**files, **pace, **joined, **HERE, "head": sizes.head}

    def start(self) -> Recalls:
        """Of heads at the canonical directions of all pairs alike, untrained."""
        image, text = (_unit(_rows(self._table[name])) for name in ("image_embedding", "text_embedding"))
        return self._tested(cca_start(image, text, torch.ones(len(image))))

    def recalls(self, folder: str) -> Recalls:
        """Of what was trained."""
        return self._tested(load_heads(folder, torch.device("cpu")).heads)

    @torch.no_grad()
    def _tested(self, heads: Heads) -> Recalls:
        """Of all photos of the world; nan where they are not tested."""
        tested, every = self._dealt["test"], self._world.captions
        rows = np.flatnonzero(np.isin(every["photo"], tested))
        image, text = (_unit(each) for each in (self._world.photos[tested], every["text"][rows]))
        place = torch.from_numpy(np.searchsorted(tested, every["photo"][rows]))
        found = recalls(heads.image(image), heads.text(text), place)
        return Recalls(*(_among(values, tested, len(self._world.photos)) for values in (found.r1, found.six)))


def _swapped(table: pa.Table, draw: Draw) -> pa.Table:
    """The table with captions moved; a caption of the same photo, or of the same words, is a match."""
    image, text = (_unit(_rows(table[name])).numpy() for name in ("image_embedding", "text_embedding"))
    photo, words = (
        np.unique(np.array(table[name].to_pylist()), return_inverse=True)[1] for name in ("image_hash", "caption")
    )
    given = source(image, text, photo, draw.kind, draw.rate, draw.seed)
    match = (photo[given] == photo) | (words[given] == words)
    new = {name: table[name].take(pa.array(given)) for name in ("text_embedding", "caption")}
    for name, column in {**new, "is_match": pa.chunked_array([pa.array(match)])}.items():
        table = table.set_column(table.schema.names.index(name), name, column)
    return table


def _rows(column: pa.ChunkedArray) -> np.ndarray:
    return column.combine_chunks().flatten().to_numpy().reshape(len(column), -1)


def _unit(rows: np.ndarray) -> torch.Tensor:
    """As heads learn them: `embed` and every reader give unit rows."""
    return torch.nn.functional.normalize(torch.from_numpy(rows.astype(np.float32)), dim=1)


def _lists(rows: np.ndarray) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(rows, np.float16).ravel()), rows.shape[1])


def _among(values: np.ndarray, places: np.ndarray, count: int) -> np.ndarray:
    every = np.full(count, np.nan, np.float32)
    every[places] = values
    return every
