"""JSON lines have the columns of all their lines, of types that fit all; what does not fit is told with its line."""

import gzip
import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncaudit.errors import BadTable
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.readers import open_shard
from ncaudit.shards.readers.text import json_lines


@pytest.fixture(params=[1, 1 << 20])
def write(tmp_path, request, monkeypatch):
    """Writes objects as lines, to be read one line at a time and many at a time."""
    monkeypatch.setattr(json_lines, "LINES_BYTES", request.param)

    def to(*rows, name="x.jsonl"):
        lines = "".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows).encode()
        (tmp_path / name).write_bytes(gzip.compress(lines) if name.endswith(".gz") else lines)
        return str(tmp_path / name)

    return to


def table(path, rows=3):
    shard = open_shard(Shard.of_file(path))
    read = pa.Table.from_batches(shard.batches(rows), shard.schema)
    assert len(read) == shard.rows
    return read


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, None, 2.5], pa.float64()),
        ([2.5, 1], pa.float64()),
        ([None, None], pa.string()),
        ([True, None], pa.bool_()),
        (["007", "2020-01-01"], pa.string()),
        ([["a", "b"], [], None], pa.list_(pa.string())),
        ([[], None], pa.list_(pa.string())),
        ([[1], [0.5, None]], pa.list_(pa.float64())),
        ([{"a": 1}, {"b": ["x"]}, None], pa.struct([("a", pa.int64()), ("b", pa.list_(pa.string()))])),
        ([{"a": 1}, {"a": None}, {"a": 0.5}], pa.struct([("a", pa.float64())])),
    ],
)
def test_a_type_fits_all_lines(values, kind, write):
    read = table(write(*({"x": value} for value in values)))
    assert read.schema.field("x").type == kind
    told = pa.array(values, kind).to_pylist()
    assert read["x"].to_pylist() == told


def test_columns_are_the_fields_of_all_lines(write):
    read = table(write("\ufeff", {"a": 1}, "\n", {"b": "x", "a": 2}, "  \n", {}))
    assert read.to_pydict() == {"a": [1, 2, None], "b": [None, "x", None]}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"x": "a"}, 'line 3: x is "a", and int64 before'),
        ({"x": True}, "line 3: x is true, and int64 before"),
        ({"x": [1]}, r"line 3: x is \[1\], and int64 before"),
        ({"x": 2**64}, "line 3: x is 18446744073709551616, and int64 before"),
        ({"new": [1, "a"]}, r"line 3: new is \[1, \"a\"\]"),
        ("[1]\n", "line 3 is no JSON object"),
        ("{\n", "line 3 is no JSON: "),
        ('{"x": 1', "line 3 is no JSON: "),
        ("[" * 100_000 + "\n", "line 3 is no JSON"),
    ],
)
def test_a_line_that_does_not_fit_is_named(line, said, write):
    with pytest.raises(BadTable, match=rf"x\.jsonl, {said}"):
        table(write({"x": 1}, {"x": 2}, line))


def test_hashes_of_64_bits_are_whole_numbers_without_a_sign(write):
    read = table(write({"x": 1, "y": 2**64 - 1}, {"x": 2**63, "y": None}, {"x": 0}))
    assert read.to_pydict() == {"x": [1, 2**63, 0], "y": [2**64 - 1, None, None]}
    assert [field.type for field in read.schema] == [pa.uint64()] * 2
    with pytest.raises(BadTable, match=r"x\.jsonl, line 2: x is -1, and uint64 before"):
        table(write({"x": 2**63}, {"x": -1}))
    with pytest.raises(BadTable, match=r"x\.jsonl, line \d: x is "):
        table(write({"x": 2**63 + 1}, {"x": 0.5}))


def test_a_whole_number_that_no_float_holds_is_named(write):
    with pytest.raises(BadTable, match=r"line 2: x is 9007199254740993"):
        table(write({"x": 0.5}, {"x": 2**53 + 1}))


def test_bytes_that_are_no_text_are_named(tmp_path):
    (tmp_path / "x.jsonl").write_bytes(b'{"x": "a"}\n{"x": "\xe9"}\n')
    with pytest.raises(BadTable, match=r"line 2 is not UTF-8"):
        open_shard(Shard.of_file(str(tmp_path / "x.jsonl")))


def test_half_a_surrogate_pair_becomes_a_replacement_character(write):
    read = table(write('{"x": "a\\ud800", "y": {"z": ["\\uDC00"]}}\n', {"x": "\U0001f600"}))
    assert read.to_pylist() == [{"x": "a\ufffd", "y": {"z": ["\ufffd"]}}, {"x": "\U0001f600", "y": None}]


def test_gzip_and_a_choice_of_columns(write):
    shard = open_shard(Shard.of_file(write(*({"a": i, "b": "x"} for i in range(5)), name="x.jsonl.gz")))
    assert pa.Table.from_batches(shard.batches(4, ["b", "other"])).to_pydict() == {"b": ["x"] * 5}
    assert max(len(batch) for batch in shard.batches(4)) <= 4
    assert sum(len(batch) for batch in shard.batches(4, [])) == 5


ANY = st.none() | st.text(st.characters(exclude_categories=["Cs"])) | st.text(alphabet="0123456789.-", max_size=5)
ROWS = st.lists(
    st.fixed_dictionaries({}, optional={"caption": ANY, "captions": st.lists(ANY, max_size=3), "n": st.integers(-9, 9)})
)


@settings(deadline=None, max_examples=60)
@given(rows=ROWS)
def test_what_is_written_is_what_is_read(rows, tmp_path_factory):
    if not rows:
        return
    path = tmp_path_factory.mktemp("jsonl") / "x.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8", newline="\n")
    read = table(str(path)).to_pylist() if any(rows) else [{}] * len(rows)
    names = {name for row in rows for name in row}
    assert read == [{name: row.get(name) for name in names} for row in rows]


def test_all_fields_can_be_read_as_text_whatever_the_lines_hold(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('\ufeff{"a": true, "b": "x"}\n\n{"a": "yes", "c": [1]}\n{"a": 7, "b": 1.5}\n', encoding="utf-8")
    told = {"a": ["true", "yes", "7"], "b": ["x", None, "1.5"], "c": [None, "[1]", None]}
    assert json_lines.read_as_text(str(path)).to_pydict() == told
