"""Which column of a table each of parquet's leaves belongs to: by position, as paths of different columns can be equal.

Knows arrow's types; nothing of files. A column called `a.b` and the field b of a struct a have the same path, and
`image.alt` begins as the leaves of a struct called image would.
"""

import pyarrow as pa
import pyarrow.types as t


def leaf_columns(schema: pa.Schema) -> list[str]:
    """For every leaf of a parquet file with these columns, in order, the name of its column.

    >>> leaf_columns(pa.schema({"a.b": pa.int8(), "a": pa.struct({"b": pa.int8(), "c": pa.map_("string", "int8")})}))
    ['a.b', 'a', 'a', 'a']
    """
    return [field.name for field in schema for _ in range(leaf_count(field.type))]


def leaf_count(kind: pa.DataType) -> int:
    """How many columns of values parquet keeps for an arrow column of this type."""
    if isinstance(kind, pa.BaseExtensionType):
        return leaf_count(kind.storage_type)
    if t.is_dictionary(kind) or not t.is_nested(kind):
        return 1
    return sum(leaf_count(kind.field(i).type) for i in range(kind.num_fields))
