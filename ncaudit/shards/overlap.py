"""Reading ahead and writing behind: one thread each, one item in advance, so that memory stays bounded.

Knows threads; nothing of what is read or written.
"""

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")
_END: Any = object()


def ahead(items: Iterator[T]) -> Generator[T, None, None]:
    """The same items, each made in a thread while the caller works on the one before.

    Close it when leaving early: that waits for the item being made. Errors arrive where their item would have.

    >>> list(ahead(iter("abc")))
    ['a', 'b', 'c']
    """
    with ThreadPoolExecutor(1, "ncaudit-ahead") as thread:
        future = thread.submit(next, items, _END)
        while (item := future.result()) is not _END:
            future = thread.submit(next, items, _END)
            yield item


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
