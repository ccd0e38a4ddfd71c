"""Runs a command on one damaged file, in a child of its own, and says what was wrong with how it ended.

Knows processes, limits and what the command promises of every ending; nothing of formats. Children are forked from a
process that has imported everything and computed nothing: importing torch ten thousand times would take hours, and a
thread pool that has worked once does not survive a fork.
"""

import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROMISED = {0, 1, 2, 3}  # exit codes; Ctrl-C and closed pipes do not happen here
WALL_S = 60.0
MEMORY_MIB = 2048  # with what it shares with all others
SHARED_MIB = 600  # of that: a process that has run thousands of tests holds more
ADDRESS_SPACE = 8 << 30  # beyond what the imports map: the machine is safe whatever a child asks for

Command = Callable[[tuple[str, ...]], int]  # takes the words after `ncaudit`, gives the exit code


@dataclass(frozen=True)
class Input:
    """One damaged file and the command that meets it: told by `name`, made by `prepare` in an empty folder."""

    name: str
    words: tuple[str, ...]
    prepare: Callable[[Path], None]


@dataclass(frozen=True)
class Ending:
    """How it went. fault: what was promised otherwise, or None."""

    name: str
    code: int
    seconds: float
    memory_mib: int
    fault: str | None
    told: str


@dataclass
class _Child:
    input: Input
    folder: Path
    began: float
    shared_mib: int
    overdue: bool = False


def run(inputs: Iterable[Input], command: Command, *, scratch: Path, at_once: int = 2) -> Iterator[Ending]:
    """Every input once, in the order in which they end. command: see `Command`."""
    waiting, running, number = iter(inputs), dict[int, _Child](), 0
    while True:
        while len(running) < at_once and (one := next(waiting, None)):
            number += 1
            folder = scratch / str(number)
            began, shared = time.monotonic(), _resident_mib()
            running[start(one, folder, command)] = _Child(one, folder, began, shared)
        if not running:
            return
        yield from _ended(running)


def start(one: Input, folder: Path, command: Command) -> int:
    (folder / "at").mkdir(parents=True, exist_ok=True)
    one.prepare(folder / "at")
    sys.stdout.flush()
    sys.stderr.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # in the child it waits for whoever can answer it
    child = os.fork()
    if child == 0:
        code = 120
        try:
            code = _inside(one, folder, command)
        finally:  # never on as a second parent
            os._exit(code)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    return child


def _resident_mib() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


def _inside(one: Input, folder: Path, command: Command) -> int:
    """In the child: 120 says that a traceback was written."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what is started in the background is deaf to it
    for stream, name in ((0, os.devnull), (1, folder / "stdout"), (2, folder / "stderr")):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC), stream)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (mapped + ADDRESS_SPACE,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    os.chdir(folder / "at")
    try:
        code = command(one.words)
    except BaseException:  # whatever it is: nothing but a known ending may leave the command
        traceback.print_exc()
        code = 120
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    return code


def _ended(running: dict[int, _Child]) -> Iterator[Ending]:
    process, status, usage = os.wait4(-1, os.WNOHANG)
    if process == 0:
        for pid, child in running.items():
            if time.monotonic() - child.began > WALL_S and not child.overdue:
                child.overdue = True
                os.killpg(pid, signal.SIGKILL)
        time.sleep(0.005)
        return
    child = running.pop(process, None)
    if child is None:
        return
    with suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)  # workers that it left
    took = int(usage.ru_maxrss) // 1024 - max(0, child.shared_mib - SHARED_MIB)
    yield _judged(child, os.waitstatus_to_exitcode(status), took)
    shutil.rmtree(child.folder)


def _judged(child: _Child, code: int, memory_mib: int) -> Ending:
    told = (child.folder / "stderr").read_text("utf-8", "replace") if (child.folder / "stderr").exists() else ""
    summary = (child.folder / "stdout").read_text("utf-8", "replace") if (child.folder / "stdout").exists() else ""
    fault = _fault(code, told, summary, child, memory_mib)
    return Ending(child.input.name, code, time.monotonic() - child.began, memory_mib, fault, told[-3000:])


def _fault(code: int, told: str, summary: str, child: _Child, memory_mib: int) -> str | None:
    """The first promise that was not kept."""
    if child.overdue:
        return f"no end within {WALL_S:.0f} s"
    return fault_in(code, told, summary) or (f"took {memory_mib} MiB" if memory_mib > MEMORY_MIB else None)


def fault_in(code: int, told: str, summary: str) -> str | None:
    """What is wrong with an ending. told: standard error. summary: what `--json` printed, or nothing."""
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    if "Traceback (most recent call last)" in told:
        return "traceback: " + told.strip().splitlines()[-1][:160]
    if code not in PROMISED:
        return f"exit code {code}"
    if code == 1 and not _two_lines(told):
        return "exit code 1 without two lines: " + told.strip()[-160:]
    return _wrong_accounts(summary) if code in (0, 3) else None


def _two_lines(told: str) -> bool:
    lines = [line for line in told.splitlines() if line.startswith(("ncaudit: ", "  fix: "))]
    return len(lines) >= 2 and "\x1b" not in told


def _wrong_accounts(summary: str) -> str | None:
    """Rows in = rows ok + rows failed, wherever `--json` tells of rows."""
    try:
        accounts = json.loads(summary).get("accounting") if summary.strip() else None
    except ValueError:
        return "standard output is not one JSON object: " + summary[:160]
    if accounts and accounts["rows"] != accounts["ok"] + accounts["failed"]:
        return f"accounts do not add up: {accounts}"
    if accounts and accounts["rows"] != sum(accounts["statuses"].values()):
        return f"statuses do not add up: {accounts}"
    return None
