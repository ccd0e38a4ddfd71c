"""Processes on a cluster and the tasks that they share: the largest first, two in flight each, none lost.

Knows Ray's handles and errors, and what answers mean; nothing of what is done. A process that dies costs the time of
the task in its hand: that and what waited behind it go to others, and another process is asked for in its place. A task
in whose hand the process died three times has failed.
"""

import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from ncaudit import stores
from ncaudit.counts import counted
from ncaudit.engines.jobs import Job, Task, Told
from ncaudit.engines.local import Outcome
from ncaudit.engines.on_ray.actor import STOP_S, Answer, Hand
from ncaudit.engines.on_ray.cluster import Cluster
from ncaudit.errors import Displaced, NcauditError
from ncaudit.interruption import heed
from ncaudit.progress import Progress
from ncaudit.shards.places import manifest, scratch

IN_FLIGHT = 2  # while one is done, the next is there already
KILLS = 3  # of the processes that had a task in hand, after which it has failed
LOST_BEFORE_WORK = 3  # processes that end while they set up, with none that works
HEAR_S = 1.0
PATIENCE_S = 10.0  # until it is told that the cluster has no room
CALLS = 8  # that a process answers at one time: two tasks, its set-up, how far it is, its end
RESUME = "rerun to resume: what is finished is kept"


@dataclass(frozen=True)
class Asked:
    """What each process takes of its machine. most: processes at one time."""

    most: int
    cpus: float
    gpus: float = 0.0


@dataclass
class _Process:
    """One of them. given: its tasks that are not done."""

    number: int
    handle: Any
    ready: bool = False
    given: dict[Any, Task] = field(default_factory=dict)
    told: tuple[int, int] = (0, 0)  # rows, and failed ones, of the task in hand


