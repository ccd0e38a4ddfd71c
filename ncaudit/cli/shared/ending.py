"""How a command ends when it cannot go on: two lines and the right exit code, for what the user or the machine did.

Knows exceptions and what this process may use; nothing of what a command does. Typer's own answers would be 1 for
Ctrl-C and for a closed pipe. What is in no list here is a bug, and keeps its traceback.
"""

import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from typer import TyperException

from ncaudit import interruption
from ncaudit.cli.shared import output
from ncaudit.cli.shared.exit_codes import CLOSED_PIPE, INTERRUPTED, REFUSED, TOO_MANY_FAILED, USAGE, code_of
from ncaudit.cli.shared.mistakes import mistake
from ncaudit.engines.ranks import ToldByFirst, launched
from ncaudit.errors import Interrupted, NcauditError, UsageError, lacks_memory
from ncaudit.options.shared.as_command import shown
from ncaudit.stores import is_remote

GIB = 2**30
HEADROOM_GIB = 1.0  # beside torch itself: threads, a small model and the libraries that come with it

_STDOUT = "standard output"
_FULL = {errno.ENOSPC, errno.EDQUOT}
_FILES = {errno.EMFILE, errno.ENFILE}
# what the machine refuses and the user can mend; any other OSError is a bug and keeps its traceback
_THE_SYSTEMS = {
    *(*_FULL, *_FILES, errno.EACCES, errno.EPERM, errno.EROFS, errno.EFBIG, errno.EIO, errno.ESTALE),
    *(errno.ENAMETOOLONG, errno.ENOTDIR, errno.ELOOP),
}
_OF_STORES = "get the right to read it (s3:GetObject) or other credentials, then rerun: what is finished is kept"


@contextmanager
def told() -> Iterator[None]:
    """What ends the block is told in two lines and ends the process with the right code; bugs go through.

    After Ctrl-C whatever ends it is that: what looks like a bad model or a bug then is a library that was cut short.
    """
    try:
        with interruption.recognised():
            interruption.attend()
            yield
            if interruption.asked():
                raise Interrupted(kept=True)
    except TyperException as error:
        output.error(mistake(error))
        raise SystemExit(USAGE) from None
    except NcauditError as error:
        if launched().is_first or not isinstance(error, (UsageError, ToldByFirst)):  # each is told once
            output.error(error)
        raise SystemExit(code_of(error)) from None
    except BrokenPipeError:
        output.forget(sys.stdout)
        raise SystemExit(CLOSED_PIPE) from None
    except output.TakesNoMore:  # Typer's own words, such as --help: there is nothing to be mended for that
        output.forget(sys.stdout)
        raise SystemExit(REFUSED) from None
    except KeyboardInterrupt as interrupted:
        interruption.answered()
        kept = getattr(interrupted, "kept", False) or _had_ended(interrupted.__cause__)
        output.interrupted(shown(["ncaudit", *sys.argv[1:]]), kept=kept)
        raise SystemExit(INTERRUPTED) from None
    except (OSError, MemoryError, RuntimeError, ImportError) as error:
        if (problem := _the_machines(error)) is None:
            raise
        output.error(problem)
        raise SystemExit(REFUSED) from None


def _had_ended(cause: BaseException | None) -> bool:
    """Whether the command had done all its work when it was found to be interrupted."""
    code = cause.code if isinstance(cause, SystemExit) else getattr(cause, "exit_code", REFUSED)
    return code in (None, 0, TOO_MANY_FAILED)


def _the_machines(error: Exception) -> NcauditError | None:
    """What the machine refuses and the user can mend, in two lines; None for all else."""
    if lacks_memory(error):
        return _no_memory(str(error))
    if not isinstance(error, OSError):
        return None
    if is_remote(str(error.filename)):
        return NcauditError(f"{error.filename} cannot be read: {error.strerror}", fix=_OF_STORES)
    return _system_error(error) if error.errno in _THE_SYSTEMS else None


def _system_error(error: OSError) -> NcauditError:
    full = error.errno in _FULL
    where = os.fsdecode(error.filename) if error.filename else _full_place() if full else None
    temporary = os.path.join(tempfile.gettempdir(), "")
    if full and where and where != _STDOUT and os.path.join(os.path.abspath(where), "").startswith(temporary):
        fix = f"make room there, or, for what is written for a while, set TMPDIR to another folder than {temporary}"
    elif error.errno in _FILES:
        fix = "allow more open files (ulimit -n 4096), or give fewer --workers; then rerun: what is finished is kept"
    else:
        fix = "make room or get access there, then rerun: what is finished is kept"
    return NcauditError(f"{where}: {error.strerror}" if where else str(error.strerror), fix=fix)


def _full_place() -> str | None:
    """Where the room is used up, when whoever met that did not say."""
    folder = os.path.join(tempfile.gettempdir(), "")
    if shutil.disk_usage(folder).free < 2**20:
        return folder
    return _STDOUT if output.gives_rows() else None


def _no_memory(told: str) -> NcauditError:
    said = next((line for line in told.splitlines() if line.strip()), "")
    return NcauditError(
        f"memory ran out{f' ({said})' if said else ''}",
        fix="end other programs, lift the limit (ulimit -v unlimited), or give fewer --workers or a smaller "
        "--batch-pairs; then rerun: what is finished is kept",
    )


def require_memory() -> None:
    """Raises NcauditError where a limit on this process's memory leaves too little for torch, which would crash."""
    if all(limit is None for limit, _ in _memory()):
        return
    try:
        import torch  # noqa: F401  (how much its libraries take differs tenfold between its builds: they are loaded)
    except (ImportError, OSError, RuntimeError, MemoryError) as error:
        if not lacks_memory(error):
            raise
        raise _limited() from None
    for limit, used in _memory():
        if limit is not None and limit - used < HEADROOM_GIB * GIB:
            raise _limited(used)


def _limited(used: int = 0) -> NcauditError:
    least = min(limit for limit, _ in _memory() if limit is not None)
    needs, least_fit = "", ""
    if used:
        needs, least_fit = f": torch alone takes {used / GIB:.1f}", f", or {used / GIB + HEADROOM_GIB:.1f} GiB at least"
    return NcauditError(
        f"this process may use {least / GIB:.1f} GiB of memory, too little for torch and a model{needs}",
        fix=f"lift the limit: ulimit -v unlimited (or -d){least_fit}",
    )


def _memory() -> list[tuple[int | None, int]]:
    """(limit or None, bytes taken so far) of each kind of memory that a limit may be set on."""
    try:
        import resource
    except ImportError:  # no such limits there
        return []
    taken = _taken()
    kinds = ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData"))
    limits = ((resource.getrlimit(kind)[0], taken.get(name, 0)) for kind, name in kinds)
    return [(None if limit == resource.RLIM_INFINITY else limit, used) for limit, used in limits]


def _taken() -> dict[str, int]:
    """What Linux says of this process; nothing elsewhere."""
    try:
        with open("/proc/self/status", encoding="utf-8") as file:
            lines = [line.split() for line in file if line.startswith("Vm")]
    except OSError:
        return {}
    return {words[0].removesuffix(":"): int(words[1]) * 1024 for words in lines}
