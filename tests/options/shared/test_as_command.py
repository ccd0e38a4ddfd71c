"""Options as the command line that gives them."""

import shlex

from ncaudit.options import BenchOptions, CorruptOptions, EmbedOptions, EvalScoresOptions, FilterOptions, ScoreOptions
from ncaudit.options.shared.as_command import command_of


def test_what_differs_from_the_defaults_is_told_and_where_it_goes():
    options = ScoreOptions(embeddings=["emb"], out="scores", check=False, k=5, columns=["a b", "c"], refit=True)
    told = command_of(options)
    assert told.startswith("ncaudit score emb --out scores ")
    assert all(each in told for each in ("--refit", "--columns 'a b' --columns c", "--no-check", "--k 5"))
    assert len(shlex.split(told)) == 3 + len("--out s --refit --columns a --columns c --no-check --k 5".split())


def test_flags_are_spelled_as_the_command_line_has_them():
    assert "--as ids" in command_of(FilterOptions(scores=["s"], out="o.txt", write_as="ids", keep_share=0.5))
    assert "--devices a,b" in command_of(EmbedOptions(sources=["d"], out="e", devices=["a", "b"]))
    assert command_of(EvalScoresOptions(scores=["s"], truth="t")) == "ncaudit eval scores s --truth t"
    assert "--kind near" in command_of(CorruptOptions(sources=["d"], out="o", rate=0.1, kind="near"))
    assert "--scorers csls" in command_of(BenchOptions(embeddings=["e"], scorers=["csls"]))


def test_a_name_that_looks_like_a_flag_stands_behind_two_dashes():
    assert command_of(ScoreOptions(embeddings=["-x"], out="s")) == "ncaudit score --out s -- -x"
    assert command_of(ScoreOptions(embeddings=["-"], out="s")) == "ncaudit score - --out s"


def test_secrets_in_addresses_are_not_told():
    told = command_of(EmbedOptions(sources=["s3://me:secret@bucket/a", "https://h/b?sig=abc&x=1"], out="e"))
    assert told == "ncaudit embed 's3://***@bucket/a' 'https://h/b?sig=***&x=***' --out e"
