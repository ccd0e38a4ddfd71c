"""`status`: how far the runs are that fill a folder, from their record and what lies there. No input is opened.

Knows records, tables and their footers; nothing of how any of them is made.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ncaudit.engines.local import ShardError
from ncaudit.errors import BadTable, NcauditError
from ncaudit.options import TABLE_SUFFIX, StatusOptions
from ncaudit.progress import SILENT, Progress
from ncaudit.readable import Readable
from ncaudit.schema import OK
from ncaudit.shards.claims.departed import tables_below
from ncaudit.shards.claims.failures import failures_in
from ncaudit.shards.claims.records import EMBED_RECORD, FOLDER_RECORD, Record, departed_in, read_record
from ncaudit.shards.files.locations import exists, folders_in, is_dir, is_file, is_remote, join
from ncaudit.shards.files.provenance import wrote
from ncaudit.shards.files.shard import Shard, fitting
from ncaudit.shards.places import listings
from ncaudit.shards.places.partials import is_alive, partials_among
from ncaudit.shards.readers import open_shard
from ncaudit.shards.readers.parquet import open_parquet
from ncaudit.shards.readers.word_counts import word_counts
from ncaudit.shards.rewriting.kept_samples import table_beside

LOOK = "look at the tables"
VERIFY_ROWS = 8_192
OF_PARTS = ("embed", "score", "labels", "filter")  # verbs that write a table per shard
FAILED_PAIRS = "failed/failed_"  # the table that a clip-retrieval partition ends with


@dataclass(frozen=True, kw_only=True, repr=False)
class StatusResult(Readable, first=("complete", "finished", "shards", "out")):
    """How far a folder is: shards = finished + failed + damaged + missing."""

    out: str
    verb: str
    command: str | None  # that began it, as far as it is known
    complete: bool  # whether every shard is finished
    shards: int  # that the runs so far have been asked for
    finished: int
    rows: int | None  # of all shards' inputs; None where not all are known
    rows_finished: int  # in finished tables
    rows_failed: int  # of them, those whose status is not ok
    failed: tuple[ShardError, ...]  # the last run could not do them
    damaged: tuple[ShardError, ...]  # their tables are there and cannot be read
    missing: tuple[str, ...]  # tables that no run has finished yet
    foreign: tuple[str, ...]  # tables that lie there, and none of these runs writes
    foreign_rows: int
    departed: tuple[str, ...]  # tables whose shard is gone from the input
    writing: int  # tables that processes of this machine are at
    verified: bool


def status(options: StatusOptions, progress: Progress = SILENT) -> StatusResult:
    """Tell shards and rows that are finished, and what is not, below one folder; nothing is written.

    Raises NcauditError where the folder is none that a verb writes a table per shard to.
    """
    with _listed(options.folder):
        return _status(options, progress)


@contextmanager
def _listed(folder: str) -> Iterator[None]:
    """A store is asked once, in place of a question per file; and anew by whatever this process does afterwards."""
    if is_remote(folder):
        listings.look(folder)
    try:
        yield
    finally:
        listings.forget(folder)


def _status(options: StatusOptions, progress: Progress) -> StatusResult:
    record = _record_in(options.folder)
    expected = _expected(record)
    progress.job("status", {LOOK: 1.0})
    progress.stage(LOOK, len(expected), "shards")
    found = _Found(options, record, expected, progress)
    for name in sorted(expected):
        found.look(name)
        progress.advance(1)
    return found.result()


def _record_in(out: str) -> Record:
    for name in (EMBED_RECORD, FOLDER_RECORD):
        record = read_record(join(out, name))
        if record is not None and record.get("verb") in OF_PARTS and "files" in record:
            return record
    raise _not_ours(out)


def _not_ours(out: str) -> NcauditError:
    if not exists(out):
        return NcauditError(f"{out} does not exist", fix="name a folder that embed, score, labels or filter writes to")
    if not is_dir(out):
        return NcauditError(f"{out} is one file, which appears when it is whole", fix="name a folder of tables")
    inner = [name for name in sorted(folders_in(out)) if _is_ours(join(out, name))]
    fix = f"name one of those in it: {', '.join(join(out, name) for name in inner[:3])}" if inner else (
        "name a folder that embed, score, labels or filter writes to"
    )  # fmt: skip
    return NcauditError(f"{out} has no record of a verb that writes a table per shard", fix=fix)


def _is_ours(folder: str) -> bool:
    return any(is_file(join(folder, name)) for name in (EMBED_RECORD, FOLDER_RECORD))


def _expected(record: Record) -> Mapping[str, int | None]:
    """The tables that shards become, with their inputs' rows; of records that tell none, all tables that they name."""
    told: Mapping[str, int | None] = record.get("shards") or {}
    return told or {name: None for name in record["files"] if name.endswith(TABLE_SUFFIX)}


