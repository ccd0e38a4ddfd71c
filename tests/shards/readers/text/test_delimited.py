"""CSV and TSV are read as they are: types lose nothing and hang on no block, errors name the line."""

import csv
import gzip
import sys

import fsspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncaudit.errors import BadTable
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.readers import open_shard
from ncaudit.shards.readers.text import delimited, records
from ncaudit.shards.readers.text.delimited import DelimitedShard
from tests.worlds import processes

PIPES = {"capture_output": True, "text": True}
TEXT, INT, UNSIGNED, FLOAT, BOOL = pa.string(), pa.int64(), pa.uint64(), pa.float64(), pa.bool_()


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
        (["9223372036854775808", "0"], UNSIGNED),  # a hash
        (["18446744073709551615"], UNSIGNED),
        (["18446744073709551616"], TEXT),
        (["9223372036854775808", "-1"], TEXT),
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
    monkeypatch.setattr(records, "STEP", 64)
    path = write("n,caption\n" + "".join(f"{i},a dog\n" for i in range(1000)) + f"{late},a cat\n")
    read = table(path)
    assert read.schema.field("n").type == (FLOAT if late == "1.5" else TEXT)
    assert read["n"].to_pylist()[-1] == (1.5 if late == "1.5" else late)


def test_the_count_of_decimals_is_one_for_all_blocks(write, monkeypatch):
    monkeypatch.setattr(records, "STEP", 64)
    same = "n,caption\n" + "1.10,a dog\n" * 100
    assert table(write(same)).schema.field("n").type == FLOAT
    assert table(write(same + "1.100,a dog\n" * 100)).schema.field("n").type == TEXT


def test_cells_of_several_lines_lie_across_blocks(write, monkeypatch):
    monkeypatch.setattr(records, "STEP", 64)
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
        ("a,b\n1,2\n3\n", r"line 3 has 1 cell"),
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


def test_a_row_longer_than_allowed_is_told(write, monkeypatch):
    monkeypatch.setattr(records, "STEP", 1 << 20)
    path = write('a,b\n1,"' + "x" * (3 << 20) + '"\n')
    with pytest.raises(BadTable, match=r"line 2: a row is longer than 1,048,576 bytes .*, perhaps as a quote is left"):
        DelimitedShard(path, 1 << 20)
    assert DelimitedShard(path, 4 << 20).rows == 1


WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")).map(lambda word: f"x{word}")


@settings(deadline=None, max_examples=60)
@given(rows=st.lists(st.tuples(WORDS, WORDS, st.none() | st.integers(-(2**63), 2**63 - 1)), max_size=20))
def test_what_python_writes_is_what_is_read(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("a", "b", "n"), *rows])
    assert [tuple(row.values()) for row in table(str(path)).to_pylist()] == rows


LONE = [f"a car number {i}" for i in range(40)]
LONE[5], LONE[29] = f'"{LONE[5]}', f'{LONE[29]} and a 7" tablet'


@pytest.mark.parametrize("separator", "\t,;")
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_where_quotes_hold_no_cells_together_they_are_characters(write, separator, end):
    lines = [separator.join(("caption", "image")), *(f"{c}{separator}{i}.png" for i, c in enumerate(LONE))]
    for name in ("x.tsv", "x.tsv.gz") if separator == "\t" else ("x.csv",):
        text = ("\ufeff" + end.join(lines)).encode()
        read = table(write(gzip.compress(text) if name.endswith("gz") else text, name))
        assert read["caption"].to_pylist() == LONE
        assert read["image"].to_pylist() == [f"{i}.png" for i in range(40)]


def test_a_quote_that_opens_a_cell_and_never_closes_is_a_character_among_tabs(write):
    lines = ["n\tcaption", "1\ta cat", '2\t"a dog', '3\t6" high', "4\tlast"]
    read = table(write("\n".join(lines) + "\n", "x.tsv"))
    assert read.to_pydict() == {"n": [1, 2, 3, 4], "caption": ["a cat", '"a dog', '6" high', "last"]}


