"""How fast the user's parquet dataset of images is written again, beside a bare pyarrow script of the same run.

    python tests/benchmarks/filter.py --mb 1000 --group 1000 --repeat 3

One shard of random bytes in place of JPEGs (as incompressible), zstd, with a caption and a key. In turn, each in a
process of its own: `filter --data` with half of the rows kept, spread evenly; pyarrow alone, which reads the same file
by row groups, filters by the same rows and writes with the same codec, dictionaries and checksums; the same with all
rows, which is what the last two cannot do without; pyarrow with the whole table at once and its own defaults;
`corrupt`; and what `score --data` writes, from scores that are there.
Prints for each the seconds and CPU seconds (medians), MB of the input file per second and the peak resident memory of
the process; and pyarrow's seconds over filter's, where more than 1 is faster than pyarrow. --tree FOLDER measures the
package of another checkout.
"""

import argparse
import json
import os
import statistics
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

TIMED = """
import json, os, sys, time
asked = json.loads(sys.argv[1])
def run():
    {body}
{imports}
begun, begun_cpu = time.monotonic(), time.process_time()
run()
seconds, cpu = time.monotonic() - begun, time.process_time() - begun_cpu
with open("/proc/self/status") as status:  # getrusage would count what this process was before it became Python
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
print(json.dumps({{"seconds": seconds, "cpu_seconds": cpu, "peak_mib": peak}}))
"""
# as commands start: pyarrow would load pandas at its first array, in the middle of what is timed, as older code has it
LIGHT = """
try:
    from ncaudit.cli.shared.light_start import spare_pandas
    spare_pandas()
except ImportError:
    pass
"""
RUNS = {
    "filter": (
        LIGHT + "import ncaudit, ncaudit.verbs.filter.filter",
        'ncaudit.filter_pairs(ncaudit.FilterOptions(scores=[asked["scores"]], data=[asked["data"]], out=asked["out"],'
        ' dropped=asked["dropped"], keep_share=asked["share"]))',
    ),
    "pyarrow": (
        "import numpy, pyarrow, pyarrow.parquet as pq",
        """kept = numpy.load(asked["kept"])
    file = pq.ParquetFile(asked["data"], page_checksum_verification=True)
    info, done = file.metadata, 0
    with pq.ParquetWriter(asked["out"], file.schema_arrow, compression=info.row_group(0).column(0).compression,
                          use_dictionary=["caption", "key"], write_page_checksum=True) as writer:
        for group in range(info.num_row_groups):
            table = file.read_row_group(group)
            writer.write_table(table.filter(pyarrow.array(kept[done : done + len(table)])))
            done += len(table)""",
    ),
    "pyarrow, all rows": (
        "import pyarrow.parquet as pq",
        """file = pq.ParquetFile(asked["data"], page_checksum_verification=True)
    info = file.metadata
    with pq.ParquetWriter(asked["out"], file.schema_arrow, compression=info.row_group(0).column(0).compression,
                          use_dictionary=["caption", "key"], write_page_checksum=True) as writer:
        for group in range(info.num_row_groups):
            writer.write_table(file.read_row_group(group))""",
    ),
    "pyarrow, at once": (
        "import numpy, pyarrow, pyarrow.parquet as pq",
        """info = pq.read_metadata(asked["data"])
    table = pq.read_table(asked["data"]).filter(pyarrow.array(numpy.load(asked["kept"])))
    pq.write_table(table, asked["out"], compression=info.row_group(0).column(0).compression,
                   row_group_size=info.row_group(0).num_rows)""",
    ),
    "corrupt": (
        LIGHT + "import ncaudit, ncaudit.verbs.corrupt.captions",
        'ncaudit.corrupt(ncaudit.CorruptOptions(sources=[asked["data"]], out=asked["out"], rate=0.2))',
    ),
    "score --data": (
        LIGHT + "import pyarrow.parquet as pq\nfrom ncaudit.shards.files.shard import Shard\n"
        "from ncaudit.shards.rewriting.write_back import DatasetShards",
        """DatasetShards({}).write(Shard.of_file(asked["data"]), asked["out"], pq.read_table(asked["scores"]), {})""",
    ),
}


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


