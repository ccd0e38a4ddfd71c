"""The log of a run, for `--log FILE`: plain lines with their time, appended; what a bug report or an admin asks for.

Knows a file and lines; nothing of what a command does. Secrets are masked: passwords and signatures in addresses, and
tokens. The environment is never written.
"""

import platform
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from time import monotonic
from typing import TextIO

from ncaudit.errors import NcauditError
from ncaudit.options.shared.as_command import shown
from ncaudit.version import __version__

LIBRARIES = ("torch", "open_clip_torch", "pyarrow", "numpy", "faiss-cpu", "pillow", "safetensors", "typer", "rich")
_SECRETS = (
    (re.compile(r"(\w+://)[^/@\s]+@"), r"\1***@"),
    (re.compile(r"([?&][\w.-]*(?:key|token|sig|secret|password|credential)[\w.-]*=)[^&\s'\"]+", re.I), r"\1***"),
    (re.compile(r"\b(hf_|AKIA|ASIA|ghp_|sk-)[A-Za-z0-9_-]{8,}"), r"\1***"),
)

_file: TextIO | None = None
_begun = 0.0


def begin(path: str, command: str) -> None:
    """All that follows goes to the end of this file, too. Raises NcauditError where it cannot be written."""
    global _file, _begun
    if _file is not None:
        return
    try:
        _file = open(path, "a", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise NcauditError(f"--log {path}: {error.strerror}", fix="name a file that can be written") from error
    _begun = monotonic()
    line(f"begin: {command}")
    line(f"versions: ncaudit {__version__}, Python {platform.python_version()} on {platform.platform()}")
    line(f"libraries: {', '.join(f'{name} {_version(name)}' for name in LIBRARIES)}")


def line(text: str) -> None:
    """One line, where there is a log: its time, and the text without secrets."""
    if _file is not None:
        now = datetime.now().astimezone().isoformat(timespec="milliseconds")
        _file.write(f"{now} {' '.join(masked(text).split())}\n")
        _file.flush()


@contextmanager
def ended() -> Iterator[None]:
    """How the block ends is the last line of the log; the next run has a log of its own."""
    global _file
    try:
        yield
    except SystemExit as ending:
        line(f"end: exit code {ending.code or 0}{_after()}")
        raise
    except BaseException as error:
        line(f"end: {type(error).__name__}: {error}{_after()}")
        raise
    else:
        line(f"end: exit code 0{_after()}")
    finally:
        if _file is not None:
            _file.close()
        _file = None


def masked(text: str) -> str:
    """A text without the secrets that addresses and flags hold.

    >>> masked("s3://me:pass@bucket/a?X-Amz-Signature=12ab&part=1 hf_abcdefghijk")
    's3://***@bucket/a?X-Amz-Signature=***&part=1 hf_***'
    """
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def is_kept() -> bool:
    """Whether there is a log."""
    return _file is not None


def _after() -> str:
    return f" after {monotonic() - _begun:.3f} s"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "is not there"


def command_line() -> str:
    """The words of this process."""
    return shown(["ncaudit", *sys.argv[1:]])