def test_the_header_of_such_a_file_is_as_plain(write):
    read = table(write('"height\tcaption\n1\t5"\n2\t"6\n3\t"7"x\n', "x.tsv"))
    assert read.to_pydict() == {'"height': [1, 2, 3], "caption": ['5"', '"6', '"7"x']}


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        ('a,b\n1,"x" y\n2,"z"\n', "x.csv", "line 2: .* closes in the middle of a cell$"),  # others are in quotes
        ('a,b\n1,x\n2,"y\n3,z"w\n4,v,u\n', "x.csv", "line 3: .* in the middle of a cell, on line 4$"),  # not as plain
        ('a,b\r\n1,"x\r\ny"z\r\n', "x.csv", "line 2: .*, on line 3$"),
        ('a,b\r1,x\r2,"x"y,1\r', "x.csv", "line 3: .* in the middle"),
        ('image,caption\n1.png,"\\"red\\" car"\n', "x.csv", "line 2: .* in the middle"),
        ('a,"b"c\n1,"2"\n', "x.csv", "line 1: .* in the middle"),
        ('a\tb\n1\tx\n2\t"cut o', "x.tsv", "ends within a quoted cell, which opens on line 3$"),
        ('a\tb\n1\t"x\ty"\n2\t"z\n3\tw\n', "x.tsv", "ends within a quoted cell, which opens on line 3$"),
        ('a,b\n1,2\n3,"x\n4,5\n', "x.csv", "ends within a quoted cell, which opens on line 3$"),
        ('a\tb\n1\t"x\n2\ty\n3\tz 7"\n', "x.tsv", "line 2: .* goes on over lines which would all be rows$"),
        ('a,b\n1,"x\n2,y\n3,z\n4,w 7"\n', "x.csv", "line 2: .* goes on over lines which would all be rows$"),
    ],
)
def test_quotes_that_could_mean_two_things_are_refused_with_the_line(content, name, said, write):
    path = write(content, name)
    with pytest.raises(BadTable, match=said) as told:
        table(path)
    assert told.value.message.startswith(path)
    assert ("backslash" in told.value.fix) == ("\\" in content)
    with pytest.raises(BadTable, match=said):
        delimited.WrittenCells(path, "a").read([])


@pytest.mark.parametrize(
    "cell", ["line one\nline two, with comma", "a\r\nb", "a\rb", 'all "of" this\n', ",", "\n", "x\n1,2\ny", "end\n,"]
)
def test_quoted_cells_of_several_lines_stay_what_they_are(cell, write, tmp_path):
    with open(tmp_path / "x.csv", "w", newline="") as file:
        csv.writer(file).writerows([("image", "caption"), ("1.png", cell), ("2.png", "plain")])
    assert table(str(tmp_path / "x.csv"))["caption"].to_pylist() == [cell, "plain"]


@settings(deadline=None, max_examples=150)
@given(
    text=st.lists(st.sampled_from(['"', '""', "a", "\n", "\r\n", "\t", ",", "x"]), max_size=24).map("".join),
    step=st.sampled_from([4, 32, 1 << 20]),
)
def test_rows_are_as_many_as_a_strict_reader_has_or_none(text, step, tmp_path_factory):
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    path.write_bytes(f"a,b\n{text}".encode())
    before, records.STEP = records.STEP, step
    try:
        read = table(str(path))
    except BadTable:
        return
    finally:
        records.STEP = before
    quoted = delimited._surveys(str(path)).header.dialect.quoted
    with open(path, newline="") as file:
        rows = csv.reader(file, strict=True, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)
        strict = [[cell or None for cell in row] for row in rows if row][1:]
    assert [[cell or None for cell in row.values()] for row in read.to_pylist()] == strict


def test_a_row_that_is_too_long_ends_the_command_and_not_the_process(tmp_path):
    text = b'image_path,caption\na.jpg,"left open\n' + b"b.jpg,some more words of a caption\n" * 2_200_000
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(text, 1))
    for _ in range(2):
        done = processes.run([sys.executable, "-m", "ncaudit", "-q", "inspect", "x.csv.gz"], cwd=tmp_path, **PIPES)
        assert done.returncode == 1
        assert "line 2: a row is longer than 67,108,864 bytes (--max-row-bytes), perhaps as a quote" in done.stderr
        assert len(done.stderr.splitlines()) == 2


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


