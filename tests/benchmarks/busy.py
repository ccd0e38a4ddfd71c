#!/usr/bin/env python3
"""Commands on a quiet machine and beside busy loops: how much of their fair share they get, and what that costs.

usage: python tests/benchmarks/busy.py [--before PATH] [--only embed,score,labels,train] [--cores N] [--rounds 3]
       [--size 1.0] [--before-busy] [--json] [--out FILE.json]

Two loops per core compete for it, so a command that needs all cores gets a third of them: beside them it should take
three times its quiet time, and is asked for at most 3.3 times. Whatever makes it so may cost at most 5 % when quiet,
held against the code in PATH (a worktree of an older commit) in the same run: old and new take turns, and medians are
told, with the least and the most. --before-busy: the old code runs beside the loops too, which may take long. Every
run is a process of its own, as a user starts it, into an empty folder. CPU seconds are those of the process and of its
decoders. --cores: everything is kept to so many cores. --size: how much there is to do, for a try. Nothing else should
run: the load that was found before is told.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parents[2]
SAMPLE = HERE / "sample_data"
LOOPS_PER_CORE = 2
LOOP = """
import os
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(1_000_000): pass
"""  # ends when whoever started it does, however that is
MOST_BUSY, MOST_LOST = 3.3, 0.05  # times the quiet time beside the loops; share of the old code's quiet time
OF_THREADS = {"OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OPENBLAS_NUM_THREADS"}
PAIRS = {"score": 2_000, "labels": 4_000, "train": 8_192}
DIMS, CLASSES = 512, 10
Run = dict[str, Any]


def main() -> None:
    options = _arguments()
    if options.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="busy-") as work:
        lines = made(Path(work), options.only, options.size)
        runs = list(measured(lines, Path(work), options))
    found = {"machine": _machine(), "load_before": round(load, 1), "tasks": [_row(task, runs) for task in lines]}
    found |= {"size": options.size, "runs": runs}
    if options.out:
        Path(options.out).write_text(json.dumps(found, indent=1))
    print(json.dumps(found, indent=1) if options.json else "\n".join(table(found)))


def made(work: Path, only: Sequence[str], size: float) -> dict[str, list[str]]:
    """The command line of each task, but for --out; what it reads is written."""
    lines = {"embed": ["embed", _photos(work, size), "--model", str(SAMPLE / "tiny-clip")]}
    for task, pairs in PAIRS.items():
        if task in only:
            path = str(_tables(work / task, max(200, int(size * pairs))))
            lines[task] = [task, *(["--embeddings"] if task == "train" else []), path, *_words(task)]
    return {task: line for task, line in lines.items() if task in only}


def _words(task: str) -> list[str]:
    if task == "labels":
        return ["--label-column", "kind"]
    return ["--no-check"] if task == "score" else ["--tune", "heads", "--head", "mlp", "--epochs", "6"]


def _photos(work: Path, size: float) -> str:
    rows = pq.read_table(SAMPLE / "train.parquet")
    pq.write_table(rows.slice(0, max(64, int(size * len(rows)))), work / "photos.parquet")
    return str(work / "photos.parquet")


def _tables(folder: Path, pairs: int) -> Path:
    """Embedding tables of pairs around their classes, a fifth of them mismatched."""
    draw = np.random.default_rng(0)
    kind = draw.integers(0, CLASSES, pairs)
    seen = draw.standard_normal((CLASSES, DIMS))[kind] + draw.standard_normal((pairs, DIMS))
    said = seen + draw.standard_normal((pairs, DIMS))
    wrong = draw.permutation(pairs)[: pairs // 5]
    said[wrong] = said[np.roll(wrong, 1)]
    ids = [f"pair {i}" for i in range(pairs)]
    columns = {"pair_id": ids, "image_hash": ids, "caption": ids, "kind": [f"class {one}" for one in kind]}
    for name, rows in (("image_embedding", seen), ("text_embedding", said)):
        unit = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
        columns[name] = pa.FixedSizeListArray.from_arrays(pa.array(unit.ravel()), DIMS)
    folder.mkdir()
    pq.write_table(pa.table(columns), folder / "a.parquet")
    return folder


def measured(lines: dict[str, list[str]], work: Path, options: argparse.Namespace) -> Iterator[Run]:
    """Every run: quiet ones first, then those beside the loops; codes and tasks take turns."""
    codes = {"before": options.before, "after": str(HERE)} if options.before else {"after": str(HERE)}
    for task, line in lines.items():  # files and libraries come from the disk once
        _ran(line, work / f"{task}-warm", str(HERE))
    for busy in (False, True):
        if busy and not options.before_busy:
            codes.pop("before", None)
        with _loops(LOOPS_PER_CORE * _cores() if busy else 0):
            for number in range(options.rounds):
                for task, line in lines.items():
                    for code, path in codes.items():
                        run = _ran(line, work / f"{task}-{code}-{busy}-{number}", path)
                        yield {"task": task, "code": code, "busy": busy, **run}
                        print(f"{task} {code} {'busy' if busy else 'quiet'}: {run['seconds']} s", file=sys.stderr)


@contextmanager
def _loops(count: int) -> Iterator[None]:
    """Processes that do nothing, as fast as they can."""
    loops = [subprocess.Popen([sys.executable, "-c", LOOP]) for _ in range(count)]
    try:
        time.sleep(0.5 if loops else 0)
        yield
    finally:
        for loop in loops:
            loop.kill()
        for loop in loops:
            loop.wait()


def _ran(line: Sequence[str], out: Path, path: str) -> Run:
    inherited = {name: value for name, value in os.environ.items() if name not in OF_THREADS}
    command = [sys.executable, "-m", "ncaudit", "-q", *line, "--out", str(out)]
    begun = time.monotonic()
    child = subprocess.Popen(command, env={**inherited, "PYTHONPATH": path}, cwd=path, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - begun
    assert status == 0, command
    return {"seconds": round(seconds, 2), "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2)}


def _row(task: str, runs: Sequence[Run]) -> Run:
    """Medians, and what is made of them."""
    row: Run = {"task": task}
    for code in ("before", "after"):
        for busy in (False, True):
            own = [r for r in runs if (r["task"], r["code"], r["busy"]) == (task, code, busy)]
            if own:
                seconds = [run["seconds"] for run in own]
                told = {"seconds": statistics.median(seconds), "least": min(seconds), "most": max(seconds)}
                told["cpu_seconds"] = statistics.median(run["cpu_seconds"] for run in own)
                row[f"{code}_{'busy' if busy else 'quiet'}"] = told
        if f"{code}_busy" in row:
            ratio = row[f"{code}_busy"]["seconds"] / row[f"{code}_quiet"]["seconds"]
            row[f"{code}_busy_over_quiet"] = round(ratio, 2)
    if "before_quiet" in row:
        row["lost_when_quiet"] = round(row["after_quiet"]["seconds"] / row["before_quiet"]["seconds"] - 1, 3)
    return row


def table(found: Run) -> Iterator[str]:
    """For people."""
    machine = found["machine"]
    yield f"{machine['cpu']}, {machine['cores']} cores, load before {found['load_before']}; seconds, medians"
    yield f"{'':8}{'before':>24}{'after':>24}"
    yield f"{'':8}" + f"{'quiet':>8}{'busy':>8}{'ratio':>8}" * 2 + f"{'lost when quiet':>18}"
    for row in found["tasks"]:
        cells = [_cells(row, code) for code in ("before", "after")]
        lost = row.get("lost_when_quiet")
        verdict = "" if lost is None else f"{lost:>+17.1%} "
        yield f"{row['task']:8}{cells[0]}{cells[1]}{verdict}{_missed(row)}"
    yield f"asked for: busy at most {MOST_BUSY} times quiet, at most {MOST_LOST:.0%} lost when quiet"


def _cells(row: Run, code: str) -> str:
    if f"{code}_quiet" not in row:
        return f"{'':>24}"
    quiet = row[f"{code}_quiet"]["seconds"]
    if f"{code}_busy" not in row:
        return f"{quiet:>8.1f}{'':>16}"
    return f"{quiet:>8.1f}{row[f'{code}_busy']['seconds']:>8.1f}{row[f'{code}_busy_over_quiet']:>8.2f}"


def _missed(row: Run) -> str:
    missed = ["busy"] if row["after_busy_over_quiet"] > MOST_BUSY else []
    missed += ["quiet"] if row.get("lost_when_quiet", 0) > MOST_LOST else []
    return f" missed: {', '.join(missed)}" if missed else ""


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _machine() -> Run:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    cpu = names[0].split(":", 1)[1].strip() if names else platform.processor()
    return {"cpu": cpu, "cores": _cores(), "loops": LOOPS_PER_CORE * _cores(), "python": platform.python_version()}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", metavar="PATH", help="a worktree with the code to be held against")
    parser.add_argument("--only", type=lambda names: names.split(","), default=["embed", *PAIRS])
    parser.add_argument("--cores", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=float, default=1.0)
    parser.add_argument("--before-busy", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", metavar="FILE.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
