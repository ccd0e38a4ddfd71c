"""`python -m tests.chaos --kills 100`: every writing command hit at random instants; ends with 1 on a fault."""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from tests.chaos.runs import runs
from tests.chaos.storm import Aftermath, calm, disturbed
from tests.fuzz.__main__ import command, import_everything


def aftermaths(kills: int, seed: int, only: str = "") -> Iterator[Aftermath]:
    """Of disturbed runs of all commands in turn, until this many hits were dealt out."""
    with tempfile.TemporaryDirectory(prefix="ncaudit-chaos-") as folder:
        world = Path(folder) / "world"
        subprocess.run([sys.executable, "-m", "tests.fuzz.world", str(world)], check=True)
        import_everything()
        chance, dealt, number = random.Random(seed), 0, 0
        meant = [run for run in runs(world) if only in run.name]
        undisturbed = {run.name: calm(run, Path(folder) / "calm", command) for run in meant}
        while dealt < kills:
            run = meant[number % len(meant)]
            number += 1
            one = disturbed(run, undisturbed[run.name], Path(folder) / "storm", command, chance)
            dealt += len(one.hits)
            yield one


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="a part of the commands' names")
    parser.add_argument("--lines", action="store_true", help="JSON lines of each aftermath, for tests")
    words = parser.parse_args()
    began, hits, faults = time.monotonic(), Counter[str](), 0
    for one in aftermaths(words.kills, words.seed, words.only):
        hits.update(hit.split()[0] for hit in one.hits)
        faults += one.fault is not None
        if words.lines:
            print(json.dumps(asdict(one)), flush=True)
        elif one.fault:
            print(f"FAULT {one.name}: {one.fault}\n  {'; '.join(one.hits)}\n{one.told}", flush=True)
    if not words.lines:
        told = ", ".join(f"{name} {count}" for name, count in sorted(hits.items()))
        print(f"{sum(hits.values())} hits in {time.monotonic() - began:.0f} s ({told}): {faults} faults")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
