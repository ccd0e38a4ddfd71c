"""Where files are: on this machine, or behind an address (s3://, gs://, hf://, memory://) through fsspec.

The one place that opens, sizes, lists and removes files, wherever they are; `writer` lets them appear. Knows paths;
nothing of what files hold. A local path is a plain path or file://…; an address keeps its form in every path that is
made from it. Of a folder of a store that a run writes to, and so has listed (see `listings`), it is the listing that
answers: whether a file is there, its size and its version.
"""

import errno
import glob
import io
import os
import posixpath
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

import pyarrow as pa

from ncaudit.errors import BadTable, NcauditError
from ncaudit.shards.files.walk import DEEP, deep_matches, files_in
from ncaudit.shards.places import listings, scratch, uploads
from ncaudit.stores import ABSENT, MEMORY, info, kind, reaching, spelled, system, unreachable
from ncaudit.stores import HUB as HUB
from ncaudit.stores import LOCAL as LOCAL
from ncaudit.stores import LOG_IN as LOG_IN
from ncaudit.stores import is_remote as is_remote

MIB = 1 << 20
PLAIN = re.compile(r"(?:[^/.][^/]*/)*[^/.][^/]*")  # names of which none is empty or begins with a dot


def absolute(path: str) -> str:
    """One spelling per place: an absolute local path, or an address without needless slashes and dots.

    >>> absolute("memory:///pairs//A/")
    'memory://pairs/A'
    """
    if not is_remote(path):
        return os.path.abspath(path.removeprefix(LOCAL))
    return spelled(path, path)


def real(path: str) -> str:
    """`absolute`, with symbolic links followed where there are any."""
    return absolute(path) if is_remote(path) else os.path.realpath(path.removeprefix(LOCAL))


def join(folder: str, *names: str) -> str:
    """A path below a folder; an absolute name stands for itself on this machine, and for one below an address.

    >>> join("s3://bucket/A/", "00000.parquet"), join("memory://", "A", "x"), join("A", "x")
    ('s3://bucket/A/00000.parquet', 'memory://A/x', 'A/x')
    """
    if not is_remote(folder):
        return os.path.join(folder.removeprefix(LOCAL), *names)
    protocol, place = folder.split("://", 1)
    return f"{protocol}://" + "/".join([*filter(None, [place.rstrip("/")]), *(name.lstrip("/") for name in names)])


def dirname(path: str) -> str:
    """The folder that holds it.

    >>> dirname("s3://bucket/A/00000.parquet"), dirname("s3://bucket"), dirname("memory://x.parquet")
    ('s3://bucket/A', 's3://bucket', 'memory://')
    """
    if not is_remote(path):
        return os.path.dirname(path.removeprefix(LOCAL))
    protocol, place = path.split("://", 1)
    folder, slash, _ = place.rstrip("/").rpartition("/")
    return f"{protocol}://{folder if slash or path.startswith(MEMORY) else place}"


def basename(path: str) -> str:
    """The last name of a path.

    >>> basename("s3://bucket/A/00000.parquet"), basename("memory://x"), basename("A/x")
    ('00000.parquet', 'x', 'x')
    """
    return os.path.basename(path.split("://", 1)[-1] if is_remote(path) else path)


def normal(path: str) -> str:
    """A path without needless slashes and dots; of this machine as relative as it was."""
    return absolute(path) if is_remote(path) else os.path.normpath(path.removeprefix(LOCAL))


def reals(paths: Iterable[str]) -> dict[str, str]:
    """`real` of each, the links of a folder followed once for all that lies in it."""
    folders: dict[str, str] = {}
    found = {}
    for path in paths:
        at = absolute(path)
        folder, name = os.path.split(at)
        if is_remote(path) or not name or os.path.islink(at):
            found[path] = real(path)
            continue
        if folder not in folders:
            folders[folder] = os.path.realpath(folder)
        found[path] = os.path.join(folders[folder], name)
    return found


def plain(path: str) -> str:
    """A path of this machine without file://; an address as it is."""
    return os.path.abspath(path.removeprefix(LOCAL)) if path.startswith(LOCAL) else path


def is_at_or_below(path: str, place: str) -> bool:
    """Whether a path is a place, or lies in it; both real."""
    return path == place or path.startswith(join(place, ""))


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
    rest = path[len(folder) + 1 :]
    if os.sep == "/" and path.startswith(f"{folder}/") and PLAIN.fullmatch(rest):
        return rest  # as nearly all are: the system's own words would cost ten times that
    return os.path.relpath(path, folder).replace(os.sep, "/")


def is_file(path: str) -> bool:
    """Whether a file is there. Raises NcauditError when the place cannot be reached, as do the others here."""
    if (known := listings.of(path)) is not None:
        return known.is_file(absolute(path))
    return kind(path) == "file" if is_remote(path) else os.path.isfile(path.removeprefix(LOCAL))


def is_dir(path: str) -> bool:
    """Whether a folder is there; behind an address: whether something lies below it."""
    if (known := listings.of(path)) is not None:
        return known.is_dir(absolute(path))
    return kind(path) == "directory" if is_remote(path) else os.path.isdir(path.removeprefix(LOCAL))


def exists(path: str) -> bool:
    """Whether a file or folder is there."""
    if listings.of(path) is not None:
        return is_file(path) or is_dir(path)
    return kind(path) is not None if is_remote(path) else os.path.exists(path.removeprefix(LOCAL))


