"""What lies in a folder of a store, asked once: who looks after ten thousand outputs must not ask for each of them.

Knows names, sizes and versions; nothing of what files hold. A listing holds from `look` until `forget`: a run takes one
of every folder that it writes to, tells it what it writes itself, and asks the store anew for its record alone.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ncaudit.stores import again, denied, is_remote, reaching, spelled, system

# what changes with a file, where a store tells it
NAMED_BY = ("ETag", "etag", "md5Hash", "generation", "contentHash", "blob_id")
TIMED_BY = ("LastModified", "created", "mtime", "updated", "last_modified")


@dataclass(frozen=True)
class Entry:
    """One file. version: changes when its content does. when: it was written, in seconds; None where nobody says."""

    size: int
    version: str
    when: float | None = None


class Listing:
    """The files below a folder by their addresses, hidden ones too."""

    def __init__(self, folder: str, entries: Mapping[str, Entry]) -> None:
        self.folder = spelled(folder, folder)
        self.entries = dict(entries)
        self._folders = {above for path in self.entries for above in self._above(path)}

    def is_file(self, path: str) -> bool:
        """Whether a file has this address."""
        return path in self.entries

    def is_dir(self, path: str) -> bool:
        """Whether something lies below this address."""
        return path.rstrip("/") in self._folders

    def add(self, path: str, entry: Entry) -> None:
        """This run has written it."""
        self.entries[path] = entry
        self._folders.update(self._above(path))

    def below(self, folder: str) -> Iterator[str]:
        """The addresses of the files below a folder."""
        start = folder.rstrip("/") + "/"
        return (path for path in self.entries if path.startswith(start))

    def _above(self, path: str) -> Iterator[str]:
        path = path.rpartition("/")[0]
        while len(path) >= len(self.folder):
            yield path
            path = path.rpartition("/")[0]


_known: dict[str, Listing] = {}


def look(folder: str) -> Listing:
    """Ask what lies below a folder now. Raises NcauditError when the place cannot be reached."""
    found = Listing(folder, found_below(folder))
    _known[found.folder] = found
    return found


def of(path: str) -> Listing | None:
    """The listing that a path lies in, where somebody has looked."""
    if not _known or not is_remote(path):
        return None
    path = spelled(path, path)
    return next((one for one in _known.values() if path == one.folder or path.startswith(one.folder + "/")), None)


def forget(folder: str | None = None) -> None:
    """From now on the store is asked again: of this folder, or of all."""
    if folder is None:
        _known.clear()
    elif is_remote(folder) and (known := _known.get(spelled(folder, folder))) is not None:
        del _known[known.folder]
        files, inner = system(folder)
        files.invalidate_cache(inner)  # processes of ours may have written there, too


def wrote(path: str, entry: Entry) -> None:
    """This process has put a file there."""
    if (known := of(path)) is not None:
        known.add(spelled(path, path), entry)


def removed(path: str) -> None:
    """This process has taken it away."""
    if (known := of(path)) is not None:
        known.entries.pop(spelled(path, path), None)


def found_below(folder: str) -> dict[str, Entry]:
    """Every file below a folder of a store, asked now; nothing where the folder is not there."""
    files, inner = system(folder)
    try:
        with reaching(folder):
            files.invalidate_cache(inner)
            found = again(folder, lambda: files.find(inner, detail=True))
            listed = {name: told for name, told in found.items() if told.get("type") == "file"}
            return {spelled(folder, name): entry_of(_told(files, name, told)) for name, told in listed.items()}
    except FileNotFoundError:
        return {}
    except PermissionError as error:
        raise denied(folder, error) from error


def _told(files: Any, name: str, told: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is known of a file: some file systems tell more of one than of many."""
    known = any(told.get(each) for each in (*NAMED_BY, *TIMED_BY))
    return told if known else dict(files.info(name))


def entry_of(told: Mapping[str, Any]) -> Entry:
    """What a file system tells of a file, as far as it matters."""
    when = next((_seconds(told[name]) for name in TIMED_BY if told.get(name)), None)
    named = next((str(told[name]) for name in NAMED_BY if told.get(name)), None)
    size = int(told.get("size") or 0)
    known = named or when or sorted((name, repr(value)) for name, value in told.items())  # whatever there is to go by
    version = hashlib.sha256(f"{size} {known}".encode()).hexdigest()[:32]
    return Entry(size, version, when)


def _seconds(told: Any) -> float | None:
    """A time, however a file system tells it."""
    if isinstance(told, str):
        try:
            told = datetime.fromisoformat(told)
        except ValueError:
            return None
    return told.timestamp() if isinstance(told, datetime) else float(told) if isinstance(told, (int, float)) else None
