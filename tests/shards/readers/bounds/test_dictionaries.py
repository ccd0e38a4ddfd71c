"""The longest value of a dictionary, told by its page as real files hold it."""

from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.shards.readers.bounds import dictionaries
from ncaudit.shards.readers.bounds.dictionaries import longest_in
from ncaudit.shards.readers.bounds.pages import DATA, DICTIONARY, Page, local_pages
from ncaudit.shards.readers.parquet import open_parquet, read_bounded

VALUES = [b"a", b"", b"long" * 300, None, b"a", b"bc"]


def first_page(path):
    facts = pq.ParquetFile(path).metadata.row_group(0).column(0)
    with open(path, "rb") as file:
        return next(local_pages(file.fileno(), facts)), facts.compression


def longest(path, page, compression):
    with open(path, "rb") as file:
        return longest_in(page, file.fileno(), compression)


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "brotli", "zstd"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_the_longest_value_is_found_in_the_page_as_it_lies(tmp_path, codec, version):
    path = tmp_path / "s.parquet"
    pq.write_table(pa.table({"x": VALUES}), path, compression=codec, data_page_version=version)
    page, compression = first_page(path)
    assert page.values == 4
    assert longest(path, page, compression) == 1_200


@pytest.mark.parametrize(
    ("values", "most"),
    [([b"abc", b"abd", b"abe"], 3), ([b"abcd", b"ab", b"abe"], 4), ([b"abcdefgh", b"ab", b"abcde"], 8), ([b""], 0)],
)
def test_values_as_long_as_each_other_or_as_long_on_average_are_told_apart(tmp_path, values, most):
    path = tmp_path / "s.parquet"
    pq.write_table(pa.table({"x": values}), path)
    assert longest(path, *first_page(path)) == most


def test_what_is_no_such_page_is_left_to_arrow(tmp_path):
    path = tmp_path / "s.parquet"
    pq.write_table(pa.table({"x": VALUES}), path, compression="zstd")
    page, compression = first_page(path)
    assert longest(path, page, compression) == 1_200
    assert longest(path, replace(page, at=path.stat().st_size - 2), compression) is None  # the file ends before
    assert longest(path, replace(page, at=page.at + 1), compression) is None
    assert longest(path, page, "LZ4") is None
    assert longest(path, replace(page, values=4_097), compression) is None


@pytest.mark.parametrize(
    ("plain", "values"),
    [
        (b"\x09\0\0\0abcde", 1),  # nine bytes, and five are there
        (b"\x05\0\0\0abcde", 2),  # two values, and one is there
    ],
)
def test_values_beyond_the_end_of_their_page_are_left_to_arrow(tmp_path, plain, values):
    (tmp_path / "page").write_bytes(plain)
    page = Page(DICTIONARY, values, len(plain), len(plain), 0, 0)
    assert longest(tmp_path / "page", page, "UNCOMPRESSED") is None
    assert longest(tmp_path / "page", replace(page, kind=DATA), "UNCOMPRESSED") is None


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
