"""What options tell of themselves: one source for docstrings and for the command line."""

import dataclasses
import inspect
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import ncaudit
from ncaudit import options
from ncaudit.options.shared.about import Options, flag_of, options_of

CLASSES = [
    kind for name in options.__all__ if isinstance(kind := getattr(options, name), type) and issubclass(kind, Options)
]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_a_docstring_tells_every_field_its_default_and_its_help(kind):
    told = inspect.getdoc(kind)
    for field in dataclasses.fields(kind):
        (line,) = [one for one in told.splitlines() if one.startswith(f"    {field.name}: ")]
        default = f"; default {getattr(field.default, 'value', field.default)!r}"
        assert line.endswith("; required" if field.default is dataclasses.MISSING else default)
    assert {one.name for one in options_of(kind)} == {field.name for field in dataclasses.fields(kind)}
    assert max(map(len, told.splitlines())) <= 100


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_a_docstring_speaks_of_fields_and_not_of_flags(kind):
    outside_code = "".join(inspect.getdoc(kind).split("`")[::2])
    assert "--" not in outside_code
    for one in options_of(kind):
        assert one.about.help.endswith(".")


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_a_signature_shows_types_and_defaults_alone(kind):
    shown = inspect.signature(kind)
    assert "About(" not in str(shown)
    assert {name: one.default for name, one in shown.parameters.items()} == {
        field.name: inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default
        for field in dataclasses.fields(kind)
    }


def test_a_docstring_says_what_a_help_says_and_begins_with_the_class_s_own():
    told = " ".join(ncaudit.ScoreOptions.__doc__.split())
    assert told.startswith("`ncaudit score`: embedding tables to score tables. Attributes: ")
    assert "k: int or None; default None Of scorer bicro: Nearest anchors per direction, 1 or more." in told
    assert "variant: Variant; default 'robust'" in told


def test_flags_are_spelled_as_fields_but_for_one():
    assert [flag_of(name) for name in ("min_soft_label", "write_as", "n")] == ["--min-soft-label", "--as", "--n"]


def test_own_options_come_before_inherited_ones_and_rare_ones_last():
    names = [one.name for one in options_of(ncaudit.EmbedOptions)]
    assert names[0] == "sources"
    assert names.index("image_column") < names.index("max_row_bytes")


def test_options_are_what_they_were():
    made = ncaudit.ScoreOptions(embeddings=["e"], out="s")
    assert pickle.loads(pickle.dumps(made)) == made
    assert made.__doc__ == ncaudit.ScoreOptions.__doc__
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.out = "t"


@pytest.mark.parametrize("words", ["-m ncaudit --help", "-m ncaudit train --help-all", "-c import_ncaudit"])
def test_help_and_docstrings_load_neither_torch_nor_arrow_nor_numpy(words):
    code = {"import_ncaudit": "import ncaudit; assert ncaudit.ScoreOptions.__doc__"}
    asked = [code.get(word, word) for word in words.split()]
    ran = subprocess.run([sys.executable, "-X", "importtime", *asked], check=True, capture_output=True, text=True)
    loaded = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}
    assert "ncaudit.options.shared.about" in loaded
    assert not {"torch", "pyarrow", "numpy"} & loaded


def test_paths_are_text_also_in_options_that_check_nothing():
    assert options.StatusOptions(folder=Path("scores")).folder == "scores"
