"""What a test may leave in its process, and the next one would find there: put back in one place.

Knows what a process has one of; nothing of tests. It runs around each of ten thousand tests: some microseconds each.
"""

import logging
import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from fsspec.implementations.memory import MemoryFileSystem

from ncaudit import interruption
from ncaudit.cli.commands import anywhere
from ncaudit.cli.shared import log, loudness
from ncaudit.shards.places import listings, manifest

OURS = {  # what modules of ncaudit keep for the rest of a process
    loudness: ("_quiet", "_verbose"),
    log: ("_file",),
    interruption: ("_asked", "_at_once"),
}
KEPT = (anywhere._given, listings._known, manifest._read, manifest._own)
LOGGERS = (logging.getLogger(), logging.getLogger("ncaudit"))


@contextmanager
def put_back() -> Iterator[None]:
    """What the block leaves behind is gone with it, and chance begins in it as in every other."""
    begin_chance()
    with ExitStack() as stack:
        for each in (_environment, _folder, _threads, _signals, _logging, _memory, _modules):
            stack.callback(each())
        yield


def begin_chance() -> None:
    """Draws of the generators that a process has one of depend on no test that drew before."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


def _environment() -> Callable[[], None]:
    """The options of a store stand there: left behind they would be those of every process that is started later."""
    before = dict(os.environ)

    def back() -> None:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update({name: value for name, value in before.items() if os.environ.get(name) != value})

    return back


def _folder() -> Callable[[], None]:
    before = os.getcwd()
    return lambda: os.chdir(before)


def _threads() -> Callable[[], None]:
    """`--threads` holds for the rest of a command's process."""
    before = torch.get_num_threads()
    return lambda: torch.set_num_threads(before) if torch.get_num_threads() != before else None


def _signals() -> Callable[[], None]:
    """A command listens to Ctrl-C as long as its process lasts. Only a main thread may set that."""
    before, unraised, excepted = signal.getsignal(signal.SIGINT), sys.unraisablehook, sys.excepthook

    def back() -> None:
        sys.unraisablehook, sys.excepthook = unraised, excepted
        if signal.getsignal(signal.SIGINT) is not before and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)

    return back


def _logging() -> Callable[[], None]:
    before = [(logger, logger.level, list(logger.handlers), logger.propagate) for logger in LOGGERS]

    def back() -> None:
        for logger, level, handlers, propagates in before:
            logger.handlers[:], logger.propagate = handlers, propagates
            if logger.level != level:
                logger.setLevel(level)

    return back


def _memory() -> Callable[[], None]:
    """The files of memory:// are those of the whole process; what a fixture of several tests has put there stays."""
    files, folders = set(MemoryFileSystem.store), list(MemoryFileSystem.pseudo_dirs)

    def back() -> None:
        for name in MemoryFileSystem.store.keys() - files:
            del MemoryFileSystem.store[name]
        MemoryFileSystem.pseudo_dirs[:] = folders

    return back


def _modules() -> Callable[[], None]:
    before = [(module, name, getattr(module, name)) for module, names in OURS.items() for name in names]
    kept: list[tuple[Any, Any]] = [(one, one.copy()) for one in KEPT]

    def back() -> None:
        for module, name, value in before:
            setattr(module, name, value)
        for one, held in kept:
            if one != held:
                one.clear()
                (one.extend if isinstance(one, list) else one.update)(held)

    return back
