"""What tells photos, captions and hosts apart: bytes and words hashed, or embeddings where there are none.

Knows batches of rows and hashes; nothing of tables or their checks.
"""

from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ncaudit.hashing import hash_rows, hash_values
from ncaudit.shards.tables.checks import (
    is_binary,
    is_present,
    is_word,
    strings,
)

Matrix = npt.NDArray[np.float32]


def caption_texts(batch: pa.RecordBatch) -> pa.Array:
    """(n,) large_string: the captions, null where there are none."""
    if "caption" not in batch.schema.names or not is_word(batch["caption"].type):
        return pa.nulls(len(batch), pa.large_string())
    return batch["caption"].cast(pa.large_string())


def content_ids(batch: pa.RecordBatch, name: str, ok: npt.NDArray[np.bool_], unit: Matrix) -> npt.NDArray[np.int64]:
    """What the ok rows have in `name`, hashed; where there is nothing, the embedding speaks for it."""
    column = content_column(batch, name)
    if column is None:
        return hash_rows(unit)
    column = column.filter(pa.array(ok))
    present = is_present(column)
    ids = np.empty(len(column), dtype=np.int64)
    ids[present] = hash_values(column.drop_null())
    ids[~present] = hash_rows(unit[~present])
    return ids


def content_column(batch: pa.RecordBatch, name: str) -> pa.Array | None:
    """The column that tells photos or captions apart, ready for hashing; None where there is none that could.

    What is empty, or nothing but blanks, is null: it names nothing.
    """
    if name not in batch.schema.names or not (is_word(batch[name].type) or is_binary(batch[name].type)):
        return None
    column = batch[name].cast(pa.large_string()) if is_word(batch[name].type) else batch[name]
    blank = _blank(column)
    return pc.if_else(blank, pa.scalar(None, column.type), column) if pc.any(blank).as_py() else column


def _blank(column: pa.Array) -> pa.Array:
    if pa.types.is_large_string(column.type):
        return pc.equal(_trimmed(column), "")
    if pa.types.is_fixed_size_binary(column.type):
        return pa.array(np.zeros(len(column), dtype=bool))
    return pc.equal(pc.binary_length(column), 0)


def _trimmed(text: pa.Array) -> pa.Array:
    try:
        return pc.utf8_trim_whitespace(text)
    except pa.ArrowInvalid:  # parquet's readers take its writer's word for what is UTF-8
        return pc.ascii_trim_whitespace(text)


def has_content(batch: pa.RecordBatch, name: str) -> npt.NDArray[np.bool_]:
    """(n,): the row has something in this column that tells photos or captions apart."""
    column = content_column(batch, name)
    return np.zeros(len(batch), dtype=bool) if column is None else is_present(column)


def host_ids(
    batch: pa.RecordBatch, ok: npt.NDArray[np.bool_], image_id: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64] | None:
    """The host of each ok row's url, hashed; without one the photo speaks for itself."""
    urls = strings(batch.filter(pa.array(ok)), "url") if "url" in batch.schema.names else None
    if urls is None:
        return None
    hosts = [_host(url) for url in urls]
    told = hash_values(pa.array(hosts, pa.string()))
    return np.where(np.array([bool(host) for host in hosts], dtype=bool), told, image_id)


def _host(url: str | None) -> str:
    try:
        return urlsplit(url or "").netloc
    except ValueError:  # web data: an unclosed bracket is enough
        return ""
