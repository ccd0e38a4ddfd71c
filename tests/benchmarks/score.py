#!/usr/bin/env python3
"""`ncaudit score` at scale: seconds, rows/s and peak memory at several sizes, on made-up embedding tables.

usage: python tests/benchmarks/score.py [--rows 10000 100000 1000000] [--dims 512] [--scorer bicro] [--skip-photos]
       [--json]

Each run is a fresh process, as a user starts it; the peak is the kernel's own count for it. The pairs are noisy copies
of points in 2,000 clusters, 30 % of the captions swapped: enough clean pairs for the full 20,000 anchors. Then the
whole audit, power check included, of the real-photo table that $NCAUDIT_BENCH/make_tables.py makes of two encoders
without a common space, five captions per photo, 40 % of them shuffled.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

BENCH = os.environ.get("NCAUDIT_BENCH", "")
ROWS_PER_SHARD = 100_000
CLUSTERS = 2_000
NOISE = 0.3


def main() -> None:
    options = _arguments()
    runs = [_measure(rows, options) for rows in options.rows]
    runs += [] if options.skip_photos or not BENCH else [_photos(options)]
    report = {"machine": _machine(), "dims": options.dims, "scorer": options.scorer, "runs": runs}
    print(json.dumps(report, indent=1) if options.json else _table(report))


def _measure(rows: int, options: argparse.Namespace) -> dict:
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        _write_tables(Path(work) / "embeddings", rows, options.dims)
        run = _scored(Path(work), options)
    assert run["rows"] == rows
    return run


def _photos(options: argparse.Namespace) -> dict:
    words = ["--scenario", "unaligned", "--captions-per-photo", "5", "--noise", "0.4", "--seed", "0"]
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        command = [sys.executable, str(Path(BENCH, "make_tables.py")), f"{work}/embeddings", *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return {**_scored(Path(work), options), "photos": True}


def _scored(work: Path, options: argparse.Namespace) -> dict:
    words = ["score", f"{work}/embeddings", "--out", f"{work}/scores", "--scorer", options.scorer, "--json"]
    begun = time.monotonic()
    child = subprocess.Popen([sys.executable, "-m", "ncaudit", "-q", *words], stdout=subprocess.PIPE)
    summary = json.loads(child.stdout.read())
    _, status, usage = os.wait4(child.pid, 0)  # its own peak, not that of all children so far
    seconds = time.monotonic() - begun
    assert status == 0
    rows = summary["accounting"]["rows"]
    return {
        "rows": rows,
        "seconds": round(seconds, 1),
        "seconds_without_start": round(summary["seconds"], 1),
        "rows_per_second": round(rows / summary["seconds"]),
        "peak_rss_gib": round(usage.ru_maxrss / 2**20, 2),
        "anchors": summary["fit_facts"].get("anchors"),
    }


def _write_tables(folder: Path, rows: int, dims: int) -> None:
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(CLUSTERS, dims)).astype("f4")
    for shard, first in enumerate(range(0, rows, ROWS_PER_SHARD)):
        n = min(ROWS_PER_SHARD, rows - first)
        pq.write_table(_pairs(draw, centres, first, n), folder / f"{shard:05d}.parquet", compression="none")


def _pairs(draw: np.random.Generator, centres: np.ndarray, first: int, n: int) -> pa.Table:
    image = centres[draw.integers(len(centres), size=n)] + 0.7 * draw.standard_normal((n, centres.shape[1]), dtype="f4")
    text = image + 0.9 * draw.standard_normal(image.shape, dtype="f4")
    swapped = draw.permutation(n)[: int(NOISE * n)]
    text[swapped] = text[np.roll(swapped, 1)]
    ids = [f"{first + i}" for i in range(n)]
    columns = {"pair_id": pa.array(ids), "image_hash": pa.array(ids), "caption": pa.array(ids)}
    return pa.table({**columns, "image_embedding": _rows(image), "text_embedding": _rows(text)})


def _rows(x: np.ndarray) -> pa.Array:
    unit = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float16)
    return pa.FixedSizeListArray.from_arrays(pa.array(unit.ravel()), x.shape[1])


def _machine() -> dict:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    cpu = names[0].split(":", 1)[1].strip() if names else platform.processor()
    return {"cpu": cpu, "cores": os.cpu_count(), "python": platform.python_version()}


def _table(report: dict) -> str:
    lines = [f"{report['machine']}, {report['scorer']}, {report['dims']} dimensions", ""]
    lines.append(f"{'rows':>10} {'seconds':>8} {'no start':>8} {'rows/s':>8} {'peak GiB':>9} {'anchors':>8}")
    for run in report["runs"]:
        lines.append(
            f"{run['rows']:>10,} {run['seconds']:>8} {run['seconds_without_start']:>8} "
            f"{run['rows_per_second']:>8,} {run['peak_rss_gib']:>9} {run['anchors'] or '':>8}"
            f"{'  real photos, no common space' if 'photos' in run else ''}"
        )
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--dims", type=int, default=512)
    parser.add_argument("--scorer", default="bicro")
    parser.add_argument("--skip-photos", action="store_true")
    parser.add_argument("--work", help="folder for the tables (1 M rows of 512 dims take 2 GiB)")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
