"""A condition means what SQL means by it, and an error says where it is wrong."""

from time import monotonic

import pyarrow as pa
import pytest

from ncaudit.errors import NcauditError
from ncaudit.verbs.filter.where import parse

BATCH = pa.record_batch(
    {
        "soft_label": pa.array([0.9, 0.1, None], pa.float32()),
        "width": pa.array([1, 2, 3], pa.int32()),
        "lang": pa.array(["en", None, "it's"]).dictionary_encode(),
        "title": pa.array(["a", 'say "a"', "c"], pa.string_view()),
        "is_anchor": pa.array([True, None, False]),
        "nothing": pa.nulls(3),
        "made": pa.array([0, 1, 2], pa.timestamp("s")),
        "half": pa.array([0.1, 1, 2], pa.float16()),
        "raw": pa.array([b"a", b"b", b"c"]),
        "two words": pa.array([1, 2, 3]),
        "größe": pa.array([1.5, 2.5, float("nan")]),
    }
)
MEANINGS = {
    "soft_label >= 0.9": [1, 0, 0],  # although a float32 of .9 is below .9
    "soft_label <= .9": [1, 1, 0],
    "soft_label in (0.9)": [1, 0, 0],
    "width in (1, 2.5, 3)": [1, 0, 1],
    "not width in (1)": [0, 1, 1],
    "lang not in ('en')": [0, 0, 1],  # null is neither in nor out
    "lang = 'it''s'": [0, 0, 1],
    'title == "say ""a"""': [0, 1, 0],
    "lang is null OR width > 2": [0, 1, 1],
    "lang is not null": [1, 0, 1],
    "is_anchor": [1, 0, 0],
    "not is_anchor": [0, 0, 1],
    "is_anchor = false": [0, 0, 1],
    "nothing > 3 or width = 1": [1, 0, 0],
    "nothing is null": [1, 1, 1],
    "made > '1970-01-01 00:00:00'": [0, 1, 1],
    "half >= .1 and half < 1": [1, 0, 0],
    "width=1 or width=2 and width=3": [1, 0, 0],  # and binds closer
    "(width=1 or width=3) and width=3": [0, 0, 1],
    "not width=1 and width<3": [0, 1, 0],  # not binds closest
    "width > -1 and width <> 2": [1, 0, 1],
    "2 < width": [0, 0, 1],
    "width <= größe": [1, 1, 0],
    "`two words` = 2": [0, 1, 0],
    "1 = 1": [1, 1, 1],
    "width != 99999999999999999999": [1, 1, 1],
    "raw is not null": [1, 1, 1],
    "width between 2 and 3": [0, 1, 1],
    "width BETWEEN 1 AND größe and width not between 2 and 3": [1, 0, 0],
    "width\n>\t1": [0, 1, 1],
}


@pytest.mark.parametrize("text", MEANINGS)
def test_rows_for_which_it_holds(text):
    assert parse(text).bind(BATCH.schema, "t")(BATCH).tolist() == [bool(hit) for hit in MEANINGS[text]]


WRONG = {
    "": "position 1: expected a column or a literal, found the end",
    "width >": "position 8: expected a column or a literal, found the end",
    "width > 'a'": "position 9: width is a number and 'a' is text, cannot be compared (t)",
    "(width>1": "position 9: expected ), found the end",
    "width>1)": "position 8: expected and, or, or the end, found ')'",
    "  missing = 1": "position 3: t has no column missing",
    "width": "position 1: width is int32 in t; compare it with something",
    "width > 1 2": "position 11: expected and, or, or the end, found '2'",
    "width = $x": "position 9: '$x' is not understood",
    "__import__('os')": "position 1: there are no functions, and so no __import__()",
    "width in ()": "position 11: expected a literal, found ')'",
    "width in (lang)": "position 11: expected a literal, found 'lang'",
    "width is 3": "position 10: expected null, found '3'",
    "3": "position 2: expected one of",
    "made > 'x'": "position 8: 'x' is no timestamp[s]",
    "lang = 'abc": "position 8: the quote ' that opens here is not closed",
    "raw = 'a'": "position 7: raw is nested or bytes and 'a' is text",
    "lang = width": "position 8: lang is text and width is a number, cannot be compared (t)",
    "\"lang\" = 'en'": "position 1: 'lang' in quotes is text, and no column stands beside it",
    "'1' < 'lang'": "position 7: 'lang' in quotes is text",
    "(" * 500 + "width": "more than 100 conditions inside each other",
    "not " * 500 + "is_anchor": "more than 100 conditions inside each other",
}


@pytest.mark.parametrize("text", WRONG)
def test_an_error_says_where(text):
    with pytest.raises(NcauditError) as error:
        parse(text).bind(BATCH.schema, "t")
    assert WRONG[text] in error.value.message


FIXES = {
    "widht > 1": "did you mean width?",
    "Title is null": "did you mean title?",
    "lang = fr": "text is written in quotes: 'fr'",
    "größe > nan": "write `x != x` for it",
    "größe < inf": "1e999",
    "lang = 5": "write it in quotes: lang = '5'",
    "width = ' 5'": "write the number without quotes: width = 5",
    "is_anchor = 1": "is_anchor = true",
    "made > 5": "made >= '2024-03-01'",
    "lang = null": "`column is null`",
    "raw = 'a'": "raw is not null",
    "lang = width": "compare each with a literal: lang = 'text'",
    "\"two words\" = 'x'": "without quotes, or in backticks: `two words`",
    "two.words = 1": "stands in backticks: `a.b`",
    "width > 1 && is_anchor": "write and instead of &",
    "lang = 'it": "a quote inside text is written twice",
    "width = 1 and lang = '\udcff'": "write it in UTF-8",
    "width": "width > 0.5",
}


@pytest.mark.parametrize("text", FIXES)
def test_an_error_says_what_to_write(text):
    with pytest.raises(NcauditError) as error:
        parse(text).bind(BATCH.schema, "t")
    assert FIXES[text] in error.value.fix
    error.value.message.encode()  # nothing that a terminal cannot show


@pytest.mark.parametrize("text", ["9" * 100_000 + "x > 1", "x" * 100_000, "lang = '" + "y" * 100_000, "'" * 100_001])
def test_what_is_long_is_refused_at_once_and_told_briefly(text):
    begun = monotonic()
    with pytest.raises(NcauditError) as error:
        parse(text).bind(BATCH.schema, "t")
    assert len(error.value.message + error.value.fix) < 1_000
    assert monotonic() - begun < 5


def test_a_long_condition_is_read_in_one_go():
    text = " or ".join(["width = 1"] * 10_000)
    assert parse(text).bind(BATCH.schema, "t")(BATCH).tolist() == [True, False, False]


def test_a_table_of_many_columns_is_told_by_some():
    schema = pa.schema([pa.field(f"c{i}", pa.int8()) for i in range(1_000)])
    with pytest.raises(NcauditError, match="c39 and 960 more"):
        parse("nothing_like_it > 1").bind(schema, "t")


def test_no_rows_are_no_error():
    assert parse("width in (1) and 1 = 1").bind(BATCH.schema, "t")(BATCH.slice(3)).tolist() == []


def test_it_knows_the_columns_it_reads():
    assert parse("a > b and not (`c d` is null or a in (1))").columns == ("a", "b", "c d")
