"""Verbs as a notebook calls them: keywords or options, one value or several."""

import inspect
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import ncaudit
from ncaudit import options
from ncaudit.cli.shared import loudness
from ncaudit.errors import NcauditError
from ncaudit.notebook.verbs import public
from ncaudit.progress import SILENT, Silent

VERBS = sorted(ncaudit._VERBS)


def given(chosen: options.ScoreOptions, progress: object = SILENT) -> tuple[options.ScoreOptions, object]:
    """What a verb is called with."""
    return chosen, progress


def noted(chosen: options.ScoreOptions, progress: Any = SILENT) -> None:
    """A verb that says something."""
    progress.stage("score", 2)
    progress.note("look")


SCORE = public(given, options.ScoreOptions)


def test_keywords_are_the_fields_of_the_options():
    chosen, progress = SCORE(embeddings=["emb"], out="scores", check=False, k=3)
    assert chosen == options.ScoreOptions(embeddings=["emb"], out="scores", check=False, k=3)
    assert progress is SILENT


def test_what_the_command_takes_without_a_flag_may_come_first():
    assert SCORE("emb", out="scores")[0].embeddings == ("emb",)


def test_options_are_taken_as_they_are():
    chosen = options.ScoreOptions(embeddings=["emb"], out="scores")
    listener = Silent()
    assert SCORE(chosen) == (chosen, SILENT)
    assert SCORE(chosen, listener)[1] is SCORE(chosen, progress=listener)[1] is listener


@pytest.mark.parametrize("one", ["emb", Path("emb")])
def test_one_value_is_as_good_as_a_list_of_one(one):
    assert SCORE(one, out="o")[0].embeddings == ("emb",)
    assert options.ScoreOptions(embeddings=one, out="o").embeddings == ("emb",)
    assert options.ScoreOptions(embeddings=["a"], out="o", columns="width").columns == ("width",)
    assert options.ScoreOptions(embeddings=[Path("a"), "b"], out=Path("o")) == options.ScoreOptions(
        embeddings=("a", "b"), out="o"
    )


def test_several_devices_may_be_one_word():
    assert options.EmbedOptions(sources="data", out="o", devices="cuda:0,cuda:1").devices == ("cuda:0", "cuda:1")


def test_words_are_taken_for_choices():
    assert SCORE("emb", out="o", variant="paper")[0].variant is options.Variant.paper


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: SCORE("emb", out="o", chek=False), r"given\(\) got an unexpected keyword.*mean 'check'"),
        (lambda: SCORE("emb"), r"given\(\): missing a required argument: 'out'"),
        (lambda: SCORE("emb", "o"), r"given\(\): too many positional arguments"),
        (lambda: SCORE(options.ScoreOptions(embeddings="e", out="o"), out="p"), "ScoreOptions or keywords, not both"),
    ],
)
def test_a_call_that_python_would_refuse_is_a_type_error(call, said):
    with pytest.raises(TypeError, match=said):
        call()


def test_what_the_options_refuse_is_told_with_what_to_do():
    with pytest.raises(NcauditError, match="--k is 0") as refused:
        SCORE("emb", out="o", k=0)
    assert refused.value.__notes__ == [f"  fix: {refused.value.fix}"]


def test_progress_is_shown_only_to_who_asks(capsys, monkeypatch):
    monkeypatch.setattr(loudness, "_quiet", False)  # commands of other tests, in this process, may have set it
    say = public(noted, options.ScoreOptions)
    say("emb", out="o")
    assert capsys.readouterr().err == ""
    say("emb", out="o", progress=True)
    assert "look" in capsys.readouterr().err


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_shows_its_options_and_what_each_means(name):
    verb, kind = getattr(ncaudit, name), getattr(options, ncaudit._VERBS[name][1])
    asked = inspect.signature(verb).parameters
    assert set(asked) == {field.name for field in fields(kind)} | {"progress"}
    told = inspect.getdoc(verb)
    assert all(f"\n    {option}: " in told for option in asked)
    assert inspect.signature(verb).return_annotation is not inspect.Signature.empty


@pytest.mark.parametrize("name", VERBS)
def test_defaults_are_those_of_the_options(name):
    kind = getattr(options, ncaudit._VERBS[name][1])
    known = {field.name: field.default for field in fields(kind)}
    shown = {one.name: one.default for one in inspect.signature(getattr(ncaudit, name)).parameters.values()}
    told = {option: default for option, default in shown.items() if default is not inspect.Parameter.empty}
    assert told == {**{option: known[option] for option in told.keys() & known.keys()}, "progress": None}
