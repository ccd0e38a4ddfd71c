"""Words become lines in their order; details only where everything is told."""

from ncaudit.cli.layout.rendering import NARROWEST, WIDEST, plain, rendered
from ncaudit.cli.layout.vocabulary import Detail, Meaning, Span, Table, headline, prose


def test_words_of_all_kinds_stand_in_their_order():
    words = ["first", Table("", ["", "n"], [["a", "1"]]), "", prose("last")]
    assert plain(words) == ["first", "   n", "a  1", "", "last"]


def test_details_are_told_on_request():
    assert plain(["a", Detail(["b", Detail(["c"])])]) == ["a"]
    assert plain(["a", Detail(["b", Detail(["c"])])], verbose=True) == ["a", "b", "c"]


def test_prose_is_no_wider_than_people_like_to_read_and_no_narrower_than_words_are():
    assert max(map(len, plain(["word " * 100], 400))) <= WIDEST
    assert max(map(len, plain(["word " * 100], 5))) > NARROWEST - len("word ")


def test_a_plain_text_keeps_the_blanks_that_it_begins_with_and_goes_on_below():
    assert plain([f"  {'word ' * 20}"], 60)[1].startswith("    word")


def test_what_words_mean_is_kept():
    assert rendered([headline("18 %", " of all")]) == [[Span("18 %", Meaning.answer), Span(" of all")]]
