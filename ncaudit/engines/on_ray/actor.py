"""The life of one process on a cluster: set up once, then shard after shard; it tells how far it is when asked.

Knows threads and answers; nothing of Ray, of what is done, or of who asks. The work has a thread of its own, as what is
set up (which place is written to, how many threads compute) belongs to the thread that set it up.
"""

import os
import queue
import threading
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any

from ncaudit import stores
from ncaudit.engines.jobs import Job
from ncaudit.engines.local import in_a_line, the_systems
from ncaudit.engines.pace import computing
from ncaudit.errors import NcauditError
from ncaudit.progress import Silent

STOP_S = 5.0  # to remove a half-written file
Heard = tuple[int, int, list[str]]
Orders = queue.SimpleQueue["tuple[Any, Future[Answer]] | None"]
Answer = tuple[Any, ...]  # what it is first: ready, rows, refused, system, bug; then what belongs to that


class Hand(Silent):
    """One process. As a Progress it is told how far the work has come, and keeps it until somebody asks."""

    def __init__(self, folder: str, threads: int, environment: Mapping[str, str | None]) -> None:
        """folder: which the paths of the work start from. threads: that compute at one time. environment: what the
        driver has been told of stores, which stands in no order and in no log.
        """
        stores.take_environment(environment)
        with suppress(OSError):  # not there on this machine: paths that are whole do without
            os.chdir(folder)
        os.environ["OMP_NUM_THREADS"] = str(threads)  # before torch is loaded
        self._threads = threads
        self._orders: Orders = queue.SimpleQueue()
        self._turning, self._latest = threading.Lock(), -1
        self._told: deque[tuple[int, int]] = deque()
        self._notes: deque[str] = deque()
        self._stopped = False
        self._thread: threading.Thread | None = None

    def set_up(self, job: Job, number: int = 0) -> Answer:
        """Begin, and tell what was set up, or why it cannot be. What was set up before is ended first.

        number: of the job. Two may be ordered at one time, while the first still begins: the later one is done.
        """
        ready: Future[Answer] = Future()
        with self._turning:
            if number < self._latest:
                return "ready", None
            self._latest = number
            if self._thread is not None:
                self._orders.put(None)
                self._thread.join()
            self._orders = queue.SimpleQueue()
            self._thread = threading.Thread(target=self._live, args=(job, self._orders, ready), daemon=True)
            self._thread.start()
        return ready.result()

    def do(self, item: Any) -> tuple[Answer, Heard]:
        """One shard, after those that were ordered before it; and how far it has come since it was asked last."""
        future: Future[Answer] = Future()
        self._orders.put((item, future))
        return future.result(), self.hear()

    def hear(self) -> Heard:
        """Rows done and failed, and notes, since it was asked last."""
        told = [self._told.popleft() for _ in range(len(self._told))]
        notes = [self._notes.popleft() for _ in range(len(self._notes))]
        return sum(done for done, _ in told), sum(failed for _, failed in told), notes

    def stop(self) -> None:
        """End in the middle of a shard, without anything half-written."""
        self._stopped = True
        self._orders.put(None)
        if self._thread is not None:
            self._thread.join(STOP_S)

    def advance(self, done: int, failed: int = 0) -> None:
        if self._stopped:
            raise KeyboardInterrupt
        self._told.append((done, failed))

    def note(self, text: str) -> None:
        self._notes.append(text)

    def _live(self, job: Job, orders: "Orders", ready: "Future[Answer]") -> None:
        try:
            with job(self) as (facts, does), computing(self._threads, exact=True):
                ready.set_result(("ready", facts))
                while (order := orders.get()) is not None:
                    order[1].set_result(_answer(partial(does, order[0])))
        except BaseException as error:
            if not ready.done():
                ready.set_result(_answer(partial(_raise, error)))


def _answer(work: Any) -> Answer:
    try:
        return "rows", work()
    except NcauditError as error:
        return "refused", error
    except KeyboardInterrupt:
        return "refused", NcauditError("it was stopped", fix="rerun to resume: what is finished is kept")
    except Exception as error:  # a bug, or a device that is lost: the driver ends this process, the others go on
        told = the_systems(error)
        return ("bug", in_a_line(error)) if told is None else ("system", *told)


def _raise(error: BaseException) -> Any:
    raise error
