"""A user's text in lines: never wider than asked, nothing lost, nothing that steers a terminal."""

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from ncaudit.cli.shared.wrapped import MOST, wrapped


def test_words_stay_whole_behind_a_head():
    assert wrapped("a red car and a tree", "caption", indent=9, width=20) == [
        *("caption  a red car", "         and a tree"),
    ]


def test_a_word_longer_than_a_line_is_cut_where_the_line_ends():
    assert wrapped("x" * 25, "", indent=0, width=10) == ["x" * 10, "x" * 10, "x" * 5]


def test_wide_letters_take_two_columns():
    assert wrapped("漢" * 7, "", indent=0, width=10) == ["漢" * 5, "漢" * 2]


def test_a_long_text_ends_in_its_length():
    *_, last = wrapped("word " * 100_000, "", indent=4)
    assert last.endswith("… (500,000 characters)")


def test_an_empty_text_is_a_line():
    assert wrapped("", "caption", indent=9) == ["caption  "]


@given(text=st.text(), indent=st.integers(0, 30), width=st.integers(40, 90))
@settings(deadline=None)
def test_no_line_is_wider_than_asked_or_steers_a_terminal(text, indent, width):
    lines = wrapped(text, "", indent=indent, width=width)
    assert max(map(cell_len, lines)) <= width
    assert all(line.isprintable() for line in lines)


@given(words=st.lists(st.text("abc漢é", min_size=1, max_size=8), max_size=60))
def test_every_word_is_there_in_order(words):
    text = " ".join(words)
    found = " ".join(line.strip() for line in wrapped(text, "", indent=4)).split()
    assert found == words or cell_len(text) > MOST
