#!/usr/bin/env python3
"""What soft labels are worth on the sample: `ncaudit demo` over several seeds, R@1 on the held-out pairs.

usage: python tests/benchmarks/demo.py [--seeds 0 1 2] [--json]

R@1 is the mean of both directions, in percent. soft - plain is the gain of weighting; soft - oracle what it leaves.
permuted: trained like soft, with the same labels in random order; what is then left was never due to the labels.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

import ncaudit
from ncaudit.verbs.demo import RECIPE, RUNS, sample_folder

ROWS = ("start", "plain", "soft", "oracle", "permuted")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    runs = [run(seed) for seed in options.seeds]
    report = {"machine": machine(), "runs": runs, "mean": _mean(runs)}
    print(json.dumps(report, indent=1) if options.json else "\n".join([str(report["machine"]), *table(runs)]))


def run(seed: int) -> dict:
    """R@1 of every row for one seed."""
    with tempfile.TemporaryDirectory() as out:
        result = ncaudit.demo(ncaudit.DemoOptions(out=out, seed=seed))
        r1 = {name: (r.i2t_r1 + r.t2i_r1) / 2 for name, r in result.retrieval.items()}
        r1["permuted"] = _permuted(Path(out), seed)
    auroc = {f"auroc_{name}": found.auroc for name, found in result.detection.items()}
    return {"seed": seed, **r1, "seconds": result.seconds, **auroc}


def machine() -> dict:
    """What the numbers were measured on."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    cpu = names[0].split(":", 1)[1].strip() if names else platform.processor()
    return {"cpu": cpu, "cores": os.cpu_count(), "torch": torch.__version__}


def table(runs: list[dict]) -> list[str]:
    """Every seed, their mean, and what was asked."""
    header = ("seed", *ROWS, "seconds", "auroc_similarity", "auroc_soft_label")
    rows = [[f"{run[name]:.3f}" if "auroc" in name else f"{run[name]:.1f}" for name in header] for run in runs]
    lines = ["  ".join(f"{cell:>9}" for cell in row) for row in [header, *rows]]
    mean = _mean(runs)
    spread = {name: statistics.pstdev(run[name] for run in runs) for name in ROWS}
    told = "  ".join(f"{name} {mean[name]:.1f} ± {spread[name]:.1f}" for name in ROWS)
    asked = [
        f"soft - oracle: {mean['soft - oracle']:+.1f}; asked -1.0 or better",
        f"soft - plain: {mean['soft - plain']:+.1f}; asked +5.0 or better",
        f"permuted - plain: {mean['permuted'] - mean['plain']:+.1f}; asked 0 or less",
    ]
    return ["Sample: R@1 on the held-out pairs, towers, mean of both directions", *lines, f"mean ± sd: {told}", *asked]


def _permuted(out: Path, seed: int) -> float:
    """R@1 after training as the demo's soft run does, on its labels in random order."""
    for path in (out / "scores").glob("*.parquet"):
        scores, draw = pq.read_table(path), np.random.default_rng(seed)
        label = draw.permutation(scores["soft_label"].to_numpy())
        pq.write_table(scores.append_column("permuted", pa.array(label)), path)
    sample, matcher, heldout = sample_folder(), str(out / "matcher-permuted"), str(out / "heldout-permuted")
    own = {**RECIPE, **RUNS["soft"], "label_column": "permuted", "seed": seed}
    files = {
        "data": [f"{sample}/train.parquet"],
        "scores": [str(out / "scores")],
        "model": f"local-dir:{sample}/tiny-clip",
    }
    ncaudit.train(ncaudit.TrainOptions(out=matcher, **files, **own))
    ncaudit.embed(
        ncaudit.EmbedOptions(sources=[f"{sample}/heldout.parquet"], out=heldout, model=f"local-dir:{matcher}")
    )
    found = ncaudit.eval_retrieval(ncaudit.EvalRetrievalOptions(embeddings=[heldout])).metrics
    return (found.i2t_r1 + found.t2i_r1) / 2


def _mean(runs: list[dict]) -> dict:
    mean = {name: statistics.mean(run[name] for run in runs) for name in (*ROWS, "seconds")}
    return {**mean, "soft - plain": mean["soft"] - mean["plain"], "soft - oracle": mean["soft"] - mean["oracle"]}


if __name__ == "__main__":
    main()
