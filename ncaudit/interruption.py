"""Ctrl-C, remembered: whatever becomes of the exception that it is, the command ends as one that was interrupted.

Python raises KeyboardInterrupt wherever the program happens to be. Within a library's own code it may come out as
another error (a model that cannot be loaded, a damaged image, a module that is there by half), or never. So the signal
is kept in mind here, and asked for wherever an error or a result is taken for granted: where a failed shard is counted,
where a file gets its name, where progress is told, and where the command ends.
Knows one signal of this process; nothing of what is done. Without `listen`, as in a notebook, nothing is changed.
"""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

from ncaudit.errors import Interrupted

_asked = False  # Ctrl-C has been pressed, and nobody has answered yet
_at_once = False  # whether it is raised where the program is; else it is only kept in mind


def listen() -> None:
    """Keep Ctrl-C in mind, unless this process was started deaf to it; it is raised from `attend` on, not before."""
    deaf = signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    if deaf or threading.current_thread() is not threading.main_thread():
        return
    signal.signal(signal.SIGINT, _hear)
    sys.unraisablehook = _unraised(sys.unraisablehook)
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)  # the first to be registered goes last


def attend() -> None:
    """From now on Ctrl-C is raised at once, what was pressed before included."""
    global _at_once
    _at_once = True
    heed()


def asked() -> bool:
    """Whether Ctrl-C has been pressed, and not been answered."""
    return _asked


def heed() -> None:
    """Raises KeyboardInterrupt when Ctrl-C has been pressed, whatever has become of its exception."""
    if _asked and _at_once:
        raise KeyboardInterrupt


def answered() -> None:
    """The user is being told: from now on Ctrl-C disturbs nothing."""
    global _asked, _at_once
    _asked = _at_once = False


@contextmanager
def recognised(kept: Callable[[], bool] | None = None) -> Iterator[None]:
    """Whatever ends the block after Ctrl-C is a KeyboardInterrupt. kept: whether anything finished is kept then."""
    try:
        yield
    except BaseException as error:
        if not (_asked or isinstance(error, KeyboardInterrupt)):
            raise
        if kept is not None:
            raise Interrupted(kept=kept()) from error
        if isinstance(error, KeyboardInterrupt):
            raise
        raise KeyboardInterrupt from error


def over(code: int) -> None:
    """All is done and told: what is left of this process is not worth waiting for. code: how it ends."""
    exec("")  # Python kills itself by the signal, whatever the code, when the last text that it ran ended by Ctrl-C
    if signal.getsignal(signal.SIGINT) is _hear:
        signal.signal(signal.SIGINT, lambda *_: _leave(code))


def _leave(code: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, RuntimeError):
            stream.flush()
    os._exit(code)


def _hear(number: int, frame: FrameType | None) -> None:
    global _asked
    _asked = True
    heed()


def _unraised(before: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Where Python can raise nothing, as in a destructor, it would print the exception and go on."""

    def hook(unraisable: Any) -> None:
        if not (_asked and issubclass(unraisable.exc_type, KeyboardInterrupt)):
            before(unraisable)

    return hook
