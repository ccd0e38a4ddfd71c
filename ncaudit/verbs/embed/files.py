"""Where `embed` puts each shard's rows, and what is there already: a table per shard, or a clip-retrieval partition.

Knows layouts and provenance; nothing of models or of how rows are made.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from typing import Protocol

import pyarrow as pa

from ncaudit import own_json
from ncaudit.counts import counted
from ncaudit.errors import BadTable, NcauditError
from ncaudit.options import TABLE_SUFFIX, EmbedOptions, Layout
from ncaudit.schema import EMBEDDING_COLUMNS, OK
from ncaudit.shards.claims.claims import Place, says_of_itself
from ncaudit.shards.claims.records import EMBED_RECORD
from ncaudit.shards.columns import PATHS, Columns, ImageKind, is_text
from ncaudit.shards.files import locations
from ncaudit.shards.files.provenance import Provenance, attach, learn_said, provenance_at
from ncaudit.shards.files.remembered import Remembered, version_now
from ncaudit.shards.files.shard import ClipRetrievalFiles, Shard
from ncaudit.shards.files.writer import TableWriter, atomic_table
from ncaudit.shards.places import manifest
from ncaudit.shards.readers.parquet import open_parquet
from ncaudit.shards.readers.word_counts import word_counts
from ncaudit.shards.rewriting.clip_retrieval_writer import (
    ClipRetrievalWriter,
    atomic_clip_retrieval,
    failed_file,
    made_from,
)
from ncaudit.verbs.outputs import tables_of

KINDS = {"img_emb": ".npy", "text_emb": ".npy", "metadata": ".parquet", "failed": ".parquet"}


class Sink(Protocol):
    """Takes the rows of a shard, in order."""

    def write(self, batch: pa.RecordBatch) -> None: ...


class Tables(Protocol):
    """Where each shard's rows go."""

    def open(self, shard: Shard, provenance: Provenance, schema: pa.Schema) -> AbstractContextManager[Sink]: ...


class Files(Tables, Protocol):
    """Where each shard's rows stay, so that a rerun finds them."""

    def made_from(self, shard: Shard) -> Provenance | None:
        """What the shard's rows were made from that are there, whole; None where there are none."""

    def statuses(self, shard: Shard) -> dict[str, int]:
        """How many of the rows that are there have which status."""

    def place(self, shards: Sequence[Shard]) -> Place:
        """All files of these shards, to be claimed."""

    def last(self, shard: Shard) -> str:
        """Of the shard's files the one that appears last: with it the others are there."""

    def refuse_others(self, shards: Sequence[Shard]) -> None:
        """Raises NcauditError when the folder holds what must not be beside this run's files."""


@dataclass(frozen=True)
class TableFiles:
    """One table per shard below a folder, whole or not there."""

    out: str

    def open(self, shard: Shard, provenance: Provenance, schema: pa.Schema) -> AbstractContextManager[TableWriter]:
        """The shard's table, made from what `provenance` says."""
        return atomic_table(shard.output(self.out), attach(schema, provenance))

    def look_at(self, shards: Sequence[Shard]) -> None:
        """Open each table that is there once, for all that will be asked of it.

        What a store has is told by its manifest. What is wrong with a table is told when it is asked for.
        """
        for shard in () if locations.is_remote(self.out) else shards:
            if locations.is_file(path := shard.output(self.out)):
                _look(path)

    def made_from(self, shard: Shard) -> Provenance | None:
        """As `Files` has it."""
        path = shard.output(self.out)
        return provenance_at(path) if locations.is_file(path) else None

    def statuses(self, shard: Shard) -> dict[str, int]:
        """As `Files` has it."""
        return _statuses(shard.output(self.out))

    def place(self, shards: Sequence[Shard]) -> Place:
        """As `Files` has it."""
        return Place("--out", self.out, tuple(tables_of(shards)), EMBED_RECORD)

    def last(self, shard: Shard) -> str:
        """As `Files` has it."""
        return tables_of([shard])[0]

    def refuse_others(self, shards: Sequence[Shard]) -> None:
        """As `Files` has it: in a clip-retrieval folder, tables would be overlooked."""
        if locations.is_dir(locations.join(self.out, "img_emb")):
            raise NcauditError(
                f"{self.out} is a clip-retrieval folder, in which tables would be overlooked",
                fix="give another folder with --out, or --layout clip-retrieval",
            )


