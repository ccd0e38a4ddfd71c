"""Score tables of a draw, with the labels of a control beside, and how good the labels are.

Knows embedding and score tables; nothing of training.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

import ncaudit
from learnt.methods import TRUTH
from ncaudit.core.metrics.detection import auroc


def scored(embeddings: Path, out: Path, seed: int) -> dict[str, Any]:
    """`ncaudit score` into `out`, which is emptied before; what is known of its labels."""
    shutil.rmtree(out, ignore_errors=True)
    ncaudit.score(
        ncaudit.ScoreOptions(embeddings=[str(embeddings)], out=str(out), seed=seed, check=False, device="cpu")
    )
    path = next(out.glob("*.parquet"))
    table = pq.read_table(path)
    match = torch.from_numpy(table[TRUTH].to_numpy(zero_copy_only=False).astype(bool))
    facts: dict[str, Any] = {"pairs": len(match), "mismatched": float((~match).double().mean())}
    label = table["soft_label"].to_numpy().copy()
    permuted = np.random.default_rng([seed, 1]).permutation(label)
    pq.write_table(table.append_column("permuted", pa.array(permuted)), path)
    if match.all() or np.isnan(label).any():
        return facts
    kept = torch.from_numpy(label) >= 0.5
    found = {"auroc": auroc(torch.from_numpy(label), match), "kept": float(kept.double().mean())}
    return {**facts, **found, "precision": float(match[kept].double().mean()) if kept.any() else None}
