"""Where files are: on this machine, or behind an address (s3://, gs://, hf://, memory://) through fsspec.

The one place that opens, sizes and lists what datasets consist of. Knows paths; nothing of what files hold.
A local path is a plain path or file://…; an address keeps its form in every path that is made from it.
"""

import glob
import hashlib
import io
import logging
import os
import posixpath
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

import pyarrow as pa

from ncaudit.errors import BadTable, NcauditError
from ncaudit.shards.files.walk import DEEP, deep_matches, files_in

MIB = 1 << 20
ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://")
LOCAL, HUB = "file://", "hf://"
LOG_IN = "for a private or gated dataset log in with `hf auth login`, or set HF_TOKEN"
ABSENT = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)  # said of a file, not of a place
PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "hf": "huggingface_hub", "az": "adlfs",
            "abfs": "adlfs", "http": "aiohttp", "https": "aiohttp"}  # fmt: skip


def is_remote(path: str) -> bool:
    """Whether a path is an address of another place than this machine's files.

    >>> is_remote("s3://bucket/00000.parquet"), is_remote("file:///data/00000.parquet"), is_remote("data")
    (True, False, False)
    """
    return ADDRESS.match(path) is not None and not path.startswith(LOCAL)


def absolute(path: str) -> str:
    """One spelling per place: an absolute local path, or an address without needless slashes and dots.

    >>> absolute("memory:///pairs//A/")
    'memory://pairs/A'
    """
    if not is_remote(path):
        return os.path.abspath(path.removeprefix(LOCAL))
    protocol, place = path.split("://", 1)
    inner = posixpath.normpath("/" + place).lstrip("/")
    return f"{protocol}://{inner}"


def real(path: str) -> str:
    """`absolute`, with symbolic links followed where there are any."""
    return absolute(path) if is_remote(path) else os.path.realpath(path.removeprefix(LOCAL))


def join(folder: str, *names: str) -> str:
    """A path below a folder; an absolute name stands for itself on this machine, and for one below an address."""
    if not is_remote(folder):
        return os.path.join(folder.removeprefix(LOCAL), *names)
    return "/".join([folder.rstrip("/"), *(name.lstrip("/") for name in names)])


def dirname(path: str) -> str:
    """The folder that holds it.

    >>> dirname("s3://bucket/A/00000.parquet"), dirname("s3://bucket")
    ('s3://bucket/A', 's3://bucket')
    """
    if not is_remote(path):
        return os.path.dirname(path.removeprefix(LOCAL))
    protocol, place = path.split("://", 1)
    folder, slash, _ = place.rstrip("/").rpartition("/")
    return f"{protocol}://{folder if slash else place}"


def common_folder(folders: Sequence[str]) -> str:
    """The deepest folder that holds all of these absolute ones. Raises NcauditError when they lie in several places."""
    places = {folder.split("://", 1)[0] if is_remote(folder) else "" for folder in folders}
    if len(places) > 1:
        called = ", ".join(sorted(f"{place}://" if place else "this machine" for place in places))
        raise NcauditError(f"the inputs lie in several places ({called})", fix="name inputs of one place at a time")
    place = places.pop()
    if not place:
        return os.path.commonpath(list(folders))
    inner = posixpath.commonpath(["/" + folder.split("://", 1)[1] for folder in folders])
    return f"{place}://{inner.lstrip('/')}"


def relative(path: str, folder: str) -> str:
    """The path from a folder that holds it, with `/` on every system; both absolute.

    >>> relative("s3://bucket/A/00000.parquet", "s3://bucket")
    'A/00000.parquet'
    """
    if is_remote(path):
        return posixpath.relpath("/" + path.split("://", 1)[1], "/" + folder.split("://", 1)[1])
    return os.path.relpath(path, folder).replace(os.sep, "/")


def is_file(path: str) -> bool:
    """Whether a file is there. Raises NcauditError when the place cannot be reached, as do the others here."""
    return _kind(path) == "file" if is_remote(path) else os.path.isfile(path.removeprefix(LOCAL))


