"""Measures the cells that the state file does not have yet, what tells most first.

Knows worlds, rows and the state file; nothing of tables.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from time import monotonic, process_time
from typing import Any

import numpy as np
import torch
from figures import ROOT, machine

from learnt import photos, rendered
from learnt.cells import PHASES, RENDERED, WORLDS, Draw, Form, draws, meant
from learnt.methods import METHODS, START
from learnt.runs import trained
from learnt.state import Line, State
from learnt.winner import winner
from ncaudit.errors import NcauditError

SHORTLY = {"R@1": "r1", "mean of six": "six"}


@dataclass(frozen=True)
class Job:
    """One draw of noise, and the rows to measure on it."""

    draw: Draw
    names: tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """What was asked for on the command line."""

    form: Form
    state: Path
    worlds: tuple[str, ...] = WORLDS
    phases: tuple[str, ...] = PHASES
    only: tuple[str, ...] = ()
    again: bool = False  # what failed, or was left out, is tried once more though the code is the same
    jobs: int = 1
    seconds: float | None = None
    work: str | None = None


def measure(asked: Asked) -> None:
    """All of it, phase by phase: which row is the best is known when the first phase is over."""
    until = None if asked.seconds is None else monotonic() + asked.seconds
    with tempfile.TemporaryDirectory(dir=asked.work) as folder:
        for phase in asked.phases:
            for world in asked.worlds:
                _all(list(_to_do(asked, world, phase)), asked, Path(folder) / world, until)


def _to_do(asked: Asked, world: str, phase: str) -> Iterator[Job]:
    if world != RENDERED and (why := photos.why_not()):
        print(f"{world}, {phase}: left out: {why}", flush=True)
        return
    state = State(asked.state, asked.form.sizes)
    code, lines = commit(), state.lines()
    best = winner(lines, world, asked.form)
    for draw, names in draws(asked.form, world, phase):
        left = [
            name for name in meant(names, best)
            if (not asked.only or name in asked.only) and not _is_done(lines.get((draw, name)), code, asked.again)
        ]  # fmt: skip
        if left:
            yield Job(draw, tuple(left))


def _is_done(line: Line | None, code: str, again: bool) -> bool:
    """What could not be measured is tried again by other code."""
    return line is not None and (not line.why or (line.code == code and not again))


def _all(jobs: list[Job], asked: Asked, folder: Path, until: float | None) -> None:
    if asked.jobs == 1:
        for job in jobs:
            _one(job, asked, folder, until)
        return
    with ProcessPoolExecutor(asked.jobs, mp_context=get_context("spawn"), initializer=one_thread) as pool:
        for each in [pool.submit(_one, job, asked, folder, until) for job in jobs]:
            each.result()


def one_thread() -> None:
    """Sums then come in the same order on any number of cores."""
    torch.set_num_threads(1)


def _one(job: Job, asked: Asked, folder: Path, until: float | None) -> None:
    """Every row of one draw; what the draw is made of is thrown away afterwards, the world's own files stay."""
    if until is not None and monotonic() > until:
        return
    state = State(asked.state, asked.form.sizes)
    folder = folder / str(os.getpid())
    world = (rendered if job.draw.world == RENDERED else photos).World(folder, asked.form.sizes)
    made: list[Any] = []  # the draw's tables, once the first row asks for them

    def noisy() -> Any:
        made[:] = made or [world.open(job.draw)]
        return made[0]

    for name in job.names:
        if until is None or monotonic() <= until:
            line = _line(job.draw, name, asked.form, noisy, folder)
            state.add(line)
            print(_told(line), flush=True)
    for each in made:
        shutil.rmtree(each.root, ignore_errors=True)


def _line(draw: Draw, name: str, form: Form, noisy: Callable[[], Any], folder: Path) -> Line:
    begun, spent = monotonic(), process_time()
    who = {"code": commit(), "machine": machine(), "sizes": form.sizes.of(draw.world)}
    try:
        found = _measured(draw, name, noisy(), folder)
    except NcauditError as error:
        found = {"why": f"failed: {str(error).splitlines()[0]}"}
    took = {"seconds": round(monotonic() - begun, 1), "cpu_s": round(process_time() - spent, 1)}
    return Line(draw, name, **took, **who, **found)


def _measured(draw: Draw, name: str, noisy: Any, folder: Path) -> dict[str, Any]:
    method, out = METHODS[name], folder / "out"
    if name == START:
        return {"last": noisy.start().packed(), "facts": noisy.facts}
    options = {**noisy.options(labels=method.labels, clean=method.clean), "seed": draw.seed, "threads": 1}
    options["epochs"] *= method.times
    if why := method.why_not({**options, "out": str(out)}):
        return {"why": why}
    run = trained(out, **{**options, **method.options})
    last = noisy.recalls(run.last).packed()
    chosen = noisy.recalls(run.chosen).packed() if run.chosen != run.last else {}
    facts = {**noisy.facts, "pairs_per_s": round(run.result.pairs_per_s, 1), **_choice(run.result)}
    return {"last": last, "chosen": chosen, "epoch": run.result.kept_epoch, "facts": facts}


def _choice(result: Any) -> dict[str, Any]:
    """What --objective auto took, and of what."""
    choice = getattr(result, "choice", None)
    return {} if choice is None else {"choice": asdict(choice)}


def _told(line: Line) -> str:
    if line.why:
        return f"{line.draw.told()}: {line.method}: {line.why}"
    told = [f"{what} {np.nanmean(getattr(line.recalls('last'), name)):.2f}" for what, name in SHORTLY.items()]
    chosen = f", epoch {line.epoch} {np.nanmean(line.recalls('chosen').r1):.2f}" if line.chosen else ""
    return f"{line.draw.told()}: {line.method}: {', '.join(told)}{chosen}; {line.seconds:.0f} s, CPU {line.cpu_s:.0f} s"


def commit() -> str:
    """Of this checkout; "" where it is none."""
    with suppress(OSError, subprocess.CalledProcessError):
        words = ["git", "rev-parse", "--short=8", "HEAD:ncaudit"]
        return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    return ""