class _Found:
    """What was found of each expected table."""

    def __init__(
        self, options: StatusOptions, record: Record, expected: Mapping[str, int | None], progress: Progress
    ) -> None:
        self._options, self._record, self._expected, self._progress = options, record, expected, progress
        self._failures = failures_in(options.folder)
        self._beside = _beside(record["files"], expected)
        self._finished = self._rows = self._bad_rows = 0
        self._failed: list[ShardError] = []
        self._damaged: list[ShardError] = []
        self._missing: list[str] = []

    def look(self, name: str) -> None:
        """Count one table."""
        path = self._at(name)
        if not all(is_file(self._at(one)) for one in (name, *self._beside.get(name, ()))):
            self._is_not_there(name)
            return
        try:
            if not wrote(path, self._record["verb"]):
                self._missing.append(name)  # somebody else's is in its place
                return
            rows, failed = _counted(self._options.folder, name, path)
            if self._options.verify:
                _verify(path, name)
        except BadTable as error:
            self._damaged.append(ShardError(name, error.message, error.fix))
            return
        self._finished, self._rows, self._bad_rows = self._finished + 1, self._rows + rows, self._bad_rows + failed

    def _is_not_there(self, name: str) -> None:
        if (told := self._failures.get(name)) is not None:
            self._failed.append(ShardError(told["shard"], told["message"], told["fix"]))
        else:
            self._missing.append(name)

    def result(self) -> StatusResult:
        """All of it."""
        out, record, expected = self._options.folder, self._record, self._expected
        gone = departed_in(record)
        there = {_fitted(name) for name in (*record["files"], *expected)}
        foreign = [name for name in tables_below(out) if name not in there and name not in gone]
        known = [rows for rows in expected.values() if rows is not None]
        return StatusResult(
            out=out, verb=record["verb"], command=record.get("command"),
            complete=self._finished == len(expected), shards=len(expected), finished=self._finished,
            rows=sum(known) if len(known) == len(expected) else None,
            rows_finished=self._rows, rows_failed=self._bad_rows,
            failed=tuple(self._failed), damaged=tuple(self._damaged), missing=tuple(self._missing),
            foreign=tuple(foreign), foreign_rows=sum(_rows_of(self._at(name)) for name in foreign),
            departed=tuple(sorted(name for name in gone if exists(self._at(name)))),
            writing=sum(map(is_alive, _partials(out))), verified=self._options.verify,
        )  # fmt: skip

    def _at(self, name: str) -> str:
        return join(self._options.folder, *_fitted(name).split("/"))


def _fitted(name: str) -> str:
    """As file systems take it."""
    return "/".join(map(fitting, name.split("/")))


def _beside(files: Sequence[str], expected: Mapping[str, Any]) -> dict[str, list[str]]:
    """What else is written with a table: the tar that it belongs to, and its sizes."""
    found: dict[str, list[str]] = {}
    for name in files:
        table = table_beside(name)
        if table in expected and table != name:
            found.setdefault(table, []).append(name)
    return found


def _counted(out: str, name: str, path: str) -> tuple[int, int]:
    """Rows of a finished shard, and those that failed."""
    if name.startswith(FAILED_PAIRS):  # the others are in the table of metadata
        failed = _rows_of(path)
        others = join(out, "metadata", name.removeprefix("failed/").replace("failed_", "metadata_"))
        return failed + (_rows_of(others) if is_file(others) else 0), failed
    return _rows_of(path), _failed_rows(path)


def _rows_of(path: str) -> int:
    try:
        return int(open_parquet(path).metadata.num_rows)
    except BadTable:
        return 0


def _failed_rows(path: str) -> int:
    """Rows whose status is not ok."""
    if "status" not in open_parquet(path).schema_arrow.names:
        return 0
    return sum(rows for word, rows in word_counts(path, "status").items() if word != OK)


def _verify(path: str, name: str) -> None:
    for _ in open_shard(Shard(path, name), choosing=True).batches(VERIFY_ROWS):
        pass


def _partials(out: str) -> Iterator[Any]:
    """Files that are not whole; those of a store nobody sees."""
    for folder, _, names in os.walk(out):
        yield from partials_among(folder, names)
