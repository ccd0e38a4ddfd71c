"""What the place of a shard says is in its table: partitions as columns, and where img2dataset put the images."""

import json

import fsspec
import pyarrow as pa
import pytest

from ncaudit.options import DataOptions
from ncaudit.shards.columns import find_columns
from ncaudit.shards.dataset.rows import read_column, read_rows
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.readers import open_shard
from tests.worlds.datasets import write


def table(source):
    shards = find_shards([str(source)])
    return [pa.Table.from_batches(open_shard(s).batches(2), open_shard(s).schema) for s in shards]


def test_partitions_are_columns_of_text(tmp_path):
    for month, lang in (("01", "en"), ("12", "pt%2Fbr"), ("12", "__HIVE_DEFAULT_PARTITION__")):
        write(tmp_path / f"month={month}/lang={lang}/0.parquet", n=[1, 2, 3], group=1)
    found = [read.select(["month", "lang"]).slice(2).to_pylist()[0] for read in table(tmp_path)]
    assert found == [
        {"month": "01", "lang": "en"}, {"month": "12", "lang": None}, {"month": "12", "lang": "pt/br"},
    ]  # fmt: skip
    shard = find_shards([str(tmp_path)])[0]
    assert [part.to_pylist() for part in read_column(shard, "month")] == [["01"]] * 3
    file = open_shard(shard)
    assert (file.rows, file.pieces, file.nulls(0, "n"), file.nulls(0, "lang")) == (3, 3, 0, None)
    assert [batch.to_pydict() for batch in file.batches(5, ["lang", "none"], [1])] == [{"lang": ["en"]}]
    assert [batch.to_pydict() for batch in file.batches(5, ["n"], [1])] == [{"n": [2]}]


@pytest.mark.parametrize("name", ["0.csv", "0.jsonl", "0.arrow"])
def test_partitions_are_columns_whatever_the_format(tmp_path, name):
    (tmp_path / "year=2024").mkdir()
    with open(tmp_path / "year=2024" / name, "wb") as file:
        if name.endswith("arrow"):
            with pa.ipc.new_file(file, pa.schema([("n", pa.int64())])) as writer:
                writer.write(pa.record_batch({"n": [1]}))
        else:
            file.write(b"n\n1\n" if name.endswith("csv") else b'{"n": 1}\n')
    assert table(tmp_path)[0].to_pylist() == [{"n": 1, "year": "2024"}]


def test_a_column_of_the_file_and_tables_of_ours_are_left_as_they_are(tmp_path):
    write(tmp_path / "year=2024/0.parquet", year=[1999])
    write(tmp_path / "year=2024/1.parquet", n=[1], metadata={"ncaudit": json.dumps({"verb": "embed"})})
    assert [read.to_pylist() for read in table(tmp_path)] == [[{"year": 1999}], [{"n": 1}]]
    assert table(tmp_path / "year=2024/1.parquet")[0].to_pylist() == [{"n": 1}]


KEYS = ["000000000", "000000001", "000000002", "000000003"]
TABLE = {"caption": ["a", "b", "c", "d"], "key": KEYS, "status": ["success"] * 3 + ["failed_to_download"],
         "error_message": pa.array([None, None, None, "404"])}  # fmt: skip


def rows_of(shard):
    (rows,) = read_rows(shard, find_columns(open_shard(shard).schema, shard.name, DataOptions()), rows=9)
    return rows


def test_images_that_img2dataset_put_beside_the_table_are_read(tmp_path):
    write(tmp_path / "00000.parquet", TABLE)
    (tmp_path / "00000").mkdir()
    for name in ("000000000.jpg", "000000001.webp", "000000000.txt", "000000000.json", "x.jpg"):
        (tmp_path / "00000" / name).write_bytes(name.encode())
    (shard,) = find_shards([str(tmp_path)])
    rows = rows_of(shard)
    assert rows.images == [b"000000000.jpg", b"000000001.webp", None, None]
    assert rows.status == [None, None, "image_missing", "upstream_failed"]
    assert rows.detail[2:] == ["00000/000000002.jpg: no such file", "failed_to_download: 404"]


def test_images_beside_a_table_behind_an_address_are_read(tmp_path):
    files = fsspec.filesystem("memory")
    files.pipe("/layout/00000.parquet", write(tmp_path / "0.parquet", TABLE).read_bytes())
    files.pipe("/layout/00000/000000001.png", b"png")
    (shard,) = find_shards(["memory://layout"])
    assert rows_of(shard).images == [None, b"png", None, None]
    files.rm("/layout", recursive=True)


def test_a_table_with_images_of_its_own_looks_for_none(tmp_path):
    (tmp_path / "00000").mkdir()
    write(tmp_path / "00000.parquet", TABLE, jpg=[b"1", b"2", b"3", None])
    (shard,) = find_shards([str(tmp_path)])
    assert rows_of(shard).images[:3] == [b"1", b"2", b"3"]
