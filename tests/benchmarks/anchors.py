#!/usr/bin/env python3
"""Which loss finds BiCro's anchors better? AUROC of the score for mismatched pairs, beside plain cosine and csls.

usage: python tests/benchmarks/anchors.py [--seeds 0 1 2] [--noise 0.2 0.4 0.6] [--json]

On the real-photo tables that $NCAUDIT_BENCH/make_tables.py writes (aligned embeddings, one caption per photo, uniformly
shuffled captions) and on sample_data. Mean over the seeds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

import ncaudit
from ncaudit.core.metrics.detection import auroc
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.tables.embeddings import EmbeddingBatch, open_embeddings

SCORES = {
    "similarity": {"scorer": "clip-score"},
    "csls": {"scorer": "csls"},
    "paper, ranking loss": {"variant": "paper", "loss": "ranking"},
    "paper, infonce loss": {"variant": "paper", "loss": "infonce"},
    "released, ranking loss": {"variant": "released", "loss": "ranking"},
    "released, infonce loss": {"variant": "released", "loss": "infonce"},
}


def main() -> None:
    options = _arguments()
    with tempfile.TemporaryDirectory() as work:
        worlds = {"sample_data": [_sample(work)], **_photos(work, options)}
    report = {world: {name: _mean(draws, name) for name in SCORES} for world, draws in worlds.items()}
    print(json.dumps(report, indent=1) if options.json else _table(report))


def _photos(work: str, options: argparse.Namespace) -> dict[str, list[EmbeddingBatch]]:
    bench = os.environ.get("NCAUDIT_BENCH", "")
    script = Path(bench) / "make_tables.py"
    if not bench or not script.is_file():
        print("real photos skipped: NCAUDIT_BENCH names no folder with make_tables.py", file=sys.stderr)
        return {}
    return {f"photos, noise {noise}": [_draw(script, work, noise, s) for s in options.seeds] for noise in options.noise}


def _draw(script: Path, work: str, noise: float, seed: int) -> EmbeddingBatch:
    out = f"{work}/{noise}-{seed}"
    words = ["--captions-per-photo", "1", "--noise", str(noise), "--seed", str(seed)]
    subprocess.run([sys.executable, str(script), out, *words], check=True, stdout=subprocess.DEVNULL)
    return _read(out)


def _sample(work: str) -> EmbeddingBatch:
    sample = Path(__file__).parents[2] / "sample_data"
    model = f"local-dir:{sample / 'tiny-clip'}"
    ncaudit.embed(ncaudit.EmbedOptions(sources=[str(sample / "train.parquet")], out=f"{work}/sample", model=model))
    return _read(f"{work}/sample")


def _read(folder: str) -> EmbeddingBatch:
    return next(open_embeddings(find_shards([folder])[0]).batches(rows=10**6))


def _mean(draws: list[EmbeddingBatch], name: str) -> float:
    return statistics.mean(_auroc(draw, SCORES[name]) for draw in draws)


def _auroc(batch: EmbeddingBatch, options: dict[str, str]) -> float:
    labels = ncaudit.soft_labels(
        batch.image, batch.text, image_id=batch.image_id, caption_id=batch.caption_id, **options
    )
    found = labels.score  # y, but for anchors, whose y is always 1, ranked by their loss
    match = batch.carried["is_match"].to_numpy(zero_copy_only=False).astype(bool)
    return auroc(torch.from_numpy(np.ascontiguousarray(found)), torch.from_numpy(match))


def _table(report: dict[str, dict[str, float]]) -> str:
    worlds = list(report)
    lines = ["  ".join([f"{'':24}", *(f"{world:>18}" for world in worlds)])]
    for name in SCORES:
        lines.append("  ".join([f"{name:24}", *(f"{report[world][name]:18.3f}" for world in worlds)]))
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--noise", type=float, nargs="+", default=[0.2, 0.4, 0.6])
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