def is_dir(path: str) -> bool:
    """Whether a folder is there; behind an address: whether something lies below it."""
    return _kind(path) == "directory" if is_remote(path) else os.path.isdir(path.removeprefix(LOCAL))


def exists(path: str) -> bool:
    """Whether a file or folder is there."""
    return _kind(path) is not None if is_remote(path) else os.path.exists(path.removeprefix(LOCAL))


def size(path: str) -> int:
    """Bytes of a file. Raises OSError when there is none."""
    return int(_info(path)["size"]) if is_remote(path) else os.path.getsize(path.removeprefix(LOCAL))


def version(path: str) -> str:
    """What changes when the file's content does: what was learnt of a file holds as long as this stays the same.

    Raises OSError when there is none.
    """
    if is_remote(path):
        return hashlib.sha256(repr(_info(path)).encode()).hexdigest()
    told = os.stat(path.removeprefix(LOCAL))
    return f"{told.st_dev}-{told.st_ino}-{told.st_size}-{told.st_mtime_ns}"


def open_file(path: str, *, jumps: bool = False) -> BinaryIO:
    """A file for reading, seekable. Raises OSError when it cannot be opened, BadTable when it is no regular file.

    An address that cannot be reached is an NcauditError, also later, while it is read.

    jumps: for a reader that asks for exactly the ranges it needs: nothing is fetched ahead of it from an address.
    """
    if not is_remote(path):
        _require_regular(path)
        return open(path.removeprefix(LOCAL), "rb")
    system, inner = _system(path)
    cache = {"cache_type": "none"} if jumps else {"block_size": 4 * MIB}
    with _reaching(path):
        raw = _RemoteFile(path, system.open(inner, "rb", **cache))
    return raw if jumps else io.BufferedReader(raw, MIB)  # type: ignore[return-value]


def open_native(path: str) -> Any:
    """A file for arrow, which reads local ones by itself; else as `open_file`, of which nothing is fetched ahead."""
    if is_remote(path):
        return open_file(path, jumps=True)
    _require_regular(path)
    try:
        return pa.OSFile(os.fsencode(path.removeprefix(LOCAL)))  # as bytes: names need not be UTF-8
    except OSError:
        return open_file(path)  # which says in the system's words what is wrong


def no_regular_file(path: str) -> BadTable:
    """The error of a pipe, socket or device in place of a file: opening it might wait for ever."""
    return BadTable(
        f"{path} is no regular file, but {_sort_of(path)}",
        fix="copy what it holds into a file first, or send rows (an Arrow stream or JSON lines) to standard input: -",
    )


def _require_regular(path: str) -> None:
    try:
        mode = os.stat(path.removeprefix(LOCAL)).st_mode
    except (OSError, ValueError):
        return  # whoever opens it is told what is wrong
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise no_regular_file(path)


def _sort_of(path: str) -> str:
    mode = 0 if is_remote(path) else os.stat(path.removeprefix(LOCAL)).st_mode
    return "a named pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"


def read_many(paths: Sequence[str], at_most: int) -> list[bytes | OSError]:
    """The first `at_most` bytes of each of these remote files of one place, fetched at the same time where it can be.

    In place of a file that is not there or may not be read stands its error. Raises NcauditError when the place cannot
    be reached.
    """
    system, _ = _system(paths[0])
    inner = [_system(path)[1] for path in paths]
    with _reaching(paths[0]):
        found = system.cat_ranges(inner, [0] * len(inner), [at_most] * len(inner), on_error="return")
    return [_fetched(path, got) for path, got in zip(paths, found, strict=True)]


def _fetched(path: str, got: Any) -> bytes | OSError:
    if isinstance(got, ABSENT) or not isinstance(got, Exception):
        return got
    if size(path):
        raise _unreachable(path, got) from got
    return b""  # some places call it an error to ask for a range of an empty file


