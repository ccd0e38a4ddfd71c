"""Every leaf of a parquet file is known to belong to the column that it is of, whatever that is called."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.shards.leaves import leaf_columns, leaf_count

TYPES = [
    pa.string(),
    pa.null(),
    pa.dictionary("int8", "string"),
    pa.list_(pa.float32(), 3),
    pa.large_list(pa.dictionary("int8", "string")),
    pa.struct({"bytes": pa.binary(), "path": pa.string()}),
    pa.list_(pa.struct({"x": pa.int8(), "y": pa.list_(pa.string())})),
    pa.map_("string", pa.struct({"a": pa.int8(), "b": pa.int8()})),
    pa.uuid(),
    pa.fixed_shape_tensor(pa.float32(), (2, 2)),
]


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_there_are_as_many_as_parquet_writes(kind, tmp_path):
    pq.ParquetWriter(tmp_path / "x.parquet", pa.schema({"x": kind})).close()
    assert leaf_count(kind) == len(pq.ParquetFile(tmp_path / "x.parquet").schema)


def test_equal_paths_belong_to_different_columns(tmp_path):
    schema = pa.schema({"a.b": pa.int8(), "a": pa.struct({"b": pa.int8()}), "a.c": pa.string()})
    pq.ParquetWriter(tmp_path / "x.parquet", schema).close()
    stored = pq.ParquetFile(tmp_path / "x.parquet").schema
    assert [stored.column(i).path for i in range(3)] == ["a.b", "a.b", "a.c"]
    assert leaf_columns(schema) == ["a.b", "a", "a.c"]
