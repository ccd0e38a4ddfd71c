"""A file is known by its bytes; what it is instead of data is told in one line, with what to do."""

import gzip
import io
import tarfile
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.errors import BadTable
from ncaudit.shards.files.formats import Format, format_of

TABLE = pa.table({"caption": ["a red circle"]})


def parquet():
    file = io.BytesIO()
    pq.write_table(TABLE, file)
    return file.getvalue()


def ipc(new):
    file = io.BytesIO()
    with new(file, TABLE.schema) as writer:
        writer.write_table(TABLE)
    return file.getvalue()


def tar(name="0.txt"):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return file.getvalue()


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("00000.parquet", "x")
    return file.getvalue()


def array():
    file = io.BytesIO()
    np.save(file, np.zeros(2))
    return file.getvalue()


LINES, CELLS = b'{"caption": "a"}\n', b"caption,url\na,b\n"


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("x.parquet", parquet(), Format.parquet),
        ("x.data", parquet(), Format.parquet),
        ("x.arrow", ipc(pa.ipc.new_file), Format.arrow_file),
        ("x.arrow", ipc(pa.ipc.new_stream), Format.arrow_stream),
        ("x.tar", tar(), Format.tar),
        ("x.tar", b"\0" * 10240, Format.tar),  # one without members
        ("x.tar.gz", gzip.compress(tar(), mtime=0), Format.tar),
        ("x.tgz", gzip.compress(tar(), mtime=0), Format.tar),
        ("x.npy", array(), Format.numpy),
        ("x.jsonl", LINES, Format.json_lines),
        ("x.json", b"\xef\xbb\xbf \n" + LINES, Format.json_lines),
        ("x.ndjson.gz", gzip.compress(LINES, mtime=0), Format.json_lines),
        ("x.csv", CELLS, Format.csv),
        ("x.TSV", CELLS, Format.tsv),
        ("x.csv.gz", gzip.compress(CELLS, mtime=0), Format.csv),
    ],
)
def test_formats_are_told_apart_by_their_bytes(name, content, kind, tmp_path):
    (tmp_path / name).write_bytes(content)
    assert format_of(str(tmp_path / name)) is kind


@pytest.mark.parametrize(
    ("name", "content", "said", "fix"),
    [
        ("x.parquet", b"", "is empty", "fetch"),
        ("x.parquet", parquet()[:-10], "cut short", "fetch"),
        ("x.parquet", b"PAR1", "cut short", "fetch"),
        ("x.parquet", zipped(), "is a zip archive, not parquet", "unpack"),
        ("x.tar", zipped(), "is a zip archive, not tar", "unpack"),
        ("x.csv", zipped(), "is a zip archive, not csv", "unpack"),
        ("x.parquet", b"\n<!DOCTYPE html>\n<html>", r"is a web page \(HTML\), not parquet", "login"),
        ("x.csv", b"<html><body>404", r"is a web page \(HTML\), not csv", "login"),
        ("x.parquet", b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer", "git lfs pull"),
        ("x.parquet", LINES, "is not parquet: it starts with", "fetch"),
        ("x.tar", CELLS, "is not tar: it starts with", "fetch"),
        ("x.tar.gz", gzip.compress(b"plain", mtime=0), "compressed with gzip, and no tar", "unpack"),
        ("x.tar.gz", b"\x1f\x8b\x99\x99", "damaged gzip", "fetch"),
        ("x.jsonl", b'[{"caption": "a"}]', "is one JSON array, not JSON lines", r"jq -c"),
        ("x.csv", "caption,url\n".encode("utf-16"), "UTF-16", "UTF-8"),
        ("x.csv", b"caption\0,url\n", "is not text", "UTF-8"),
        ("x.jsonl", CELLS, "is not jsonl: it starts with", "fetch"),
        ("x.txt", b"some words", "of no format that is read here", "parquet"),
    ],
)
def test_what_is_none_says_what_it_is_and_what_to_do(name, content, said, fix, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadTable, match=rf"{name} .*({said})") as told:
        format_of(str(tmp_path / name))
    assert fix in told.value.fix
    assert "\n" not in told.value.message


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(BadTable, match="No such file"):
        format_of(str(tmp_path / "x.parquet"))
