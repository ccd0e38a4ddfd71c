"""Several worker processes over shards: each takes the next one when it has done its last.

Knows processes, orders and answers (`worker_process.py`); nothing of what is done with a shard. The processes are fresh
interpreters that talk through pipes: forking beside threads may deadlock, and `multiprocessing` runs the user's script
again wherever it lacks a main guard. A process that ends by itself costs the one shard it had.
"""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import IO, Any

from ncaudit import errors
from ncaudit.budget import waiting
from ncaudit.engines.local import Outcome, ShardRows
from ncaudit.engines.worker_process import Facts
from ncaudit.errors import Displaced, NcauditError
from ncaudit.progress import Progress
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.places import manifest

STOP_S = 5.0  # to remove a half-written file; then it is killed
KILLED = -9
LAST_WORDS_BYTES = 4096
RESUME = "rerun to resume: what is finished is kept"

# The module search path of this process, for one that was started in a place of its own.
_PROGRAM = "import sys; sys.path[:] = {path!r}; from {module} import main; main()"


class Workers:
    """One process per name, started at once. Close it, and none is left.

    module: its `main` calls `worker_process.serve`. names: what users know the workers by, such as their devices.
    """

    def __init__(self, module: str, names: Sequence[str]) -> None:
        self._inbox: queue.SimpleQueue[tuple[_Worker, Any]] = queue.SimpleQueue()
        self._alive: list[_Worker] = []
        self._left: deque[Shard] = deque()
        self._outcomes: dict[Shard, Outcome] = {}
        self._endings: list[str] = []
        try:
            for number, name in enumerate(names):
                self._alive.append(_Worker(module, number, name, self._inbox))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End all at once; one in the middle of a shard has STOP_S to remove what it had half written."""
        workers, self._alive = self._alive, []
        deadline = monotonic() + STOP_S
        try:
            for worker in workers:
                worker.dismiss()
            for worker in workers:
                worker.wait(deadline - monotonic())
        finally:
            for worker in workers:
                worker.end()

    def set_up_first(self, orders: Facts, progress: Progress) -> Facts:
        """Have the first worker set up, alone, and return what it found. Raises NcauditError when it cannot."""
        first = self._alive[0]
        first.order(orders)
        while first in self._alive:
            worker, message = self._inbox.get()
            if worker is first and message and message[0] == "ready":
                facts: Facts = message[1]
                return facts
            self._hear(worker, message, progress)
        raise NcauditError(self._endings[-1], fix=RESUME)

    def run(
        self, shards: Sequence[Shard], orders: Callable[[int], Facts], progress: Progress
    ) -> list[tuple[Shard, Outcome]]:
        """Have all shards done, begun in their order; the first worker has been set up already.

        orders: what worker 1, 2, … is to set up. Raises NcauditError when one cannot, or when all are lost too early.
        """
        self._left.extend(shards)
        for worker in self._alive[: len(shards)]:
            if worker.number:
                worker.order(orders(worker.number))
            else:
                self._feed(worker)
        while len(self._outcomes) < len(shards):
            if not self._alive:
                raise NcauditError(f"all workers are lost: {'; '.join(self._endings)}", fix=RESUME)
            self._hear(*self._inbox.get(), progress)
        return [(shard, self._outcomes[shard]) for shard in shards]

    def _hear(self, worker: "_Worker", message: Any, progress: Progress) -> None:
        match message:
            case ["advance", done, failed]:
                progress.advance(done, failed)
            case ["note", text]:
                progress.note(text)
            case ["ready", _]:
                self._feed(worker)
            case ["rows", statuses]:
                self._finish(worker, ShardRows(statuses))
            case ["refused", kind, what, fix]:
                self._refused(worker, getattr(errors, kind, NcauditError)(what, fix=fix))
            case ["system", number, what, path]:
                raise OSError(number, what, path)
            case ["lost", reason]:
                worker.last_words = reason
            case None:
                self._lose(worker, progress)

    def _feed(self, worker: "_Worker") -> None:
        if self._left:
            worker.shard = self._left.popleft()
            told = worker.shard
            worker.order({"path": told.path, "name": told.name, "max_row_bytes": told.max_row_bytes})

    def _finish(self, worker: "_Worker", outcome: Outcome) -> None:
        assert worker.shard is not None
        self._outcomes[worker.shard] = outcome
        worker.shard = None
        self._feed(worker)

    def _refused(self, worker: "_Worker", error: NcauditError) -> None:
        if worker.shard is None or isinstance(error, Displaced):
            raise error  # to set up: that is a wrong command, not a bad shard
        self._finish(worker, error)

    def _lose(self, worker: "_Worker", progress: Progress) -> None:
        self._alive.remove(worker)
        worker.wait(STOP_S)  # its own end is on its way
        ending = worker.end()
        if worker.shard is None:
            progress.note(ending)
        else:
            ending = f"{worker.shard.name}: {ending}"
            self._outcomes[worker.shard] = NcauditError(ending, fix=RESUME)
        self._endings.append(ending)


class _Worker:
    """One process, ordered and answering through its standard streams, and the shard that it has.

    It ends when its input does, however this process ends. In a session of its own, Ctrl-C does not reach it.
    """

    def __init__(self, module: str, number: int, name: str, inbox: "queue.SimpleQueue[tuple[_Worker, Any]]") -> None:
        self.number, self.name = number, name
        self.shard: Shard | None = None
        self.last_words = ""
        self._errors = tempfile.TemporaryFile()  # not the user's terminal: only the parent speaks
        self._process = _start(module, self._errors)
        self._reader = threading.Thread(target=self._read, args=(inbox,), daemon=True)
        self._reader.start()

    def order(self, order: Facts) -> None:
        """Send one line. A process that has ended is noticed by the end of its answers."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()

    def dismiss(self) -> None:
        """Let it end: at once when it has no shard, else as soon as it has cleared its table."""
        if self.shard is None:
            self._process.kill()
        self._close_input()

    def wait(self, seconds: float) -> None:
        """Until it ends, but no longer than that."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, seconds))

    def end(self) -> str:
        """Make sure that it has ended, and say how."""
        self._process.kill()
        code = self._process.wait()
        self._close_input()
        self._reader.join()
        with self._errors:
            words = self.last_words or _last_line(self._errors)
        return f"the worker on {self.name} ended with {_how(code, words)}"

    def _read(self, inbox: "queue.SimpleQueue[tuple[_Worker, Any]]") -> None:
        assert self._process.stdout is not None
        with self._process.stdout as answers:
            for line in answers:
                if line.endswith(b"\n"):  # else it was killed over it
                    inbox.put((self, json.loads(line)))
        inbox.put((self, None))

    def _close_input(self) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()


def _start(module: str, errors: IO[bytes]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", _PROGRAM.format(path=sys.path, module=module)]
    pipe, told = subprocess.PIPE, {**os.environ, **waiting(), manifest.RUN: manifest.run()}
    try:
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=errors, start_new_session=True, env=told)
    except OSError as error:
        errors.close()
        what = f"worker processes cannot be started: {error.strerror}"
        raise NcauditError(what, fix="give one device: then this process does the work") from error


def _how(code: int, words: str) -> str:
    if code == KILLED:
        return f"signal {-code} (the system sends it when memory runs out)"
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return f"{how} ({words})" if words else how


def _last_line(file: IO[bytes]) -> str:
    file.seek(max(0, file.seek(0, os.SEEK_END) - LAST_WORDS_BYTES))
    lines = file.read().decode("utf-8", "replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
