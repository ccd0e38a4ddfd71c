"""What corrupting captions and corrupting labels share: the shards, the seeded choice of rows, the embeddings of a
dataset's rows, and shards written so that a rerun does nothing twice.

Knows rows counted over all shards; nothing of what is wrong with them afterwards.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ncaudit.engines.local import Accounting, ShardRows, run_shards
from ncaudit.errors import BadTable
from ncaudit.hashing import fit_sample_keys
from ncaudit.options import TABLE_SUFFIX, CorruptOptions
from ncaudit.progress import Progress
from ncaudit.shards.claims.claims import Claim, asked
from ncaudit.shards.files.formats import Format
from ncaudit.shards.files.provenance import fingerprint
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.readers import open_shard
from ncaudit.shards.rewriting.rewrite import require_format
from ncaudit.shards.tables.embeddings import EmbeddingTable, check_tables_agree, open_embeddings
from ncaudit.verbs.outputs import inputs_of, place_of, require_folder, tables_of, without_outputs

UNTOUCHED = "none"  # the noise_type of a row that is as it was
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Matrix = npt.NDArray[np.float32]


class DatasetRows(Protocol):
    """Every row of every shard, shard after shard."""

    @property
    def shards(self) -> tuple[Shard, ...]:
        """In the order of their names."""

    @property
    def starts(self) -> Ints:
        """(shards + 1,): shard s has rows starts[s] to starts[s + 1]."""

    @property
    def usable(self) -> Flags:
        """(n,): the row has what is to be corrupted."""


def corruptible_shards(options: CorruptOptions, truth: Sequence[str], fault: str) -> list[Shard]:
    """The shards of the dataset, without what an earlier run wrote below --out.

    truth: the columns that will be added. fault: what may have happened to a shard that has one of them already.
    Raises NcauditError when --out is no folder, would overwrite the input, or such a column is there.
    """
    require_folder(options.out, "corrupt")
    found = find_shards(options.sources, max_row_bytes=options.max_row_bytes)
    shards = without_outputs(found, "corrupt", options.out)
    require_format(shards, [Format.parquet], "corrupt", "write the dataset as parquet first, beside its images")
    for shard in shards:
        for name in truth:
            if name in open_shard(shard).schema.names:
                raise BadTable(
                    f"{shard.path} already has a column {name}: its {fault} already",
                    fix="give the dataset as it was, or rename that column",
                )
    return shards


def claimed(options: CorruptOptions, shards: Sequence[Shard], *more: str) -> Claim:
    """The shards written again, and files beside them. Raises NcauditError as `asked` does."""
    places = place_of("--out", options.out, [*tables_of(shards), *more])
    tables = inputs_of(find_shards(options.embeddings)) if options.embeddings else []
    return asked("corrupt", places, [*inputs_of(shards), *tables], overwrite=options.overwrite)


def chosen_rows(rows: DatasetRows, eligible: Ints, wanted: int, seed: int) -> Ints:
    """The `wanted` eligible rows with the smallest seeded keys, in order: a row's luck is its own, not its shard's."""
    order = np.argsort(row_keys(rows, seed)[eligible], kind="stable")
    return np.sort(eligible[order[:wanted]])


def row_keys(rows: DatasetRows, seed: int) -> npt.NDArray[np.uint64]:
    """A seeded number of every row, (n,), that other rows and other shards do not change."""
    counts = np.diff(rows.starts)
    parts = [fit_sample_keys(s.name, np.arange(n), seed) for s, n in zip(rows.shards, counts, strict=True)]
    return np.concatenate(parts)


def embedded_rows(
    embeddings: Sequence[str], rows: DatasetRows, max_row_bytes: int
) -> Iterator[tuple[Ints, Matrix, Matrix]]:
    """(row numbers, image, text) of the usable rows that these tables have embedded, batch by batch, each row once.

    Raises BadTable when a table was made from another version of the dataset.
    """
    found = find_shards(embeddings, max_row_bytes=max_row_bytes)
    tables = [open_embeddings(shard, columns=[]) for shard in found]
    check_tables_agree(tables)
    places = _Places(rows, alone=len(tables) == len(rows.shards) == 1)
    seen = np.zeros(len(rows.usable), dtype=bool)
    for table in tables:
        _require_same_data(rows, table)
        for batch in table.batches():
            row = places.of([s for s, ok in zip(batch.shard, batch.ok, strict=True) if ok], batch.row[batch.ok])
            first = np.zeros(len(row), dtype=bool)
            first[np.unique(row, return_index=True)[1]] = True  # a row with several captions comes several times
            new = first & (row >= 0)
            new[new] = rows.usable[row[new]] & ~seen[row[new]]
            seen[row[new]] = True
            yield row[new], batch.image[new], batch.text[new]
    if not seen.any():
        raise BadTable(
            f"{tables[0].shard.path} has no embedding of any row of {rows.shards[0].name}",
            fix="give the embeddings of this very dataset, named by the same folder",
        )


def plan_digest(rows: DatasetRows, *plan: npt.NDArray[np.generic]) -> str:
    """What all outputs rest on beside their own shard: the versions of all shards, and what is done to their rows."""
    names = [f"{shard.name}\0{fingerprint(shard)}\0" for shard in rows.shards]
    told = "".join(names).encode("utf-8", "surrogateescape")
    return blake2b(told + b"".join(part.tobytes() for part in plan), digest_size=16).hexdigest()


def write_shards(
    rows: DatasetRows, write: Callable[[int], bool], statuses: Callable[[slice], Mapping[str, int]], progress: Progress
) -> Accounting:
    """Every shard written, one after the other.

    write(number): writes that shard unless it is finished; returns whether it was. statuses(rows): of these rows.
    """

    def work(shard: Shard) -> ShardRows:
        number = rows.shards.index(shard)
        start, end = rows.starts[number : number + 2].tolist()
        finished = write(number)
        (progress.kept if finished else progress.advance)(end - start)
        return ShardRows(statuses(slice(start, end)), resumed=finished)

    return run_shards(rows.shards, work)


def noise_types(wrong: Flags, kind: str) -> pa.Array:
    """The column noise_type of some rows, (n,) bool."""
    return pa.array([UNTOUCHED, str(kind)], pa.string()).take(pa.array(wrong.astype(np.int8)))


class _Places:
    """From an embedding table's shard and row to a row number over all shards; -1 for a row that is not there."""

    def __init__(self, rows: DatasetRows, *, alone: bool) -> None:
        self._alone = alone  # one file each: nothing to confuse, whatever they are called
        self._number = {shard.stem: number for number, shard in enumerate(rows.shards)}
        self._starts = rows.starts

    def of(self, shards: Sequence[str], row: Ints) -> Ints:
        stems = {name: name.removesuffix(TABLE_SUFFIX) for name in shards}
        known = {name: 0 if self._alone else self._number.get(stem, -1) for name, stem in stems.items()}
        shard = np.array([known[name] for name in shards], dtype=np.int64)
        inside = (shard >= 0) & (row >= 0) & (row < np.diff(self._starts)[shard])
        return np.where(inside, self._starts[shard] + row, -1)


def _require_same_data(rows: DatasetRows, table: EmbeddingTable) -> None:
    source = (table.provenance or {}).get("source")
    for shard in rows.shards if source else ():
        if source and source.get("name") == shard.name and source.get("fingerprint") != fingerprint(shard):
            raise BadTable(
                f"{table.shard.path} was embedded from another version of {shard.path}",
                fix="embed the dataset as it is now",
            )
