"""How many threads a command may use, and how those that wait for one another wait.

Knows what the operating system and the environment allow this process; nothing of what is computed, and loads no torch.
Decoding processes, torch, BLAS, faiss and arrow share the one number that `threads` gives.
"""

import math
import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path

BOUND = "OMP_NUM_THREADS"  # by which users, job systems and test runners keep a process small
# Threads of one sum that wait for the next one: some microseconds awake, then asleep. Left to itself the GNU run time
# has them burn their cores for milliseconds, those of others included: beside four busy loops on two cores a fit took 7
# times its quiet time, with 3,000 spins 4 times, and lost nothing when quiet; 100 spins cost 3 % then. The run times of
# LLVM and Intel count milliseconds.
SPINS = {"GOMP_SPINCOUNT": "3000", "KMP_BLOCKTIME": "1"}
POLICY = "OMP_WAIT_POLICY"  # how all of them are told to wait: whoever says that has decided
CGROUPS, OWN_CGROUP = "/sys/fs/cgroup", "/proc/self/cgroup"


def threads(asked: int | None = None, environment: Mapping[str, str] = os.environ) -> int:
    """How many to use: what was asked for, else one per core that this process may use.

    asked: --threads, which wins over all else. OMP_NUM_THREADS, where it is set, is an upper bound.

    >>> threads(3, {"OMP_NUM_THREADS": "1"}), threads(None, {"OMP_NUM_THREADS": "1"})
    (3, 1)
    """
    if asked is not None:
        return asked
    bound = _whole(environment.get(BOUND, "").partition(",")[0])
    return min(cores(), bound) if bound else cores()


def share(asked: int | None, processes: int) -> int:
    """The part of one of several processes, at least 1."""
    return max(1, threads(asked) // processes)


def cores() -> int:
    """The cores that this process may use: its affinity, and the quota of its cgroup, rounded up; at least 1."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    allowed = quota()
    return there if allowed is None else max(1, min(there, math.ceil(allowed)))


def quota(root: str = CGROUPS, own: str = OWN_CGROUP) -> float | None:
    """Cores' worth of time that the cgroups of this process allow it, the least of all above it; None without a limit.

    root: where cgroups lie. own: the file that says which are this process's; a container may see only the root.
    """
    found = [
        _of_group(Path(root), *line.split(":", 2)) for line in _text(Path(own)).splitlines() if line.count(":") > 1
    ]
    return min((one for one in found if one is not None), default=None)


def waiting(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What to add to the environment before torch is loaded, so that threads that wait do not burn a core for long.

    Each run time of OpenMP reads its own word, and no other. What the user has said stands.

    >>> waiting({"GOMP_SPINCOUNT": "0"}), waiting({"OMP_WAIT_POLICY": "active"})
    ({'KMP_BLOCKTIME': '1'}, {})
    """
    return {} if POLICY in environment else {name: value for name, value in SPINS.items() if name not in environment}


def settle_waiting(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set it: for the command, whose process is its own, and for processes that it starts; never for a notebook."""
    environment.update(waiting(environment))


def _of_group(root: Path, number: str, controllers: str, path: str) -> float | None:
    """The least that a group and those above it allow."""
    if controllers and "cpu" not in controllers.split(","):
        return None
    tops = [root / controllers, root / "cpu"] if controllers else [root]
    below = [part for part in path.split("/") if part not in ("", "..")]
    groups = [top.joinpath(*below[:depth]) for top in tops for depth in range(len(below) + 1)]
    found = [_second_version(group) if not controllers else _first_version(group) for group in groups]
    return min((one for one in found if one is not None), default=None)


def _second_version(group: Path) -> float | None:
    allowed, _, period = _text(group / "cpu.max").strip().partition(" ")
    return _ratio(allowed, period or "100000")


def _first_version(group: Path) -> float | None:
    return _ratio(_text(group / "cpu.cfs_quota_us").strip(), _text(group / "cpu.cfs_period_us").strip())


def _ratio(allowed: str, period: str) -> float | None:
    """Of two whole numbers above 0; None for "max", -1 and whatever else means no limit."""
    over = _whole(period)
    under = _whole(allowed)
    return under / over if under and over else None


def _whole(text: str) -> int | None:
    """A whole number above 0; None for anything else."""
    return int(text) if text.strip().isdecimal() and int(text) > 0 else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
