"""Tables of Delta Lake, Iceberg and Hudi: their folders hold files that the table's own log has replaced or removed.

Knows the names of such logs and the little of them that tells whether all files below are the table; nothing of rows.

Every file below such a folder is a shard while nothing was ever rewritten. Where something was, its rows would be there
twice, or come back, and only the tool whose table it is knows which files count: then the folder is refused.
"""

import json
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from ncaudit.errors import BadTable
from ncaudit.shards.files import locations

DELTA, ICEBERG, HUDI = "_delta_log", "metadata", ".hoodie"
CHECKPOINT = re.compile(r"\d{20}\.checkpoint.*\.parquet$")
SLICE = re.compile(r"(?P<file>[^/]+-\d+)_[^_/]*_(?P<instant>\d+)\.parquet$")  # of Hudi: a file's name at an instant
ADDING = ("append", "fast_append")  # what Iceberg does without replacing a file


def refuse_rewritten(files: Sequence[str], base: str) -> None:
    """Raises BadTable where files lie in the folder of a table whose log says that some of them are no part of it.

    base: the folder that they were found below; behind an address it is the only one that is asked for logs.
    """
    for folder in [base] if locations.is_remote(base) else _folders_of(files):
        for log, reason_of in LOGS.items():
            if locations.is_dir(locations.join(folder, log)) and (reason := reason_of(folder, files)):
                raise BadTable(
                    f"{reason}: rows that were rewritten would be read twice, and deleted ones come back",
                    fix="write the table as it is now, as parquet, with the tool whose it is, or name its files alone",
                )


def _folders_of(files: Sequence[str]) -> Iterator[str]:
    """The folders of these files and all above them, each once."""
    seen = set[str]()
    for path in files:
        folder = locations.dirname(path)
        while folder not in seen:
            seen.add(folder)
            yield folder
            folder = locations.dirname(folder)


def _of_delta(folder: str, files: Sequence[str]) -> str | None:
    """A file that is there and was removed by the log, or has rows that are marked as deleted."""
    current = dict[str, str | None]()  # None: in the table, as it is; else what became of it
    for number, action in _delta_actions(folder):
        for kind, told in action.items():
            if not isinstance(told, Mapping):
                continue
            path = unquote(str(told.get("path")))
            if kind == "remove":
                current[path] = f"was removed from the table by {number}"
            elif kind == "add":
                marked = told.get("deletionVector") is not None
                current[path] = f"has rows that {number} marks as deleted" if marked else None
    for path in files:
        if (became := current.get(locations.relative(path, folder))) is not None:
            return f"{path} {became}"
    return None


def _delta_actions(folder: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The actions of the log in order, checkpoints before what came after them."""
    for path in sorted(locations.files_below([locations.join(folder, DELTA)])):
        if path.endswith(".json"):
            actions: Iterable[Any] = map(_parsed, _bytes(path).splitlines())
        else:
            actions = _checkpoint(path) if CHECKPOINT.search(path) else ()
        yield from ((path, action) for action in actions if isinstance(action, dict))


def _checkpoint(path: str) -> Iterator[Mapping[str, Any]]:
    try:
        with locations.open_file(path, jumps=True) as file:
            parquet = pq.ParquetFile(file)
            names = [name for name in ("add", "remove") if name in parquet.schema_arrow.names]
            rows = parquet.read(columns=names).to_pylist()
    except (pa.ArrowException, OSError):  # a damaged one says nothing; what follows it does
        return
    yield from ({kind: told for kind, told in row.items() if isinstance(told, dict)} for row in rows)


def _of_iceberg(folder: str, files: Sequence[str]) -> str | None:
    """A snapshot that did more than add files."""
    found = sorted(locations.files_below([locations.join(folder, ICEBERG)]))
    states = [(path, _parsed(_bytes(path))) for path in found if path.endswith(".metadata.json")]
    told = [(path, state) for path, state in states if isinstance(state, dict)]
    for path, one in ((path, one) for path, state in told for one in _listed(state.get("snapshots"))):
        did = (one.get("summary") or {}).get("operation") if isinstance(one, dict) else None
        if did is not None and did not in ADDING:
            return f"{folder} is an Iceberg table of which files were replaced or deleted ({did}, in {path})"
    return None


def _of_hudi(folder: str, files: Sequence[str]) -> str | None:
    """Two files that are one at two instants, or changes that are not in any of them."""
    root = posixpath.join(folder, "")
    inside = (path for path in files if path.startswith(root))
    slices = Counter((locations.dirname(path), found["file"]) for path in inside if (found := SLICE.search(path)))
    twice = next((f"{place}/{name}" for (place, name), count in slices.items() if count > 1), None)
    if twice is not None:
        return f"{folder} is a Hudi table with several versions of {twice}"
    logs = (path for path in locations.files_below([folder]) if re.search(r"/\.[^/]+\.log\.\d+_[^/]*$", path))
    later = next(iter(sorted(logs)), None)
    return None if later is None else f"{folder} is a Hudi table whose changes are in {later}"


LOGS = {DELTA: _of_delta, ICEBERG: _of_iceberg, HUDI: _of_hudi}


def _bytes(path: str) -> bytes:
    try:
        with locations.open_file(path) as file:
            return file.read()
    except OSError:
        return b""


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else ()
