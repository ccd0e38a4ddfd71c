"""`python -m tests.chaos --kills 100`: every writing command hit at random instants; ends with 1 on a fault."""

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from itertools import cycle
from pathlib import Path

from tests.chaos.changes import changed, full, may_mount
from tests.chaos.runs import runs
from tests.chaos.storm import Aftermath, Calm, calm, disturbed
from tests.fuzz.__main__ import command, import_everything
from tests.fuzz.world import make


def aftermaths(kills: int, changes: int, disks: int, seed: int, only: str = "") -> Iterator[Aftermath]:
    """Of disturbed runs of all commands in turn: so many signals, changes of inputs, and full disks where possible."""
    with tempfile.TemporaryDirectory(prefix="ncaudit-chaos-") as folder:
        world = Path(folder) / "world"
        meant = [run for run in runs(world) if only in run.name]
        import_everything()
        make(world, command, {need for run in meant for need in run.needs})
        chance = random.Random(seed)
        at = Path(folder) / "run"  # one for all: records tell where a model lies
        undisturbed: dict[str, Calm] = {}
        for disturb, count in ((disturbed, kills), (changed, changes), (full, disks if may_mount() else 0)):
            dealt, turns = 0, cycle(chance.sample(meant, len(meant)))
            while dealt < count:
                run = next(turns)
                if run.name not in undisturbed:
                    undisturbed[run.name] = calm(run, at, command)
                one = disturb(run, undisturbed[run.name], at, command, chance, count - dealt)
                dealt += len(one.hits)
                yield one


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--changes", type=int, default=50, help="of inputs")
    parser.add_argument("--disks", type=int, default=20, help="that fill up; none where no disk can be mounted")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="a part of the commands' names")
    parser.add_argument("--lines", action="store_true", help="JSON lines of each aftermath, for tests")
    words = parser.parse_args()
    began, hits, faults = time.monotonic(), Counter[str](), 0
    for one in aftermaths(words.kills, words.changes, words.disks, words.seed, words.only):
        hits.update(kind_of(hit) for hit in one.hits)
        faults += one.fault is not None
        if words.lines:
            print(json.dumps(asdict(one)), flush=True)
        elif one.fault:
            print(f"FAULT {one.name}: {one.fault}\n  {'; '.join(one.hits)}\n{one.told}", flush=True)
    if not words.lines:
        told = ", ".join(f"{name} {count}" for name, count in sorted(hits.items()))
        print(f"{sum(hits.values())} hits in {time.monotonic() - began:.0f} s ({told}): {faults} faults")
    return int(faults > 0)


def kind_of(hit: str) -> str:
    """What a hit was, for the counts."""
    words = hit.split()
    return words[0] if words[0].startswith("SIG") else "full disk" if words[1] == "KiB:" else f"input {words[1]}"


if __name__ == "__main__":
    sys.exit(main())