def files_below(folders: Sequence[str], enter: Callable[[str], bool] = lambda name: True) -> list[str]:
    """Every file in these folders of one place and below, links followed; as absolute paths, in no order.

    enter: by the name of a folder below them, whether to look into it. On this machine each real folder is looked into
    once: see `files_in`.
    """
    if not folders:
        return []
    if not is_remote(folders[0]):
        return list(files_in([os.path.abspath(folder.removeprefix(LOCAL)) for folder in folders], enter))
    return [file for folder in folders for file in _files_at(folder) if all(map(enter, _folders_below(folder, file)))]


def _files_at(folder: str) -> list[str]:
    system, inner = _system(folder)
    return _found(folder, lambda: system.find(inner))


def _folders_below(folder: str, file: str) -> list[str]:
    return relative(file, absolute(folder)).split("/")[:-1]


def has_magic(path: str) -> bool:
    """Whether a path is a pattern: `*`, `?`, `[…]`."""
    return glob.has_magic(path)


def matches(base: str, parts: Sequence[str], enter: Callable[[str], bool]) -> list[str]:
    """The files and folders that a pattern stands for (`**`: any depth), as absolute paths, in no order.

    base: the folder above its first wildcard, whatever stands in that one's name. parts: the pattern from there on.
    enter: by its name, whether `**` looks into a folder of this machine.
    """
    if is_remote(base):
        system, inner = _system(join(base, *parts))
        return _found(base, lambda: system.glob(inner))
    if DEEP in parts:  # not left to `glob`, which goes round in circles of links
        return list(deep_matches(base, parts, enter))
    return glob.glob(os.path.join(glob.escape(base), *parts))


class _RemoteFile(io.RawIOBase):
    """A remote file that says when its place is lost, whatever its library raises then."""

    def __init__(self, path: str, file: Any) -> None:
        self._path, self._file = path, file

    def readinto(self, buffer: Any) -> int:
        with _reaching(self._path):
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def _system(path: str) -> tuple[Any, str]:
    """The file system of an address, and what the address is called there."""
    from fsspec.core import url_to_fs  # only who reads from afar pays for it

    protocol = path.split("://", 1)[0]
    if path.startswith(HUB):
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it prints every retry, over the progress
    try:
        system, inner = url_to_fs(path)
    except ImportError as error:
        package = PACKAGES.get(protocol)
        told = f"pip install {package}" if package else str(error).splitlines()[0]
        raise NcauditError(f"{path}: reading from {protocol}:// needs another package", fix=told) from error
    except ValueError as error:
        places = "give a local path, or s3://, gs:// or hf://"
        raise NcauditError(f"{path}: {protocol}:// is no place to read from", fix=places) from error
    except Exception as error:  # as in `_reaching`
        raise _unreachable(path, error) from error
    return system, inner


def _info(path: str) -> dict[str, Any]:
    """Size and kind of what lies at an address. Raises FileNotFoundError when nothing does."""
    system, inner = _system(path)
    with _reaching(path):
        return dict(system.info(inner))


def _kind(path: str) -> str | None:
    try:
        return str(_info(path)["type"])
    except FileNotFoundError:
        return None


def _found(path: str, look: Callable[[], Sequence[str]]) -> list[str]:
    protocol = path.split("://", 1)[0]
    try:
        with _reaching(path):
            hits = look()
    except FileNotFoundError:
        return []
    return [absolute(f"{protocol}://{hit.split('://', 1)[-1].lstrip('/')}") for hit in hits]


def _unreachable(path: str, error: Exception) -> NcauditError:
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if path.startswith(HUB):  # whose first line is the status alone
        reason, fix = " ".join(lines[:2]), f"check the address and the network; {LOG_IN}"
    else:
        reason, fix = lines[0], "check the address, the network and your credentials"
    return NcauditError(f"{path} cannot be reached: {reason}", fix=fix)


@contextmanager
def _reaching(path: str) -> Iterator[None]:
    """Errors of a file that is not there or is not ours to read pass; all others are those of the place."""
    try:
        yield
    except (NcauditError, *ABSENT):
        raise
    except Exception as error:  # every file system has errors of its own: a time-out, a refused token, no such account
        raise _unreachable(path, error) from error
