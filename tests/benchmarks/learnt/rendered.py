"""The rendered world: pictures and captions drawn by the sample's own generator, and its small model to be fine-tuned.

Every seed draws pairs of its own to learn from; those that are tested and that validate are the same for all, clean,
and of scenes that neither the model nor any training pair has. Which captions are mismatched is known from the scenes:
a caption that is true of the picture it was moved to is a match.
"""

import sys
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from figures import ROOT

import ncaudit
from learnt.cells import Draw, Sizes
from learnt.noise import source
from learnt.recalls import Recalls, recalls
from learnt.scored import scored
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.tables.embeddings import open_embeddings

sys.path.append(str(ROOT / "sample_data"))
import make as sample_maker
import noise as sample_noise
import scenes as sample_scenes

MODEL = f"local-dir:{ROOT / 'sample_data' / 'tiny-clip'}"
HERE: dict[str, Any] = {"device": "cpu", "precision": "float32", "workers": 0}  # auto may pick another on a busy day
TEST, VAL = "test", "validation"


@dataclass(frozen=True)
class World:
    """Everything that draws have in common."""

    root: Path
    sizes: Sizes

    def open(self, draw: Draw) -> "Noisy":
        """One draw, its tables made."""
        return Noisy(self, draw)

    def clean(self, seed: int) -> tuple[Path, list[Any]]:
        """The pairs of a seed before there is noise: their file, and what each of them is."""
        pairs = self._pairs(f"training {seed}")
        path = self.root / f"full-{seed}" / "pairs.parquet"
        return self._written(path, pairs, first_key=0), pairs

    @cached_property
    def val(self) -> Path:
        """Pairs that validate."""
        return self._written(self.root / VAL / "pairs.parquet", self._pairs(VAL), first_key=10_000_000)

    @cached_property
    def test(self) -> Path:
        """Pairs that are tested."""
        return self._written(self.root / TEST / "pairs.parquet", self._pairs(TEST), first_key=20_000_000)

    def recalls(self, model: str, out: Path) -> Recalls:
        """Of the test pairs, embedded with a model."""
        return recalls(*embedded(self.test, model, out), torch.arange(self.sizes.test_pairs))

    @cached_property
    def start(self) -> Recalls:
        """Of the model that training begins with."""
        return self.recalls(MODEL, self.root / "start")

    def _pairs(self, split: str) -> list[Any]:
        """A split's scenes depend on those named before it: the sample's own come first, then what all seeds share."""
        sizes = {**sample_maker.SPLITS, "held out": self.sizes.test_pairs, "checked": self.sizes.val_pairs}
        names = {TEST: "held out", VAL: "checked"}
        last = int(split.split()[-1]) if split.startswith("training") else -1
        sizes |= {f"training {seed}": self.sizes.train_pairs for seed in range(last + 1)}
        return sample_noise.clean_pairs(
            sample_scenes.split_scenes(sample_maker.SEED, **sizes)[names.get(split, split)], split
        )

    def _written(self, path: Path, pairs: list[Any], first_key: int) -> Path:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(sample_maker.table_of(pairs, first_key), path)
        return path


class Noisy:
    """A draw of noise: its dataset, its scores, and what is trained on them."""

    tune = "towers"

    def __init__(self, world: World, draw: Draw) -> None:
        self._world, self.root = world, world.root / f"{draw.kind}-{draw.rate}-{draw.seed}"
        self.clean, pairs = world.clean(draw.seed)
        self.data = self.root / "pairs.parquet"
        image, text = (rows.numpy() for rows in embedded(self.clean, MODEL, self.clean.parent / "embeddings"))
        given = source(image, text, np.arange(len(image)), draw.kind, draw.rate, draw.seed)
        self.root.mkdir(parents=True, exist_ok=True)
        pq.write_table(_moved(pq.read_table(self.clean), pairs, given), self.data)
        embedded(self.data, MODEL, self.root / "embeddings")
        self.scores = self.root / "scores"
        self.facts = scored(self.root / "embeddings", self.scores, draw.seed)

    def options(self, *, labels: bool, clean: bool) -> dict[str, Any]:
        """Of `train`, whatever it learns by."""
        sizes, files = self._world.sizes, {"data": [str(self.clean if clean else self.data)], "model": MODEL}
        pace = {name: getattr(sizes, name) for name in ("epochs", "batch_pairs", "learning_rate")}
        joined = {"scores": [str(self.scores)]} if labels else {}
        return {**files, **pace, **joined, **HERE, "val_data": [str(self._world.val)]}

    def start(self) -> Recalls:
        """Before training."""
        return self._world.start

    def recalls(self, folder: str) -> Recalls:
        """Of what was trained."""
        return self._world.recalls(f"local-dir:{folder}", self.root / "tested")


def _moved(table: pa.Table, pairs: list[Any], given: np.ndarray) -> pa.Table:
    """Every pair with the caption of the pair `given`, and whether that is true of its picture."""
    match = [replace(pair, caption=pairs[other].caption).is_match for pair, other in zip(pairs, given, strict=True)]
    new = {"caption": table["caption"].take(pa.array(given)), "is_match": pa.chunked_array([pa.array(match)])}
    for name, column in new.items():
        table = table.set_column(table.schema.names.index(name), name, column)
    return table.drop_columns(["noise_type", "truth"])  # they are of the captions that were there


def embedded(data: Path, model: str, out: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit rows of a file's pictures and captions; what this model embedded there already is read again."""
    ncaudit.embed(ncaudit.EmbedOptions(sources=[str(data)], out=str(out), model=model, overwrite=True, **HERE))
    (table,) = (open_embeddings(shard) for shard in find_shards([str(out)]))
    batches = list(table.batches())
    assert all(batch.ok.all() for batch in batches), "every picture was drawn to be read"
    return tuple(torch.from_numpy(np.concatenate([getattr(b, side) for b in batches])) for side in ("image", "text"))
