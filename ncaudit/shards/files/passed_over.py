"""Which files below a named folder are no shards although their names end like one: left-overs, logs, caches, links.

Knows names, and the lists that Hugging Face datasets keeps of its files; nothing of what shards hold.

What begins with `.` or `_` below the folder that was named is passed over, files and folders (`.ipynb_checkpoints`,
`_temporary`, `_delta_log`, `__MACOSX`), unless it is a partition (`_day=1`). What is itself named, by its path or by a
pattern that begins so (`data/_*/*.parquet`), is read.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from ncaudit.errors import BadTable
from ncaudit.shards.files import locations
from ncaudit.shards.files.formats import SUFFIXES

STATE, INFO = "state.json", "dataset_info.json"  # beside the data of a dataset that was saved, and in the cache
CACHE = re.compile(r"cache-[0-9a-z]+(_\d+_of_\d+)?\.arrow$")
ENDINGS_TOLD = 4


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is passed over.

    >>> [is_hidden(name) for name in (".cache", "_delta_log", "_day=1", "train")]
    [True, True, False, False]
    """
    return name.startswith(".") or (name.startswith("_") and "=" not in name)


def is_named(name: str, parts: Sequence[str]) -> bool:
    """Whether a pattern asks for hidden names like this one."""
    return any(part.startswith(name[:1]) and fnmatchcase(name, part) for part in parts)


def passed_over(path: str, base: str, parts: Sequence[str]) -> bool:
    """Whether something on the way from `base` to a file is hidden and not asked for by the pattern's `parts`."""
    names = locations.relative(path, base).split("/")
    return any(is_hidden(name) and not is_named(name, parts) for name in names if name not in (".", ".."))


def without_caches(files: Sequence[str], parts: Sequence[str]) -> list[str]:
    """Arrow files less those that Hugging Face datasets keeps beside its data: of `map`, `filter` and `shuffle`.

    Of a saved dataset the files stay that its state lists; in the cache those that are not called like results.
    A pattern that begins with `cache` asks for them.
    """
    if any(part.startswith("cache") for part in parts):
        return list(files)
    folders = {locations.dirname(file) for file in files}
    listed = {folder: _listed(folder) for folder in sorted(folders)}
    return [file for file in files if _is_data(file, listed[locations.dirname(file)])]


def each_once(found: Mapping[str, str]) -> list[str]:
    """The files less the links to one of them, and of several links to another file all but the first by its name.

    found: each with the folder that it was found below.
    """
    bases = {base: locations.real(base) for base in set(found.values())}
    real = locations.reals(found)
    unlinked = {file: locations.join(bases[base], locations.relative(file, base)) for file, base in found.items()}
    own = {real[file] for file in found if real[file] == unlinked[file]}
    first = {real[file]: file for file in sorted(found, reverse=True)}  # of links, as folders go by their first
    return [f for f in found if real[f] == unlinked[f] or (real[f] not in own and first[real[f]] == f)]


def no_shards(source: str, files: Sequence[str]) -> BadTable:
    """The error of a source without a shard, which tells what is there instead."""
    known = ", ".join(f"*{suffix}" for suffix in SUFFIXES if not suffix.endswith((".gz", ".npy")))
    names = [file.replace("\\", "/").rpartition("/")[2] for file in files]
    endings = Counter(f"*.{name.rpartition('.')[2]}" for name in names if "." in name.lstrip("."))
    told = ", ".join(f"{count:,} {ending}" for ending, count in endings.most_common(ENDINGS_TOLD))
    there = f"; it holds {told}" if told else ""
    return BadTable(f"{source} holds no shard ({known}){there}", fix=_instead(endings))


def _listed(folder: str) -> frozenset[str] | None:
    """The files that a saved dataset's state lists; empty where only cached results are told apart; None: all do."""
    state: Mapping[str, object] = {}
    try:
        with locations.open_file(locations.join(folder, STATE)) as file:
            state = json.load(file)
        return frozenset(str(each["filename"]) for each in state["_data_files"])  # type: ignore[attr-defined]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        beside = locations.is_file(locations.join(folder, STATE)) or locations.is_file(locations.join(folder, INFO))
        return frozenset() if beside else None


def _is_data(file: str, listed: frozenset[str] | None) -> bool:
    name = locations.relative(file, locations.dirname(file))
    if listed:
        return name in listed
    return listed is None or CACHE.match(name) is None


def _instead(endings: Counter[str]) -> str:
    if endings.keys() & {"*.zip", "*.7z", "*.rar"}:
        return "unpack the archives, and give a table that names the pictures and their captions"
    if endings.keys() & {"*.jpg", "*.jpeg", "*.png", "*.webp", "*.JPG", "*.PNG"}:
        return "give a table that names the pictures and their captions: a CSV file with columns image_path, caption"
    return "name the folder or files that hold the pairs"
