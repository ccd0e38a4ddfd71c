"""From what the user names (files, folders, globs, addresses) to shards with stable names.

Knows paths and what suffixes promise, not what is inside.
"""

from collections.abc import Sequence
from dataclasses import replace

from ncaudit.counts import counted
from ncaudit.errors import BadTable, NcauditError
from ncaudit.options import MAX_ROW_BYTES, TABLE_SUFFIX
from ncaudit.shards.files import locations
from ncaudit.shards.files.braces import in_braces
from ncaudit.shards.files.formats import suffix_of
from ncaudit.shards.files.layouts import (
    clip_retrieval_among,
    pair_of_arrays,
    shard_at,
    shard_name,
    sort_key,
    with_features,
)
from ncaudit.shards.files.passed_over import (
    each_once,
    is_hidden,
    is_named,
    no_shards,
    passed_over,
    without_caches,
)
from ncaudit.shards.files.shard import Shard, spelled
from ncaudit.shards.files.table_logs import refuse_rewritten

TARS = (".tar", ".tar.gz", ".tgz")
# What a folder is taken for: the first kind of which it holds a file.
KINDS = (
    (TABLE_SUFFIX,), TARS, (".arrow",), (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz"),
    (".csv", ".tsv", ".csv.gz", ".tsv.gz"),
)  # fmt: skip
ARROW = 2  # which of them


def find_shards(sources: Sequence[str], features: str | None = None, max_row_bytes: int = MAX_ROW_BYTES) -> list[Shard]:
    """All shards that `sources` name, in the order of their names; a clip-retrieval folder's by their number.

    A file is a shard whatever its suffix; a folder gives its parquet files, or where it has none those of the next
    kind in `KINDS`; two .npy files are one shard, images first; a partition of a clip-retrieval folder is one, called
    what its metadata is called (`metadata_0`), or without any its images' embeddings (`img_emb_0`). The root is the
    folder that all sources share, so that `A/00000` and `B/00000` keep their names apart. Sources may be addresses
    (s3://…), all of one place. What is hidden below a named folder is no shard, each real folder is looked into once,
    and a link to a shard that is there anyway is not another one: see `walk.py` and `passed_over.py`.
    features: which of the features beside the tables are meant, where there are several. max_row_bytes: as in `Shard`.
    Raises NcauditError when a source does not exist, cannot be reached, holds no shard, holds tars beside tables, or
    has no features beside a table where some were named.
    """
    if not sources:
        raise NcauditError("no input was named", fix="give files, folders or globs")
    shards = [replace(shard, max_row_bytes=max_row_bytes) for shard in _found(sources)]
    return [with_features(shard, features) for shard in shards] if features is not None else shards


def _found(sources: Sequence[str]) -> list[Shard]:
    if any(source.lower().endswith(".npy") for source in sources):
        return [_array_pair(sources)]
    found = {path: base for source in sources for base, path in _expand(source)}
    found = {path: found[path] for path in each_once(found)}
    root = locations.common_folder(list(found.values()))
    names = {path: spelled(shard_name(locations.relative(path, root))) for path in found}
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
        files = locations.files_below([path], lambda name: not is_hidden(name))
        return [(path, file) for file in _shards_among(source, files, path)]
    if locations.is_file(path):
        return [(locations.dirname(path), path)]
    if locations.exists(path):
        raise locations.no_regular_file(path)
    if len(counted := in_braces(source)) > 1:
        return [pair for name in counted for pair in _expand_counted(source, name, len(counted))]
    if locations.has_magic(path):
        base, parts = _cut_at_magic(path)
        return [(base, file) for file in _shards_among(source, _globbed(base, parts), base, parts)]
    private = f"; {locations.LOG_IN}" if source.startswith(locations.HUB) else ""
    raise BadTable(f"{source} does not exist", fix=f"give a file of pairs, a folder of them, or a glob{private}")


def _expand_counted(source: str, name: str, count: int) -> list[tuple[str, str]]:
    """Those of one of the names that braces stand for."""
    if not locations.exists(locations.absolute(name)) and not locations.has_magic(name):
        what = f"{source} stands for {counted(count, 'file')}, and {name} does not exist"
        raise BadTable(what, fix="name those that are")
    return _expand(name)


def _cut_at_magic(path: str) -> tuple[str, list[str]]:
    """The folder above the first wildcard, and the pattern from there on; names that are there are no patterns."""
    parts: list[str] = []
    while locations.has_magic(path) and not (parts and locations.is_dir(path)):
        parts.insert(0, path.rpartition("/")[2])
        path = locations.dirname(path)
    return path, parts


def _globbed(base: str, parts: Sequence[str]) -> list[str]:
    """The files that a pattern stands for, and those in the folders that it stands for."""

    def enter(name: str) -> bool:
        return not is_hidden(name) or is_named(name, parts)

    hits = [path for path in locations.matches(base, parts, enter) if not passed_over(path, base, parts)]
    folders = [path for path in hits if locations.is_dir(path)]
    below = locations.files_below(folders, lambda name: not is_hidden(name))
    return [*sorted(set(hits) - set(folders)), *below]


def _shards_among(source: str, files: Sequence[str], base: str, parts: Sequence[str] = ()) -> list[str]:
    """Partitions of clip-retrieval folders, and elsewhere the files of the first kind there is.

    Sidecars of tars, arrays beside tables, what else lies in a clip-retrieval folder, and left-overs are no shards.
    base: what the files lie below. parts: of the pattern that named them.
    """
    # by suffix only: a killed writer's temporary file, or a fit beside the tables, is no shard
    seen = [path for path in dict.fromkeys(files) if not passed_over(path, base, parts)]
    folders = clip_retrieval_among(seen)
    seen = [path for path in seen if not any(path.startswith(locations.join(folder, "")) for folder in folders)]
    numbered = [path for paths in folders.values() for path in paths]
    kinds = [[path for path in seen if suffix_of(path).lower() in kind] for kind in KINDS]
    kinds[ARROW] = without_caches(kinds[ARROW], parts)
    tables, tars = _without_sidecars(kinds[0], kinds[1]), kinds[1]
    if tables and tars:
        raise NcauditError(
            f"{source} holds tars and tables that are none of their sidecars ({tars[0]}, {tables[0]})",
            fix="name one kind by a glob, such as 'FOLDER/*.tar'",
        )
    refuse_rewritten(tables, base)
    chosen: list[str] = next((kind for kind in (tables, *kinds[1:]) if kind), [])
    if not chosen and not numbered:
        raise no_shards(source, files)
    return [*numbered, *chosen]


def _without_sidecars(tables: Sequence[str], tars: Sequence[str]) -> list[str]:
    beside = {path.removesuffix(suffix_of(path)) for path in tars}
    return [path for path in tables if path.removesuffix(suffix_of(path)) not in beside]
