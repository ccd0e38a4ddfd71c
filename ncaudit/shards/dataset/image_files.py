"""Image files that a table names by their paths: below one folder, of this machine or behind an address.

Knows paths; nothing of tables. What lies outside of the folder is not read, whatever a table's paths say.
"""

import os
from collections.abc import Sequence
from typing import Protocol

from ncaudit.options import MAX_ROW_BYTES
from ncaudit.shards.files import locations
from ncaudit.shards.readers.bounds.unpacked import FLAG, too_large

BACKSLASH = chr(92)
SHOWN = 200  # characters of a path in a row's detail: what stands in its place may be a megabyte of anything
OUTSIDE = "outside the image folder; see --image-root"

Problem = tuple[str, str | None]  # status, detail


class ImageFiles(Protocol):
    """Where the paths of one dataset lead."""

    def weight(self, paths: Sequence[str]) -> int:
        """Bytes of these files, less those that will not be read."""

    def forget(self) -> None:
        """Told when a window has been read."""

    def read(self, path: str) -> tuple[bytes | None, Problem | None]:
        """The file's bytes, or why there are none."""


def files_below(root: str, max_bytes: int = MAX_ROW_BYTES) -> ImageFiles:
    """The image files below a folder or an address. max_bytes: those that are larger are not read."""
    return _RemoteFiles(root, max_bytes) if locations.is_remote(root) else _Files(root, max_bytes)


def _missing(path: str, why: object) -> Problem:
    return "image_missing", f"{shown(path)}: {why}"


def shown(path: str) -> str:
    """A path as a row's detail tells it."""
    return path if len(path) <= SHOWN else f"{path[:SHOWN]}… ({len(path):,} characters)"


class _Files:
    """Image files below one folder. What lies outside it is not read, whatever a table's paths say."""

    def __init__(self, root: str, max_bytes: int) -> None:
        self._root, self._max_bytes = locations.real(root), max_bytes

    def weight(self, paths: Sequence[str]) -> int:
        """Bytes of these files, less those that will not be read."""
        return sum(self._size(path) for path in paths)

    def forget(self) -> None:
        """Told when a window has been read. Files on this machine are read when they are asked for: nothing is held."""

    def read(self, path: str) -> tuple[bytes | None, Problem | None]:
        """The file's bytes, or why there are none."""
        if "://" in path:
            return None, _missing(path, "addresses are not fetched")
        try:
            return self._read(path)
        except (OSError, ValueError) as error:  # ValueError: a null byte in the path
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "no file name"
            return None, _missing(path, reason)

    def _size(self, path: str) -> int:
        try:
            size = os.path.getsize(self._place(path))
            return size if size <= self._max_bytes else 0
        except (OSError, ValueError):
            return 0

    def _place(self, path: str) -> str:
        r"""Where a path leads. One with backslashes, as Windows writes them, may mean folders."""
        place = os.path.join(self._root, path)
        if BACKSLASH not in path or os.path.lexists(place):
            return place
        return os.path.join(self._root, path.replace(BACKSLASH, "/"))

    def _read(self, path: str) -> tuple[bytes | None, Problem | None]:
        real = os.path.realpath(self._place(path))
        if os.path.commonpath([real, self._root]) != self._root:
            return None, _missing(path, OUTSIDE)
        if not os.path.exists(real):
            return None, _missing(path, "no such file")
        if not os.path.isfile(real):
            return None, _missing(path, "no regular file")
        if os.path.getsize(real) > self._max_bytes:
            return None, ("image_too_large", too_large(shown(path), os.path.getsize(real), self._max_bytes))
        with open(real, "rb") as file:
            return file.read(self._max_bytes), None


class _RemoteFiles:
    """Image files below an address. They are fetched together when they are weighed, and held until `forget`."""

    def __init__(self, root: str, max_bytes: int) -> None:
        self._root, self._max_bytes = locations.real(root), max_bytes
        self._held: dict[str, bytes | OSError] = {}

    def weight(self, paths: Sequence[str]) -> int:
        """Bytes of these files, which are fetched now."""
        places = {path: place for path in paths if path not in self._held and (place := self._place(path))}
        if places:
            self._held.update(zip(places, locations.read_many([*places.values()], self._max_bytes + 1), strict=True))
        found = [self._held.get(path) for path in paths]
        return sum(len(content) for content in found if isinstance(content, bytes))

    def forget(self) -> None:
        """Told when a window has been read."""
        self._held.clear()

    def read(self, path: str) -> tuple[bytes | None, Problem | None]:
        """The file's bytes, or why there are none. Raises NcauditError when the place cannot be reached."""
        if "://" in path:
            return None, _missing(path, "addresses are not fetched")
        if self._place(path) is None:
            return None, _missing(path, OUTSIDE)
        self.weight([path])
        content = self._held[path]
        if isinstance(content, OSError):
            absent = isinstance(content, FileNotFoundError)
            return None, _missing(path, "no such file" if absent else content.strerror or content)
        if len(content) > self._max_bytes:
            return None, ("image_too_large", f"{shown(path)}: more than {self._max_bytes:,} bytes ({FLAG})")
        return content, None

    def _place(self, path: str) -> str | None:
        """The address that a path means, None where that lies outside of the folder."""
        path = path.replace(BACKSLASH, "/")
        if "://" in path or path.startswith("/"):
            return None
        place = locations.absolute(locations.join(self._root, path))
        return place if place.startswith(f"{self._root}/") else None
