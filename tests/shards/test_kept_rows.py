"""A shard without some of its rows is stored as it was, and the others are in the second file."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.errors import BadTable
from ncaudit.shards import kept_rows, rewrite
from ncaudit.shards.kept_rows import Target, split_shard
from ncaudit.shards.sources import Shard

REASON = pa.field("why", pa.string())
WORDS = ["kept", "bad", "worse"]


def shard_of(path, rows=40, group=10, image_bytes=2_000, **writing):
    draw = np.random.default_rng(0)
    images = pa.array([draw.bytes(image_bytes) for _ in range(rows)], pa.binary())
    table = pa.table({"n": range(rows), "lang": ["en", "de"] * (rows // 2), "jpg": images})
    pq.write_table(table, path, row_group_size=group, **writing)
    return Shard(str(path), path.name), table


def split(shard, codes, tmp_path, reason=REASON):
    kept, dropped = (Target(str(tmp_path / f"{name}.parquet"), {"verb": "filter"}) for name in ("kept", "dropped"))
    split_shard(shard, np.array(codes, dtype=np.int16), kept, dropped, reason, WORDS)
    return pq.ParquetFile(kept.path), pq.ParquetFile(dropped.path)


def groups(parquet):
    return [parquet.metadata.row_group(i).num_rows for i in range(parquet.num_row_groups)]


def test_row_groups_keep_their_borders_and_empty_ones_go(tmp_path):
    shard, table = shard_of(tmp_path / "s.parquet")
    codes = [0] * 10 + [1] * 10 + [0, 2] * 5 + [0] * 10
    kept, dropped = split(shard, codes, tmp_path)
    assert groups(kept) == [10, 5, 10]
    assert groups(dropped) == [10, 5]
    assert kept.read().equals(table.filter(pa.array([code == 0 for code in codes])))
    assert dropped.read()["why"].to_pylist() == ["bad"] * 10 + ["worse"] * 5


def test_a_large_row_group_is_cut_so_that_memory_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(kept_rows, "PIECE_BYTES", 20_000)
    monkeypatch.setattr(rewrite, "BATCH_BYTES", 10_000)
    shard, table = shard_of(tmp_path / "s.parquet", group=40)
    kept, _ = split(shard, [0] * 40, tmp_path)
    assert len(groups(kept)) > 2
    assert kept.read().equals(table)


@pytest.mark.parametrize("codec", ["snappy", "zstd", "none", "gzip"])
def test_codecs_stay_and_no_dictionary_of_images_is_tried(tmp_path, codec):
    shard, _ = shard_of(tmp_path / "s.parquet", compression=codec)
    stored = pq.read_metadata(shard.path).row_group(0)
    assert any("DICTIONARY" in encoding for encoding in stored.column(2).encodings)
    kept, _ = split(shard, [0] * 40, tmp_path)
    columns = [kept.metadata.row_group(0).column(i) for i in range(3)]
    assert {column.compression for column in columns} == {stored.column(0).compression}
    dictionaries = [any("DICTIONARY" in encoding for encoding in column.encodings) for column in columns]
    assert dictionaries == [True, True, False]


def test_row_groups_of_which_nothing_is_written_are_not_read(tmp_path):
    shard, table = shard_of(tmp_path / "s.parquet", compression="none")
    start = pq.read_metadata(shard.path).row_group(1).column(2).dictionary_page_offset
    raw = bytearray((tmp_path / "s.parquet").read_bytes())
    raw[start : start + 20] = bytes(20)
    (tmp_path / "s.parquet").write_bytes(raw)
    codes = np.array([0] * 10 + [1] * 10 + [0] * 20, dtype=np.int16)
    split_shard(shard, codes, Target(str(tmp_path / "k.parquet"), {}), None, REASON, WORDS)
    assert pq.read_table(tmp_path / "k.parquet").equals(pa.concat_tables([table.slice(0, 10), table.slice(20)]))
    with pytest.raises(BadTable, match="cannot be read"):
        split(shard, codes, tmp_path)
    assert not (tmp_path / "kept.parquet").exists()


def test_a_column_called_like_the_reason_is_refused(tmp_path):
    shard, _ = shard_of(tmp_path / "s.parquet")
    with pytest.raises(BadTable, match="already has a column lang"):
        split(shard, [0] * 40, tmp_path, pa.field("lang", pa.string()))
