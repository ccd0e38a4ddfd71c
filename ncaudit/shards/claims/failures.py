"""What became of shards that could not be done: a small file each, beside the outputs, until they can.

Knows the files and who may write them; nothing of why. Runs that fill one folder side by side leave theirs alone.
"""

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress

from ncaudit import own_json
from ncaudit.shards.files.locations import is_remote, join, names_below
from ncaudit.shards.files.writer import atomic_file, remove_file

FOLDER, SUFFIX = "_failed", ".json"  # readers of a folder of parquet pass over names with an underscore
SHAPE: own_json.Shape = {"shard": str, "message": str, "fix": str}


def keep_failures(out: str, tried: Iterable[str], failed: Mapping[str, Mapping[str, str]]) -> None:
    """Say of each output of a shard in `tried` that it failed, or no longer that it did.

    tried: names below `out`, all that this run had to do. failed: of those that failed shard, message and fix.
    """
    known = failures_in(out)
    for name in tried:
        if name in failed and failed[name] != known.get(name):
            with atomic_file(_path(out, name)) as file:
                file.write(json.dumps(failed[name], sort_keys=True, ensure_ascii=False).encode("utf-8", "replace"))
        elif name in known and name not in failed:
            remove_file(_path(out, name))
    if not is_remote(out):  # a store has no empty folders
        with suppress(OSError):  # others are still told
            _remove_emptied(os.path.join(out, FOLDER))


def failures_in(out: str) -> dict[str, dict[str, str]]:
    """By the output that a shard would have: what it is called, what is wrong and what to do."""
    found = dict[str, dict[str, str]]()
    for name in names_below(join(out, FOLDER), lambda folder: True):
        if name.endswith(SUFFIX) and not name.rpartition("/")[2].startswith("."):
            output = name.removesuffix(SUFFIX)
            told = own_json.known(path := _path(out, output), SHAPE)
            found[output] = told or {"shard": output, "message": f"{path} is damaged", "fix": "rerun"}
    return found


def _path(out: str, name: str) -> str:
    return join(out, FOLDER, *f"{name}{SUFFIX}".split("/"))


def _remove_emptied(folder: str) -> None:
    for path, _, _ in os.walk(folder, topdown=False):
        os.rmdir(path)
