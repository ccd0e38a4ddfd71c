"""How fast `ncaudit filter --data` rewrites a parquet dataset of images, and how much memory it takes.

    python tests/benchmarks/filter.py --mb 1000 --group 1000

One shard of random bytes in place of JPEGs (as incompressible), zstd, with a caption and a key; half of the rows are
kept, spread evenly. Prints MB of the input file per second, and the peak resident memory of the process.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ncaudit.schema import SCORE
from ncaudit.shards.files.provenance import attach, fingerprint_of_file

CHILD = """
import json, sys, time
import ncaudit
begun, begun_cpu = time.monotonic(), time.process_time()
result = ncaudit.filter_pairs(ncaudit.FilterOptions(**json.loads(sys.argv[1])))
with open("/proc/self/status") as status:  # getrusage would count what this process was before it became Python
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
print(json.dumps({"seconds": time.monotonic() - begun, "cpu_seconds": time.process_time() - begun_cpu,
                  "peak_mib": peak, "kept": result.kept, "rows": result.rows}))
"""


def write_dataset(path: Path, megabytes: int, image_bytes: int, group: int) -> int:
    draw, rows = np.random.default_rng(0), max(1, megabytes * 1_000_000 // image_bytes)
    schema = pa.schema([("caption", pa.string()), ("key", pa.string()), ("jpg", pa.binary())])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for first in range(0, rows, group):
            numbers = range(first, min(rows, first + group))
            images = [draw.bytes(image_bytes) for _ in numbers]
            columns = [[f"a caption of row {i}" for i in numbers], [f"{i:09}" for i in numbers], images]
            writer.write_table(pa.table(dict(zip(schema.names, columns, strict=True)), schema=schema))
    return rows


def write_scores(path: Path, rows: int, data: Path) -> None:
    label = np.random.default_rng(1).random(rows).astype(np.float32)
    known = {
        "pair_id": [f"{i:09}" for i in range(rows)],
        "row": np.arange(rows),
        "status": ["ok"] * rows,
        "soft_label": label,
        "score": label,
    }
    arrays = [pa.array(known[f.name], f.type) if f.name in known else pa.nulls(rows, f.type) for f in SCORE]
    made = {"verb": "score", "data": {"name": data.name, "fingerprint": fingerprint_of_file(str(data))}}
    pq.write_table(pa.Table.from_arrays(arrays, schema=attach(SCORE, made)), path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=int, default=1_000, help="size of the shard")
    parser.add_argument("--image-bytes", type=int, default=30_000)
    parser.add_argument("--group", type=int, default=1_000, help="rows of a row group")
    parser.add_argument("--share", type=float, default=0.5, help="share of the rows that is kept")
    parser.add_argument("--dropped", action="store_true", help="write the dropped rows too")
    parser.add_argument("--repeat", type=int, default=1, help="runs; the fastest counts")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data, scores = folder / "s.parquet", folder / "scores" / "s.parquet"
        scores.parent.mkdir()
        rows = write_dataset(data, asked.mb, asked.image_bytes, asked.group)
        write_scores(scores, rows, data)
        told = []
        for number in range(asked.repeat):
            options = {"scores": [str(scores)], "data": [str(data)], "out": str(folder / f"out{number}")}
            options |= {"dropped": str(folder / f"gone{number}")} if asked.dropped else {}
            data.read_bytes()  # in the page cache: the disk is not what is measured
            begun = time.monotonic()
            words = json.dumps({**options, "keep_share": asked.share})
            ran = subprocess.run([sys.executable, "-c", CHILD, words], check=True, capture_output=True, text=True)
            told.append({**json.loads(ran.stdout), "with_start": time.monotonic() - begun})
        best = min(told, key=lambda one: one["seconds"])
        size = os.path.getsize(data) / 1e6
        best |= {"mb": round(size), "mb_per_s": round(size / best["seconds"]), "group": asked.group}
        print(json.dumps(best))


if __name__ == "__main__":
    main()
