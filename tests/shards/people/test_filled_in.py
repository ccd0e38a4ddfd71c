"""A file is read as the program that people used has saved it, and its columns under whatever they were called."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.errors import BadTable
from ncaudit.shards.people.filled_in import read_filled_in

ROWS = [{"pair_id": "007", "is_match": "yes"}, {"pair_id": "é 8", "is_match": "no"}]
COMMAS = "pair_id,is_match\n007,yes\né 8,no\n"
TABS = COMMAS.replace(",", "\t")


def read(path, content):
    path.write_bytes(content)
    return read_filled_in(str(path), ["pair_id", "is_match"]).table.to_pylist()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("v.csv", COMMAS.encode()),
        ("v.csv", COMMAS.encode("utf-8-sig")),
        ("v.csv", b"\xef\xbb\xbf" + COMMAS.encode("utf-8-sig")),
        ("v.csv", b"\xef\xbb\xbf" + '"pair_id","is_match"\n"007","yes"\n"é 8","no"\n'.encode("utf-8-sig")),
        ("v.csv", ("sep=;\r\n" + COMMAS.replace(",", ";").replace("\n", "\r\n")).encode()),
        ("v.csv", ("\ufeffsep=,\r" + COMMAS.replace("\n", "\r")).encode()),
        ("v.csv", ('"sep=\t"\n' + TABS).encode()),
        ("v.csv", TABS.encode("utf-16")),
        ("v.csv", b"\xff\xfe" + ("sep=;\r\n" + COMMAS.replace(",", ";")).encode("utf-16-le")),
        ("v.csv", b"\xfe\xff" + COMMAS.encode("utf-16-be")),
        ("v.csv", COMMAS.encode("utf-16-le")),
        ("v.csv", COMMAS.encode("utf-16-be")),
        ("v.csv", COMMAS.encode("utf-32")),
        ("v.txt", TABS.encode("utf-16")),
        ("V.TSV", TABS.encode()),
        ("v.csv", COMMAS.replace("pair_id", " Pair-ID ").replace("is_match", "Is Match").encode()),
        ("v.csv", COMMAS.replace("pair_id", '"PAIR ID"').replace(",", "|").encode()),
        ("v.csv.gz", gzip.compress(COMMAS.encode("utf-16"), mtime=0)),
        ("v.jsonl", "\n".join(map(json.dumps, ROWS)).encode()),
        ("v.ndjson", "\n".join(json.dumps({k.upper(): v for k, v in row.items()}) for row in ROWS).encode("utf-16")),
    ],
)  # fmt: skip
def test_every_way_of_saving_the_same_rows_reads_the_same(tmp_path, name, content):
    assert read(tmp_path / name, content) == ROWS


def test_parquet_is_known_by_its_first_bytes_whatever_it_is_called(tmp_path):
    for name in ("v.parquet", "truth", "v.pq"):
        pq.write_table(pa.table({"Pair_ID": [7], "is_match": [True]}), tmp_path / name)
        table = read_filled_in(str(tmp_path / name), ["pair_id", "is_match"]).table
        assert table.to_pylist() == [{"pair_id": 7, "is_match": True}]


def test_captions_in_an_old_encoding_do_no_harm_but_names_in_it_are_refused_with_their_line(tmp_path):
    text = "pair_id,caption,is_match\na,caf\xe9,yes\nb,tea,no\n"
    (tmp_path / "v.csv").write_bytes(text.encode("cp1252"))
    file = read_filled_in(str(tmp_path / "v.csv"), ["pair_id", "is_match"], ["caption"])
    assert file.table.to_pylist() == [{"pair_id": "a", "is_match": "yes"}, {"pair_id": "b", "is_match": "no"}]
    (tmp_path / "v.csv").write_bytes(text.replace("b,", "\xe9,").encode("cp1252"))
    with pytest.raises(BadTable, match=r"v\.csv line . is not UTF-8"):
        read_filled_in(str(tmp_path / "v.csv"), ["pair_id", "is_match"])


@pytest.mark.parametrize(
    ("name", "content", "said", "fix"),
    [
        ("v.xlsx", b"PK\x03\x04", "is a workbook of a spreadsheet program", "save it as CSV"),
        ("v.csv", b"PK\x03\x04...", "is a workbook of a spreadsheet program", "save it as CSV"),
        ("v.xls", b"\xd0\xcf\x11\xe0", "is a workbook of a spreadsheet program", "save it as CSV"),
        ("v.ods", b"", "is a workbook of a spreadsheet program", "save it as CSV"),
        ("v.docx.md", b"hello", r"is no \.csv, \.parquet, \.jsonl file", "save it as one of these"),
        ("v.csv", b"pair_id,Is_Match,IS-MATCH\n", "has the columns 'Is_Match' and 'IS-MATCH'", "rename one"),
        ("v.csv", b"id,is_match\na,yes\n", "has no column pair_id", "call the column pair_id"),
        ("v.csv", b"\xff\xfep\x00a", "begins as utf-16-le and is not: truncated data", "in UTF-8"),
    ],
)
def test_what_cannot_be_read_is_told_with_what_helps(tmp_path, name, content, said, fix):
    with pytest.raises(BadTable, match=said) as told:
        read(tmp_path / name, content)
    assert fix in told.value.fix
    assert str(tmp_path) in told.value.message


def test_a_missing_file_and_a_folder_are_told_as_such(tmp_path):
    with pytest.raises(BadTable, match="there is no such file"):
        read_filled_in(str(tmp_path / "v.csv"), ["pair_id"])
    with pytest.raises(BadTable, match="it is a folder"):
        read_filled_in(str(tmp_path), ["pair_id"])
