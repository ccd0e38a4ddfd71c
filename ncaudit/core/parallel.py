"""Work in fixed parts, done by some threads at once: the same numbers for any number of them.

Knows threads and functions; nothing of what is computed. A sum that torch deals to its own threads has other last bits
for another number of them. So within `spread` torch and BLAS compute each part in one thread, and the threads are ours:
each takes the next part, and results come in the order of the parts. What the parts are, the caller decides, from the
work alone and never from the number of threads. Nobody waits for a thread that is not there: whoever asks works, too,
so that parts may have parts.
"""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from threading import Lock
from typing import Generic, TypeVar

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

T = TypeVar("T")
R = TypeVar("R")
ROWS = 1_024  # of a table, in one part: some milliseconds of work, so that nobody waits long for the last


class _Crew:
    """The threads that help, and what torch is to be told when nobody needs them any more."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._asked: list[int] = []  # of the blocks that are open, whoever opened them
        self._before = 1
        self.threads = 1
        self.helpers: ThreadPoolExecutor | None = None

    def begin(self, threads: int) -> None:
        with self._lock:
            if not self._asked:
                self._before = torch.get_num_threads()
            self._asked.append(threads)
            self._settle()
        torch.set_num_threads(1)

    def end(self, threads: int) -> None:
        with self._lock:
            self._asked.remove(threads)
            self._settle()
            over = not self._asked
        if over:
            torch.set_num_threads(self._before)

    def _settle(self) -> None:
        wanted = self._asked[-1] if self._asked else 1
        if wanted == self.threads:
            return
        if self.helpers is not None:
            self.helpers.shutdown(wait=False)
        self.threads = wanted
        self.helpers = ThreadPoolExecutor(wanted - 1, "ncaudit-help", _begin_helping) if wanted > 1 else None


def _begin_helping() -> None:
    torch.set_num_threads(1)  # each thread has a number of its own in some of torch's libraries


_CREW = _Crew()


@contextmanager
def spread(threads: int) -> Iterator[None]:
    """Within the block parts are done by so many threads, and torch computes each in one; without, torch is as it was.

    threads: >= 1.
    """
    _CREW.begin(threads)
    try:
        with one_thread_each():
            yield
    finally:
        _CREW.end(threads)


@contextmanager
def together(threads: int) -> Iterator[None]:
    """Within the block torch and BLAS deal each sum to so many threads, as they do; without, they are as they were.

    For work that has no fixed parts, such as training: its last bits depend on the number, which is to be recorded.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)


def one_thread_each() -> AbstractContextManager[object]:
    """Whatever BLAS is loaded by now computes in one thread within the block."""
    limits: AbstractContextManager[object] = threadpool_limits(1, user_api="blas")
    return limits


def in_parallel(work: Callable[[T], R], parts: Iterable[T]) -> list[R]:
    """What `work` gives for each part, in their order. An error of one ends all; of several the first part's is raised.

    Outside `spread` one part is done after the other.

    >>> in_parallel(len, ["a", "bc"])
    [1, 2]
    """
    todo = list(parts)
    helpers = _CREW.helpers
    if helpers is None or len(todo) < 2:
        return [work(part) for part in todo]
    return _Task(work, todo).done(helpers, min(_CREW.threads, len(todo)) - 1)


def in_order(work: Callable[[T], R], parts: Iterable[T], most: int = 4) -> Iterator[R]:
    """The same of parts that are made one by one, as a stream: at most `most` of them are held at a time.

    >>> list(in_order(len, iter(["a", "bc", "def"])))
    [1, 2, 3]
    """
    made = iter(parts)
    while some := list(itertools.islice(made, max(1, min(most, _CREW.threads)))):
        yield from in_parallel(work, some)


def by_rows(work: Callable[..., Tensor], *tables: Tensor, rows: int = ROWS) -> Tensor:
    """What `work` gives for the same rows of all tables, (n, …) each, joined: of so many rows at once, on a CPU.

    >>> by_rows(torch.add, torch.arange(3), torch.ones(3), rows=2)
    tensor([1., 2., 3.])
    """
    if tables[0].device.type != "cpu":
        return work(*tables)
    parts = zip(*(torch.split(table, rows) for table in tables), strict=True)
    return torch.cat(in_parallel(lambda part: work(*part), parts))


class _Task(Generic[T, R]):
    """Some parts, and whoever has time for the next one."""

    def __init__(self, work: Callable[[T], R], parts: Sequence[T]) -> None:
        self._work = work
        self._left = deque(enumerate(parts))
        self._found: dict[int, R] = {}
        self._errors: dict[int, BaseException] = {}
        self._count = len(parts)
        self._infers, self._learns = torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    def done(self, helpers: ThreadPoolExecutor, most: int) -> list[R]:
        asked = list(self._ask(helpers, most))
        try:
            self._take_all()
        finally:
            self._left.clear()
            for one in asked:
                if not one.cancel():
                    one.exception()  # waits for the part that it has
        if self._errors:
            raise self._errors[min(self._errors)]
        return [self._found[number] for number in range(self._count)]

    def _ask(self, helpers: ThreadPoolExecutor, most: int) -> Iterator[Future[None]]:
        with suppress(RuntimeError):  # dismissed meanwhile, where a notebook runs two things at once
            for _ in range(most):
                yield helpers.submit(self._help)

    def _help(self) -> None:
        with torch.inference_mode(self._infers), torch.set_grad_enabled(self._learns):
            self._take_all()

    def _take_all(self) -> None:
        with suppress(IndexError):
            while True:
                self._do(*self._left.popleft())

    def _do(self, number: int, part: T) -> None:
        try:
            self._found[number] = self._work(part)
        except BaseException as error:  # raised by whoever asked, once nobody works any more
            self._errors[number] = error
            self._left.clear()
