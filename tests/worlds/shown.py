"""A dataset of eight pairs and the score table of it, small enough to know by heart which rows come first."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from ncaudit.shards.files.provenance import attach, fingerprint_of_file
from tests.worlds.datasets import write
from tests.worlds.images import of_one_colour

IDS = list("abcdefgh")
CAPTIONS = [f"caption of {name}" for name in IDS]
PICTURES = [of_one_colour((30 * i, 0, 0), (8, 8), "PNG" if i % 2 else "JPEG") for i in range(8)]
#           a        b       c       d         e        f       g       h
LABELS = [0.30, 0.95, 0.01, 0.60, 0.30, 0.99, 0.48, None]
COSINES = [0.40, 0.10, 0.05, 0.20, 0.30, 0.35, 0.22, None]
SCORES = [-1.0, 2.0, -5.0, 0.5, -2.0, 3.0, -0.1, None]
VERDICTS = ["noisy", "clean", "noisy", "unsure", "noisy", "clean", "unsure", None]
REASONS = ["mismatch", None, "mismatch", None, "duplicate", None, None, None]
WORST = "ceagdbf"  # of two labels of .3 the lower score comes first; h failed
TABLE: dict[str, Any] = {
    "pair_id": IDS,
    "shard": ["data.parquet"] * 8,
    "row": pa.array(range(8), pa.int64()),
    "status": ["ok"] * 7 + ["image_missing"],
    "soft_label": pa.array(LABELS, pa.float32()),
    "similarity": pa.array(COSINES, pa.float32()),
    "score": pa.array(SCORES, pa.float32()),
    "image_anchor": ["b"] * 7 + [None],
    "text_anchor": ["f"] * 7 + [None],
    "verdict": pa.array(VERDICTS, pa.string()),
    "caption_count": pa.array([1] * 8, pa.int64()),
    "image_count": pa.array([1, 1, 3, 1, 1, 1, 1, 1], pa.int64()),
    "reason": pa.array(REASONS, pa.string()),
    "caption": CAPTIONS,
}
CLASSES: dict[str, Any] = {
    **{name: TABLE[name] for name in ("pair_id", "shard", "row", "status")},
    "given_label": ["cat", "dog", "cat", "dog", "cat", "dog", "cat", "dog"],
    "partition": ["noisy", "pure", "noisy", "hard", "pure", "pure", "pure", None],
    "image_neighbour_label": ["dog", "dog", "dog", "cat", "cat", "dog", "cat", None],
    "image_neighbour_share": pa.array([0.9, 1, 0.8, 0.5, 1, 1, 1, None], pa.float32()),
    "text_neighbour_label": ["dog", "dog", "dog", "dog", "cat", "dog", "cat", None],
    "text_neighbour_share": pa.array([0.9, 1, 0.8, 0.5, 1, 1, 1, None], pa.float32()),
    "suggested_label": ["dog", None, "dog", None, None, None, None, None],
    "label_quality": pa.array([0.2, 0.9, 0.1, 0.5, 0.95, 0.97, 0.99, None], pa.float32()),
    "why": pa.array([["b", "d"]] * 7 + [None], pa.list_(pa.string())),
}


def dataset(folder: Path, name: str = "data.parquet", **columns: Any) -> Path:
    """The eight pairs with their pictures, two rows to a group."""
    told = {"key": IDS, "jpg": PICTURES, "caption": CAPTIONS, **columns}
    return write(folder / name, {key: value for key, value in told.items() if value is not None}, group=2)


def table(path: Path, *, of: Path | None = None, rows: dict[str, Any] | None = None, **columns: Any) -> Path:
    """A table of these rows (TABLE, unless others are given), made from a dataset where one is named; None: without."""
    told = {name: value for name, value in {**(rows or TABLE), **columns}.items() if value is not None}
    made = pa.table(told)
    if of is not None:
        data = {"name": of.name, "fingerprint": fingerprint_of_file(str(of))}
        made = made.replace_schema_metadata(attach(made.schema, {"verb": "score", "data": data}).metadata)
    return write(path, made)
