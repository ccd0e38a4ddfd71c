"""What was learnt of files, kept for as long as they stay as they were. Knows their versions; nothing of contents."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

from ncaudit.shards.files.locations import version

T = TypeVar("T")
REMEMBERED = 4096  # files, of each kind of look at them: what a look tells takes kilobytes
MANY = 100_000  # where it takes one or none: a run looks at all of its files before it looks at any again


class Remembered(Generic[T]):
    """A look at a file by its path, taken once for every version of it; the files met last are remembered.

    >>> lengths = Remembered(len)
    >>> lengths.known("no such file") is None, lengths("no such file")
    (True, 12)
    """

    def __init__(self, look: Callable[..., T], at_most: int | None = None) -> None:
        """look: what tells it in its own words where nothing can be learnt. at_most: files; None: REMEMBERED."""
        self._look, self._at_most = look, at_most
        self._found: OrderedDict[tuple[str, str], T] = OrderedDict()
        self._lock = Lock()  # files are read ahead in threads

    def __call__(self, path: str, *how: int) -> T:
        """What the look tells, or has told of this version. how: what the look is told beside."""
        seen = version_now(path)
        found = self._recalled(path, seen)
        return self.learn(path, self._look(path, *how), seen) if found is None else found

    def known(self, path: str) -> T | None:
        """What has been learnt of the file as it is now; None where nobody has looked."""
        return self._recalled(path, version_now(path))

    def learn(self, path: str, found: T, seen: str | None) -> T:
        """Remember what was found by a look. seen: `version_now` from before it, or a later file's place is taken."""
        if seen is not None:
            with self._lock:
                self._found[path, seen] = found
                while len(self._found) > (REMEMBERED if self._at_most is None else self._at_most):
                    self._found.popitem(last=False)
        return found

    def _recalled(self, path: str, seen: str | None) -> T | None:
        if seen is None:
            return None
        with self._lock:
            found = self._found.pop((path, seen), None)
            if found is not None:
                self._found[path, seen] = found
            return found


def version_now(path: str, *, fresh: bool = False) -> str | None:
    """Which version of a file is there; None where none is. fresh: as `version` has it."""
    try:
        return version(path, fresh=fresh)
    except OSError:
        return None  # the look tells what is wrong
