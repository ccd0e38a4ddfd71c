#!/usr/bin/env python3
"""`ncaudit labels` at scale: seconds, rows/s, peak memory and the recall of its neighbours, on made-up tables.

usage: python tests/benchmarks/labels_speed.py [--rows 10000 100000 1000000] [--dims 512] [--classes 100] [--wrong 0.2]
       [--skip-search] [--work FOLDER] [--json]

Each run is a fresh process, as a user starts it; the peak is the kernel's own count for it. The pairs have the shape of
CLIP's embeddings: two narrow cones (images, captions), a falling spectrum, 20 topics of unequal size in each class, and
a caption that is a noisy copy of what its photo shows; some of the labels are another class. The AUROC says how well
label_quality tells those: the audit did its work. Then, as a measurement of its own, the ten nearest images of every
image: seconds, the share of all pairs of rows that were compared, and the recall that the search measures on itself.
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
from sklearn.metrics import roc_auc_score

ROWS_PER_SHARD = 100_000
BATCH = 10_000  # rows made at once
TOPICS = 20  # of each class
COLUMN, WRONG = "category", "is_wrong"


def main() -> None:
    options = _parser().parse_args()
    report = _report(options)
    print(json.dumps(report, indent=1) if options.json else "\n".join(lines(report)))


def measure() -> dict:
    """The report of the usual sizes."""
    return _report(_parser().parse_args([]))


def _report(options: argparse.Namespace) -> dict:
    runs = [_measure(rows, options) for rows in options.rows]
    return {"machine": _machine(), "dims": options.dims, "classes": options.classes, "runs": runs}


def _measure(rows: int, options: argparse.Namespace) -> dict:
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        write_tables(Path(work) / "embeddings", rows, options)
        run = _labelled(Path(work))
        assert run["rows"] == rows
        return run if options.skip_search else {**run, **_searched(Path(work) / "embeddings")}


def _labelled(work: Path) -> dict:
    words = ["labels", f"{work}/embeddings", "--label-column", COLUMN, "--out", f"{work}/labels", "--json"]
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
        "rows_per_second": round(rows / seconds),
        "peak_rss_gib": round(usage.ru_maxrss / 2**20, 2),
        "k": summary["k"],
        "noise_rate": round(summary["noise_rate"], 3),
        "auroc": round(_auroc(work), 3),
        "notes": summary["notes"],
    }


def _auroc(work: Path) -> float:
    """How well label_quality tells wrong labels: 1 is perfect, 0.5 is guessing."""
    names = sorted(path.name for path in (work / "embeddings").glob("*.parquet"))
    wrong = [pq.read_table(work / "embeddings" / name, columns=[WRONG])[WRONG].to_numpy() for name in names]
    quality = [pq.read_table(work / "labels" / name, columns=["label_quality"])[0].to_numpy() for name in names]
    return float(roc_auc_score(np.concatenate(wrong), -np.concatenate(quality)))


def _searched(folder: Path) -> dict:
    """The search alone, on the images: each one's ten nearest."""
    import torch  # not before the tables are written: this process should not weigh on the measured one

    from ncaudit.core.neighbours.self_search import nearest_in_set

    tables = [pq.read_table(path, columns=["image_embedding"])[0] for path in sorted(folder.glob("*.parquet"))]
    chunks = [chunk for table in tables for chunk in table.chunks]
    rows = np.concatenate([c.flatten().to_numpy().reshape(len(c), -1) for c in chunks])
    begun = time.monotonic()
    found = nearest_in_set(torch.from_numpy(rows), 10)
    return {
        "search_seconds": round(time.monotonic() - begun, 1),
        "search_exact": found.exact,
        "compared": round(found.compared, 4),
        "recall_at_10": round(found.recall_at_10, 4),
    }


def write_tables(folder: Path, rows: int, options: argparse.Namespace) -> None:
    """Made-up pairs with classes. options: dims, classes, wrong."""
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    world = _World(draw, options.classes, options.dims)
    for shard, first in enumerate(range(0, rows, ROWS_PER_SHARD)):
        last = min(rows, first + ROWS_PER_SHARD)
        batches = [world.pairs(draw, i, min(BATCH, last - i), options.wrong) for i in range(first, last, BATCH)]
        pq.write_table(pa.concat_tables(batches), folder / f"{shard:05d}.parquet", compression="none")


class _World:
    """Classes with topics, and where their photos and captions lie."""

    def __init__(self, draw: np.random.Generator, classes: int, dims: int) -> None:
        self.classes = classes
        self.decay = (np.arange(1, dims + 1) ** -0.5).astype("f4")  # a few directions carry most of the variance
        middle = draw.standard_normal((classes, 1, dims), dtype="f4")
        own = draw.standard_normal((classes, TOPICS, dims), dtype="f4")
        self.topics = (0.7 * middle + own) * self.decay
        self.popularity = 1 / np.arange(1, TOPICS + 1) / (1 / np.arange(1, TOPICS + 1)).sum()
        self.cones = _unit(draw.standard_normal((2, dims), dtype="f4"))

    def pairs(self, draw: np.random.Generator, first: int, n: int, wrong: float) -> pa.Table:
        truth = draw.integers(self.classes, size=n)
        shown = self.topics[truth, draw.choice(TOPICS, n, p=self.popularity)] + 1.2 * self._noise(draw, n)
        told = shown + self._noise(draw, n)
        image, text = _unit(_unit(shown) + self.cones[0]), _unit(_unit(told) + self.cones[1])
        is_wrong = draw.random(n) < wrong
        other = (truth + draw.integers(1, self.classes, size=n)) % self.classes
        given = [f"class {label:03d}" for label in np.where(is_wrong, other, truth).tolist()]
        ids = pa.array([f"{first + i}" for i in range(n)])
        columns = {"pair_id": ids, "image_hash": ids, "caption": ids, COLUMN: given, WRONG: is_wrong}
        return pa.table({**columns, "image_embedding": _rows(image), "text_embedding": _rows(text)})

    def _noise(self, draw: np.random.Generator, n: int) -> np.ndarray:
        return draw.standard_normal((n, len(self.decay)), dtype="f4") * self.decay


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def _rows(x: np.ndarray) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(x.astype(np.float16).ravel()), x.shape[1])


def _machine() -> dict:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    cpu = names[0].split(":", 1)[1].strip() if names else platform.processor()
    return {"cpu": cpu, "cores": os.cpu_count(), "python": platform.python_version()}


def lines(report: dict) -> list[str]:
    """The table for people."""
    columns = ["rows", "seconds", "rows_per_second", "peak_rss_gib", "k", "noise_rate", "auroc"]
    columns += ["search_seconds", "compared", "recall_at_10"] if "recall_at_10" in report["runs"][0] else []
    told = [f"ncaudit labels: {report['machine']}, {report['dims']} dimensions, {report['classes']} classes"]
    told.append(" ".join(f"{name:>15}" for name in columns))
    told += [" ".join(f"{run[name]:>15,}" for name in columns) for run in report["runs"]]
    notes = [f"{run['rows']:,} rows: {note}" for run in report["runs"] for note in run["notes"]]
    return [*told, *notes]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--dims", type=int, default=512)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--wrong", type=float, default=0.2, help="share of wrong labels, 0 to 1")
    parser.add_argument("--skip-search", action="store_true", help="only the command, not the search by itself")
    parser.add_argument("--work", help="folder for the tables (1 M rows of 512 dims take 2 GiB)")
    parser.add_argument("--json", action="store_true")
    return parser


if __name__ == "__main__":
    main()