def lexists(path: str) -> bool:
    """The same; a link that leads nowhere is there, too."""
    return exists(path) if is_remote(path) else os.path.lexists(path.removeprefix(LOCAL))


def size(path: str) -> int:
    """Bytes of a file. Raises OSError when there is none."""
    if (known := listings.of(path)) is not None:
        return _entry(known, path).size
    return int(info(path)["size"]) if is_remote(path) else os.path.getsize(path.removeprefix(LOCAL))


def version(path: str, *, fresh: bool = False) -> str:
    """What changes when the file's content does: what was learnt of a file holds as long as this stays the same.

    fresh: asked of the place now, whatever a listing says. Raises OSError when there is none.
    """
    if not fresh and (known := listings.of(path)) is not None:
        return _entry(known, path).version
    if is_remote(path):
        return listings.entry_of(info(path, fresh=fresh)).version
    told = os.stat(path.removeprefix(LOCAL))
    return f"{told.st_dev}-{told.st_ino}-{told.st_size}-{told.st_mtime_ns}"


def _entry(known: listings.Listing, path: str) -> listings.Entry:
    try:
        return known.entries[absolute(path)]
    except KeyError:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from None


def names_in(folder: str) -> list[str]:
    """The names of what lies in a folder, in no order; of a store of the files alone. None where there is no folder."""
    if not is_remote(folder):
        with suppress(OSError):
            return os.listdir(folder.removeprefix(LOCAL))
        return []
    start = join(absolute(folder), "")
    return [path[len(start) :] for path in _below(folder) if "/" not in path[len(start) :]]


def folders_in(folder: str) -> set[str]:
    """The names of the folders in a folder; behind an address: of what something lies below."""
    if is_remote(folder):
        start = join(absolute(folder), "")
        return {name for path in _below(folder) for name, more, _ in [path[len(start) :].partition("/")] if more}
    return {name for name in names_in(folder) if is_dir(join(folder, name))}


def names_below(folder: str, enter: Callable[[str], bool]) -> list[str]:
    """The names, with `/`, of all files in a folder and below it, in their order. enter: by its name, whether to look
    into a folder."""
    if is_remote(folder):
        base = absolute(folder)
        names = (relative(path, base) for path in _below(folder))
        return sorted(name for name in names if all(map(enter, name.split("/")[:-1])))
    found = []
    for parent, folders, names_here in os.walk(folder.removeprefix(LOCAL)):
        folders[:] = [name for name in folders if enter(name)]
        found += [relative(os.path.join(parent, name), folder.removeprefix(LOCAL)) for name in names_here]
    return sorted(found)


def _below(folder: str) -> Iterable[str]:
    """The addresses of all files below a folder of a store."""
    if (known := listings.of(folder)) is not None:
        return list(known.below(absolute(folder)))
    return listings.found_below(absolute(folder))


def remove(path: str) -> None:
    """Take a file away, if it is there."""
    if is_remote(path):
        uploads.remove(absolute(path))
        return
    with suppress(FileNotFoundError):
        os.remove(path.removeprefix(LOCAL))


@contextmanager
def on_this_machine(path: str) -> Iterator[str]:
    """A file for what reads those of this machine alone: itself, or a copy that goes when the block ends."""
    if is_remote(path):
        with scratch.copy_of(path) as copy:
            yield copy
    else:
        yield path.removeprefix(LOCAL)


def open_file(path: str, *, jumps: bool = False) -> BinaryIO:
    """A file for reading, seekable. Raises OSError when it cannot be opened, BadTable when it is no regular file.

    An address that cannot be reached is an NcauditError, also later, while it is read.

    jumps: for a reader that asks for exactly the ranges it needs: nothing is fetched ahead of it from an address.
    """
    if not is_remote(path):
        _require_regular(path)
        return open(path.removeprefix(LOCAL), "rb")
    files, inner = system(path)
    cache = {"cache_type": "none"} if jumps else {"block_size": 4 * MIB}
    with reaching(path):
        raw = _RemoteFile(path, files.open(inner, "rb", **cache))
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
    files, _ = system(paths[0])
    inner = [system(path)[1] for path in paths]
    with reaching(paths[0]):
        found = files.cat_ranges(inner, [0] * len(inner), [at_most] * len(inner), on_error="return")
    return [_fetched(path, got) for path, got in zip(paths, found, strict=True)]


def _fetched(path: str, got: Any) -> bytes | OSError:
    if isinstance(got, ABSENT) or not isinstance(got, Exception):
        return got
    if size(path):
        raise unreachable(path, got) from got
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
    files, inner = system(folder)
    return _found(folder, lambda: files.find(inner))


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
        files, inner = system(join(base, *parts))
        return _found(base, lambda: files.glob(inner))
    if DEEP in parts:  # not left to `glob`, which goes round in circles of links
        return list(deep_matches(base, parts, enter))
    return glob.glob(os.path.join(glob.escape(base), *parts))


class _RemoteFile(io.RawIOBase):
    """A remote file that says when its place is lost, whatever its library raises then."""

    def __init__(self, path: str, file: Any) -> None:
        self._path, self._file = path, file

    def readinto(self, buffer: Any) -> int:
        with reaching(self._path):
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


def _found(path: str, look: Callable[[], Sequence[str]]) -> list[str]:
    try:
        with reaching(path):
            hits = look()
    except FileNotFoundError:
        return []
    return [spelled(path, hit) for hit in hits]
