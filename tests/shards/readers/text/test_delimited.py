"""CSV and TSV are read as they are: types lose nothing and hang on no block, errors name the line."""

import csv
import gzip

import fsspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncaudit.errors import BadTable
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.readers import open_shard
from ncaudit.shards.readers.text import delimited

TEXT, INT, FLOAT, BOOL = pa.string(), pa.int64(), pa.float64(), pa.bool_()


@pytest.fixture
def write(tmp_path):
    def to(content, name="x.csv"):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(tmp_path / name)

    return to


def table(path, rows=3):
    shard = open_shard(Shard.of_file(path))
    read = pa.Table.from_batches(shard.batches(rows), shard.schema)
    assert len(read) == shard.rows
    return read


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "-20", "0"], INT),
        (["1", "", "9223372036854775807"], INT),
        (["007", "12"], TEXT),  # a key
        (["9223372036854775808"], TEXT),
        (["-0"], FLOAT),
        (["+1"], TEXT),
        (["1 "], TEXT),
        (["0.5", "1", "-2.25e-05"], FLOAT),
        (["1.9", "1.10"], TEXT),  # a version
        (["1.90", "1.10"], FLOAT),  # two decimals everywhere
        (["1.5", "nan", "inf"], FLOAT),
        (["1234567890123456.5"], TEXT),
        (["True", "False"], BOOL),
        (["true", "yes"], TEXT),
        (["1", "true"], TEXT),
        (["", ""], TEXT),
        (["NA", "1"], TEXT),
        (["2020-01-01"], TEXT),
    ],
)
def test_cells_are_numbers_only_where_nothing_is_lost(cells, kind, write):
    read = table(write("a,b\n" + "".join(f"{cell},x\n" for cell in cells)))
    assert read.schema.field("a").type == kind
    if kind != FLOAT:
        back = [("" if v is None else str(v)) for v in read["a"].to_pylist()]
        assert back == cells


@pytest.mark.parametrize("late", ["x", "007", "1.5", "true"])
def test_the_last_row_of_many_blocks_decides_with_the_first(late, write, monkeypatch):
    monkeypatch.setattr(delimited, "BLOCK", 64)
    path = write("n,caption\n" + "".join(f"{i},a dog\n" for i in range(1000)) + f"{late},a cat\n")
    read = table(path)
    assert read.schema.field("n").type == (FLOAT if late == "1.5" else TEXT)
    assert read["n"].to_pylist()[-1] == (1.5 if late == "1.5" else late)


def test_the_count_of_decimals_is_one_for_all_blocks(write, monkeypatch):
    monkeypatch.setattr(delimited, "BLOCK", 64)
    same = "n,caption\n" + "1.10,a dog\n" * 100
    assert table(write(same)).schema.field("n").type == FLOAT
    assert table(write(same + "1.100,a dog\n" * 100)).schema.field("n").type == TEXT


def test_cells_of_several_lines_lie_across_blocks(write, monkeypatch):
    monkeypatch.setattr(delimited, "BLOCK", 64)
    cells = [f"a dog\nand\n\n{i} cats" for i in range(100)]
    read = table(write("n,caption\n" + "".join(f'{i},"{cell}"\n' for i, cell in enumerate(cells))))
    assert read["caption"].to_pylist() == cells


def test_quotes_line_breaks_blank_lines_and_marks_are_read_as_meant(write):
    path = write('\ufeffkey,caption\r\n7,"two\nlines, ""quoted"""\r\n\r\n8,\r\n9,""\r\n10,5" tall\r\n')
    assert table(path).to_pydict() == {
        "key": [7, 8, 9, 10], "caption": ['two\nlines, "quoted"', None, "", '5" tall'],
    }  # fmt: skip
    assert open_shard(Shard.of_file(path)).nulls(0, "caption") == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", "key;caption\n1;a, b\n"),
        ("x.tsv", "key\tcaption\n1\ta, b\n"),
        ("x.csv.gz", gzip.compress(b'key,caption\n1,"a, b"\n', mtime=0)),
    ],
)
def test_the_separator_is_the_headers_own(name, content, write):
    assert table(write(content, name)).to_pylist() == [{"key": 1, "caption": "a, b"}]


