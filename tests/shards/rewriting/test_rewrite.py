import errno
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.errors import BadTable
from ncaudit.shards.files import writer
from ncaudit.shards.files.provenance import provenance_of
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.readers import open_shard
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


@pytest.mark.parametrize("codec", ["none", "snappy", "zstd"])
def test_no_dictionary_of_images_is_tried_and_other_columns_keep_theirs(tmp_path, codec):
    shard, table = dataset(tmp_path / "s.parquet", image_bytes=2_000, compression=codec)
    out = str(tmp_path / "out.parquet")
    rewrite_shard(shard, out, add=[NUMBER], columns_for=row_numbers)
    before, after = (pq.read_metadata(path).row_group(0) for path in (shard.path, out))
    coded = [[any("DICT" in e for e in group.column(i).encodings) for i in range(4)] for group in (before, after)]
    assert coded == [[True] * 4, [False, True, True, True]]
    assert [after.column(i).compression for i in range(4)] == [before.column(i).compression for i in range(4)]
    assert pq.read_table(out).drop_columns("number").equals(table)


@pytest.mark.parametrize("most", [0, 1, 10**9])
def test_the_same_bytes_are_written_however_far_is_read_ahead(tmp_path, monkeypatch, most):
    shard, _ = dataset(tmp_path / "s.parquet", rows=200, group=40)
    rewrite_shard(shard, str(tmp_path / "usual"), add=[NUMBER], columns_for=row_numbers)
    monkeypatch.setattr(rewrite, "AHEAD_BYTES", most)
    rewrite_shard(shard, str(tmp_path / "again"), add=[NUMBER], columns_for=row_numbers)
    assert (tmp_path / "again").read_bytes() == (tmp_path / "usual").read_bytes()


def test_a_disk_that_fills_up_while_others_encode_is_told_with_the_files_name(tmp_path, monkeypatch):
    shard, _ = dataset(tmp_path / "s.parquet", rows=400, group=40, image_bytes=2_000, compression="none")
    out = tmp_path / "out" / "s.parquet"

    class Full(io.FileIO):
        def write(self, data):
            if self.tell() > 100_000:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    monkeypatch.setattr(writer, "created", lambda path: (out.parent.mkdir(), Full(path, "xb"))[1])
    with pytest.raises(OSError, match="No space left") as told:
        rewrite_shard(shard, str(out), add=[NUMBER], columns_for=row_numbers)
    assert told.value.filename == str(out)
    assert list(out.parent.iterdir()) == []


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


def test_pages_are_written_with_checksums_and_a_damaged_one_is_told_with_the_file_and_what_helps(tmp_path):
    shard, _ = dataset(tmp_path / "s.parquet", compression="none", use_dictionary=False)
    out = tmp_path / "out.parquet"
    rewrite_shard(shard, str(out), add=[NUMBER], columns_for=row_numbers)
    chunk = pq.read_metadata(out).row_group(1).column(0)
    data = bytearray(out.read_bytes())
    data[chunk.data_page_offset + chunk.total_compressed_size - 8] ^= 1
    out.write_bytes(data)
    again = Shard.of_file(str(out))
    with pytest.raises(BadTable, match=r"out\.parquet is damaged: a page of it is not what its checksum says") as told:
        rewrite_shard(again, str(tmp_path / "never.parquet"), columns_for=lambda first, batch: [])
    assert "delete it and run that command again" in told.value.fix
    with pytest.raises(BadTable, match="is not what its checksum says"):
        list(open_shard(again).batches(9))
    assert not (tmp_path / "never.parquet").exists()


def test_an_interval_that_would_lose_its_meaning_is_refused_and_never_left_out(tmp_path):
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "s.parquet"
    duckdb.sql(f"copy (select 'c' as caption, interval 3 months as age) to '{path}' (format parquet)")
    with pytest.raises(BadTable, match=r"s\.parquet: column age is an INTERVAL") as told:
        rewrite_shard(Shard.of_file(str(path)), str(tmp_path / "out.parquet"), columns_for=lambda first, batch: [])
    assert "write it as text" in told.value.fix
    assert not (tmp_path / "out.parquet").exists()


def test_two_columns_of_one_name_that_nobody_asks_for_are_written_back(tmp_path):
    table = pa.Table.from_arrays([pa.array(["c"]), pa.array([1]), pa.array([2])], names=["caption", "n", "n"])
    pq.write_table(table, tmp_path / "s.parquet")
    rewrite_shard(
        Shard.of_file(str(tmp_path / "s.parquet")), str(tmp_path / "out.parquet"), columns_for=lambda f, b: []
    )
    assert pq.ParquetFile(tmp_path / "out.parquet").read().equals(table)