@dataclass(frozen=True)
class ClipRetrievalOutput:
    """One clip-retrieval partition per shard. numbers: of every shard of the run, by the shard's name."""

    out: str
    numbers: Mapping[str, str]

    def open(
        self, shard: Shard, provenance: Provenance, schema: pa.Schema
    ) -> AbstractContextManager[ClipRetrievalWriter]:
        """The shard's partition, made from what `provenance` says."""
        image_path = _image_path(schema, provenance["options"]["image_column"])
        return atomic_clip_retrieval(self._files(shard), schema, provenance, image_path)

    def made_from(self, shard: Shard) -> Provenance | None:
        """As `Files` has it."""
        return made_from(self._files(shard))

    def statuses(self, shard: Shard) -> dict[str, int]:
        """As `Files` has it."""
        files = self._files(shard)
        ok = open_parquet(files.metadata).metadata.num_rows if locations.is_file(files.metadata) else 0
        return {**({OK: ok} if ok else {}), **_statuses(failed_file(files))}

    def place(self, shards: Sequence[Shard]) -> Place:
        """As `Files` has it. What an array is said by the tables of its partition."""
        names = [name for shard in shards for name in self._names(self.numbers[shard.name])]
        return Place("--out", self.out, tuple(names), EMBED_RECORD, self._is_ours)

    def last(self, shard: Shard) -> str:
        """As `Files` has it."""
        number = self.numbers[shard.name]
        return f"failed/failed_{number}{TABLE_SUFFIX}"

    def refuse_others(self, shards: Sequence[Shard]) -> None:
        """As `Files` has it: what reads the folder takes all of its arrays, whoever wrote them."""
        if others := self.others(shards):
            raise NcauditError(
                f"{self.out} holds {others[0]}, which this run does not write ({counted(len(others), 'such file')})",
                fix="give another folder with --out, or --prune to remove those that embed wrote",
            )

    def others(self, shards: Sequence[Shard]) -> list[str]:
        """What lies among the partitions and is of none of these shards."""
        own = set(self.place(shards).files)
        found = []
        for kind, suffix in KINDS.items():
            names = locations.names_in(locations.join(self.out, kind))
            found += [f"{kind}/{name}" for name in names if name.endswith(suffix) and not name.startswith(".")]
        return sorted(set(found) - own)

    def _names(self, number: str) -> list[str]:
        return [f"{kind}/{kind}_{number}{suffix}" for kind, suffix in KINDS.items()]

    def _is_ours(self, array: str) -> bool:
        number = locations.basename(array).rpartition("_")[2].removesuffix(".npy")
        files = ClipRetrievalFiles(self.out, number)
        return any(says_of_itself(path, "embed") for path in (failed_file(files), files.metadata))

    def _files(self, shard: Shard) -> ClipRetrievalFiles:
        return ClipRetrievalFiles(self.out, self.numbers[shard.name])


def files_of(options: EmbedOptions, shards: Sequence[str]) -> TableFiles | ClipRetrievalOutput:
    """The files that `options` ask for. shards: the names of all, in their order: partitions are numbered by it."""
    if options.layout is Layout.parquet:
        return TableFiles(options.out)
    digits = len(str(len(shards)))  # as clip-retrieval pads them, and so they sort by name
    return ClipRetrievalOutput(options.out, {name: f"{number:0{digits}}" for number, name in enumerate(shards)})


def with_image_path(columns: Columns) -> Columns:
    """The columns with that of the images' paths among those carried along, where images are files."""
    if columns.kind is not ImageKind.path or columns.many_images:
        return columns
    return replace(columns, carried=tuple(dict.fromkeys([columns.image, *columns.carried])))


def _image_path(schema: pa.Schema, named: str | None) -> str:
    """The column that says where the images are, as `with_image_path` carries it; where none does, their pair_id.

    named: the image column, where the user named one.
    """
    carried = {field.name.lower(): field.name for field in schema if is_text(field.type)}
    told = (carried.get(name.lower()) for name in (named, *PATHS) if name and name not in EMBEDDING_COLUMNS)
    return next((name for name in told if name), "pair_id")


def _statuses(path: str) -> dict[str, int]:
    told = (manifest.known(path) or {}).get("told", {}).get("statuses")
    if own_json.fits(told, {...: int}):
        return dict(told)
    return _counted(path)


def _look(path: str) -> None:
    if _counted.known(path) is not None:
        return
    seen = version_now(path)
    with suppress(BadTable):
        file = open_parquet(path)
        learn_said(path, file.schema_arrow, seen)
        _counted.learn(path, word_counts(path, "status", file), seen)


# asked twice of every finished shard, and small
_counted = Remembered(lambda path: word_counts(path, "status"), at_most=1_000_000)
