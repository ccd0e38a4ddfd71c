"""Python in a process of its own, without the seconds in which a new one loads torch: subprocess's `Popen` and `run`.

The process is forked from one that has loaded everything and computed nothing. All else is its own: number, session,
streams, folder, environment, what signals find, how it ends; and it hears Ctrl-C, be the tests deaf to it. What a new
interpreter loads, what it reads as it starts, and how long that takes, is for `subprocess` to show; whatever asks here
for another start, or cannot be forked, gets a new interpreter. Knows processes; nothing of what a command does.
"""

import atexit
import contextlib
import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from fcntl import ioctl
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from termios import TIOCSCTTY
from typing import Any

READ_AT_START = ("PYTHON", "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "LC_", "LANG", "LD_", "HF_")
LIKE_NONE = {"LANG": "C.UTF-8"}  # what Python makes of a variable that is not there
SEARCHED = "PYTHONPATH"
GIVEN_AFTERWARDS = (SEARCHED, "PYTHONBREAKPOINT")  # the exceptions; Ray leaves the second where it was used
REPOSITORY = Path(__file__).parents[2]
_started_with: dict[str, str] = {}
_before_any_test: dict[str, str] = {}


def before_any_test() -> None:
    """The environment is as most tests find it: what theirs is compared with, whichever of them comes first."""
    _before_any_test.update(os.environ)


def Popen(
    words: Sequence[object], *, cwd: "str | Path | None" = None, env: Mapping[str, str] | None = None, **how: Any
) -> "subprocess.Popen[Any]":
    """The process of these words: `sys.executable`, then `-m MODULE …`, `-c PROGRAM …` or `FILE.py …`.

    how: streams and text as subprocess takes them; `terminal=True` makes standard input the one that controls it.
    """
    given, environment = [str(word) for word in words], dict(os.environ if env is None else env)
    if _can_be_forked(given, environment):
        return _Forked(given, cwd=cwd, env=environment, **how)
    return new(given, cwd=cwd, env=environment, **how)


def new(words: Sequence[object], *, terminal: bool = False, **how: Any) -> "subprocess.Popen[Any]":
    """The same, in a new interpreter."""
    begins = _controlled if terminal else _hears_ctrl_c
    return subprocess.Popen([str(word) for word in words], start_new_session=True, preexec_fn=begins, **how)


def run(words: Sequence[object], *, input: Any = None, timeout: float | None = None, check: bool = False, **how: Any):
    """As subprocess.run."""
    if how.pop("capture_output", False):
        how |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if input is not None:
        how["stdin"] = subprocess.PIPE
    with Popen(words, **how) as process:
        try:
            told = process.communicate(input, timeout=timeout)
        finally:
            if process.poll() is None:
                process.kill()
    done: subprocess.CompletedProcess[Any] = subprocess.CompletedProcess(process.args, process.returncode, *told)
    if check:
        done.check_returncode()
    return done


def _can_be_forked(words: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Whether it would be as a new interpreter is."""
    python = words[0] == sys.executable and (words[1] in ("-m", "-c") or words[1].endswith(".py"))
    if sys.platform != "linux" or not python:
        return False
    if not _started_with:
        multiprocessing.set_forkserver_preload(["tests.worlds.loaded"])
        begun = _before_any_test or dict(os.environ)
        with contextlib.chdir(REPOSITORY), _environment(begun):  # where it finds what to load
            forkserver.ensure_running()
        _started_with.update(begun)
    return _at_start(environment) == _at_start(_started_with)


@contextlib.contextmanager
def _environment(given: Mapping[str, str]) -> Iterator[None]:
    """The test that asks for the first process may have changed what all later ones would be compared with."""
    own = dict(os.environ)
    os.environ.clear()
    os.environ.update(given)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(own)


def _at_start(environment: Mapping[str, str]) -> dict[str, str]:
    known = {**LIKE_NONE, **environment}
    return {
        name: value for name, value in known.items() if name.startswith(READ_AT_START) and name not in GIVEN_AFTERWARDS
    }


class _Forked(subprocess.Popen):  # type: ignore[type-arg]
    """A subprocess that is begun, and asked how it ended, in another way."""

    def __init__(self, words: list[str], *, terminal: bool = False, **how: Any) -> None:
        self._terminal = terminal
        super().__init__(words, **how)

    def _execute_child(
        self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, startupinfo, creationflags, shell,
        p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite, *more,
    ):  # fmt: skip
        assert preexec_fn is None, "a function cannot be sent along"
        assert not pass_fds, "files are not sent along"
        theirs = [fd if fd != -1 else number for number, fd in enumerate((p2cread, c2pwrite, errwrite))]
        streams = [Connection(os.dup(fd)) for fd in theirs]
        told = (args[1:], str(cwd or os.getcwd()), env, self._terminal, streams)
        self._process = multiprocessing.get_context("forkserver").Process(target=_inside, args=told)
        self._process.start()
        self.pid, self._child_created, self._closed_child_pipe_fds = self._process.pid, True, True
        for stream in streams:
            stream.close()
        ours = {fd for fd, end in ((p2cread, p2cwrite), (c2pwrite, c2pread), (errwrite, errread)) if end != -1}
        for fd in ours | {getattr(self, "_devnull", -1)} - {-1}:
            os.close(fd)

    def _internal_poll(self, _deadstate=None):
        self.returncode = self._process.exitcode if self.returncode is None else self.returncode
        return self.returncode

    def _wait(self, timeout):
        self._process.join(timeout)
        if self._internal_poll() is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode


def _inside(words: list[str], folder: str, environment: dict[str, str], terminal: bool, streams: list[Connection]):
    """In the new process."""
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream.fileno(), number)
        stream.close()
    (_controlled if terminal else _hears_ctrl_c)()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # who replaces them does not close them
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    tempfile.tempdir = None  # asked for anew: TMPDIR may be another
    searched = environment.get(SEARCHED, "")
    first = {"-m": folder, "-c": ""}.get(words[0], os.path.dirname(os.path.abspath(words[0])))
    sys.path[:0] = [first, *filter(None, searched.split(os.pathsep))]
    code = _code_of(words)
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    sys.stdout = sys.stderr = None  # multiprocessing would tell of what it cannot flush
    sys.exit(code)


def _code_of(words: list[str]) -> int:
    """How the program ends, told where Python tells it."""
    try:
        _program(words)
    except SystemExit as ending:
        if isinstance(ending.code, str):
            sys.stderr.write(f"{ending.code}\n")
        return ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except Exception:
        sys.excepthook(*sys.exc_info())
        return 1
    except KeyboardInterrupt:  # so Python itself ends then
        sys.excepthook(*sys.exc_info())
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    return 0


def _program(words: list[str]) -> None:
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    elif words[0] == "-c":
        sys.argv = ["-c", *words[2:]]
        exec(compile(words[1], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")


def _hears_ctrl_c() -> None:
    """Tests that run in the background of a shell are deaf to it, and what they start would be so, too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _controlled() -> None:
    ioctl(0, TIOCSCTTY, 0)
    _hears_ctrl_c()


def ranks(words: Sequence[object], count: int = 2) -> "list[subprocess.CompletedProcess[str]]":
    """The same words in so many processes that torch.distributed joins, as torchrun starts them; ended."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    every = {"WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    told = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    begun = []
    for rank in range(count):
        own = {name: str(value) for name, value in {**every, "RANK": rank, "LOCAL_RANK": rank}.items()}
        begun.append(Popen(words, env={**os.environ, "OMP_NUM_THREADS": "1", **own}, **told))
    told = [one.communicate(timeout=300) for one in begun]
    return [
        subprocess.CompletedProcess(one.args, one.returncode, *words) for one, words in zip(begun, told, strict=True)
    ]
