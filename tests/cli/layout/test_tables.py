"""Tables fit the width: numbers are whole, all else gives way before a table goes on below itself."""

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from ncaudit.cli.layout.rendering import plain
from ncaudit.cli.layout.vocabulary import Column, Kind, Table

NUMBERS = st.from_regex(r"[0-9]{1,3}(,[0-9]{3})?(\.[0-9]{3})?( ± 0\.[0-9]{3})?", fullmatch=True)
TEXTS = st.text("abc漢é 0\u0301", max_size=90)
WORST = Table(
    "the worst",
    [Column("soft label"), Column("pair", Kind.place), Column("caption", Kind.caption)],
    [["0.001", "00017.parquet/12", "a red car and a tree that is green " * 3], ["0.100", "00017.parquet/7", "漢" * 90]],
)


@st.composite
def tables(draw):
    kinds = draw(st.lists(st.sampled_from(Kind), min_size=1, max_size=9))
    header = [Column(draw(st.text("abc ", min_size=1, max_size=20)), kind) for kind in kinds]
    cells = [NUMBERS if kind is Kind.number else TEXTS for kind in kinds]
    rows = draw(st.lists(st.tuples(*cells), min_size=1, max_size=4))
    return Table("", header, rows)


@given(table=tables(), width=st.integers(60, 140))
@settings(deadline=None, max_examples=200)
def test_no_line_is_wider_than_the_terminal_and_every_number_is_whole(table, width):
    lines = plain([table], width)
    assert max(map(cell_len, lines)) <= width
    for column, cells in zip(table.columns, zip(*table.rows, strict=True), strict=True):
        assert column.kind is not Kind.number or all(any(cell in line for line in lines) for cell in cells)


def test_without_a_width_every_column_has_what_it_needs():
    assert plain([Table("a title", ["", "n"], [["cats", "1"], ["dogs", "1,000"]])]) == [
        "a title",
        "          n",
        "cats      1",
        "dogs  1,000",
    ]


def test_captions_are_shortened_to_the_width_by_the_columns_that_their_letters_take():
    assert plain([WORST], 60) == [
        "the worst",
        " soft",
        "label  pair              caption",
        "0.001  00017.parquet/12  a red car and a tree that is green…",
        "0.100  00017.parquet/7   漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢…",
    ]
    assert max(map(cell_len, plain([WORST]))) < 180  # of a log, too


def test_a_pairs_name_gives_way_after_the_captions_and_keeps_its_end():
    long = [["0.001", f"{'folder/' * 20}00017.parquet/12", "a red car and a tree that is green"]]
    *_, row = plain([Table("", WORST.header, long)], 60)
    assert row == "0.001  …er/folder/00017.parquet/12  a red car and a tree th…"


def test_words_are_wrapped_in_their_cell():
    told = Table("", [Column("matcher", Kind.words), "R@1"], [["fine-tuned on pairs weighted by soft label", "12.5"]])
    assert plain([told], 40) == [
        "matcher                              R@1",
        "fine-tuned on pairs weighted by     12.5",
        "soft label",
    ]


def test_headers_are_wrapped_before_anything_else_gives_way():
    told = Table("", ["", "precision at true count", "average precision"], [["soft_label", "0.803", "0.877"]])
    assert plain([told], 40) == [
        "            precision at    average",
        "              true count  precision",
        "soft_label         0.803      0.877",
    ]


def test_a_table_that_is_too_wide_even_then_goes_on_below_with_its_keys():
    numbers = [f"0.{i}00 ± 0.010" for i in range(1, 6)]
    told = Table("", ["scorer", Column("kind", Kind.name), *"abcde"], [["csls", "random", *numbers]], keys=2)
    assert plain([told], 60) == [
        "scorer  kind                a              b              c",
        "csls    random  0.100 ± 0.010  0.200 ± 0.010  0.300 ± 0.010",
        "scorer  kind                d              e",
        "csls    random  0.400 ± 0.010  0.500 ± 0.010",
    ]


def test_details_are_told_where_everything_is_and_else_how_to_see_them():
    told = Table("", ["", "n", Column("m", detail=True)], [["a", "1", "2"]], more=[["b", "3", "4"]], hint="1 more: -v")
    assert plain([told]) == ["   n", "a  1", "  1 more: -v"]
    assert plain([told], verbose=True) == ["   n  m", "a  1  2", "b  3  4"]
