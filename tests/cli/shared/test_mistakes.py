"""A command line that is wrong: two lines, exit code 2, and the name that was probably meant."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from ncaudit.cli.app import app

SCORE = ["score", "e", "--out", "s"]


def told(words, code):
    ran = CliRunner().invoke(app, ["-q", *map(str, words)])
    assert (ran.exit_code, ran.stdout) == (code, ""), ran.output
    what, fix = ran.stderr.splitlines()
    assert what.startswith("ncaudit: ")
    assert fix.startswith("  fix: ")
    return what.removeprefix("ncaudit: "), fix.removeprefix("  fix: ")


@pytest.mark.parametrize(
    ("words", "what", "meant"),
    [
        (["scoer"], "there is no command scoer", "score"),
        (["eval", "scors"], "there is no command scors", "scores"),
        (["help", "trian"], "there is no command trian", "train"),
        (["help", "eval", "retreival"], "there is no command retreival", "retrieval"),
        ([*SCORE, "--scorre", "csls"], "there is no option --scorre", "--scorer"),
        ([*SCORE, "--anchor-treshold", ".5"], "there is no option --anchor-treshold", "--anchor-threshold"),
        (["--quite", "scorers"], "there is no option --quite", "--quiet"),
        ([*SCORE, "--variant", "robsut"], "--variant is robsut", "robust"),
        (["filter", "s", "--out", "o", "--verdict", "claen"], "--verdict is claen", "clean"),
        (["train", "--tune", "haeds", "--out", "m"], "--tune is haeds", "heads"),
        (["bench", "e", "--kinds", "topci"], "--kinds is topci", "topic"),
    ],
)
def test_a_word_that_is_none_proposes_the_nearest(words, what, meant):
    said, fix = told(words, 2)
    assert said == what
    assert fix.startswith(f"did you mean {meant}? ")


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["score", "e"], "missing option --out"),
        (["score", "--out", "s"], "missing argument EMBEDDINGS"),
        ([*SCORE, "--k", "many"], "--k takes a whole number"),
        (["corrupt", "d", "--out", "o", "--rate", "half"], "--rate takes a number"),
        (["score", "e", "--out"], "option --out requires an argument"),
        ([*SCORE, "--check=3"], "option --check does not take a value"),
        (["demo", "word"], "got unexpected extra argument(s) (word)"),
        (["--install-completion", "tcsh"], "there is no completion for tcsh"),
    ],
)
def test_what_typer_finds_is_told_in_our_two_lines(words, what):
    assert told(words, 2)[0] == what


def test_a_word_that_is_like_no_other_proposes_none():
    assert told(["xyzzy"], 2)[1].startswith("give one of: audit, inspect, ")


@pytest.mark.parametrize("words", [[], ["eval"]])
def test_without_a_word_the_help_is_shown_on_standard_error(words):
    ran = CliRunner().invoke(app, words)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert ran.stderr.startswith("Usage: ncaudit")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["--scorer", "bicor"], "bicro"),
        (["--scorer", "clip-scroe"], "clip-score"),
    ],
)
def test_a_scorer_that_is_none_proposes_the_nearest(words, meant):
    assert told([*SCORE, *words], 2)[1].startswith(f"did you mean {meant}? ")


@pytest.fixture
def data(tmp_path):
    pq.write_table(pa.table({"jpg": [b"x"], "caption": ["a cat"], "languages": ["en"]}), tmp_path / "data.parquet")
    return tmp_path / "data.parquet"


@pytest.mark.parametrize(
    ("flag", "name", "meant"),
    [
        ("--caption-column", "captoin", "caption"),
        ("--image-column", "jgp", "jpg"),
        ("--columns", "langauges", "languages"),
        ("--key", "captions", "caption"),
    ],
)
def test_a_column_of_the_data_that_is_none_proposes_the_nearest(flag, name, meant, data, tmp_path):
    what, fix = told(["embed", data, "--out", tmp_path / "e", flag, name, "--device", "cpu"], 1)
    assert f"has no column {name}" in what
    assert fix == f"did you mean {meant}? name it with {flag}"


@pytest.mark.parametrize(
    ("more", "name", "meant"),
    [
        (["--stratify", "shrad"], "shrad", "shard"),
        (["--columns", "captoin"], "captoin", "caption"),
        (["--join", "other.parquet", "--join-key", "pair_di"], "pair_di", "pair_id"),
        (["--join", "other.parquet", "--join-key", "pair_id=kye"], "kye", "key"),
    ],
)
def test_a_column_of_tables_proposes_the_nearest(more, name, meant, write_embeddings, tmp_path, monkeypatch):
    folder = write_embeddings(n=60)
    for path in folder.glob("*.parquet"):
        table = pq.read_table(path)
        if "caption" not in table.column_names:
            pq.write_table(table.append_column("caption", pa.array(["a cat"] * len(table))), path)
    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.table({"pair_id": ["a"], "key": ["a"], "prior": [0.5]}), "other.parquet")
    what, fix = told(["score", folder, "--out", tmp_path / "s", "--device", "cpu", *more], 1)
    assert name in what
    assert fix.startswith(f"did you mean {meant}? ")
