"""Reading ahead and writing behind: one thread each, and a bounded weight in advance, so that memory stays bounded.

Knows threads, and files that bytes are written to; nothing of what is read or written.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Condition
from typing import Any, Generic, TypeVar

T = TypeVar("T")
BEHIND_BYTES = 32 << 20  # that wait to be written
TOGETHER = 64 << 10  # bytes handed over at once, at least: a page of parquet comes as its header, and then itself


class _Line(Generic[T]):
    """Items that one thread makes and another takes, in order. At most `most` of weight wait while more is made."""

    def __init__(self, most: int) -> None:
        self._most, self._held, self._over = most, 0, False
        self._items: deque[tuple[T, int]] = deque()
        self._moved = Condition()

    def put(self, item: T, weight: int) -> bool:
        """Whether more is wanted, once there is room for it."""
        with self._moved:
            self._items.append((item, weight))
            self._held += weight
            self._moved.notify_all()
            self._moved.wait_for(lambda: self._over or self._held <= self._most)
            return not self._over

    def take(self) -> Iterator[T]:
        """The items, until the line ends."""
        while True:
            with self._moved:
                self._moved.wait_for(lambda: bool(self._items) or self._over)
                if not self._items:
                    return
                item, weight = self._items.popleft()
                self._held -= weight
                self._moved.notify_all()
            yield item

    def end(self) -> None:
        """No more is put; what waits can be taken."""
        with self._moved:
            self._over = True
            self._moved.notify_all()

    def drop(self) -> None:
        """The same, and what waits is nobody's."""
        with self._moved:
            self._items.clear()
        self.end()


def ahead(items: Iterator[T], weigh: Callable[[T], int] = lambda item: 1, most: int = 0) -> Generator[T, None, None]:
    """The same items, made in a thread while the caller works on the ones before.

    The next one is begun while those that wait weigh at most `most`: by default one is made in advance.
    Close it when leaving early: that waits for the item being made. Errors arrive where their item would have.

    >>> list(ahead(iter("abc")))
    ['a', 'b', 'c']
    """
    line: _Line[T] = _Line(most)

    def make() -> None:
        try:
            for item in items:
                if not line.put(item, weigh(item)):
                    return
        finally:
            line.end()

    with ThreadPoolExecutor(1, "ncaudit-ahead") as thread:
        made = thread.submit(make)
        try:
            yield from line.take()
            made.result()
        finally:
            line.drop()


@contextmanager
def behind(write: Callable[[T], None]) -> Iterator[Callable[[T], None]]:
    """A function that hands its argument to `write` in a thread and returns; at most one item waits.

    An error of `write` is raised by the next call, or at the end of the block.
    """
    last: Future[None] | None = None

    def hand_over(item: T) -> None:
        nonlocal last
        if last is not None:
            last.result()
        last = thread.submit(write, item)

    with ThreadPoolExecutor(1, "ncaudit-behind") as thread:
        yield hand_over
        if last is not None:
            last.result()


@contextmanager
def written_behind(file: Any, most: int = BEHIND_BYTES) -> Iterator["FileBehind"]:
    """A file whose bytes a thread writes to `file`, while the caller makes more; all are there at the end.

    An error of the writing is raised by the next write, or at the end of the block. Where the block ends by an error,
    what waits is not written.
    """
    line: _Line[list[bytes]] = _Line(most)

    def write() -> None:
        try:
            for several in line.take():
                for data in several:
                    file.write(data)
        finally:
            line.drop()

    with ThreadPoolExecutor(1, "ncaudit-behind") as thread:
        written = thread.submit(write)
        try:
            handed = FileBehind(line, written, file.tell(), min(TOGETHER, most // 8))
            yield handed
            handed.hand_over()
            line.end()
            written.result()
        finally:
            line.drop()


class FileBehind:
    """What arrow takes for a file to write to, from its present place on. together: bytes handed over at once."""

    closed = False

    def __init__(self, line: _Line[list[bytes]], written: Future[None], place: int, together: int) -> None:
        self._line, self._written, self._place, self._together = line, written, place, together
        self._held: list[bytes] = []
        self._weight = 0

    def write(self, data: Any) -> int:
        """Raises what went wrong with what was written before."""
        self._held.append(bytes(data))
        self._weight += len(data)
        self._place += len(data)
        if self._weight >= self._together:
            self.hand_over()
        return len(data)

    def hand_over(self) -> None:
        """What was held until there is more of it. Raises as `write` does."""
        held, weight, self._held, self._weight = self._held, self._weight, [], 0
        if held and not self._line.put(held, weight):
            self._written.result()

    def tell(self) -> int:
        """As if all were written."""
        return self._place

    def flush(self) -> None:
        """Left to the end of the block."""

    def close(self) -> None:
        """Likewise."""
