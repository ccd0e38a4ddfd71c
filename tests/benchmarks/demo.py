#!/usr/bin/env python3
"""What soft labels are worth on the sample: `ncaudit demo` over several seeds, R@1 on the held-out pairs.

usage: python tests/benchmarks/demo.py [--seeds 0 1 2] [--json]

R@1 is the mean of both directions, in percent. soft - plain is the gain of weighting; soft - oracle what it leaves.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
from pathlib import Path

import torch

import ncaudit

RUNS = ("start", "plain", "soft", "oracle")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    runs = [_run(seed) for seed in options.seeds]
    report = {"machine": _machine(), "runs": runs, "mean": _mean(runs)}
    print(json.dumps(report, indent=1) if options.json else _table(report))


def _run(seed: int) -> dict:
    with tempfile.TemporaryDirectory() as out:
        result = ncaudit.demo(ncaudit.DemoOptions(out=out, seed=seed))
    r1 = {name: (r.i2t_r1 + r.t2i_r1) / 2 for name, r in result.retrieval.items()}
    auroc = {f"auroc_{name}": found.auroc for name, found in result.detection.items()}
    return {"seed": seed, **r1, "seconds": result.seconds, **auroc}


def _mean(runs: list[dict]) -> dict:
    mean = {name: statistics.mean(run[name] for run in runs) for name in (*RUNS, "seconds")}
    return {**mean, "soft - plain": mean["soft"] - mean["plain"], "soft - oracle": mean["soft"] - mean["oracle"]}


def _machine() -> dict:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    cpu = names[0].split(":", 1)[1].strip() if names else platform.processor()
    return {"cpu": cpu, "cores": os.cpu_count(), "torch": torch.__version__}


def _table(report: dict) -> str:
    header = ("seed", *RUNS, "seconds", "auroc_similarity", "auroc_soft_label")
    rows = [
        [f"{run[name]:.3f}" if "auroc" in name else f"{run[name]:.1f}" for name in header] for run in report["runs"]
    ]
    lines = ["  ".join(f"{cell:>9}" for cell in row) for row in [header, *rows]]
    mean = "  ".join(f"{name} {value:.1f}" for name, value in report["mean"].items())
    return "\n".join([str(report["machine"]), *lines, f"mean: {mean}"])


if __name__ == "__main__":
    main()
