"""All captions of a dataset in memory, and which rows show the same photo: what moving captions about needs.

Knows the user's shards; images pass through and leave a hash, nothing of how captions are chosen.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ncaudit.errors import BadTable
from ncaudit.options import DataOptions
from ncaudit.progress import Progress
from ncaudit.shards.columns import Columns, find_columns, refuse_unread_root
from ncaudit.shards.dataset.photo_ids import photo_ids
from ncaudit.shards.dataset.rows import read_column, text
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.readers import open_shard

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CaptionRows:
    """Every row of every shard, shard after shard; n rows in all."""

    shards: tuple[Shard, ...]
    columns: tuple[str, ...]  # the caption column of each shard
    starts: Ints  # (shards + 1,): shard s has rows starts[s] to starts[s + 1]
    captions: pa.Array  # (n,) large_string, or large_list of it where a row has several captions
    usable: npt.NDArray[np.bool_]  # (n,): there is a caption, and it is not blank
    caption_id: Ints  # (n,): same caption but for case and outer blanks, same number
    photo_id: Ints  # (n,): as `photo_ids`

    def __len__(self) -> int:
        return int(self.starts[-1])

    def names(self, rows: Ints) -> pa.StringArray:
        """`<stem>/<row>` of each of these rows."""
        shard = np.searchsorted(self.starts, rows, side="right") - 1
        stems = pa.array([shard.stem for shard in self.shards], pa.string())
        places = pa.array(rows - self.starts[shard]).cast(pa.string())
        return pc.binary_join_element_wise(stems.take(pa.array(shard)), places, "/")

    def words(self, rows: Ints) -> list[str]:
        """The captions of these rows as one text each."""
        captions = self.captions.take(pa.array(rows))
        if pa.types.is_large_list(captions.type):
            return [" ".join(word for word in each or () if word) for each in captions.to_pylist()]
        return [caption or "" for caption in text(captions)]


def caption_columns(shards: Sequence[Shard], options: DataOptions) -> list[Columns]:
    """The columns of every shard.

    Raises BadTable when one has no caption or image column, or captions of another kind.
    """
    columns = [find_columns(open_shard(s).schema, s.name, options, carry=[]) for s in shards]
    refuse_unread_root(columns, options.image_root)
    _require_one_kind(shards, columns)
    _refuse_nested(shards, columns)
    return columns


def read_captions(shards: Sequence[Shard], options: DataOptions, progress: Progress) -> CaptionRows:
    """Read every shard once. Memory grows with the captions, not with the images.

    Raises BadTable as `caption_columns` does, and when a shard is damaged.
    """
    columns = caption_columns(shards, options)
    parts = [_captions(shard, own) for shard, own in zip(shards, columns, strict=True)]
    captions = pa.concat_arrays(parts)
    known = _known_words(captions)
    photos = [photo_ids(s, own, options.image_root, progress) for s, own in zip(shards, columns, strict=True)]
    return CaptionRows(
        shards=tuple(shards),
        columns=tuple(own.caption for own in columns),
        starts=np.cumsum([0, *(len(part) for part in parts)], dtype=np.int64),
        captions=captions,
        usable=pc.not_equal(known, "").to_numpy(zero_copy_only=False),
        caption_id=known.dictionary_encode().indices.to_numpy().astype(np.int64),
        photo_id=np.concatenate(photos),
    )


def _require_one_kind(shards: Sequence[Shard], columns: Sequence[Columns]) -> None:
    for shard, own in zip(shards, columns, strict=True):
        if own.many_captions != columns[0].many_captions:
            raise BadTable(
                f"{shards[0].path} and {shard.path} differ: one has a caption per row, the other a list of them",
                fix="give datasets of one kind",
            )


def _refuse_nested(shards: Sequence[Shard], columns: Sequence[Columns]) -> None:
    for shard, own in zip(shards, columns, strict=True):
        if own.caption_fields:
            raise BadTable(
                f"{shard.path}: captions within column {own.caption} are read and not written",
                fix="make a column of its own of them first, and name that with --caption-column",
            )


def _captions(shard: Shard, columns: Columns) -> pa.Array:
    kind = pa.large_list(pa.large_string()) if columns.many_captions else pa.large_string()
    parts = read_column(shard, columns.caption)
    try:
        captions = pa.concat_arrays([pa.array([], kind), *(part.cast(kind) for part in parts)])
        captions.validate(full=True)  # parquet's readers take its writer's word for what is UTF-8
        return captions
    except pa.ArrowInvalid as error:
        told = str(error).splitlines()[0]
        fix = "write the column anew with valid text"
        raise BadTable(f"{shard.path}: column {columns.caption} is no UTF-8 text: {told}", fix=fix) from error


def _known_words(captions: pa.Array) -> pa.Array:
    """What makes two captions the same: their words but for case and outer blanks; empty where there is no caption."""
    if pa.types.is_large_list(captions.type):
        lists = captions.to_pylist()
        words = [[(word or "").strip().lower() for word in each or ()] for each in lists]
        return pa.array([json.dumps(each) if any(each) else "" for each in words], pa.large_string())
    return pc.utf8_lower(pc.utf8_trim_whitespace(captions)).fill_null("")
