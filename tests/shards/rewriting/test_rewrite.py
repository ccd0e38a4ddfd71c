import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.errors import BadTable
from ncaudit.shards.files.provenance import provenance_of
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.rewriting import rewrite
from ncaudit.shards.rewriting.rewrite import rewrite_shard

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
HUGGINGFACE = json.dumps({"info": {"features": {"image": {"_type": "Image"}}}}).encode()


def dataset(path, rows=25, group=10, image_bytes=200, **writing):
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "image": pa.array([{"bytes": rng.bytes(image_bytes), "path": None} for _ in range(rows)], IMAGE),
            "caption": pa.array([None if i == 3 else f"caption {i}" for i in range(rows)], pa.string()),
            "tags": pa.array([[f"t{i % 3}"] for i in range(rows)], pa.list_(pa.string())),
        }
    ).replace_schema_metadata({b"huggingface": HUGGINGFACE, b"other": b"kept"})
    pq.write_table(table, path, row_group_size=group, **writing)
    return Shard(str(path), "A/s.parquet"), pq.read_table(path)


def row_numbers(first, batch):
    return [pa.array(range(first, first + len(batch)), pa.int64())]


NUMBER = pa.field("number", pa.int64())


def group_rows(path):
    metadata = pq.read_metadata(path)
    return [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]


def test_all_but_the_added_column_is_as_it_was(tmp_path):
    shard, table = dataset(tmp_path / "s.parquet")
    out = str(tmp_path / "out" / "A" / "s.parquet")
    assert rewrite_shard(shard, out, add=[NUMBER], columns_for=row_numbers) == 25
    written = pq.read_table(out)
    assert written.drop_columns("number").equals(table, check_metadata=True)
    assert written["number"].to_pylist() == list(range(25))
    assert group_rows(out) == group_rows(shard.path) == [10, 10, 5]
    assert pq.read_schema(out).metadata == {b"huggingface": HUGGINGFACE, b"other": b"kept"}


def test_a_replaced_column_keeps_its_place_and_type(tmp_path):
    shard, table = dataset(tmp_path / "s.parquet")
    out = str(tmp_path / "out.parquet")
    rewrite_shard(shard, out, replace=["caption"], columns_for=lambda first, batch: [pa.array(["x"] * len(batch))])
    written = pq.read_table(out)
    assert written.schema.equals(table.schema, check_metadata=True)
    assert written["caption"].to_pylist() == ["x"] * 25


def test_codec_and_dictionary_of_each_column_are_kept(tmp_path):
    codecs = {"image.bytes": "none", "image.path": "gzip", "caption": "zstd", "tags.list.element": "snappy"}
    shard, _ = dataset(tmp_path / "s.parquet", compression=codecs, use_dictionary=["caption"])
    out = str(tmp_path / "out.parquet")
    rewrite_shard(shard, out, add=[NUMBER], columns_for=row_numbers)
    before, after = (pq.read_metadata(path).row_group(0) for path in (shard.path, out))
    for i in range(before.num_columns):
        assert after.column(i).compression == before.column(i).compression
        assert after.column(i).encodings == before.column(i).encodings
    assert after.num_columns == before.num_columns + 1


def test_lists_whose_leaf_is_called_item_are_kept(tmp_path):
    shard, table = dataset(tmp_path / "s.parquet", use_compliant_nested_type=False, compression="gzip")
    out = str(tmp_path / "out.parquet")
    rewrite_shard(shard, out, add=[NUMBER], columns_for=row_numbers)
    assert pq.read_table(out).drop_columns("number").schema.equals(table.schema, check_metadata=True)
    assert pq.read_table(out)["tags"].to_pylist() == table["tags"].to_pylist()
    assert {pq.read_metadata(out).row_group(0).column(i).compression for i in range(4)} == {"GZIP"}


def test_a_row_group_too_large_to_hold_is_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(rewrite, "GROUP_BYTES", 5_000)
    monkeypatch.setattr(rewrite, "BATCH_BYTES", 1_000)
    shard, table = dataset(tmp_path / "s.parquet", group=25, image_bytes=1_000)
    out = str(tmp_path / "out.parquet")
    rewrite_shard(shard, out, add=[NUMBER], columns_for=row_numbers)
    assert len(group_rows(out)) > 4
    assert pq.read_table(out).drop_columns("number").equals(table)
    assert pq.read_table(out)["number"].to_pylist() == list(range(25))


def test_the_provenance_is_attached_beside_the_users_metadata(tmp_path):
    shard, _ = dataset(tmp_path / "s.parquet")
    out = str(tmp_path / "out.parquet")
    rewrite_shard(shard, out, add=[NUMBER], columns_for=row_numbers, provenance={"verb": "score"})
    schema = pq.read_schema(out)
    assert provenance_of(schema) == {"verb": "score"}
    assert schema.metadata[b"huggingface"] == HUGGINGFACE


def test_a_failure_half_way_leaves_nothing_behind(tmp_path):
    shard, _ = dataset(tmp_path / "s.parquet")

    def fails_late(first, batch):
        if first >= 10:
            raise KeyboardInterrupt
        return row_numbers(first, batch)

    with pytest.raises(KeyboardInterrupt):
        rewrite_shard(shard, str(tmp_path / "out" / "s.parquet"), add=[NUMBER], columns_for=fails_late)
    assert list((tmp_path / "out").iterdir()) == []


def test_two_runs_write_the_same_bytes(tmp_path):
    shard, _ = dataset(tmp_path / "s.parquet")
    for name in ("a", "b"):
        rewrite_shard(shard, str(tmp_path / name), add=[NUMBER], columns_for=row_numbers)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_shard_without_rows_keeps_its_schema(tmp_path):
    shard, _ = dataset(tmp_path / "s.parquet", rows=0)
    out = str(tmp_path / "out.parquet")
    assert rewrite_shard(shard, out, add=[NUMBER], columns_for=row_numbers) == 0
    assert pq.read_schema(out).names == ["image", "caption", "tags", "number"]


def test_a_column_that_is_there_is_not_added_and_one_that_is_not_there_is_not_replaced(tmp_path):
    shard, _ = dataset(tmp_path / "s.parquet")
    with pytest.raises(BadTable, match="already has a column caption"):
        rewrite_shard(shard, str(tmp_path / "o"), add=[pa.field("caption", pa.string())], columns_for=row_numbers)
    with pytest.raises(BadTable, match=r"no column text .found: image, caption, tags"):
        rewrite_shard(shard, str(tmp_path / "o"), replace=["text"], columns_for=row_numbers)


def test_a_damaged_shard_is_refused_by_name(tmp_path):
    shard, _ = dataset(tmp_path / "s.parquet", rows=200, group=50)
    content = bytearray((tmp_path / "s.parquet").read_bytes())
    page = pq.read_metadata(shard.path).row_group(2).column(2).data_page_offset
    content[page : page + 400] = bytes(400)
    (tmp_path / "s.parquet").write_bytes(bytes(content))
    with pytest.raises(BadTable, match=r"s\.parquet cannot be read"):
        rewrite_shard(shard, str(tmp_path / "o"), add=[NUMBER], columns_for=row_numbers)
    assert not (tmp_path / "o").exists()
