"""The record that a run leaves where it writes: which verb, with what, and which files are its own.

Knows JSON beside outputs; nothing of what outputs hold. A record says the same however often the run was killed.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from ncaudit import own_json
from ncaudit.errors import NcauditError
from ncaudit.shards.files.locations import is_remote, join
from ncaudit.shards.files.writer import atomic_file
from ncaudit.shards.places import uploads
from ncaudit.shards.places.partials import partial_name, shortened

FOLDER_RECORD = ".ncaudit.json"  # hidden: readers of a folder of parquet, and people, pass over it
EMBED_RECORD = "_run.json"  # of `embed`, which also tells the model
Record = dict[str, Any]
SHAPE: own_json.Shape = {
    **{"verb": str, "files?": [str], "departed?": [str], "token?": str, "format?": int, "ncaudit?": str},
    **{"holds?": (None, str), "command?": str},
    **{"shards?": {...: (None, int)}},
    **{"batch_pairs?": int, "folder?": (None, str), "types?": str, "weights?": (None, str)},
}


def record_beside(name: str) -> str:
    """What the record of a single file is called, in the folder that the file is in.

    >>> record_beside("kept.txt")
    '.kept.txt.ncaudit.json'
    """
    return f".{shortened(name)}{FOLDER_RECORD}"


def read_record(path: str) -> Record | None:
    """What is written there, or None where no record of ours is."""
    record: Record | None = own_json.known(path, SHAPE)
    return record


def write_record(path: str, record: Mapping[str, Any]) -> None:
    """Whole or not at all; the same bytes for the same record. Raises NcauditError where a folder is in its place."""
    if not is_remote(path) and os.path.isdir(path):
        what = f"{path} is a folder, and the record of what ncaudit writes there belongs in its place"
        raise NcauditError(what, fix="move it away or delete it")
    with atomic_file(path, asked=False) as file:
        file.write(_text(record))


def _text(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, indent=2, sort_keys=True).encode() + b"\n"


def write_first(path: str, record: Record) -> Record:
    """Write a record where none is; whichever is there afterwards, of this run or of one that was quicker."""
    if is_remote(path):
        return _first_in_store(path, record)
    folder, name = os.path.split(path)
    beside = os.path.join(folder, partial_name(name))
    write_record(beside, record)
    try:
        os.link(beside, path)  # unlike a rename it never replaces
    except FileExistsError:
        pass
    except OSError:  # a file system without links: nobody can be told to wait there
        write_record(path, record)
    finally:
        os.remove(beside)
    return read_record(path) or record


def _first_in_store(path: str, record: Record) -> Record:
    if (there := read_record(path)) is None:
        uploads.send_first(path, _text(record))
        there = read_record(path)
    if there is None:  # what is there says nothing, or the store takes no file on a condition: there the last one wins
        write_record(path, record)
        there = read_record(path)
    return there or record


def named_in(record: Record | None) -> frozenset[str]:
    """The files that a record calls its own, those without an input among them."""
    told = record or {}
    return frozenset([*told.get("files", ()), *told.get("departed", ())])


def departed_in(record: Record | None) -> frozenset[str]:
    """Of those the ones whose input is gone."""
    return frozenset((record or {}).get("departed", ()))


def token_of(verb: str, told: Mapping[str, Any]) -> str:
    """What two runs share that may write side by side: they would write the same."""
    plain = json.dumps([verb, told], sort_keys=True, default=str)
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def folder_record(folder: str, record: str) -> str:
    """The path of a folder's record."""
    return join(folder, record)
