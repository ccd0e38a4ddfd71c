"""Writes clip-retrieval partitions: two arrays, their metadata, and a table of the pairs that have no embedding.

Knows embedding tables' columns and these files; nothing of models or of which shard a partition is of.
clip-retrieval and what reads its folders know only pairs with embeddings, and pair the files of `img_emb` with those of
`metadata` in their order: embedding-reader leaves out arrays without rows but not their metadata. So a shard without
any embedding gets none of the three files.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ncaudit.schema import OK
from ncaudit.shards.files import locations
from ncaudit.shards.files.provenance import Provenance, attach, provenance_of, read_schema
from ncaudit.shards.files.shard import ClipRetrievalFiles
from ncaudit.shards.files.writer import TableWriter, atomic_file, atomic_table, remove_file
from ncaudit.shards.readers.arrays.npy_rows import npy_rows
from ncaudit.shards.readers.parquet import open_parquet

IMAGE, TEXT = "image_embedding", "text_embedding"
IMAGE_PATH, CAPTION = "image_path", "caption"


class NpyWriter:
    """Rows of float16 as one .npy file; how many there are is written into its header at the end."""

    def __init__(self, file: Any, dims: int) -> None:
        self._file, self._dims, self._rows = file, dims, 0
        self._start = self._header()

    def write(self, column: pa.Array) -> None:
        """Take (k, dims) rows of an embedding column, none of them null."""
        self._file.write(column.flatten().to_numpy(zero_copy_only=False).astype("<f2", copy=False).tobytes())
        self._rows += len(column)

    def close(self) -> None:
        """Write the header anew. NumPy pads it, so that it is as long for any number of rows."""
        self._file.seek(0)
        assert self._header() == self._start

    def _header(self) -> int:
        shape = {"descr": "<f2", "fortran_order": False, "shape": (self._rows, self._dims)}
        np.lib.format.write_array_header_1_0(self._file, shape)
        return int(self._file.tell())


class ClipRetrievalWriter:
    """Takes the batches of an embedding table, and gives each row its place: see `atomic_clip_retrieval`."""

    def __init__(
        self, files: ClipRetrievalFiles, metadata: pa.Schema, sources: list[str], failed: TableWriter, stack: ExitStack
    ) -> None:
        self._files, self._metadata, self._sources = files, metadata, sources
        self._failed, self._stack = failed, stack
        self._writers: tuple[TableWriter, NpyWriter, NpyWriter] | None = None

    def write(self, batch: pa.RecordBatch) -> None:
        """Take rows in the embedding table's schema, in their order."""
        ok = pc.equal(batch["status"], OK)
        fine, failed = batch.filter(ok), batch.filter(pc.invert(ok))
        if len(failed):
            self._failed.write(failed.drop_columns([IMAGE, TEXT]))
        if len(fine):
            table, text, image = self._opened(batch.schema)
            table.write(pa.RecordBatch.from_arrays([fine[name] for name in self._sources], schema=self._metadata))
            text.write(fine[TEXT])
            image.write(fine[IMAGE])

    def _opened(self, schema: pa.Schema) -> tuple[TableWriter, NpyWriter, NpyWriter]:
        if self._writers is None:
            enter, files = self._stack.enter_context, self._files
            self._writers = (
                enter(atomic_table(files.metadata, self._metadata)),
                enter(_atomic_npy(files.text, schema.field(TEXT).type.list_size)),
                enter(_atomic_npy(files.image, schema.field(IMAGE).type.list_size)),
            )
        return self._writers


def failed_file(files: ClipRetrievalFiles) -> str:
    """The table of a partition's pairs without embedding; written last, it says that the partition is whole."""
    return locations.join(files.folder, "failed", f"failed_{files.number}.parquet")


@contextmanager
def atomic_clip_retrieval(
    files: ClipRetrievalFiles, schema: pa.Schema, provenance: Provenance, image_path: str
) -> Iterator[ClipRetrievalWriter]:
    """A partition written batch by batch; what is there of it appears whole, the table of failed pairs last.

    schema: of the embedding table whose batches will come. image_path: the column that is shown as image_path.
    What was there of it goes first: nothing of two runs is ever together.
    """
    for path in (failed_file(files), files.metadata, files.image, files.text):
        remove_file(path)
    sources = _sources(schema, image_path)
    fields = [schema.field(source).with_name(name) for name, source in sources.items()]
    light = pa.schema([field for field in schema if field.name not in (IMAGE, TEXT)])
    with atomic_table(failed_file(files), attach(light, provenance)) as failed, ExitStack() as stack:
        metadata = attach(pa.schema(fields), provenance)
        yield ClipRetrievalWriter(files, metadata, list(sources.values()), failed, stack)


def made_from(files: ClipRetrievalFiles) -> Provenance | None:
    """What a whole partition was made from; None where something of it is missing, or was made from something else.

    Raises BadTable where something of it is damaged.
    """
    there = [locations.is_file(path) for path in (files.metadata, files.image, files.text)]
    if not locations.is_file(failed_file(files)) or any(there) != all(there):
        return None
    said = provenance_of(read_schema(failed_file(files)))
    if not any(there):
        return said
    same = provenance_of(read_schema(files.metadata)) == said
    return said if same and _together(files) else None


def _together(files: ClipRetrievalFiles) -> bool:
    """Whether both arrays have a row for each of the metadata. Raises BadTable when one is cut or is none."""
    rows = {npy_rows(files.image).rows, npy_rows(files.text).rows}
    return rows == {open_parquet(files.metadata).metadata.num_rows}


@contextmanager
def _atomic_npy(path: str, dims: int) -> Iterator[NpyWriter]:
    with atomic_file(path) as file:
        writer = NpyWriter(file, dims)
        yield writer
        writer.close()


def _sources(schema: pa.Schema, image_path: str) -> dict[str, str]:
    """For each column of the metadata the one it comes from: as clip-retrieval has them, path and caption first."""
    taken = {IMAGE, TEXT, "status", "detail", CAPTION, IMAGE_PATH}
    taken |= {image_path} - {"pair_id"}
    rest = [name for name in schema.names if name not in taken]
    return {IMAGE_PATH: image_path, CAPTION: CAPTION, **{name: name for name in rest}}
