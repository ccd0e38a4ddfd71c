#!/usr/bin/env python3
"""Where `ncaudit labels` spends its time: CPU seconds, wall seconds and peak memory of each stage, in one process.

usage: python tests/benchmarks/labels_stages.py EMBEDDINGS [--label-column category] [--json]

EMBEDDINGS: a folder of tables, such as `write_tables` of labels_speed.py makes. Each stage is a function that the main
thread calls; what helping threads do meanwhile is that stage's. Peaks need Linux, which lets a process reset its own.
"""

import argparse
import functools
import json
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ncaudit.core.neighbours import self_search
from ncaudit.judging import classes
from ncaudit.options import LabelsOptions
from ncaudit.verbs.labels import labels

STAGES: dict[str, tuple[Any, str]] = {
    "classes read": (labels, "_read"),
    "rows read": (labels, "_rows"),
    "rows centred": (classes, "_centred"),
    "principal directions": (classes, "principal"),
    "cells made": (self_search, "make_cells"),
    "some rows' true neighbours": (self_search, "_exact"),
    "cells ranked": (self_search, "nearest_cells"),
    "candidates: products": (self_search.CellSearch, "_compared"),
    "candidates: looked through": (self_search.CellSearch, "_round"),
    "candidates: exact look": (self_search.CellSearch, "best"),
    "k chosen": (classes, "_chosen"),
    "votes": (classes._Tally, "of"),
    "classes judged": (classes, "judge"),
    "tables written": (labels, "_write"),
}
REST = "all else"


class Clock:
    """What each stage took: of stages within stages the inner one."""

    def __init__(self) -> None:
        self.taken: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
        self._open = [REST]
        self._last = time.process_time(), time.monotonic()

    def measure(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """`work`, measured where the main thread calls it."""

        @functools.wraps(work)
        def measured(*args: Any, **words: Any) -> Any:
            if threading.current_thread() is not threading.main_thread():
                return work(*args, **words)
            self.note()
            self._open.append(name)
            try:
                return work(*args, **words)
            finally:
                self.note()
                self._open.pop()

        return measured

    def note(self) -> None:
        """Adds the time since the last note to the stage that is open."""
        now = time.process_time(), time.monotonic()
        taken = self.taken[self._open[-1]]
        taken[0] += now[0] - self._last[0]
        taken[1] += now[1] - self._last[1]
        taken[2] = max(taken[2], _peak_gib())
        self._last = now


def _peak_gib() -> float:
    """The peak since the last call."""
    status = Path("/proc/self/status").read_text().splitlines()
    kib = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    Path("/proc/self/clear_refs").write_text("5")
    return kib / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("embeddings")
    parser.add_argument("--label-column", default="category")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    told = measure(options.embeddings, options.label_column)
    print(json.dumps(told, indent=1) if options.json else "\n".join(lines(told)))


def measure(embeddings: str, column: str) -> dict[str, dict[str, float]]:
    """The stages of one run, by name."""
    clock = Clock()
    for name, (owner, function) in STAGES.items():
        work = clock.measure(name, getattr(owner, function))
        setattr(owner, function, staticmethod(work) if owner is classes._Tally else work)
    with tempfile.TemporaryDirectory() as out:
        labels.labels(LabelsOptions(embeddings=[embeddings], label_column=column, out=out))
    clock.note()
    names = ("cpu_s", "wall_s", "peak_gib")
    return {name: dict(zip(names, taken, strict=True)) for name, taken in clock.taken.items()}


def lines(told: dict[str, dict[str, float]]) -> list[str]:
    """The table for people."""
    all_cpu = sum(one["cpu_s"] for one in told.values())
    rows = [f"{'stage':28} {'CPU s':>8} {'share':>6} {'wall s':>8} {'peak GiB':>9}"]
    for name, one in sorted(told.items(), key=lambda both: -both[1]["cpu_s"]):
        share = one["cpu_s"] / all_cpu
        rows.append(f"{name:28} {one['cpu_s']:8.1f} {share:6.1%} {one['wall_s']:8.1f} {one['peak_gib']:9.2f}")
    return [*rows, f"{'in all':28} {all_cpu:8.1f}"]


if __name__ == "__main__":
    main()
