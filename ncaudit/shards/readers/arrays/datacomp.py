"""DataComp's metadata: a table of pairs, and its features in an .npz of the same stem.

Knows which arrays and columns go together; nothing of folders.
"""

import pyarrow as pa

from ncaudit.errors import BadTable
from ncaudit.shards.columns import CAPTIONS, carried_type, is_text
from ncaudit.shards.files.layouts import ARCHIVE_DAMAGE, IMAGES, TEXTS, features_in
from ncaudit.shards.files.shard import FeaturedTable
from ncaudit.shards.readers.arrays.array_shard import ArrayShard, Described, identified
from ncaudit.shards.readers.arrays.npy_rows import damaged, member_rows
from ncaudit.shards.readers.parquet import ParquetShard

KEY = "uid"


def open_datacomp(parts: FeaturedTable) -> ArrayShard:
    """The table with those of the features beside it that are meant.

    Pairs are named by `uid`, or by their row where there is none. Raises BadTable when the .npz is damaged, has no
    such features, several of which none was named, or other numbers of rows than the table.
    """
    features = _existing(parts.arrays, parts.features)
    image, text = (member_rows(parts.arrays, f"{features}{kind}") for kind in (IMAGES, TEXTS))
    return ArrayShard(image, text, _described(ParquetShard(parts.table), parts.table))


def _existing(arrays: str, wanted: str | None) -> str:
    try:
        found = features_in(arrays)
    except ARCHIVE_DAMAGE as error:
        raise damaged(arrays, error) from error
    if wanted is None or wanted not in found:
        what = f"no features {wanted}" if wanted else "several features"
        raise BadTable(f"{arrays} has {what} (found: {', '.join(found)})", fix="name some of them with --features")
    return wanted


def _described(table: ParquetShard, name: str) -> Described:
    schema = pa.schema([field.with_type(carried_type(field.type)) for field in table.schema])
    caption = next((word for word in CAPTIONS if word in schema.names and is_text(schema.field(word).type)), None)
    source = identified(schema, KEY if KEY in schema.names else None, caption)
    fields = [schema.field(old).with_name(new) for new, old in source.items()]
    return Described(table, name, pa.schema(fields, metadata=table.schema.metadata), source)