def write_scores(path: Path, rows: int, data: Path) -> np.ndarray:
    """The labels, which are the scores."""
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
    return label


def timed(name: str, asked: dict, tree: str | None) -> dict:
    imports, body = RUNS[name]
    code = TIMED.format(imports=imports, body=body)
    Path(asked["data"]).read_bytes()  # in the page cache: the disk is not what is measured
    paths = {"PYTHONPATH": tree or str(Path(__file__).parents[2])}
    ran = subprocess.run(
        [sys.executable, "-c", code, json.dumps(asked)],
        check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **paths}, cwd=Path(asked["data"]).parent,
    )  # fmt: skip
    return json.loads(ran.stdout)


def measure(asked: argparse.Namespace, folder: Path) -> dict:
    data, scores, kept = folder / "s.parquet", folder / "scores" / "s.parquet", folder / "kept.npy"
    scores.parent.mkdir()
    rows = write_dataset(data, asked.mb, asked.image_bytes, asked.group)
    label = write_scores(scores, rows, data)
    np.save(kept, label >= np.sort(label)[-max(1, int(asked.share * rows + 0.5))])
    found: dict[str, list[dict]] = {name: [] for name in asked.only or RUNS}
    for number in range(asked.repeat):
        for place, (name, runs) in enumerate(found.items()):
            out = folder / f"out-{place}-{number}"
            told = {"data": str(data), "scores": str(scores), "kept": str(kept), "share": asked.share, "dropped": None}
            told["dropped"] = str(folder / f"gone-{number}") if asked.dropped else None
            begun = time.monotonic()
            runs.append(timed(name, {**told, "out": str(out)}, asked.tree))
            runs[-1]["with_start"] = time.monotonic() - begun
    size = os.path.getsize(data) / 1e6
    return {"mb": round(size), "rows": rows, "group": asked.group, **{n: _middle(r, size) for n, r in found.items()}}


def _middle(runs: list[dict], size: float) -> dict:
    told = {name: round(statistics.median(run[name] for run in runs), 2) for name in runs[0]}
    return {**told, "mb_per_s": round(size / told["seconds"])}


def ratios(told: dict) -> dict:
    """Filter's share of pyarrow's speed; what others take of filter's CPU."""
    filtered, found = told["filter"], {}
    for peer in ("pyarrow", "pyarrow, at once"):
        if peer in told:
            found[f"speed of {peer}"] = round(told[peer]["seconds"] / filtered["seconds"], 2)
            found[f"CPU of {peer}"] = round(told[peer]["cpu_seconds"] / filtered["cpu_seconds"], 2)
    for verb in ("corrupt", "score --data", "pyarrow, all rows"):
        if verb in told:
            found[f"{verb}: times filter's CPU"] = round(told[verb]["cpu_seconds"] / filtered["cpu_seconds"], 2)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=int, default=1_000, help="size of the shard")
    parser.add_argument("--image-bytes", type=int, default=30_000)
    parser.add_argument("--group", type=int, default=1_000, help="rows of a row group")
    parser.add_argument("--share", type=float, default=0.5, help="share of the rows that is kept")
    parser.add_argument("--dropped", action="store_true", help="filter writes the dropped rows too")
    parser.add_argument("--repeat", type=int, default=1, help="runs, in turn; the medians count")
    parser.add_argument("--only", nargs="*", choices=RUNS, help="what is measured; by default all")
    parser.add_argument("--tree", help="checkout whose package is measured")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        told = measure(asked, Path(name))
        if "filter" in told:
            told["ratios"] = ratios(told)
        told["load"] = os.getloadavg()
        print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
