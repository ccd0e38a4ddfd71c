#!/usr/bin/env python3
"""How near `ncaudit score` is to what this machine can do: rows beyond the fit against their own matrix products.

usage: python tests/benchmarks/score_limit.py [--rows 50000] [--fit-rows 2000 10000] [--against FOLDER] [--repeats 3]
       [--json]

Apply: `score --fit` of aligned random pairs, from opened tables to finished ones, against the bare products that it
cannot do without: both sides among the anchors' own side, both among the other side, and both among 8,192 refitted
ones, in the type and in the blocks that the search uses. One process does both in turn; the share is the figure. With
--fit-rows whole runs are timed too, `ncaudit score` as a user starts it, power check included. --against names a folder
with other code of ncaudit (a git worktree), that is run in turn with this one, on the same tables.

CPU seconds stand beside wall seconds: on a machine that others use too, only they tell.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[2]
DIMS = 512
REFITTED, REFITTED_DIMS, FEATURES = 8_192, 256, 384  # of `scorers.robust.refit` and `core.cca`
BLOCK = 512
BATCH = 4_096
CLUSTERS = 2_000


def main() -> None:
    """Makes the tables, then lets each code run in turn."""
    options = _arguments()
    if options.child:
        print(json.dumps(apply(options.child, options.fit)))
        return
    codes = {"this": HERE, **({"other": Path(options.against)} if options.against else {})}
    report: dict[str, Any] = {"machine": _machine(), "apply": {}, "whole": {}}
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        if options.rows:
            report["apply"] = _applied(Path(work), codes, options)
        report["whole"] = {rows: _whole(Path(work), rows, codes, options) for rows in options.fit_rows}
    report["machine"]["load_after"] = os.getloadavg()[0]
    print(json.dumps(report, indent=1) if options.json else _words(report))


def _applied(work: Path, codes: dict[str, Path], options: argparse.Namespace) -> dict[str, Any]:
    tables = aligned_tables(work, options.rows)
    for name, code in codes.items():  # each has a fit of its own: a fit of another format is refused
        _command(code, ["score", tables, "--out", f"{work}/fit-{name}", "--no-check"])
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in codes}
    for _ in range(options.repeats):
        for name, code in codes.items():
            words = ["--child", tables, "--fit", f"{work}/fit-{name}/_fit"]
            runs[name].append(json.loads(_run(code, [sys.executable, str(Path(__file__).resolve()), *words])))
    return {name: _shares(of_name, options.rows) for name, of_name in runs.items()}


def _shares(runs: list[dict[str, Any]], rows: int) -> dict[str, Any]:
    whole, bare = (_median([run[what] for run in runs]) for what in ("apply", "products"))
    share = {kind: round(bare[kind] / whole[kind], 3) for kind in ("wall", "cpu")}
    return {"rows": rows, "rows_per_s": round(rows / whole["wall"]), "apply": whole, "products": bare, "share": share}


def _whole(work: Path, rows: int, codes: dict[str, Path], options: argparse.Namespace) -> dict[str, Any]:
    tables = aligned_tables(work, rows)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in codes}
    for _ in range(options.repeats):
        for name, code in codes.items():
            words = ["score", tables, "--out", f"{work}/whole-{name}", "--refit"]
            runs[name].append(_timed(lambda code=code, words=words: _command(code, words), children=True))
    return {name: _median(of_name) for name, of_name in runs.items()}


def apply(tables: str, fit: str) -> dict[str, Any]:
    """Seconds of scoring all rows, and of the products alone."""
    from ncaudit.options import ScoreOptions
    from ncaudit.verbs.score.score import score

    _start_as_commands_do()
    with tempfile.TemporaryDirectory(dir=Path(fit).parent) as out:
        options = ScoreOptions(embeddings=[tables], out=out, fit=fit)
        spent = _timed(lambda: score(options))
    return {"apply": spent, "products": _timed(products(*counts(tables, fit)))}


def _start_as_commands_do() -> None:
    """Without what only notebooks need; older code loads that in the middle."""
    with suppress(ImportError):
        from ncaudit.cli.shared.light_start import spare_pandas

        spare_pandas()


def products(rows: int, anchors: int, name: str = "cpu") -> Callable[[], None]:
    """What multiplies as many rows with as many keys as applying a fit does, and nothing else, on that device."""
    import torch

    from ncaudit.core.device import matmul_dtype

    device = torch.device(name)
    kind = matmul_dtype(device)
    shapes = [(anchors, DIMS, BLOCK)] * 2 + [(anchors, min(FEATURES, DIMS), BLOCK)] * 2
    shapes += [(min(REFITTED, anchors), REFITTED_DIMS, BLOCK)] * 2
    sides = [(torch.ones(block, d).to(device, kind), torch.ones(keys, d).to(device, kind)) for keys, d, block in shapes]
    out = torch.empty(BLOCK * anchors, dtype=kind, device=device)

    def run() -> None:
        for _ in range(rows // BLOCK):
            for queries, keys in sides:
                torch.mm(queries, keys.T, out=out[: len(queries) * len(keys)].view(len(queries), len(keys)))
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return run


def counts(tables: str, fit: str) -> tuple[int, int]:
    """Rows of the tables, and anchors of the fit."""
    import pyarrow.parquet as pq
    from safetensors import safe_open

    rows = sum(pq.read_metadata(path).num_rows for path in Path(tables).glob("*.parquet"))
    with safe_open(next(Path(fit).glob("*.safetensors")), "pt") as kept:
        return rows, kept.get_slice("bank_image").get_shape()[0]


def aligned_tables(work: Path, rows: int) -> str:
    """Noisy copies of points in clusters, 30 % of the captions swapped, written as `embed` writes them."""
    import numpy as np
    import pyarrow as pa

    from ncaudit.shards.files.writer import atomic_table

    folder = work / f"{rows}"
    folder.mkdir()
    with atomic_table(str(folder / "00000.parquet"), _schema(pa)) as writer:
        for batch in _batches(np, pa, rows):
            writer.write(batch)
    return str(folder)


def _schema(pa: Any) -> Any:
    rows = pa.list_(pa.float16(), DIMS)
    words = [(name, pa.string()) for name in ("pair_id", "image_hash", "caption")]
    return pa.schema([*words, ("image_embedding", rows), ("text_embedding", rows)])


def _batches(np: Any, pa: Any, rows: int) -> Iterator[Any]:
    draw = np.random.default_rng(0)
    centres = draw.standard_normal((CLUSTERS, DIMS), dtype="f4")
    for first in range(0, rows, BATCH):
        n = min(BATCH, rows - first)
        image = centres[draw.integers(CLUSTERS, size=n)] + 0.7 * draw.standard_normal((n, DIMS), dtype="f4")
        text = image + 0.9 * draw.standard_normal(image.shape, dtype="f4")
        swapped = draw.permutation(n)[: int(0.3 * n)]
        text[swapped] = text[np.roll(swapped, 1)]
        ids = pa.array([f"{first + i}" for i in range(n)])
        sides = [(x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float16) for x in (image, text)]
        lists = [pa.FixedSizeListArray.from_arrays(pa.array(side.ravel()), DIMS) for side in sides]
        yield pa.record_batch([ids, ids, ids, *lists], schema=_schema(pa))


def _command(code: Path, words: list[str]) -> None:
    _run(code, [sys.executable, "-m", "ncaudit", "-q", *words, "--json"])


def _run(code: Path, command: list[str]) -> str:
    there = {**os.environ, "PYTHONPATH": str(code)}
    return subprocess.run(command, check=True, env=there, cwd=code, stdout=subprocess.PIPE, text=True).stdout


def _timed(run: Callable[[], object], *, children: bool = False) -> dict[str, float]:
    wall, cpu = time.perf_counter(), _cpu(children)
    run()
    return {"wall": time.perf_counter() - wall, "cpu": _cpu(children) - cpu}


def _cpu(children: bool) -> float:
    used = os.times()
    return used.children_user + used.children_system if children else used.user + used.system


def _median(runs: list[dict[str, float]]) -> dict[str, float]:
    return {kind: round(statistics.median(run[kind] for run in runs), 2) for kind in ("wall", "cpu")}


def _machine() -> dict[str, Any]:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    cpu = names[0].split(":", 1)[1].strip() if names else "unknown"
    return {"cpu": cpu, "cores": os.cpu_count(), "load_before": os.getloadavg()[0]}


def _words(report: dict[str, Any]) -> str:
    lines = [str(report["machine"])]
    for name, one in report["apply"].items():
        lines.append(f"{name:6} apply of {one['rows']:,}: {one['apply']}, products {one['products']}: {one['share']}")
    for rows, runs in report["whole"].items():
        lines += [f"{name:6} whole run of {int(rows):,}: {one}" for name, one in runs.items()]
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000, help="rows of the apply figure; 0: none")
    parser.add_argument("--fit-rows", type=int, nargs="*", default=[], help="rows of the whole runs")
    parser.add_argument("--against", help="a folder with other code of ncaudit")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", help="folder for tables and scores")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--fit", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
