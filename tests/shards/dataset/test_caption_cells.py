"""Captions come out of text, bytes, lists, structs and lines as they went in; what is no text fails its row alone."""

import pyarrow as pa
import pytest

from ncaudit.errors import BadTable
from ncaudit.options import DataOptions
from ncaudit.progress import SILENT
from ncaudit.shards.columns import find_columns
from ncaudit.shards.dataset.caption_cells import captions_in
from ncaudit.shards.dataset.captions import read_captions
from ncaudit.shards.dataset.rows import read_rows
from ncaudit.shards.files.shard import Shard
from tests.worlds.datasets import write

BAD = b"caf\xe9"
PAIR = pa.struct([("en", pa.string()), ("de", pa.string())])
DEEP = pa.struct([("texts", pa.list_(pa.string())), ("n", pa.int32())])


@pytest.mark.parametrize(
    ("values", "kind", "fields", "expected"),
    [
        (["a", None, ""], pa.large_string(), (), [["a"], [None], [""]]),
        ([b"a", BAD, "é".encode()], pa.binary(), (), [["a"], [BAD], ["é"]]),
        ([b"abcd", b"\xff\xff\xff\xff"], pa.binary(4), (), [["abcd"], [b"\xff" * 4]]),
        ([[b"a", BAD], [], None], pa.list_(pa.large_binary()), (), [["a", BAD], [None], [None]]),
        (["x", "y", "x"], pa.dictionary(pa.int8(), pa.string()), (), [["x"], ["y"], ["x"]]),
        ([{"en": "a", "de": "b"}, None, {"en": None, "de": "c"}], PAIR, ("en",), [["a"], [None], [None]]),
        ([{"texts": ["a", "b"], "n": 1}, {"texts": [], "n": 2}, None], DEEP, ("texts",), [["a", "b"], [None], [None]]),
        ([[{"en": "a", "de": "b"}, {"en": "c"}], [], None], pa.list_(PAIR), ("en",), [["a", "c"], [None], [None]]),
        ([[{"en": "a"}, None], [{"en": "b"}, {"en": "c"}]], pa.list_(PAIR, 2), ("en",), [["a", None], ["b", "c"]]),
    ],
)
@pytest.mark.parametrize("start", [0, 1])
def test_every_way_to_hold_captions_is_read(values, kind, fields, expected, start):
    array = pa.array(values, kind)
    assert captions_in([array.slice(start), array.slice(0, start)], fields) == expected[start:] + expected[:start]


def test_each_line_is_a_caption_where_that_is_asked_for():
    array = pa.array(["one\ntwo \r\n\n three", "alone", " \n", None, "last\n"])
    assert captions_in([array], lines=True) == [["one", "two", "three"], ["alone"], [" \n"], [None], ["last"]]
    assert captions_in([pa.array([["a\nb", "c"]])], lines=True) == [["a", "b", "c"]]
    assert captions_in([array])[0] == ["one\ntwo \r\n\n three"]


def pairs(path, caption_column=None, *, lines=False, **columns):
    shard = Shard(str(write(path, columns)), "A/0.parquet")
    options = DataOptions(caption_column=caption_column, caption_lines=lines)
    columns = find_columns(pa.parquet.read_schema(shard.path), shard.name, options)
    (rows,) = read_rows(shard, columns, rows=100)
    return rows


def test_a_field_is_named_behind_a_dot_unless_a_column_is_called_so(tmp_path):
    nested = pa.array([{"en": "a", "de": "b"}, None], PAIR)
    rows = pairs(tmp_path / "0.parquet", "caption.de", jpg=[b"i", b"j"], caption=nested)
    assert (rows.captions, rows.status) == (["b", None], [None, "caption_missing"])
    dotted = {"caption.de": ["column", "so"]}
    rows = pairs(tmp_path / "0.parquet", "caption.de", jpg=[b"i", b"j"], caption=nested, **dotted)
    assert rows.captions == ["column", "so"]
    rows = pairs(tmp_path / "0.parquet", "a.b.en", jpg=[b"i", b"j"], **{"a.b": nested})
    assert rows.captions == ["a", None]


def test_bytes_that_are_no_text_fail_their_row_alone(tmp_path):
    rows = pairs(tmp_path / "0.parquet", jpg=[b"i"] * 3, text=pa.array([b"a", BAD, None], pa.binary()))
    assert (rows.captions, rows.status) == (["a", None, None], [None, "caption_missing", "caption_missing"])
    assert rows.detail == [None, "not UTF-8 text", "null"]


def test_lines_are_pairs_of_one_row(tmp_path):
    rows = pairs(tmp_path / "0.parquet", lines=True, jpg=[b"i", b"j"], caption=["one\ntwo", None])
    assert rows.pair_id == ["A/0/0/0", "A/0/0/1", "A/0/1/0"]
    assert (rows.row.tolist(), rows.caption_index.tolist()) == ([0, 0, 1], [0, 1, 0])
    assert (rows.captions, rows.images) == (["one", "two", None], [b"i", b"i", b"j"])


def test_text_is_taken_before_its_bytes(tmp_path):
    rows = pairs(tmp_path / "0.parquet", jpg=[b"i"], caption=pa.array([b"bytes"], pa.binary()), text=["text"])
    assert rows.captions == ["text"]


@pytest.mark.parametrize(
    ("schema", "named", "fix"),
    [
        ({"jpg": pa.binary(), "caption": PAIR}, None, "caption.en or caption.de"),
        ({"jpg": pa.binary(), "caption": PAIR}, "caption", "caption.en or caption.de"),
        ({"jpg": pa.binary(), "caption": PAIR}, "caption.fr", "caption.en or caption.de"),
        ({"jpg": pa.binary(), "sentences": pa.list_(pa.struct([("raw", pa.string())]))}, None, "column sentences.raw"),
        ({"jpg": pa.binary(), "words": pa.list_(pa.list_(pa.string()))}, "words", "--caption-column$"),
    ],
)
def test_what_holds_no_caption_is_told_with_a_name_that_works(schema, named, fix):
    with pytest.raises(BadTable) as told:
        find_columns(pa.schema(schema), "s", DataOptions(caption_column=named))
    assert told.value.fix.endswith(fix.rstrip("$"))


def test_captions_that_cannot_be_written_back_are_refused(tmp_path):
    nested = write(tmp_path / "0.parquet", jpg=[b"i"], caption=pa.array([{"en": "a"}], PAIR))
    bad = write(tmp_path / "1.parquet", jpg=[b"i"], caption=pa.array([BAD], pa.binary()))
    for path, named, said in ((nested, "caption.en", "are read and not written"), (bad, None, "is no UTF-8 text")):
        with pytest.raises(BadTable, match=said):
            read_captions([Shard(str(path), path.name)], DataOptions(caption_column=named), SILENT)
