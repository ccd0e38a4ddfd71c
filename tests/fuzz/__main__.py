"""`python -m tests.fuzz --inputs 10000`: damaged files through every verb; prints its counts, ends with 1 on a finding.

A finding is a name, `COMMAND | FILE | DAMAGE | SEED`: the same name is the same input for ever. Those that were found
are kept in `found.txt` and tried first.
"""

import argparse
import importlib
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.fuzz import mutators
from tests.fuzz.arena import Ending, Input, run
from tests.fuzz.world import ATTACKS, copy, make, weight

INSTEAD = ("absent", "folder")  # of a file: nothing, or a folder of its name
FOUND = Path(__file__).with_name("found.txt")


def drawn(seed: int, count: int) -> Iterator[str]:
    """The names of `count` inputs."""
    chance = random.Random(seed)
    names = list(ATTACKS)
    weights = [weight(name) for name in names]
    for _ in range(count):
        attack = ATTACKS[chance.choices(names, weights)[0]]
        target = chance.choice(attack.targets)
        damage = chance.choice([*(each.__name__ for each in mutators.of(Path(target).suffix)), *INSTEAD])
        yield f"{attack.name} | {target} | {damage} | {chance.randrange(10**6)}"


def found() -> list[str]:
    """What was wrong once."""
    lines = FOUND.read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def as_input(world: Path, name: str) -> Input:
    """The input of a name."""
    attack, target, damage, seed = name.split(" | ")
    return Input(
        name, tuple(ATTACKS[attack].words.split()), partial(_prepare, world, attack, target, damage, int(seed))
    )


def _prepare(world: Path, attack: str, target: str, damage: str, seed: int, folder: Path) -> None:
    copy(world, ATTACKS[attack], folder)
    (folder / target).unlink()  # it is a link to the world's
    if damage == "folder":
        (folder / target).mkdir()
    elif damage != "absent":
        changed = mutators.BY_NAME[damage]((world / target).read_bytes(), random.Random(seed))
        (folder / target).write_bytes(changed)


def import_everything() -> None:
    """What any command may need, without using any of it: once, before the first fork."""
    importlib.import_module("tests.worlds.loaded")


def command(words: tuple[str, ...]) -> int:
    """`ncaudit WORDS…` in this process; its exit code."""
    from ncaudit import interruption
    from ncaudit.__main__ import main

    sys.argv = ["ncaudit", *words]
    interruption.listen()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    try:
        main()
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    return 0


def endings(names: list[str], *, at_once: int = 2) -> Iterator[Ending]:
    """How each input ended; the world is made first."""
    with tempfile.TemporaryDirectory(prefix="ncaudit-fuzz-") as folder:
        world = Path(folder) / "world"
        import_everything()
        make(world, command)
        inputs = (as_input(world, name) for name in names)
        yield from run(inputs, command, scratch=Path(folder) / "arena", at_once=at_once)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", default=[], help="a part of the names to try")
    parser.add_argument("--name", action="append", default=[], help="the very inputs to try")
    words = parser.parse_args()
    names = words.name or [name for name in (*found(), *drawn(words.seed, words.inputs)) if _meant(name, words.only)]
    began, codes, faults, slowest = time.monotonic(), Counter[int](), list[Ending](), list[tuple[float, str]]()
    for number, ending in enumerate(endings(names), 1):
        codes[ending.code] += 1
        slowest = sorted([*slowest, (ending.seconds, ending.name)])[-5:]
        if ending.fault:
            faults.append(ending)
            print(f"FAULT {ending.name}\n  {ending.fault}", flush=True)
            if words.name:
                print(ending.told)
        if number % 500 == 0:
            print(
                f"{number} of {len(names)} inputs, {len(faults)} faults, {time.monotonic() - began:.0f} s", flush=True
            )
    print(f"{sum(codes.values())} inputs in {time.monotonic() - began:.0f} s: {len(faults)} faults")
    print("exit codes: " + ", ".join(f"{code}: {count}" for code, count in sorted(codes.items())))
    print("slowest: " + "; ".join(f"{seconds:.1f} s {name}" for seconds, name in reversed(slowest)))
    return int(bool(faults))


def _meant(name: str, parts: list[str]) -> bool:
    return not parts or any(part in name for part in parts)


if __name__ == "__main__":
    sys.exit(main())
