"""From what the user names (files, folders, globs, addresses) to shards with stable names.

Knows paths and what suffixes promise, not what is inside.
"""

import os
from collections.abc import Sequence

from ncaudit.errors import BadTable, NcauditError
from ncaudit.options import TABLE_SUFFIX
from ncaudit.shards.files import locations
from ncaudit.shards.files.formats import SUFFIXES, suffix_of
from ncaudit.shards.files.layouts import (
    clip_retrieval_among,
    pair_of_arrays,
    shard_at,
    shard_name,
    sort_key,
    with_features,
)
from ncaudit.shards.files.shard import Shard

TARS = (".tar", ".tar.gz", ".tgz")
# What a folder is taken for: the first kind of which it holds a file.
KINDS = (
    (TABLE_SUFFIX,), TARS, (".arrow",), (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz"),
    (".csv", ".tsv", ".csv.gz", ".tsv.gz"),
)  # fmt: skip


def find_shards(sources: Sequence[str], features: str | None = None) -> list[Shard]:
    """All shards that `sources` name, in the order of their names; a clip-retrieval folder's by their number.

    A file is a shard whatever its suffix; a folder gives its parquet files, or where it has none those of the next
    kind in `KINDS`; two .npy files are one shard, images first; a partition of a clip-retrieval folder is one, called
    what its metadata is called (`metadata_0`), or without any its images' embeddings (`img_emb_0`). The root is the
    folder that all sources share, so that `A/00000` and `B/00000` keep their names apart. Sources may be addresses
    (s3://…), all of one place.
    features: which of the features beside the tables are meant, where there are several.
    Raises NcauditError when a source does not exist, cannot be reached, holds no shard, holds tars beside tables, or
    has no features beside a table where some were named.
    """
    if not sources:
        raise NcauditError("no input was named", fix="give files, folders or globs")
    shards = _found(sources)
    return [with_features(shard, features) for shard in shards] if features is not None else shards


def _found(sources: Sequence[str]) -> list[Shard]:
    if any(source.lower().endswith(".npy") for source in sources):
        return [_array_pair(sources)]
    found = {path: base for source in sources for base, path in _expand(source)}
    root = locations.common_folder(list(found.values()))
    names = {path: shard_name(locations.relative(path, root)) for path in found}
    return [shard_at(path, names[path]) for path in sorted(found, key=lambda path: sort_key(names[path]))]


def _array_pair(sources: Sequence[str]) -> Shard:
    """Two files of embeddings as one shard, called what the images' file is called."""
    arrays = [locations.absolute(source) for source in sources]
    if len(arrays) != 2 or not all(path.lower().endswith(".npy") for path in arrays):
        fix = "give two .npy files, the images' embeddings first, then the captions'"
        raise NcauditError(f"{', '.join(sources)}: embeddings in .npy files come in pairs", fix=fix)
    for source, path in zip(sources, arrays, strict=True):
        if not locations.is_file(path):
            raise BadTable(f"{source} does not exist", fix="give two .npy files, images first")
    return pair_of_arrays(arrays[0], arrays[1], locations.relative(arrays[0], locations.dirname(arrays[0])))


def _expand(source: str) -> list[tuple[str, str]]:
    """(base folder, file) pairs of one source."""
    path = locations.absolute(source)
    if locations.is_dir(path):
        return [(path, file) for file in _shards_among(source, locations.files_below(path))]
    if locations.is_file(path):
        return [(locations.dirname(path), path)]
    if locations.has_magic(path):
        return [(_fixed_part(path), file) for file in _shards_among(source, _globbed(path))]
    private = f"; {locations.LOG_IN}" if source.startswith(locations.HUB) else ""
    raise BadTable(f"{source} does not exist", fix=f"give a file of pairs, a folder of them, or a glob{private}")


def _globbed(pattern: str) -> list[str]:
    hits = locations.matches(pattern)
    return [path for hit in hits for path in (locations.files_below(hit) if locations.is_dir(hit) else [hit])]


def _shards_among(source: str, files: Sequence[str]) -> list[str]:
    """Partitions of clip-retrieval folders, and elsewhere the files of the first kind there is.

    Sidecars of tars, arrays beside tables, what else lies in a clip-retrieval folder, and left-overs are no shards.
    """
    # by suffix only: a killed writer's temporary file, or a fit beside the tables, is no shard
    seen = [path for path in files if not path.replace(os.sep, "/").rsplit("/", 1)[-1].startswith((".", "_"))]
    folders = clip_retrieval_among(seen)
    seen = [path for path in seen if not any(path.startswith(locations.join(folder, "")) for folder in folders)]
    numbered = [path for paths in folders.values() for path in paths]
    kinds = [[path for path in seen if suffix_of(path).lower() in kind] for kind in KINDS]
    tables, tars = _without_sidecars(kinds[0], kinds[1]), kinds[1]
    if tables and tars:
        raise NcauditError(
            f"{source} holds tars and tables that are none of their sidecars ({tars[0]}, {tables[0]})",
            fix="name one kind by a glob, such as 'FOLDER/*.tar'",
        )
    chosen: list[str] = next((kind for kind in (tables, *kinds[1:]) if kind), [])
    if not chosen and not numbered:
        known = ", ".join(f"*{suffix}" for suffix in SUFFIXES if not suffix.endswith((".gz", ".npy")))
        raise BadTable(f"{source} holds no shard ({known})", fix="name the folder or files that hold the pairs")
    return [*numbered, *chosen]


def _without_sidecars(tables: Sequence[str], tars: Sequence[str]) -> list[str]:
    beside = {path.removesuffix(suffix_of(path)) for path in tars}
    return [path for path in tables if path.removesuffix(suffix_of(path)) not in beside]


def _fixed_part(pattern: str) -> str:
    """The folder above the first wildcard."""
    head = pattern
    while locations.has_magic(head):
        head = locations.dirname(head)
    return head
