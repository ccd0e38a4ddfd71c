"""Lines end at word borders, numbers stay with what they measure, and a command that goes on can be pasted."""

import shlex
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from ncaudit.cli.layout.rendering import plain
from ncaudit.cli.layout.vocabulary import (
    Command,
    Meaning,
    Span,
    Told,
    command,
    failure,
    fix,
    item,
    note,
    prose,
    quoted,
    value,
)
from ncaudit.cli.layout.wrapping import paragraph, short
from ncaudit.cli.shared.user_text import visible

WIDTHS = st.integers(60, 140)
WORDS = st.lists(
    st.one_of(
        st.text("abc漢é,.;()[]/\U0001f600\u0301", min_size=1, max_size=12),
        st.from_regex(r"[-+]?[0-9]{1,3}(,[0-9]{3}){0,2}(\.[0-9]{1,3})?%?", fullmatch=True),
        st.sampled_from(["±", "->", "=", "+", "%", "rows", "[red]", "(string),"]),
    ),
    max_size=60,
)
KINDS = st.sampled_from(
    [prose, item, note, fix, failure, lambda text: value("key", text), lambda text: value("a key that is long", text)]
)


def of(text: str, width: int, **how: int) -> list[str]:
    return plain([quoted(text, "", **{"at": 0, "most": 480, **how})], width)


@given(words=WORDS, width=WIDTHS, kind=KINDS)
@settings(deadline=None)
def test_no_line_is_too_wide_no_word_is_broken_and_nothing_is_lost(words, width, kind):
    text = " ".join(words)
    whole, lines = plain([kind(text)])[0], plain([kind(text)], width)
    assert " ".join(" ".join(lines).split(" ")).split() == whole.split()
    assert all(cell_len(line) <= min(width, 120) for line in lines)
    assert all(line == line.rstrip(" ") for line in lines)


@given(number=st.integers(0, 10**9), width=WIDTHS, before=st.integers(0, 130))
@settings(deadline=None)
@pytest.mark.parametrize(
    "measured", ["{} rows", "{} %", "0.97 ± {}", "{} -> {}", "= {} ok", "{} MiB", "{} of", "generic_caption ({}%),"]
)
def test_a_number_stays_with_what_it_measures(measured, number, width, before):
    told = measured.format(*[f"{number:,}"] * measured.count("{}"))
    lines = plain([f"{'x ' * before}{told} and more"], width)
    assert any(told in line for line in lines)


@given(head=st.integers(0, 40), words=st.lists(st.text("ab漢", min_size=1, max_size=20), min_size=1, max_size=40))
@settings(deadline=None)
def test_further_lines_begin_where_the_text_does(head, words):
    _, *further = plain([quoted(" ".join(words), "h", at=head + 2, most=10_000)], 60)
    assert all(line[: head + 2].strip() == "" and line[head + 2] != " " for line in further)


def test_words_stay_whole_behind_a_head():
    assert plain([quoted("a red car and a tree that is green", "caption", at=9, most=80)], 40) == [
        "caption  a red car and a tree that is",
        "         green",
    ]


def test_below_a_bullet_or_a_short_key_its_text_goes_on():
    assert plain([note("one two three four five six seven eight")], 40) == [
        "note: one two three four five six seven",
        "      eight",
    ]
    assert plain([value("a key that is long", "one two three four five six")], 40)[1].startswith("    ")
    assert plain([item("one two three four five six seven eight")], 40)[1] == "    eight"


def test_ones_own_word_that_is_longer_than_a_line_stays_whole_so_that_a_path_can_be_copied():
    path = f"/data/{'x' * 100}.parquet"
    assert plain([note(f"{path} is damaged, and more")], 60) == [f"note: {path}", "      is damaged, and more"]
    assert plain([note(f"what lies at {path}")], 60) == ["note: what lies at", f"      {path}"]


def test_somebody_elses_word_is_cut_where_the_line_ends():
    assert of("x" * 125, 60) == ["x" * 60, "x" * 60, "x" * 5]
    assert of("漢" * 35, 61) == ["漢" * 30, "漢" * 5]


def test_a_long_text_ends_in_its_length():
    *_, last = of("word " * 100_000, 80)
    assert last.endswith("… (500,000 characters)")


@given(text=st.text(), at=st.integers(0, 30), width=st.integers(40, 90))
@settings(deadline=None)
def test_anybodys_text_fits_and_steers_no_terminal(text, at, width):
    lines = plain([quoted(text, "", at=at, most=480).mapped(visible)], width)
    assert max(map(cell_len, lines), default=0) <= width
    assert all(line.isprintable() or "\u3000" in line or "\xa0" in line or not line.isascii() for line in lines)


def test_without_a_width_nothing_is_wrapped():
    assert plain([f"  {'word ' * 100}end"]) == [f"  {'word ' * 100}end"]
    assert plain(["", "a  b"]) == ["", "a  b"]


def test_what_something_means_goes_with_its_words_over_the_lines():
    red = Span("one two three four five six seven eight nine", Meaning.noisy)
    lines = paragraph(Told((Span("zero "), red, Span(", ten"))), 30)
    told = [span for line in lines for span in line if span.text.strip()]
    assert {span.meaning for span in told[:1] + told[-1:]} == {None}
    assert "".join(span.text.strip() for span in told if span.meaning) == "onetwothreefourfivesixseveneightnine"


@given(
    words=st.lists(st.text("ab '\"\\$*漢-=", min_size=1, max_size=30), min_size=1, max_size=12),
    width=st.integers(60, 90),
)
@settings(deadline=None, max_examples=50)
def test_a_command_that_goes_on_is_the_same_command_when_it_is_pasted(words, width):
    lines = plain([command("ncaudit", *words)], width)
    pasted = "\n".join(lines).removeprefix("next: ").replace("\\\n", "")  # which shells do, and shlex does not
    assert shlex.split(pasted) == ["ncaudit", *words]
    assert all(line.endswith(" \\") for line in lines[:-1])


def test_a_shell_reads_it_as_one_command():
    asked = ["printf", "%s|", "--a", "it's", "--b", "two words", *(f"--flag-{i} value-{i}" for i in range(9))]
    lines = plain([command(*asked, lead="")], 60)
    assert len(lines) > 1
    ran = subprocess.run(["sh", "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert ran.stdout == "".join(f"{word}|" for word in asked[2:])


def test_a_flag_stays_with_its_value_and_an_argument_is_never_cut():
    lines = plain([Command(f"ncaudit filter scores --data {'x' * 70} --out kept/ --min-soft-label 0.5")], 60)
    assert lines == [
        "next: ncaudit filter scores \\",
        f"          --data {'x' * 70} \\",
        "          --out kept/ --min-soft-label 0.5",
    ]


def test_why_a_command_is_of_use_stands_below_it():
    assert plain([command("ncaudit", "show", "s", lead="also: ", why="the worst pairs")], 60) == [
        "also: ncaudit show s",
        "      the worst pairs",
    ]


@given(text=st.text("ab漢é \u0301", max_size=40), cells=st.integers(2, 30), front=st.booleans())
def test_a_shortened_text_fits_and_shows_that_it_is_short(text, cells, front):
    told = short(text, cells, front=front)
    assert cell_len(told) <= cells
    assert told == text or told[0 if front else -1] == "…"
