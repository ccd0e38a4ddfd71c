"""Column names and arrow types of ncaudit's tables: the contract between the verbs and with other tools.

Knows arrow types; nothing of files, encoders or scorers.
"""

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

METADATA_KEY: Final = b"ncaudit"  # of the schema metadata: one JSON object, the table's provenance

OK: Final = "ok"
UNFINISHED: Final = "image_unfinished"  # the machine's failure, not the row's: tried again on a rerun
FAILED_STATUSES: Final = (
    "image_missing",
    "image_undecodable",
    "image_too_large",
    UNFINISHED,
    "caption_missing",
    "row_too_large",
    "embedding_invalid",
    "upstream_failed",
)
STATUSES: Final = (OK, *FAILED_STATUSES)
NOT_SCORED: Final = "not_scored"  # a row of the dataset that no score table has
NOT_EMBEDDED: Final = "not_embedded"  # a row of a score table that no embedding table has
VERDICTS: Final = ("clean", "unsure", "noisy")
REASONS: Final = ("mismatch", "generic_caption", "placeholder_image", "duplicate")

IMAGE_HASH_BYTES: Final = 16

IDENTITY: Final = pa.schema(
    [
        pa.field("pair_id", pa.string(), nullable=False),
        pa.field("shard", pa.string()),
        pa.field("row", pa.int64()),
    ]
)

SCORE: Final = pa.schema(
    [
        *IDENTITY,
        pa.field("status", pa.string()),
        pa.field("soft_label", pa.float32()),
        pa.field("similarity", pa.float32()),
        pa.field("score", pa.float32()),
        pa.field("clean_probability", pa.float32()),
        pa.field("image_consistency", pa.float32()),
        pa.field("text_consistency", pa.float32()),
        pa.field("is_anchor", pa.bool_()),
        pa.field("image_anchor", pa.string()),
        pa.field("text_anchor", pa.string()),
        pa.field("verdict", pa.string()),
        pa.field("caption_count", pa.int64()),
        pa.field("image_count", pa.int64()),
        pa.field("reason", pa.string()),
    ]
)

# What `score --suggest` adds, behind SCORE: of noisy pairs for whose photo a clean pair's caption fits.
SUGGESTION: Final = pa.schema(
    [
        pa.field("suggested_caption", pa.string()),
        pa.field("suggested_pair", pa.string()),
        pa.field("suggested_probability", pa.float32()),
    ]
)


def labels_schema(label: pa.DataType) -> pa.Schema:
    """The label table: what `labels` found about each pair's given class. `label`: the type of the class column."""
    return pa.schema(
        [
            *IDENTITY,
            pa.field("status", pa.string()),
            pa.field("given_label", label),
            pa.field("partition", pa.string()),  # null for an unlabelled pair
            pa.field("image_neighbour_label", label),
            pa.field("image_neighbour_share", pa.float32()),
            pa.field("text_neighbour_label", label),
            pa.field("text_neighbour_share", pa.float32()),
            pa.field("suggested_label", label),  # null where the given one stands
            pa.field("label_quality", pa.float32()),
            pa.field("why", pa.list_(pa.string())),
        ]
    )


# What `score --data` adds to the user's own dataset, prefixed: all of the score table that is not identity.
DATASET_PREFIX: Final = "ncaudit_"


def embedding_schema(image_dims: int, text_dims: int, carried: Sequence[pa.Field] = ()) -> pa.Schema:
    """The embedding table: every input row, unit rows in half precision, null unless `status` is ok.

    `carried` are the user's light columns; one whose name is ours arrives renamed (see `carried_name`).
    """
    return pa.schema(
        [
            *IDENTITY,
            pa.field("caption_index", pa.int32()),
            pa.field("status", pa.string()),
            pa.field("detail", pa.string()),
            pa.field("image_embedding", pa.list_(pa.float16(), image_dims)),
            pa.field("text_embedding", pa.list_(pa.float16(), text_dims)),
            pa.field("image_hash", pa.binary(IMAGE_HASH_BYTES)),
            pa.field("width", pa.int32()),
            pa.field("height", pa.int32()),
            pa.field("caption", pa.string()),
            *carried,
        ]
    )


EMBEDDING_COLUMNS: Final = frozenset(embedding_schema(1, 1).names)
OUR_COLUMNS: Final = EMBEDDING_COLUMNS | frozenset(SCORE.names) | frozenset(SUGGESTION.names)


def carried_name(name: str) -> str:
    """A user's column keeps its name unless it is one of ours: then it is carried as `input_<name>`.

    >>> carried_name("url"), carried_name("similarity")
    ('url', 'input_similarity')
    """
    return f"input_{name}" if name in OUR_COLUMNS else name
