"""What the scripts share: the machine told, runs timed in turn, and figures beside the limit or peer of the same run.

A figure by itself says what a machine was doing that day. Beside its limit, measured in the same minutes, it says how
good the code is: that share is what README and docs/ quote.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Spent:
    """Seconds that something took: on the wall, and of all cores that worked for it."""

    wall: float
    cpu: float
    peak_gib: float | None = None  # of memory, where that is known


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A measured number with what it is held against. Of `s` (seconds) less is better, of any other unit more is."""

    what: str
    value: float
    unit: str
    beside: str = ""  # what the limit is
    limit: float | None = None
    target: float | None = None  # of the share

    @property
    def share(self) -> float | None:
        """Of the limit: 1 is as fast."""
        if not self.limit or not self.value:
            return None
        return self.limit / self.value if self.unit == "s" else self.value / self.limit

    def as_dict(self) -> dict[str, Any]:
        """All of it."""
        return {**asdict(self), "share": self.share}


def machine() -> dict[str, Any]:
    """What the figures are measured on, and how busy it is now."""
    names = [line for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    cpu = names[0].split(":", 1)[1].strip() if names else platform.processor() or platform.machine()
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    told = {"cpu": cpu, "cores": usable, "python": platform.python_version(), "torch": version("torch")}
    threads = os.environ.get("OMP_NUM_THREADS")
    return {**told, **({"threads": int(threads)} if threads else {}), "load": round(os.getloadavg()[0], 1)}


def timed(run: Callable[[], object]) -> Spent:
    """What a call takes in this process, its children included."""
    begun, before = time.perf_counter(), _cpu()
    run()
    return Spent(time.perf_counter() - begun, _cpu() - before)


def in_process(words: Sequence[str], *, code: Path = ROOT) -> Spent:
    """What a fresh `python WORDS` takes that finds the package in `code`, its start included. It must succeed."""
    with tempfile.TemporaryFile() as said:
        begun = time.perf_counter()
        child = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, stderr=said, **_where(code))
        _, status, used = os.wait4(child.pid, 0)  # its own peak, not that of all children so far
        wall, child.returncode = time.perf_counter() - begun, os.waitstatus_to_exitcode(status)
        if status:
            said.seek(0)
            raise _failed(words, said.read().decode(errors="replace"))
    return Spent(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20)


def output_of(words: Sequence[str], *, code: Path = ROOT) -> str:
    """What such a process writes to standard output."""
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, **_where(code))
    if done.returncode:
        raise _failed(words, done.stderr)
    return done.stdout


def _where(code: Path) -> dict[str, Any]:
    there = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {"env": {**there, "PYTHONPATH": str(code)}, "cwd": code}


def _failed(words: Sequence[str], said: str) -> SystemExit:
    return SystemExit(f"python {' '.join(words)} failed:\n{said[-4000:]}")


def in_turn(runs: Mapping[str, Callable[[], Spent]], repeats: int) -> dict[str, Spent]:
    """Medians of runs that take turns, so that a busy machine slows all alike."""
    found: dict[str, list[Spent]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            found[name].append(run())
    return {name: median(spent) for name, spent in found.items()}


def median(spent: Sequence[Spent]) -> Spent:
    """Of each kind of seconds by itself."""
    return Spent(statistics.median(one.wall for one in spent), statistics.median(one.cpu for one in spent))


def told(figures: Iterable[Figure]) -> list[str]:
    """A line for each figure."""
    titles = ("figure", "measured", "limit or peer", "share", "asked", "beside")
    rows = [titles, *(_cells(figure) for figure in figures)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(titles))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def show(figures: Sequence[Figure], *, as_json: bool, **more: Any) -> None:
    """The machine and all figures, as lines or as one JSON object."""
    if as_json:
        print(json.dumps({"machine": machine(), "figures": [one.as_dict() for one in figures], **more}, indent=1))
    else:
        print("\n".join([", ".join(f"{name} {value}" for name, value in machine().items()), *told(figures)]))


def _cells(figure: Figure) -> tuple[str, ...]:
    share = "" if figure.share is None else f"{figure.share:.2f}"
    limit, target = ("" if number is None else short(number) for number in (figure.limit, figure.target))
    return figure.what, f"{short(figure.value)} {figure.unit}", limit, share, target, figure.beside


def short(number: float) -> str:
    """Three digits, or all before the point."""
    return f"{number:,.3g}" if abs(number) < 1_000 else f"{number:,.0f}"


def _cpu() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if os.path.exists(path) else []
