"""What a file is called until it is whole, and which of such files nobody will finish any more.

Knows names of files and whether processes live; nothing of what is in a file.

The name tells who writes: `.NAME.HOST.PID-START.RANDOM.partial`. It begins with a dot and ends like no format, so that
whoever lists a folder passes it over. Nothing is locked: a folder on a network disk has no locks to rely on.
"""

import hashlib
import os
import re
import secrets
import socket
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import IO

SUFFIX = ".partial"
LONGEST = 140  # bytes of a name that are told: with who writes it, it stays well below the 255 that systems take
TOLD_CHARACTERS = 20  # of a longer name; a hash tells it apart from others that begin alike
ABANDONED_S = 86_400  # of another machine nobody here can tell whether it lives: after a day without a byte it does not
TRIES = 3
NAMED = re.compile(r"^\..+\.(?P<host>[A-Za-z0-9-]+)\.(?P<pid>\d+)-(?P<start>\d+)\.[0-9a-f]{8}\.partial$", re.DOTALL)


@dataclass(frozen=True)
class Partial:
    """A file that is not whole. pid: the process of this machine that writes it; None: of another machine."""

    path: str
    pid: int | None
    start: int


def partial_name(name: str) -> str:
    """A name of its own for every writer of a file that will be called `name`."""
    writer = f"{_host()}.{os.getpid()}-{_started(os.getpid())}.{secrets.token_hex(4)}"
    return f".{shortened(name)}.{writer}{SUFFIX}"


def created(path: str) -> IO[bytes]:
    """A new file, opened for writing, in a folder that is made if need be."""
    for _ in range(TRIES):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            return open(path, "xb")
        except FileNotFoundError:  # a run beside this one has removed the folder, which it had made to try it
            continue
    return open(path, "xb")


def shortened(name: str) -> str:
    """A name that leaves room for what is put before and behind it.

    >>> shortened("00000.parquet"), len(shortened("a" * 250))
    ('00000.parquet', 37)
    """
    raw = os.fsencode(name)
    if len(raw) <= LONGEST:
        return name
    return f"{name[:TOLD_CHARACTERS]}-{hashlib.sha256(raw).hexdigest()[:16]}"


def partials_among(folder: str, names: Iterable[str]) -> list[Partial]:
    """Those of a folder's names that are not whole files."""
    found = ((name, NAMED.match(name)) for name in names if name.endswith(SUFFIX))
    return [_told(os.path.join(folder, name), match) for name, match in found if match]


def is_alive(partial: Partial) -> bool:
    """Whether a process of this machine is writing it, as far as can be told."""
    return partial.pid is not None and _runs(partial.pid, partial.start)


def sweep(partials: Iterable[Partial]) -> None:
    """Remove what nobody will finish: of processes of this machine that are gone, of others when it has lain a day."""
    for partial in partials:
        try:
            if _is_abandoned(partial):
                os.remove(partial.path)
        except OSError:  # another run was quicker, or it is not ours to remove: it harms nobody
            continue


def _told(path: str, match: re.Match[str]) -> Partial:
    here = match["host"] == _host()
    return Partial(path, int(match["pid"]) if here else None, int(match["start"]))


def _is_abandoned(partial: Partial) -> bool:
    if partial.pid is not None:
        return not _runs(partial.pid, partial.start)
    return time.time() - os.stat(partial.path).st_mtime > ABANDONED_S


@cache
def _host() -> str:
    """This machine; in a container, which has process numbers of its own, this container."""
    name = socket.gethostname()
    try:
        numbers = os.readlink("/proc/self/ns/pid")
    except OSError:
        numbers = ""
    plain = re.sub("[^A-Za-z0-9-]", "-", name)[:24]
    return f"{plain}-{hashlib.sha256(f'{name}/{numbers}'.encode()).hexdigest()[:6]}"


def _runs(pid: int, start: int) -> bool:
    if sys.platform == "win32":
        return True  # asking there would end it; what lies there stays until somebody deletes it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    now = _started(pid)
    return not (start and now) or start == now  # the number of a process that is gone goes to another one


def _started(pid: int) -> int:
    """When a process began, in the system's own ticks; 0 where it does not say, or the process has ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            state, *rest = file.read().rpartition(")")[2].split()
        return 1 if state == "Z" else int(rest[18])
    except (OSError, ValueError, IndexError):
        return 0