@pytest.mark.parametrize("content", ["key,caption", "key,caption\n"])
def test_a_header_alone_is_an_empty_table(content, write):
    assert table(write(content)).schema.names == ["key", "caption"]


def test_some_columns_and_no_column_have_all_rows(write):
    shard = open_shard(Shard.of_file(write("key,caption,n\n" + "1,a,2\n" * 5)))
    assert [batch.to_pydict() for batch in shard.batches(4, ["n", "other"])] == [{"n": [2] * 4}, {"n": [2]}]
    assert sum(len(batch) for batch in shard.batches(4, [])) == 5
    assert list(shard.batches(4, None, [])) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('a,b\n"x\n\ny",1\n\n1,2,3\n', r"line 6 has 3 cells, and the first line names 2"),
        ("a,b\n1,2\n3\n", r"line 3 has 1 cells"),
        (b'a,b\n"x\ny",1\n' + b"2,3\n" * 300_000 + b"\xe9,1\n", "line 300004 is not UTF-8"),
        (b"a,b\n\xe9,1\n", "line 2 is not UTF-8"),
        ('a,b\n1,"x\n2,3\n4,5\n', "ends within a quoted cell"),
        ("a,b,a\n", "names several columns 'a'"),
        (gzip.compress(b"a,b\n1,2\n" * 100, mtime=0)[:-10], "damaged gzip"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(content, said, write):
    name = "x.csv.gz" if content[:2] == b"\x1f\x8b" else "x.csv"
    with pytest.raises(BadTable, match=rf"{name}.* {said}"):
        table(write(content, name))


def test_a_row_longer_than_a_block_is_told(write, monkeypatch):
    monkeypatch.setattr(delimited, "BLOCK", 1 << 20)
    with pytest.raises(BadTable, match="a row is longer than 1 MiB"):
        table(write('a,b\n1,"' + "x" * (3 << 20) + '"\n'))


WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")).map(lambda word: f"x{word}")


@settings(deadline=None, max_examples=60)
@given(rows=st.lists(st.tuples(WORDS, WORDS, st.none() | st.integers(-(2**63), 2**63 - 1)), max_size=20))
def test_what_python_writes_is_what_is_read(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("a", "b", "n"), *rows])
    assert [tuple(row.values()) for row in table(str(path)).to_pylist()] == rows


def test_a_remote_file_is_read_like_a_local_one(write):
    fsspec.filesystem("memory").pipe("/delimited.csv", b"key,caption\n007,a\n")
    assert table("memory://delimited.csv").to_pylist() == [{"key": "007", "caption": "a"}]
    fsspec.filesystem("memory").pipe("/delimited.csv", b"key,caption\n7,a\n7,b\n")  # seen to be another version
    assert table("memory://delimited.csv")["key"].to_pylist() == [7, 7]
    fsspec.filesystem("memory").rm("/delimited.csv")


@pytest.mark.parametrize("name", ["x.csv", "x.tsv"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_cells_can_be_read_as_written_by_whatever_separates_a_name(write, name, separator):
    rows = [["note, more; and so on|", "", "id", ""], ["", "x", "007", "y"], ["1.50", "", "", ""]]
    rows = [[f'"{cell}"' if set(cell) & set(",;|") else cell for cell in row] for row in rows]
    cells = delimited.WrittenCells(write("\n".join(separator.join(row) for row in rows), name), "id")
    assert cells.schema.names == ["note, more; and so on|", "", "id", ""]
    told = cells.read(["id", "note, more; and so on|"])
    assert told.to_pydict() == {"id": ["007", None], "note, more; and so on|": [None, "1.50"]}
    with pytest.raises(BadTable, match="its first line names several columns ''"):
        cells.read([""])


def test_cells_of_a_file_without_the_name_are_cut_by_what_makes_most_columns(write):
    assert delimited.WrittenCells(write("a;b;c,d\n"), "id").schema.names == ["a", "b", "c,d"]
