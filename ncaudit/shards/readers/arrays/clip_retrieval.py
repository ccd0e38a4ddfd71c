"""Partitions of a clip-retrieval folder: embeddings of images and captions, with captions and more beside them.

Knows how the partitions of a folder go together; nothing of other folders.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ncaudit.errors import BadTable
from ncaudit.hashing import hash_values
from ncaudit.shards.columns import CAPTIONS, carried_type, key_candidates
from ncaudit.shards.files import locations
from ncaudit.shards.files.layouts import metadata_files
from ncaudit.shards.files.shard import ClipRetrievalFiles
from ncaudit.shards.readers.arrays.array_shard import ArrayShard, Described, identified
from ncaudit.shards.readers.arrays.npy_rows import npy_rows
from ncaudit.shards.readers.parquet import ParquetShard

KEY_ROWS = 65_536
ENABLE = {"img_emb": "--enable_image True", "text_emb": "--enable_text True"}


def open_clip_retrieval(files: ClipRetrievalFiles, path: str) -> ArrayShard:
    """A partition, by the path of its metadata or, where there is none, of its images' embeddings.

    Columns have the types that they have in the whole folder. pair_id is a key column without gap or repeat in the
    whole folder (img2dataset's key, DataComp's uid); without one it is left out, and pairs are named by their row.
    Raises BadTable when a file of the partition is missing, or their numbers of rows differ.
    """
    for file in (files.image, files.text, *([path] if path == files.metadata else [])):
        _require(file, files)
    image, text = npy_rows(files.image), npy_rows(files.text)
    return ArrayShard(image, text, _described(files) if path == files.metadata else None)


def _require(file: str, files: ClipRetrievalFiles) -> None:
    if locations.is_file(file):
        return
    kind = next((name for name in ENABLE if f"{name}_{files.number}" in file), None)
    again = f", run it with {ENABLE[kind]}" if kind else ""
    raise BadTable(
        f"{files.folder} has no {locations.relative(file, files.folder)}, so its partition {files.number} is not whole",
        fix=f"copy it from where clip-retrieval wrote it{again}, or leave the partition out",
    )


def _described(files: ClipRetrievalFiles) -> Described:
    table, folder = ParquetShard(files.metadata), _folder(files.folder)
    caption = next((name for name in CAPTIONS if name in folder.schema.names), None)
    source = identified(folder.schema, folder.key, caption)
    fields = [folder.schema.field(old).with_name(new) for new, old in source.items()]
    there = {new: old for new, old in source.items() if old in table.schema.names}
    return Described(table, files.metadata, pa.schema(fields, metadata=table.schema.metadata), there)


@dataclass(frozen=True)
class _Folder:
    """What all partitions of a folder share: their columns, and which of these names the pairs."""

    schema: pa.Schema
    key: str | None


def _folder(folder: str) -> _Folder:
    files = tuple(metadata_files(folder))
    # behind an address, asking for each file's version again would cost more than reading the partition
    return _learnt(files, () if locations.is_remote(folder) else tuple(map(locations.version, files)))


@lru_cache(maxsize=16)
def _learnt(files: tuple[str, ...], versions: tuple[str, ...]) -> _Folder:
    schemas = [ParquetShard(file).schema.remove_metadata() for file in files]
    try:
        unified = pa.unify_schemas(schemas, promote_options="permissive")
    except pa.ArrowException as error:
        raise BadTable(
            f"{locations.dirname(files[0])}: columns of one name do not go together ({str(error).splitlines()[0]})",
            fix="write the column with one type in all partitions",
        ) from error
    schema = pa.schema([field.with_type(carried_type(field.type)) for field in unified])
    named = "pair_id" in schema.names
    candidates = [] if named else key_candidates(schema, one_folder=True)
    return _Folder(schema, next((name for name in candidates if _is_unique(files, name)), None))


def _is_unique(files: Sequence[str], column: str) -> bool:
    """Whether a column has neither gap nor repeat in all files. Takes 8 bytes of memory per row, as `check_keys`."""
    hashes = [np.zeros(0, np.int64)]
    for file in files:
        for batch in ParquetShard(file).batches(KEY_ROWS, [column]):
            if not batch.num_columns or batch.column(0).null_count:
                return False
            hashes.append(_numbers(batch.column(0)))
            if len(np.unique(hashes[-1])) < len(hashes[-1]):
                return False
    every = np.concatenate(hashes)
    return len(np.unique(every)) == len(every)


def _numbers(keys: pa.Array) -> npt.NDArray[np.int64]:
    """A number per key, the same for the same key: its own where it is one, which is a hundred times faster to find."""
    try:
        found: npt.NDArray[np.int64] = keys.cast(pa.int64()).to_numpy(zero_copy_only=False)
    except pa.ArrowException:
        return hash_values(keys.cast(pa.large_string()))
    return found
