"""Whether a folder can be written to, asked by trying it before any work is done for it.

Knows folders and what the system says; nothing of what will be written.
"""

import errno
import os
from collections.abc import Iterable
from contextlib import suppress

from ncaudit.errors import NcauditError
from ncaudit.shards.files.partials import created, partial_name

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
    path = os.path.abspath(path)
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    if not os.path.isdir(path):
        raise NotADirectoryError(errno.ENOTDIR, f"{path} is no folder")


def _advice(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "make room there, or give another place"
    if error.errno == errno.ENOTDIR:
        return "name a folder, or a place that is not there yet"
    return "give a place that can be written to"