@pytest.mark.parametrize("told", ["sep=;\r\n", '"sep=;"\r\n', "\ufeffsep=;\r\n"])
def test_the_line_in_which_a_spreadsheet_tells_the_separator_is_no_header(told, write):
    """It is kept in the count of lines, as editors show it."""
    read = table(write(f"{told}image;caption\r\na.png;one, two, three\r\n"))
    assert read.to_pylist() == [{"image": "a.png", "caption": "one, two, three"}]
    with pytest.raises(BadTable, match="line 3 has 1 cell"):
        table(write(f"{told}image;caption\r\na.png\r\n"))


def test_a_separator_that_cuts_the_next_row_as_well_goes_before_one_in_a_columns_name(write):
    read = table(write("image;caption;price, EUR, all in\na.png;a dog;1,5\n"))
    assert read.schema.names == ["image", "caption", "price, EUR, all in"]
    assert read["price, EUR, all in"].to_pylist() == ["1,5"]


@pytest.mark.parametrize("name", ["x.csv", "x.tsv"])
def test_captions_that_people_put_in_quotes_hold_no_others_together(name, write):
    """Lines 6 to 30 would all be one cell, as the captions of lines 6 and 30 begin and end with a quote."""
    cut = "," if name == "x.csv" else "\t"
    captions = [f"a car {i}" for i in range(40)]
    captions[2], captions[5], captions[29] = '"to be or not"', '"' + captions[5], captions[29] + ' of 7"'
    lines = [cut.join(("image", "caption")), *(f"{i}.png{cut}{caption}" for i, caption in enumerate(captions))]
    with pytest.raises(BadTable, match="line 7: a cell that begins with a quote there goes on over lines"):
        table(write("\n".join(lines) + "\n", name))


@pytest.mark.parametrize("others", ['"a dog"', '"a ""big"" dog"', '""'])
def test_cells_of_several_lines_stay_whole_where_a_program_has_put_the_quotes(others, write):
    """Around all texts of a column, or with quotes written twice, or around nothing: lines 3 to 5 look like rows."""
    more = "" if others == '"a dog"' else "4,plain\n"
    read = table(write(f'n,caption\n1,{others}\n2,"x\n1,y\n2,z\n3,w"\n{more}'))
    assert read["caption"].to_pylist()[1] == "x\n1,y\n2,z\n3,w"


@pytest.mark.parametrize("blank", [" ", "\t", "  "])
def test_a_cell_in_quotes_with_a_blank_behind_is_no_plain_text(blank, write):
    with pytest.raises(BadTable, match="line 2: a cell begins with a quote there, which closes in the middle"):
        table(write(f'caption,image\n"a dog"{blank},a.png\n"a cat"{blank},b.png\n'))


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("x.tsv", 'image\tcaption\na\t"to be\nb\tor not"\nc\tx\n', 2),  # TSV: a tab in a cell is no chance
        ("x.csv", 'image,caption\nz,7" tall\na,"to be\nb,or not"\nc,x\n', 3),  # whoever wrote line 2 quotes nothing
    ],
)
def test_two_rows_that_begin_and_end_with_a_quote_are_no_cell(name, text, line, write):
    with pytest.raises(BadTable, match=f"line {line}: a cell that begins with a quote there goes on over lines"):
        table(write(text, name))


def test_a_cell_of_two_lines_with_a_comma_is_one_where_quotes_are_written_twice(write):
    read = table(write('image,caption\nz,"7"" tall"\na,"to be,\nor not"\nc,x\n'))
    assert read["caption"].to_pylist() == ['7" tall', "to be,\nor not", "x"]


def test_quotes_behind_backslashes_are_never_taken_as_plain_text(write):
    """Though every line has its two cells then."""
    with pytest.raises(BadTable, match="line 2: a cell begins with a quote") as told:
        table(write('caption,image\n"x,y end\\" nl\nx 7\\"",a.png\ndog,b.png\n'))
    assert "backslash" in told.value.fix
