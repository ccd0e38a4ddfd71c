"""A command line as a file of options: what is printed, and that TOML reads the same from it."""

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from ncaudit.cli.app import app
from ncaudit.cli.configuration.written import value_of


def printed(*words, code=0):
    ran = CliRunner().invoke(app, [*words])
    assert ran.exit_code == code, ran.output
    return ran.stdout if code == 0 else ran.stderr


def test_what_was_given_is_printed_and_nothing_else():
    text = printed("config", "score", "emb", "more", "--out", "s", "--no-check", "--columns", "url", "--k", "5")
    head, *lines = text.splitlines()
    assert head == "# read by: ncaudit --config FILE score"
    told = {"embeddings": ["emb", "more"], "out": "s", "check": False, "columns": ["url"], "k": 5}
    assert tomllib.loads("\n".join(lines)) == {"score": told}


def test_a_part_of_a_command_line_is_enough():
    assert tomllib.loads(printed("config", "train", "--epochs", "3")) == {"train": {"epochs": 3}}
    assert tomllib.loads(printed("config", "eval", "scores", "s", "--truth", "t"))["eval"]["scores"]["truth"] == "t"


@pytest.mark.parametrize("words", [("--all", "score", "emb"), ("score", "emb", "--all")])
def test_all_other_options_are_comments_with_their_defaults(words):
    text = printed("config", *words)
    assert tomllib.loads(text) == {"score": {"embeddings": ["emb"]}}
    assert "\n# refit = false\n" in text
    assert "\n# fit-pairs = 50000\n" in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_file_in_front_is_taken_in(tmp_path):
    (tmp_path / "base.toml").write_text('[score]\nout = "s"\nseed = 1\n[eval.scores]\ntruth = "t"\n')
    file = ("--config", str(tmp_path / "base.toml"))
    told = tomllib.loads(printed(*file, "config", "score", "emb", "--seed", "2"))
    assert told == {"score": {"embeddings": ["emb"], "out": "s", "seed": 2}}
    assert tomllib.loads(printed(*file, "config", "eval", "scores", "s"))["eval"]["scores"]["truth"] == "t"


def test_what_the_command_would_refuse_is_refused():
    assert "--keep-share and --kept-precision both say" in printed(
        "config", "filter", "s", "--out", "o", "--keep-share", ".5", "--kept-precision", ".9", code=2
    )
    assert "there is no option --kk" in printed("config", "score", "--kk", "3", code=2)
    assert "sorce is no command with options" in printed("config", "sorce", code=2)


@settings(deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_every_text_is_read_as_it_was(text):
    assert tomllib.loads(f"x = {value_of(text)}") == {"x": text}


@settings(deadline=None)
@given(st.lists(st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)))
def test_every_number_is_read_as_it_was(values):
    assert tomllib.loads(f"x = {value_of(values)}") == {"x": values}


def test_a_name_that_is_no_text_is_told():
    assert "is no text in UTF-8" in printed("config", "score", "caf\udce9", code=1)
