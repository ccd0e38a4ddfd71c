"""Where a verb's rows go: a folder, a file, a stream; and what of that is to be claimed before any work.

Knows paths, claims and writers; nothing of what the rows are.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Protocol

import pyarrow as pa

from ncaudit.errors import BadTable, NcauditError, UsageError
from ncaudit.options import MAX_ROW_BYTES, STREAM, TABLE_SUFFIX, StreamFormat
from ncaudit.shards.claims.claims import Claim, Place, is_ours, says_of_itself
from ncaudit.shards.claims.departed import settle_departed
from ncaudit.shards.files.locations import real
from ncaudit.shards.files.provenance import fingerprint
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.files.writer import atomic_table
from ncaudit.shards.rewriting.kept_samples import told_by
from ncaudit.shards.streams.standard_input import SPOOLED
from ncaudit.shards.streams.standard_output import StreamWriter

# Options that change no byte of a result, or that are in it by content instead of by place.
PLACES_AND_PACE = {
    *("out", "overwrite", "prune", "refit", "redo", "save_fit", "max_failed", "format", "csv_safe"),
    *("device", "devices", "workers", "threads", "sources", "embeddings", "scores", "data", "join", "verdicts", "fit"),
    "dropped",
}


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


def without_outputs(shards: Sequence[Shard], verb: str, *places: str | None) -> list[Shard]:
    """The shards that are none of this command's own outputs: an earlier run may have left some below its inputs.

    places: where it writes, files or folders; None and standard output are no places. Raises NcauditError when one of
    them is something else that lies there, or nothing is left: an input would be passed over, or written over.
    """
    taken = {real(place): place for place in places if place and place != STREAM}
    outside = []
    for shard in shards:
        place = next((given for at, given in taken.items() if is_at_or_below(real(shard.path), at)), None)
        if place is None:
            outside.append(shard)
        else:
            _require_own(shard.path, verb, place)
    if shards and not outside:
        raise NcauditError(
            f"{shards[0].path} would be written over: it is what `{verb}` has written, and there is no other input",
            fix="name the inputs, and another place with --out",
        )
    return outside


def _require_own(path: str, verb: str, place: str) -> None:
    """Raises NcauditError unless `verb` wrote the file, so that it may do so again."""
    folder = place if os.path.isdir(place) else os.path.dirname(place) or os.curdir
    name = os.path.relpath(real(path), real(folder)).replace(os.sep, "/")
    if not is_ours(verb, Place("", folder, (name,), proven=lambda tar: says_of_itself(told_by(tar), verb)), name):
        where = "" if real(path) == real(place) else f": it lies in {place}"
        what = f"{path} is an input and would be written over{where}"
        raise NcauditError(what, fix=f"give another place than {place} (with --out, or the option that names it)")


def place_of(
    flag: str, out: str, names: Iterable[str] = (), *, proven: Callable[[str], bool] | None = None
) -> list[Place]:
    """Where `out` is, to be claimed: a folder with these files in it, or the one file; nothing for standard output.

    proven: as `Place` has it.
    """
    if out == STREAM:
        return []
    if not is_folder(out):
        return [Place.of_file(flag, out)]
    return [Place(flag, out, tuple(names), proven=proven or (lambda path: False))]


def tables_of(shards: Iterable[Shard]) -> list[str]:
    """What the tables of these shards are called, below the folder that they go into."""
    return [f"{shard.stem}{TABLE_SUFFIX}" for shard in shards]


def inputs_of(*inputs: Iterable[Shard]) -> list[str]:
    """All files of some shards."""
    return [file for shards in inputs for shard in shards for file in shard.files]


def settle_left_overs(claim: Claim, shards: Sequence[Shard], *, prune: bool) -> list[str]:
    """What to tell of tables in --out whose input is gone, see `settle_departed`; of a stream nothing is known."""
    place = next(iter(claim.places), None)
    if place is None or place.alone or place.flag != "--out" or any(shard.name == SPOOLED for shard in shards):
        return []
    return settle_departed(claim, place, shards, prune=prune)


def versions_of(shards: Iterable[Shard]) -> list[tuple[str, str | None]]:
    """What these shards are now, as far as outputs rest on it. One that cannot be read is told when it is its turn."""
    return [(shard.name, _version_of(shard)) for shard in shards]


def _version_of(shard: Shard) -> str | None:
    try:
        return fingerprint(shard)
    except BadTable:
        return None


def told_by_options(options: Any) -> dict[str, Any]:
    """The options that decide on what is written; where inputs and outputs lie does not."""
    told = {name: value for name, value in asdict(options).items() if name not in PLACES_AND_PACE}
    if told.get("max_row_bytes") == MAX_ROW_BYTES:  # younger than records that still hold
        del told["max_row_bytes"]
    return told


def is_at_or_below(path: str, place: str) -> bool:
    """Whether a path is a place, or lies in it; both real."""
    return path == place or path.startswith(os.path.join(place, ""))
