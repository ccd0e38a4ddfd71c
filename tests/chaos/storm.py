"""What can happen to a run, and what must be so afterwards.

Knows signals, processes and folders; nothing of what a command does. A disturbed run is one of the real command in a
process of its own, hit at random instants; the same command is then run again until it ends by itself, and what it
leaves must be, byte for byte, what an undisturbed run leaves.
"""

import hashlib
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.arena import Command, Input, start

WAIT_S = 120.0  # for an end of whatever was asked to end
DEATHS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSTOP)
AGAIN = {-signal.SIGKILL, -signal.SIGTERM, 130, 143}  # how a run may end that was hit: it is run again


@dataclass(frozen=True)
class Run:
    """A writing command. prepare: lays out its inputs in an empty folder, which are the world's `needs`. outputs: what
    it leaves there.
    """

    name: str
    words: tuple[str, ...]
    prepare: Callable[[Path], None]
    outputs: tuple[str, ...]
    needs: tuple[str, ...] = ()
    code: int = 0
    again: int = 0  # its exit code where all is done already: 1 if what it leaves is people's from then on


@dataclass(frozen=True)
class Aftermath:
    """What was left. fault: what should not be so, or None."""

    name: str
    hits: tuple[str, ...]
    fault: str | None
    told: str = ""


@dataclass(frozen=True)
class Calm:
    """An undisturbed run: how long, and what it leaves."""

    seconds: float
    files: dict[str, str]


def calm(run: Run, folder: Path, command: Command) -> Calm:
    """The run as it should be. Raises AssertionError when even that fails."""
    began = time.monotonic()
    process = begin(run, folder, command)
    code = end_of(process)
    assert code == run.code, f"{run.name} ended with {code}: {_told(folder)}"
    seconds, files = time.monotonic() - began, left(run, folder / "at")
    shutil.rmtree(folder)
    return Calm(seconds, files)


def begin(run: Run, folder: Path, command: Command) -> int:
    """Start it in a folder; if that is there already, on what is in it."""
    if (folder / "at").exists():
        return start(Input(run.name, run.words, lambda at: None), folder, command)
    return start(Input(run.name, run.words, run.prepare), folder, command)


def disturbed(
    run: Run, undisturbed: Calm, folder: Path, command: Command, chance: random.Random, most: int
) -> Aftermath:
    """The run, hit one to three times (`most` at most) at any instant, and run again until it ends by itself."""
    hits = []
    for _ in range(min(most, chance.randint(1, 3))):
        kind, instant = chance.choice(DEATHS), chance.random() * undisturbed.seconds
        process = begin(run, folder, command)
        code, fault = _hit(process, kind, instant)
        hits.append(f"{kind.name} after {instant:.3f} s: {code}")
        expected = {*AGAIN, run.code, run.again}
        fault = fault or (None if code in expected else f"ended with {code}") or _half(run, folder / "at")
        if fault:
            return _after(run, hits, fault, folder)
    code = end_of(begin(run, folder, command))
    fault = None if code in {run.code, run.again} else f"run again it ended with {code}"
    fault = fault or _difference(undisturbed.files, left(run, folder / "at")) or _litter(folder)
    return _after(run, hits, fault, folder)


def _after(run: Run, hits: list[str], fault: str | None, folder: Path) -> Aftermath:
    told = _told(folder) if fault else ""
    shutil.rmtree(folder)
    return Aftermath(run.name, tuple(hits), fault, told)


def _hit(process: int, kind: signal.Signals, instant: float) -> tuple[int, str | None]:
    """Its exit code, and what is wrong with how it went. Stopped runs go on after a while, then are killed or not."""
    time.sleep(instant)
    with suppress(ProcessLookupError):
        os.kill(process, kind)
        if kind == signal.SIGSTOP:
            time.sleep(0.05)
            os.kill(process, signal.SIGCONT)
    code = end_of(process)
    return code, "processes are left" if _alive_in(process) else None


def end_of(process: int) -> int:
    """The exit code; 124 for one that does not end."""
    began = time.monotonic()
    while time.monotonic() - began < WAIT_S:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return 124


def _alive_in(session: int) -> bool:
    """Whether a process of that session is still there after ten seconds, which a worker takes at most to notice."""
    began = time.monotonic()
    while any(_session_of(entry) == session for entry in os.listdir("/proc") if entry.isdigit()):
        if time.monotonic() - began > 10:
            os.killpg(session, signal.SIGKILL)
            return True
        time.sleep(0.01)
    return False


def _session_of(process: str) -> int:
    """0 for one that has ended, be it that nobody has asked how yet."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] == "Z" else int(fields[3])


def left(run: Run, folder: Path) -> dict[str, str]:
    """A hash of each file of its outputs, by path."""
    found = {}
    for output in run.outputs:
        place = folder / output
        for path in [place] if place.is_file() else sorted(place.rglob("*")):
            if path.is_file():
                found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _half(run: Run, folder: Path) -> str | None:
    """A table under its final name that is not whole."""
    for output in run.outputs:
        place = folder / output
        for path in [place] if place.is_file() else place.rglob("*.parquet"):
            if path.suffix == ".parquet" and not path.name.startswith(".") and path.read_bytes()[-4:] != b"PAR1":
                return f"{path.name} is not whole"
    return None


def _difference(expected: dict[str, str], found: dict[str, str]) -> str | None:
    missing, more = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    if missing or more:
        return f"missing {missing}, left over {more}"
    other = [name for name in expected if expected[name] != found[name]]
    return f"other bytes: {other}" if other else None


def _litter(folder: Path) -> str | None:
    """What a run leaves where temporary files go, itself and its disturbed predecessors."""
    litter = [path.name for path in folder.iterdir() if path.name not in {"at", "stdout", "stderr"}]
    return f"left in the temporary folder: {litter}" if litter else None


def _told(folder: Path) -> str:
    return (folder / "stderr").read_text("utf-8", "replace")[-3000:]
