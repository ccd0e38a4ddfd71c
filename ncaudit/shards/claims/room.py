"""Whether a folder can be written to, asked by trying it before any work is done for it.

Knows folders and what the system says; nothing of what will be written.
"""

import errno
import os
from collections.abc import Iterable
from contextlib import suppress

from ncaudit.errors import NcauditError
from ncaudit.shards.places.partials import created, partial_name

TRIED_BYTES = 4096  # an empty file fits on a full disk, too


def require_room(told: str, folder: str, below: Iterable[str]) -> None:
    """Raises NcauditError, with the path `told`, when `folder` cannot be made or takes no file.

    below: folders in it that files will lie in, of which nothing is made here. What is made to try it goes again.
    """
    missing = missing_folders(folder)
    try:
        for inner in {folder, *below}:
            _require_folder_above(inner)
        _try(folder)
    except OSError as error:
        raise NcauditError(f"{told} cannot be written: {error.strerror or error}", fix=_advice(error)) from error
    finally:
        for made in missing:
            with suppress(OSError):
                os.rmdir(made)


def ask_for_room(told: str, folder: str, below: Iterable[str]) -> None:
    """The same, as far as it can be told without writing a byte: what is in the way, and whether one may."""
    try:
        for inner in {folder, *below}:
            _require_folder_above(inner)
            _require_permission(inner)
    except OSError as error:
        raise NcauditError(f"{told} cannot be written: {error.strerror or error}", fix=_advice(error)) from error


def missing_folders(folder: str) -> list[str]:
    """The folders that would have to be made, the deepest first."""
    found, path = [], os.path.abspath(folder)
    while not os.path.lexists(path):
        found.append(path)
        path = os.path.dirname(path)
    return found


def _try(folder: str) -> None:
    path = os.path.join(folder, partial_name("room"))
    try:
        with created(path) as file:
            file.write(bytes(TRIED_BYTES))
    finally:
        with suppress(OSError):
            os.remove(path)


def _require_folder_above(path: str) -> None:
    """Raises NotADirectoryError when a file is in the way of this folder."""
    if not os.path.isdir(there := _nearest(path)):
        raise NotADirectoryError(errno.ENOTDIR, f"{there} is no folder")


def _require_permission(path: str) -> None:
    """Raises OSError where the system says that nothing may be made there."""
    there = _nearest(path)
    if not os.access(there, os.W_OK | os.X_OK):
        why = errno.EROFS if _is_read_only(there) else errno.EACCES
        raise OSError(why, os.strerror(why))


def _is_read_only(path: str) -> bool:
    return hasattr(os, "statvfs") and bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def _nearest(path: str) -> str:
    """The path, or of the folders above it the first that is there."""
    path = os.path.abspath(path)
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return path


def _advice(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "make room there, or give another place"
    if error.errno == errno.ENOTDIR:
        return "name a folder, or a place that is not there yet"
    return "give a place that can be written to"