class Pool:
    """The processes of one command. Close it, and none is left."""

    def __init__(self, cluster: Cluster, asked: Asked, progress: Progress) -> None:
        self._ray, self._cluster, self._asked, self._progress = cluster.ray, cluster, asked, progress
        self._processes: list[_Process] = []
        self._calls: dict[Any, tuple[str, _Process]] = {}
        self._left: deque[Task] = deque()
        self._open: set[int] = set()  # the tasks without an outcome, by the objects that they are
        self._came: deque[tuple[Task, Outcome]] = deque()
        self._kills: Counter[int] = Counter()
        self._lost_before_work = 0
        self._number = self._jobs = 0
        self._waiting_since: float | None = None
        self._facts: Any = None
        self._asked_at = 0.0
        self._noted: set[str] = set()
        self._handed_out = False  # whether any task of the job is

    def close(self) -> None:
        """End all; one in the middle of a shard has some seconds to remove what it had half written."""
        processes, self._processes = self._processes, []
        busy = [one for one in processes if one.given]
        with suppress(self._ray.exceptions.RayError):
            if stops := [one.handle.stop.remote() for one in busy]:
                self._ray.wait(stops, num_returns=len(stops), timeout=STOP_S)
        for one in processes:
            with suppress(self._ray.exceptions.RayError):
                self._ray.kill(one.handle)

    def set_up_first(self, job: Job) -> Any:
        """Have one process set up, alone, and return what it found. Raises NcauditError when it cannot."""
        self._hire(self._ray.put(job))
        while not self._processes or not self._processes[0].ready:
            if not self._processes:
                self._hire(self._ray.put(job))
            self._step()
        return self._facts

    def run(self, tasks: Sequence[Task], job: Job, *, turn: bool = False) -> list[tuple[Task, Outcome]]:
        """Have all tasks done. turn: whether processes that are there already set up this job, too; else they have set
        up one that does the same. Raises NcauditError when it cannot be set up, or what ends all.
        """
        became = {id(task): outcome for task, outcome in self.each(tasks, job, turn=turn)}
        return [(task, became[id(task)]) for task in tasks]

    def each(self, tasks: Sequence[Task], job: Job, *, turn: bool = False) -> Told:
        """The same as it comes, in any order: no outcome is held."""
        self._open = {id(task) for task in tasks}
        self._handed_out = False
        self._kills.clear()
        self._left.extend(sorted(tasks, key=lambda task: -task.rows))
        settled = self._ray.put(job)
        self._jobs += 1
        for process in self._processes if turn else ():
            process.ready = False
            self._calls[process.handle.set_up.remote(settled, self._jobs)] = ("ready", process)
        while self._open:
            while len(self._processes) < min(self._asked.most, len(self._open)):
                self._hire(settled)
            self._feed()
            self._step()
            while self._came:
                yield self._came.popleft()

    def _hire(self, job: Any) -> None:
        kind = self._ray.remote(num_cpus=self._asked.cpus, num_gpus=self._asked.gpus, max_concurrency=CALLS)(Hand)
        threads = max(1, int(self._asked.cpus))
        process = _Process(self._number, kind.remote(os.getcwd(), threads, _told_of_stores()))
        self._number += 1
        self._processes.append(process)
        self._calls[process.handle.set_up.remote(job, self._jobs)] = ("ready", process)

    def _feed(self) -> None:
        """One task more to each in turn, so that the largest begin everywhere before anybody has a second one."""
        for most in range(1, IN_FLIGHT + 1):
            for process in self._processes:
                if self._left and process.ready and len(process.given) < most and self._may_have(process):
                    task = self._left.popleft()
                    call = process.handle.do.remote(task.item)
                    process.given[call] = task
                    self._calls[call] = ("task", process)
                    self._begin_to_count()

    def _begin_to_count(self) -> None:
        """Starting processes and loading what they need may take minutes: the pace is that of the tasks."""
        if not self._handed_out:
            self._handed_out = True
            self._progress.begins()

    def _may_have(self, process: _Process) -> bool:
        """A task that a process has died of is alone with its next one, so that it is clear who did it."""
        near = [self._left[0], *process.given.values()]
        return not process.given or not any(self._kills[id(task)] for task in near)

    def _step(self) -> None:
        """Wait a moment, and take in what has come."""
        heed()
        self._tell_of_waiting()
        done, _ = self._ray.wait([*self._calls], num_returns=1, timeout=HEAR_S)
        for call in done:
            kind, process = self._calls.pop(call)
            if process not in self._processes:
                continue
            try:
                self._take(kind, process, call, self._ray.get(call))
            except (self._ray.exceptions.RayActorError, self._ray.exceptions.RayTaskError) as error:
                self._lose(process, str(error).strip().splitlines()[0])
        self._ask_how_far()

    def _take(self, kind: str, process: _Process, call: Any, answer: Any) -> None:
        if kind == "hear":
            self._hear(process, *answer)
        elif kind == "ready":
            self._begin(process, answer)
        else:
            self._hear(process, *answer[1])
            self._finish(process, process.given[call], call, answer[0])

    def _begin(self, process: _Process, answer: Answer) -> None:
        match answer:
            case ["ready", facts]:
                behind = any(kind == "ready" and other is process for kind, other in self._calls.values())
                process.ready, self._facts = not behind, self._facts or facts  # behind: it turns to the next job
                self._lost_before_work = 0
            case _:
                self._raise_for_all(answer)
                raise NcauditError(f"a process on the cluster cannot begin: {answer[-1]}", fix=RESUME)

    def _finish(self, process: _Process, task: Task, call: Any, answer: Answer) -> None:
        if answer[0] == "bug":
            self._lose(process, str(answer[1]), task)
            return
        if answer[0] == "system" or (answer[0] == "refused" and isinstance(answer[1], Displaced)):
            self._raise_for_all(answer)
        del process.given[call]
        process.told = (0, 0)
        self._settle(task, answer[1])

    def _settle(self, task: Task, outcome: Outcome) -> None:
        self._open.remove(id(task))
        self._came.append((task, outcome))

    def _raise_for_all(self, answer: Answer) -> None:
        match answer:
            case ["refused", error]:
                raise error
            case ["system", number, what, path]:
                raise OSError(number, what, path)

    def _lose(self, process: _Process, reason: str, guilty: Task | None = None) -> None:
        """A process has gone, or is no good any more: what it had goes back to where it came from."""
        self._processes.remove(process)
        self._progress.advance(-process.told[0], -process.told[1])  # it is told again when it is done again
        with suppress(self._ray.exceptions.RayError):
            self._ray.kill(process.handle)
        given = [*process.given.values()]
        if not given:
            self._lost_before_work += not process.ready
            if self._lost_before_work >= LOST_BEFORE_WORK and not any(one.ready for one in self._processes):
                raise NcauditError(f"processes on the cluster end before they begin: {reason}", fix=RESUME)
        for task in reversed(given):
            self._left.appendleft(task)
        self._blame([guilty] if guilty else given, reason)

    def _blame(self, tasks: Sequence[Task], reason: str) -> None:
        """Which of two was in hand nobody can tell: from now on each is given alone, and the right one is found."""
        for task in tasks:
            self._kills[id(task)] += 1
            if self._kills[id(task)] >= KILLS:
                self._left.remove(task)
                what = f"{task.shard.name}: {KILLS} processes ended with it in hand ({reason})"
                fix = "look at that shard: it may need more memory than a process has; rerun to try it again"
                self._settle(task, NcauditError(what, fix=fix))
        if again := [task.shard.name for task in tasks if id(task) in self._open]:
            are = "it is" if len(again) == 1 else "they are"
            self._progress.note(f"a process has ended that had {' and '.join(again)}: {are} done again")

    def _ask_how_far(self) -> None:
        if (now := monotonic()) - self._asked_at < HEAR_S:
            return
        self._asked_at = now
        asked = {process.number for kind, process in self._calls.values() if kind == "hear"}
        for process in self._processes:
            if process.given and process.number not in asked:
                self._calls[process.handle.hear.remote()] = ("hear", process)

    def _hear(self, process: _Process, done: int, failed: int, notes: Sequence[str]) -> None:
        process.told = (process.told[0] + done, process.told[1] + failed)
        if done or failed:
            self._progress.advance(done, failed)
        for text in notes:
            if text not in self._noted:  # every process notices it
                self._noted.add(text)
                self._progress.note(text)

    def _tell_of_waiting(self) -> None:
        if any(process.ready for process in self._processes):
            self._waiting_since = None
            return
        now = monotonic()
        if self._waiting_since is None:
            self._waiting_since = now
        if now - self._waiting_since > PATIENCE_S and not self._fits():
            self._waiting_since = float("inf")  # once
            gpus = f" and {self._asked.gpus:g} GPUs" if self._asked.gpus else ""
            self._progress.note(
                f"each process asks for {self._asked.cpus:g} CPUs{gpus}, and no machine of"
                f" {counted(self._cluster.machines, 'machine')} has as much: waiting for one that does"
            )

    def _fits(self) -> bool:
        """Whether some machine could ever take a process."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        asked = {"CPU": self._asked.cpus, "GPU": self._asked.gpus}
        return any(all(node.get(kind, 0) >= amount for kind, amount in asked.items()) for node in nodes)


@contextmanager
def pool_of(cluster: Cluster, asked: Asked, progress: Progress) -> Iterator[Pool]:
    """A pool whose processes are ended behind the block."""
    pool = Pool(cluster, asked, progress)
    try:
        yield pool
    finally:
        pool.close()


def _told_of_stores() -> dict[str, str | None]:
    """How stores are reached, where scratch is, whose run it is: as processes that are started here would have it."""
    place = {scratch.PLACE: os.environ[scratch.PLACE]} if scratch.PLACE in os.environ else {}
    return {**stores.environment(), **place, manifest.RUN: manifest.run()}
