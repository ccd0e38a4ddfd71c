"""From what the user names (files, folders, globs) to shards with stable names. Knows paths, not what is inside."""

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass

from ncaudit.errors import BadTable, NcauditError

SUFFIX = ".parquet"


@dataclass(frozen=True)
class Shard:
    """One input file: where it is, and its name relative to the input root, with `/` on every system."""

    path: str
    name: str

    @property
    def stem(self) -> str:
        """The name without its suffix: what outputs and made pair ids are named by.

        >>> Shard("/data/A/00000.parquet", "A/00000.parquet").stem
        'A/00000'
        """
        return self.name.removesuffix(SUFFIX)

    def output(self, out: str) -> str:
        """Where this shard's output goes below the folder `out`: the input's relative path."""
        return os.path.join(out, *f"{self.stem}{SUFFIX}".split("/"))


def find_shards(sources: Sequence[str]) -> list[Shard]:
    """All parquet files that `sources` name, in the order of their names.

    The root is the folder that all sources share, so that `A/00000` and `B/00000` keep their names apart.
    Raises NcauditError when a source does not exist or holds no parquet file.
    """
    if not sources:
        raise NcauditError("no input was named", fix="give parquet files, folders or globs")
    found = {path: base for source in sources for base, path in _expand(source)}
    root = os.path.commonpath(list(found.values()))
    names = {path: os.path.relpath(path, root).replace(os.sep, "/") for path in found}
    return [Shard(path, names[path]) for path in sorted(found, key=names.__getitem__)]


def _expand(source: str) -> list[tuple[str, str]]:
    """(base folder, file) pairs of one source."""
    if "://" in source:
        raise NcauditError(f"{source} is a remote location", fix="copy it to a local folder; only local paths are read")
    path = os.path.abspath(source)
    if os.path.isdir(path):
        return _non_empty(source, path, _walk(path))
    if os.path.isfile(path):
        return [(os.path.dirname(path), path)]
    if glob.has_magic(source):
        return _non_empty(source, _fixed_part(path), _globbed(path))
    raise BadTable(f"{source} does not exist", fix="give a parquet file, a folder of them, or a glob")


def _walk(folder: str) -> list[str]:
    # only *.parquet: a killed writer's temporary file, or a fit beside the tables, is no shard
    return [
        os.path.join(parent, file)
        for parent, _, files in os.walk(folder, followlinks=True)
        for file in files
        if file.endswith(SUFFIX) and not file.startswith((".", "_"))
    ]


def _globbed(pattern: str) -> list[str]:
    hits = glob.glob(pattern, recursive=True)
    return [path for hit in hits for path in (_walk(hit) if os.path.isdir(hit) else [hit]) if path.endswith(SUFFIX)]


def _fixed_part(pattern: str) -> str:
    """The folder above the first wildcard."""
    head = pattern
    while glob.has_magic(head):
        head = os.path.dirname(head)
    return head


def _non_empty(source: str, base: str, paths: list[str]) -> list[tuple[str, str]]:
    if not paths:
        raise BadTable(f"{source} holds no *{SUFFIX} file", fix="name the folder or files that hold the pairs")
    return [(base, path) for path in paths]
