"""How long commands take to start: wall clock and processor time of fresh processes, against `import torch` alone.

    python tests/benchmarks/start.py                 # 5 rounds
    python tests/benchmarks/start.py --rounds 9 --json

Every round runs each case once, in turn, so that a busy machine slows all alike; the figures are medians. Go by the
processor time (user and system) where others use the machine too. `score` gets 100 pairs of the sample, embedded once
with the sample's own model.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "sample_data"
PAIRS = 100
TORCH, IMPORT = "import torch", "import ncaudit.verbs.score.score"
NCAUDIT = ("-m", "ncaudit", "-q")


@dataclass(frozen=True)
class Spent:
    """What one process took, in seconds."""

    wall_s: float
    cpu_s: float


def main() -> None:
    """Measures every case in every round."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        every = _cases(Path(folder), options.tree)
        cases = {name: words for name, words in every.items() if not options.cases or name in (TORCH, *options.cases)}
        rounds = [
            {name: _spent(words, Path(folder), options.tree) for name, words in cases.items()}
            for _ in range(options.rounds)
        ]
    rows = _rows(rounds)
    print(json.dumps(rows, indent=1) if options.json else _table(rows))


def _cases(folder: Path, tree: str) -> dict[str, list[str]]:
    embeddings, fitted = str(folder / "embeddings"), str(folder / "fitted")
    pairs = pq.read_table(SAMPLE / "train.parquet")
    (folder / "pairs").mkdir()
    pq.write_table(pairs.take([*range(0, len(pairs), len(pairs) // PAIRS)]), folder / "pairs/00000.parquet")
    model = ["--model", str(SAMPLE / "tiny-clip"), "--device", "cpu", "--precision", "float32", "--workers", "0"]
    score = [*NCAUDIT, "score", embeddings, "--device", "cpu", "--out"]
    _spent([*NCAUDIT, "embed", str(folder / "pairs"), "--out", embeddings, *model, "--batch-pairs", "32"], folder, tree)
    _spent([*score, fitted], folder, tree)  # which leaves the bytecode of every module, too
    return {
        TORCH: ["-c", TORCH],
        IMPORT: ["-c", IMPORT],
        "ncaudit --help": ["-m", "ncaudit", "--help"],
        f"ncaudit score, {PAIRS} pairs": [*score, str(folder / "out")],
        f"ncaudit score --fit, {PAIRS} pairs": [*score, str(folder / "out"), "--fit", f"{fitted}/_fit"],
    }


def _spent(words: list[str], folder: Path, tree: str) -> Spent:
    """Of a fresh process that must succeed, as an installed package starts; what it wrote to `out` is gone before."""
    shutil.rmtree(folder / "out", ignore_errors=True)
    there = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    there |= {"PYTHONPATH": tree, "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
    begun, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, *words], cwd=folder, env=there, check=True, capture_output=True)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Spent(time.perf_counter() - begun, cpu)


def _rows(rounds: list[dict[str, Spent]]) -> list[dict[str, float | str]]:
    """Medians of each case, what it takes beyond `import torch`, and how many times as long it takes (processor)."""
    wall = {name: statistics.median(one[name].wall_s for one in rounds) for name in rounds[0]}
    cpu = {name: statistics.median(one[name].cpu_s for one in rounds) for name in rounds[0]}
    return [
        {
            "case": name, "wall_s": wall[name], "cpu_s": cpu[name], "beyond_torch_wall_s": wall[name] - wall[TORCH],
            "beyond_torch_cpu_s": cpu[name] - cpu[TORCH], "cpu_ratio": cpu[name] / cpu[TORCH],
        }
        for name in rounds[0]
    ]  # fmt: skip


def _table(rows: list[dict[str, float | str]]) -> str:
    titles = ("seconds, medians", "wall", "cpu", "beyond torch: wall", "cpu", "cpu, x torch")
    head = "{:38} {:>6} {:>6}  {:>18} {:>6}  {:>12}".format(*titles)
    lines = [
        f"{row['case']:38} {row['wall_s']:6.2f} {row['cpu_s']:6.2f}  {row['beyond_torch_wall_s']:18.2f} "
        f"{row['beyond_torch_cpu_s']:6.2f}  {row['cpu_ratio']:12.2f}"
        for row in rows
    ]
    return "\n".join([head, *lines])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each case is run")
    parser.add_argument("--cases", nargs="+", metavar="NAME", help=f"some of them, as the table tells; always {TORCH}")
    parser.add_argument("--tree", default=str(ROOT), help="checkout whose package is measured")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
