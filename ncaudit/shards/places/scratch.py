"""Scratch: where files are put together that will lie in a store, and where those of a store are that are read whole.

Knows one folder of this machine; nothing of what files hold. Files go as soon as they are sent or read, so that it
holds no more than what is in hand; those of processes that are gone are swept.
"""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import IO, Any

from ncaudit.errors import NcauditError, Unwritable
from ncaudit.shards.places.partials import created, partial_name, partials_among, sweep
from ncaudit.stores import again, reaching, system

PLACE = "NCAUDIT_SCRATCH"  # in the environment, so that processes that are started have it too
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def use(folder: str) -> None:
    """Put it there. Raises NcauditError where nothing can be written there."""
    try:
        os.makedirs(folder, exist_ok=True)
        allowed = os.access(folder, os.W_OK | os.X_OK)
    except OSError as error:
        raise NcauditError(
            f"--scratch {folder}: {error.strerror}", fix="name a folder that can be written to"
        ) from error
    if not allowed:
        raise NcauditError(f"--scratch {folder} cannot be written to", fix="name a folder that can")
    os.environ[PLACE] = os.path.abspath(folder)


def folder() -> str:
    """The folder, swept when it is first asked for."""
    return _swept(os.environ.get(PLACE) or tempfile.gettempdir())


@cache
def _swept(above: str) -> str:
    own = os.path.join(above, f"ncaudit-scratch-{os.getuid() if hasattr(os, 'getuid') else 'own'}")
    with suppress(FileExistsError):
        os.makedirs(own, mode=0o700)
    if hasattr(os, "getuid") and os.stat(own).st_uid != os.getuid():  # somebody else's, in a folder of all
        return tempfile.mkdtemp(prefix="ncaudit-", dir=above)
    sweep(one for one in partials_among(own, os.listdir(own)) if not is_note(one.path))
    return own


def is_note(path: str) -> bool:
    """Whether a file of scratch tells of an upload in parts: it is swept by who may abort that."""
    return os.path.basename(path).startswith(f".{NOTE}.")


NOTE = "upload"


@contextmanager
def held(path: str) -> Iterator[tuple[IO[bytes], str]]:
    """A new file that will be sent to `path`, and its name on this machine; it goes when the block ends.

    Raises Unwritable where the disk is full.
    """
    name = os.path.join(folder(), partial_name(os.path.basename(path)))
    try:
        with created(name) as file:
            yield file, name
    except OSError as error:
        if error.errno in FULL and error.filename in (None, name):
            raise _no_room(path, error) from error
        raise
    finally:
        with suppress(OSError):
            os.remove(name)


@contextmanager
def copy_of(path: str) -> Iterator[str]:
    """A file of a store as one of this machine, for what reads no other. Raises OSError when there is none."""
    files, inner = system(path)
    with held(path) as (file, name):
        file.close()
        try:
            with reaching(path):
                again(path, lambda: files.get_file(inner, name))
        except NcauditError as error:
            cause = error.__cause__
            if isinstance(cause, OSError) and cause.errno in FULL:
                raise _no_room(path, cause) from cause
            raise
        yield name


@contextmanager
def note(what: Any) -> Iterator[None]:
    """Words that outlive this process when it is killed inside the block."""
    name = os.path.join(folder(), partial_name(NOTE))
    with created(name) as file:
        file.write(what)
    try:
        yield
    finally:
        with suppress(OSError):
            os.remove(name)


def _no_room(path: str, error: OSError) -> NcauditError:
    return Unwritable(
        f"{folder()}: {error.strerror}, where {path} is put together before it is sent",
        fix="make room there, or name another folder with --scratch; then rerun: what is finished is kept",
    )
