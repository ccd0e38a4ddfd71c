"""The files below a folder of this machine, and those that a pattern with `**` stands for: each real folder once.

Knows folders, links and patterns; nothing of what files hold or which of them are wanted.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence

from ncaudit.errors import BadTable

DEEP = "**"
TOKENS = re.compile(r"\[!?\]?[^\]]*\]|.", re.DOTALL)  # of a part of a pattern
Place = tuple[int, int]  # device and inode: what a folder is, whatever paths lead to it
Enter = Callable[[str], bool]


def files_in(folders: Sequence[str], enter: Enter = lambda name: True) -> Iterator[str]:
    """Every file in these folders and below them, links followed, no folder twice however many paths lead to it.

    A folder goes by its own path where it has one here, and by that of a link only where it has none. A link to a
    folder that holds one of `folders` leads back out and is not followed. enter: by the name of a folder below, whether
    to look into it. Raises BadTable naming a folder that may not be read: what is in it would be missing unsaid.
    """
    seen: set[Place | None] = {place for folder in folders for place in _above(folder)}
    waiting = sorted(folders, key=lambda folder: (os.path.realpath(folder) != folder, folder))
    while waiting:
        links: list[str] = []
        for folder in waiting:
            yield from _plain(folder, seen, links, enter)
        waiting = sorted(links)


def deep_matches(base: str, parts: Sequence[str], enter: Enter) -> Iterator[str]:
    """The files below `base` that a pattern (its parts from there on) stands for, or that lie in such a folder."""
    wanted = pattern(parts)
    for file in files_in([base], enter):
        names = os.path.relpath(file, base).split(os.sep)
        if any(wanted.match("/".join(names[:depth])) for depth in range(1, len(names) + 1)):
            yield file


def pattern(parts: Sequence[str]) -> re.Pattern[str]:
    """A pattern's parts as a regular expression for paths with `/`; `**` stands for any number of folders.

    >>> found = pattern(["A", "**", "*.parquet"])
    >>> [bool(found.match(path)) for path in ("A/0.parquet", "A/b/c/0.parquet", "A/0.parquet/x", "0.parquet")]
    [True, True, False, False]
    """
    *folders, last = parts
    told = "".join("(?:[^/]+/)*" if part == DEEP else f"{_in_one(part)}/" for part in folders)
    return re.compile(rf"{told}{'.+' if last == DEEP else _in_one(last)}\Z", re.DOTALL)


def _in_one(part: str) -> str:
    """One part of a pattern: nothing in it stands for a `/`."""
    return "".join(map(_in_regex, TOKENS.findall(part)))


def _in_regex(token: str) -> str:
    if token in ("*", "?"):
        return "[^/]*" if token == "*" else "[^/]"
    if len(token) == 1:
        return re.escape(token)
    turned = token[1] == "!"
    inside = re.sub(r"([\\\[\]^])", r"\\\1", token[1 + turned : -1])
    return f"[{'^/' * turned}{inside}]"


def _above(folder: str) -> Iterator[Place | None]:
    """The folders that hold it."""
    inner, outer = os.path.realpath(folder), os.path.dirname(os.path.realpath(folder))
    while outer != inner:
        yield _place(outer)
        inner, outer = outer, os.path.dirname(outer)


def _plain(folder: str, seen: set[Place | None], links: list[str], enter: Enter) -> Iterator[str]:
    """The files of a folder and of those below that are no links; what links lead to is put off."""
    waiting = [folder]
    while waiting:
        folder = waiting.pop()
        if (place := _place(folder)) in seen:
            continue
        seen.add(place)
        for entry in _entries(folder):
            if not _is_folder(entry):
                yield entry.path
            elif enter(entry.name):
                (links if entry.is_symlink() else waiting).append(entry.path)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []  # gone since it was listed
    except OSError as error:
        raise BadTable(
            f"{folder} cannot be read: {error.strerror}", fix="get access to it, or name the folders beside it"
        ) from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link to itself


def _place(folder: str) -> Place | None:
    try:
        told = os.stat(folder)
    except OSError:
        return None
    return told.st_dev, told.st_ino
