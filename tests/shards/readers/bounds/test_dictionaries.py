"""The longest value of a dictionary, told by its page as real files hold it."""

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.shards.readers.bounds import dictionaries
from ncaudit.shards.readers.bounds.dictionaries import longest_in
from ncaudit.shards.readers.bounds.pages import Page, local_pages
from ncaudit.shards.readers.parquet import open_parquet, read_bounded

VALUES = [b"a", b"", b"long" * 300, None, b"a", b"bc"]


def first_page(path):
    facts = pq.ParquetFile(path).metadata.row_group(0).column(0)
    with open(path, "rb") as file:
        page = next(local_pages(file.fileno(), facts))
        return page, os.pread(file.fileno(), page.packed, page.at), facts.compression


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "brotli", "zstd"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_the_longest_value_is_found_in_the_page_as_it_lies(tmp_path, codec, version):
    path = tmp_path / "s.parquet"
    pq.write_table(pa.table({"x": VALUES}), path, compression=codec, data_page_version=version)
    page, body, compression = first_page(path)
    assert page.values == 4
    assert longest_in(page, body, compression) == 1_200


def test_what_is_no_such_page_is_left_to_arrow(tmp_path):
    path = tmp_path / "s.parquet"
    pq.write_table(pa.table({"x": VALUES}), path, compression="zstd")
    page, body, compression = first_page(path)
    assert longest_in(page, body[:-1], compression) is None
    assert longest_in(page, b"\0" * len(body), compression) is None
    assert longest_in(page, body, "LZ4") is None
    assert longest_in(Page(page.kind, 4_097, page.packed, page.unpacked, 0, page.at), body, compression) is None
    assert longest_in(Page(0, 2, 9, 9, 0), b"\x09\0\0\0abcde", "UNCOMPRESSED") is None
    assert longest_in(Page(2, 1, 9, 9, 0), b"\x09\0\0\0abcde", "UNCOMPRESSED") is None  # nine bytes, and five are there
    assert longest_in(Page(2, 2, 9, 9, 0), b"\x05\0\0\0abcde", "UNCOMPRESSED") is None  # two values, and one is there


def test_arrow_is_not_asked_to_build_a_dictionary_of_images(tmp_path, monkeypatch):
    images = [bytes([i]) * 3_000 for i in range(256)] * 40
    pq.write_table(pa.table({"jpg": images}), tmp_path / "s.parquet", row_group_size=2_000)
    opened = []
    real = pq.ParquetFile
    monkeypatch.setattr(pq, "ParquetFile", lambda *given, **more: opened.append(more) or real(*given, **more))
    path = str(tmp_path / "s.parquet")
    batches = list(read_bounded(path, open_parquet(path), 8_192))
    assert pa.Table.from_batches(batches)["jpg"].to_pylist() == images
    assert opened == []
    monkeypatch.setattr(dictionaries, "MOST_VALUES", 10)
    again = list(read_bounded(path, open_parquet(path), 8_192))
    assert [len(batch) for batch in again] == [len(batch) for batch in batches]
    assert opened
