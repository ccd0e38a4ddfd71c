"""Where a verb's rows go (a folder, a file, a stream), and the promise that no input is written over.

Knows paths and writers; nothing of what the rows are.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import pyarrow as pa

from ncaudit.errors import NcauditError, UsageError
from ncaudit.options import STREAM, TABLE_SUFFIX, StreamFormat
from ncaudit.shards.files.locations import real
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.files.writer import atomic_table
from ncaudit.shards.streams.standard_output import StreamWriter


class Rows(Protocol):
    """Takes rows in order."""

    def write(self, batch: pa.RecordBatch) -> None: ...


def is_folder(out: str) -> bool:
    """Whether `out` asks for one file per shard; else it is NAME.parquet or standard output, with all rows in one."""
    return out != STREAM and not out.endswith(TABLE_SUFFIX)


def require_folder(out: str, what: str) -> None:
    """Raises UsageError unless `out` is a folder. what: the command or flag that writes one file per shard."""
    if not is_folder(out):
        raise UsageError(f"{what} writes one file per shard of the dataset", fix="give a folder with --out")


@contextmanager
def one_table(out: str, schema: pa.Schema, form: StreamFormat, *, csv_safe: bool) -> Iterator[Rows]:
    """All rows in one file, which appears whole, or on standard output. form, csv_safe: of the latter."""
    if out == STREAM:
        stream = StreamWriter(sys.stdout.buffer, schema, form, csv_safe=csv_safe)
        yield stream
        stream.close()
    else:
        with atomic_table(out, schema) as table:
            yield table


def without_outputs(shards: Sequence[Shard], *places: str | None) -> list[Shard]:
    """The shards that are none of this command's own outputs: an earlier run may have left some below its inputs.

    places: where it writes, files or folders; None and standard output are no places.
    """
    taken = [real(place) for place in places if place and place != STREAM]
    return [shard for shard in shards if not any(is_at_or_below(real(shard.path), place) for place in taken)]


def refuse_overwriting(inputs: Iterable[str], outputs: Iterable[tuple[str, str]]) -> None:
    """Raises NcauditError when a file would be written over an input. outputs: the flag and the path of each."""
    given = {real(path): path for path in inputs}
    for flag, path in outputs:
        if (place := real(path)) in given:
            raise NcauditError(f"{given[place]} would be written over", fix=f"give another folder with {flag}")


def require_free(out: str | None, holds: str = "") -> None:
    """Raises NcauditError when there is something already. holds: what it may hold, as people's verdicts."""
    if out and out != STREAM and os.path.lexists(out):
        told = f" and may hold {holds}" if holds else ""
        raise NcauditError(f"{out} is there already{told}", fix="name another file with --out, or delete this one")


def is_at_or_below(path: str, place: str) -> bool:
    """Whether a path is a place, or lies in it; both real."""
    return path == place or path.startswith(os.path.join(place, ""))
