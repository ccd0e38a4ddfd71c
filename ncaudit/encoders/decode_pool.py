"""Decodes images in worker processes, ahead of the model, and survives images that kill or detain their decoder.

Knows processes and `images.decode`; nothing of models or tables. The workers import PIL and numpy, never torch.
They are fresh interpreters that talk through pipes, not `multiprocessing` children: forking beside threads may
deadlock, and spawning runs the user's script again wherever it lacks a main guard.
"""

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import IO, Any

from ncaudit.budget import cores
from ncaudit.encoders.images import UNFINISHED, Decoded, ImageError, Preprocess, decode
from ncaudit.errors import NcauditError

CHUNK_IMAGES = 16  # per task: enough that sending it costs little beside decoding it
MAX_WORKERS = 16
ENDED_S = 5.0  # a process that closed its end of the pipe has ended, or will at once
SECONDS_PER_IMAGE = 60.0  # of computing, not by the clock on the wall: a busy or sleeping machine fails no image

Outcome = Decoded | ImageError


def default_workers(processes: int = 1, threads: int | None = None) -> int:
    """One per core that this process may use, at most 16; for each of several processes, its share of the cores.

    threads: --threads, that many instead. OMP_NUM_THREADS is no bound: decoders are no threads of OpenMP, and launchers
    set it to 1.
    """
    return min(MAX_WORKERS, max(1, (threads or cores()) // processes))


@dataclass(frozen=True)
class Task:
    """Some images and how to decode them: what travels to a worker."""

    images: tuple[bytes, ...]
    preprocess: Preprocess
    max_pixels: int

    def run(self, limited: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext) -> list[Outcome]:
        """Decode all of them; an image that cannot be decoded does not stop the others. limited: around each."""
        return [self._outcome(image, limited) for image in self.images]

    def _outcome(self, image: bytes, limited: Callable[[], AbstractContextManager[None]]) -> Outcome:
        try:
            with limited():
                return decode(image, self.preprocess, self.max_pixels)
        except ImageError as error:
            return error.with_traceback(None)


class DecodePool:
    """Worker processes that decode. They start at once, so that they are ready when the model has been loaded.

    workers: None for one per core; 0 decodes in this process: with the same outcomes, but for images that crash their
    decoder, or outlast all bounds on their work: only a process of their own can be stopped.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = default_workers() if workers is None else workers
        self._closed = False
        if not self.workers:
            warnings.filterwarnings("ignore", module=r"PIL\.")  # what matters becomes the row's status, as in workers
        self._all: set[_Worker] = set()
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        for _ in range(self.workers):
            self._idle.put(self._start())
        self._threads = ThreadPoolExecutor(max(1, self.workers), "ncaudit-decode")  # one waits for each process

    def __enter__(self) -> "DecodePool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop at once: what is still being decoded is not wanted any more."""
        self._closed = True
        for worker in list(self._all):
            worker.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)
        while not self._idle.empty():
            self._idle.get().stop()

    def submit(self, images: Sequence[bytes], preprocess: Preprocess, max_pixels: int) -> "Pending":
        """Begin to decode; the pool works while the caller does something else."""
        parts = (tuple(images[i : i + CHUNK_IMAGES]) for i in range(0, len(images), CHUNK_IMAGES))
        return Pending([self._threads.submit(self._run, Task(part, preprocess, max_pixels)) for part in parts])

    def _run(self, task: Task) -> list[Outcome]:
        if not self.workers:
            return task.run()
        worker = self._idle.get()
        try:
            return worker.run(task)
        except EOFError:
            died = worker.stop()
            worker = self._replace(worker)
            if len(task.images) == 1:
                return [_death(died)]
        finally:
            self._idle.put(worker)
        # one at a time, so that a crash convicts one image and no neighbour
        return [outcome for image in task.images for outcome in self._run(replace(task, images=(image,)))]

    def _replace(self, worker: "_Worker") -> "_Worker":
        if self._closed:
            raise CancelledError
        self._all.discard(worker)
        return self._start()

    def _start(self) -> "_Worker":
        worker = _Worker()
        self._all.add(worker)
        return worker


class Pending:
    """Images on their way."""

    def __init__(self, futures: "list[Future[list[Outcome]]]") -> None:
        self._futures = futures

    def results(self) -> Iterator[Outcome]:
        """One outcome per image, in order, once; waits for them, and lets go of what was given."""
        futures, self._futures = self._futures[::-1], []
        while futures:
            yield from futures.pop().result()


# The module search path of this process, for one that was started in a place of its own.
_PROGRAM = "import sys; sys.path[:] = {path!r}; from ncaudit.encoders.decode_pool import serve; serve()"


class _Worker:
    """One decoding process, asked and answering through its standard streams.

    It ends when its input does, however this process ends. In a session of its own, Ctrl-C does not reach it.
    """

    def __init__(self) -> None:
        self._ready = False
        command = [sys.executable, "-c", _PROGRAM.format(path=sys.path)]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # libtiff and friends talk there
                start_new_session=True,
            )
        except OSError as error:
            raise _no_workers() from error

    def run(self, task: Task) -> list[Outcome]:
        """Decode in the process. Raises EOFError when it died over the task, NcauditError when it never lived."""
        if not self._ready:
            self._greet()
        try:
            _send(self._process.stdin, task)
            outcomes: list[Outcome] = _receive(self._process.stdout)
        except (BrokenPipeError, pickle.UnpicklingError) as error:
            raise EOFError from error
        return outcomes

    def kill(self) -> None:
        """End the process, whatever it is doing; who waits for it sees that."""
        self._process.kill()

    def stop(self) -> int:
        """End the process, which holds nothing worth keeping. Returns the signal that it had died of, 0 for none."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=ENDED_S)
        self.kill()
        self._process.communicate()
        return max(0, -self._process.returncode)

    def _greet(self) -> None:
        try:
            self._ready = bool(_receive(self._process.stdout))
        except EOFError as error:
            raise _no_workers() from error


def serve() -> None:
    """A worker's life: say hello, then decode task by task until the input ends."""
    if hasattr(os, "nice"):
        os.nice(10)  # on a few cores a decoder that takes one from the model makes all of the model's threads wait
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing but answers may come out there
    warnings.simplefilter("ignore")  # what matters becomes the row's status
    with contextlib.suppress(EOFError, BrokenPipeError):
        _send(answers, True)
        while True:
            task: Task = _receive(sys.stdin.buffer)
            _send(answers, task.run(_in_time))


@contextlib.contextmanager
def _in_time() -> Iterator[None]:
    """Ends this process when the block computes for too long, in the midst of a decoder's own code if need be."""
    if not hasattr(signal, "setitimer"):
        yield
        return
    signal.setitimer(signal.ITIMER_PROF, SECONDS_PER_IMAGE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _death(by: int) -> ImageError:
    """What became of an image that its decoder died over, alone. by: the signal."""
    if by == getattr(signal, "SIGPROF", None):
        return ImageError(UNFINISHED, f"its decoder was stopped after {SECONDS_PER_IMAGE:.0f} s of computing")
    if by == getattr(signal, "SIGKILL", None):
        return ImageError(UNFINISHED, "its decoder was killed, as happens when memory runs out")
    return ImageError("image_undecodable", "the decoder crashed on it")


def _send(stream: IO[bytes] | None, message: Any) -> None:
    assert stream is not None
    pickle.dump(message, stream, pickle.HIGHEST_PROTOCOL)
    stream.flush()


def _receive(stream: IO[bytes] | None) -> Any:
    assert stream is not None
    return pickle.load(stream)


def _no_workers() -> NcauditError:
    return NcauditError("decoding processes cannot be started", fix="give --workers 0 to decode in the main process")
