"""A shard without some of its rows is stored as it was, and the others are in the second file."""

import datetime
import decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ncaudit.errors import BadTable
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.rewriting import kept_rows, rewrite
from ncaudit.shards.rewriting.kept_rows import Target, split_shard

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


HUGE = "é" * 50_000
TEXT = st.none() | st.text(max_size=6) | st.just(HUGE)
LISTS = st.lists(st.lists(st.floats(allow_nan=False), max_size=2), max_size=2)
MAPS = st.lists(st.tuples(st.text(max_size=2), st.integers(0, 9)), max_size=2)
KINDS = {
    pa.string(): TEXT,
    pa.large_string(): TEXT,
    pa.dictionary(pa.int32(), pa.string()): st.sampled_from(["en", "日本", None]),
    pa.list_(pa.string()): st.none() | st.lists(st.none() | st.text(max_size=3), max_size=3),
    pa.struct([("bytes", pa.binary()), ("path", pa.string())]): st.none()
    | st.fixed_dictionaries({"bytes": st.none() | st.binary(max_size=9), "path": st.none() | st.text(max_size=3)}),
    pa.list_(pa.list_(pa.float64())): st.none()
    | st.lists(st.lists(st.floats(allow_nan=False), max_size=2), max_size=2),
    pa.map_(pa.string(), pa.int32()): st.none()
    | st.lists(st.tuples(st.text(max_size=2), st.integers(0, 9)), max_size=2),
    pa.timestamp("us", "UTC"): st.none() | st.datetimes(datetime.datetime(1970, 1, 2), timezones=st.just(datetime.UTC)),
    pa.decimal128(9, 2): st.none() | st.decimals(-1000, 1000, places=2).map(decimal.Decimal),
    pa.binary(4): st.none() | st.binary(min_size=4, max_size=4),
    pa.float16(): st.none() | st.floats(width=16, allow_nan=False),
    pa.uint64(): st.none() | st.integers(0, 2**64 - 1),
    pa.null(): st.none(),
}


@st.composite
def tables(draw):
    """(table, codes): any schema, rows drawn from a few so that many repeat, metadata on the schema and on a field."""
    kinds = draw(st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=4))
    rows = draw(st.sampled_from([0, 1, 3, 100, 101, 250]))
    order = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 4, rows)
    few = [draw(st.lists(KINDS[kind], min_size=4, max_size=4)) for kind in kinds]
    arrays = [pa.array([values[i] for i in order], kind) for kind, values in zip(kinds, few, strict=True)]
    fields = [pa.field(f"é {i}", kind, metadata={"note": str(i)}) for i, kind in enumerate(kinds)]
    table = pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata={"huggingface": "{}", "mine": "日本"}))
    codes = np.random.default_rng(draw(st.integers(0, 99))).integers(draw(st.sampled_from([-1, 0])), 3, rows)
    return table, codes.astype(np.int16)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=tables(), codec=st.sampled_from(["zstd", "none"]), piece=st.sampled_from([1_000, kept_rows.PIECE_BYTES]))
def test_no_row_is_lost_changed_or_moved(tmp_path_factory, made, codec, piece):
    table, codes = made
    folder = tmp_path_factory.mktemp("rows")
    path = folder / "s.parquet"
    pq.write_table(table, path, row_group_size=100, compression=codec)
    before = kept_rows.PIECE_BYTES
    kept_rows.PIECE_BYTES = piece
    try:
        kept, dropped = split(Shard(str(path), "s.parquet"), codes, folder)
    finally:
        kept_rows.PIECE_BYTES = before
    read = pq.read_table(path)
    assert kept.read().equals(read.filter(pa.array(codes == 0)))
    gone = dropped.read()
    assert gone.drop_columns("why").equals(read.filter(pa.array(codes > 0)))
    assert gone["why"].to_pylist() == [WORDS[code] for code in codes if code > 0]
    written = {name: value for name, value in kept.schema_arrow.metadata.items() if name != b"ncaudit"}
    assert kept.schema_arrow.with_metadata(written).equals(pq.read_schema(path), check_metadata=True)


def test_columns_whose_paths_are_equal_or_begin_alike_stay_themselves(tmp_path):
    table = pa.table(
        {
            "a.b": [1, 2],
            "a": [{"b": "x" * 3_000}, {"b": "y"}],
            "jpg": [b"1" * 3_000, b"2" * 3_000],
            "jpg.alt": ["p", "q"],
        }
    )
    pq.write_table(table, tmp_path / "s.parquet", compression={"a.b": "zstd", "jpg": "none", "jpg.alt": "gzip"})
    kept, dropped = split(Shard(str(tmp_path / "s.parquet"), "s.parquet"), [0, 1], tmp_path)
    assert kept.read().to_pylist() == table.slice(0, 1).to_pylist()
    assert dropped.read().drop_columns("why").to_pylist() == table.slice(1).to_pylist()
    stored = {name: kept.metadata.row_group(0).column(i) for i, name in ((2, "jpg"), (3, "jpg.alt"))}
    assert {name: column.compression for name, column in stored.items()} == {"jpg": "UNCOMPRESSED", "jpg.alt": "GZIP"}
    assert "RLE_DICTIONARY" in stored["jpg.alt"].encodings
    assert "RLE_DICTIONARY" not in stored["jpg"].encodings


def test_a_dictionary_of_images_in_lists_is_not_tried_whoever_wrote_them(tmp_path):
    table = pa.table({"jpgs": pa.array([[bytes([i]) * 3_000] for i in range(4)], pa.list_(pa.binary()))})
    pq.write_table(table, tmp_path / "s.parquet", use_compliant_nested_type=False)
    kept, _ = split(Shard(str(tmp_path / "s.parquet"), "s.parquet"), [0] * 4, tmp_path)
    assert "RLE_DICTIONARY" not in kept.metadata.row_group(0).column(0).encodings
