"""A file of options: what it gives, what wins over it, and what is wrong with it in words that mend it."""

import pytest
from typer.testing import CliRunner

from ncaudit.cli.app import app
from ncaudit.cli.shared import loudness


class Told(Exception):
    """Which options a verb was given."""

    def __init__(self, given):
        self.given = given


def tell(given, *_):
    raise Told(given)


@pytest.fixture
def given(tmp_path, monkeypatch):
    """Runs a command with a file of this text; returns the options that its verb got."""
    for verb in ("score.score.score", "embed.embed.embed", "filter.filter.filter_pairs"):
        monkeypatch.setattr(f"ncaudit.verbs.{verb}", tell)

    def run(text, *words):
        (tmp_path / "my.toml").write_text(text, encoding="utf-8")
        ran = CliRunner().invoke(app, ["--config", str(tmp_path / "my.toml"), *words])
        assert isinstance(ran.exception, Told), ran.output
        return ran.exception.given

    return run


@pytest.fixture
def refused(tmp_path, monkeypatch):
    """The same, of a file that is refused: both lines, without the file's folder."""
    monkeypatch.chdir(tmp_path)

    def run(text, *words):
        (tmp_path / "my.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
        ran = CliRunner().invoke(app, ["--config", "my.toml", *(words or ("score", "emb", "--out", "s"))])
        assert ran.exit_code == 2, ran.output
        what, fix = ran.stderr.splitlines()
        return what.removeprefix("ncaudit: "), fix.removeprefix("  fix: ")

    return run


def test_what_stands_in_the_file_is_as_if_it_were_given(given):
    text = '[score]\nembeddings = ["a", "b"]\nout = "s"\ncheck = false\nk = 3\nalign = "cca"\nnoisy-precision = 0.5\n'
    options = given(text, "score")
    assert (options.embeddings, options.out, options.check) == (["a", "b"], "s", False)
    assert (options.k, options.align.value, options.noisy_precision) == (3, "cca", 0.5)


def test_flags_and_arguments_win(given):
    text = '[score]\nembeddings = ["a"]\nout = "s"\ncheck = false\ncolumns = ["x"]\n'
    options = given(text, "score", "b", "--out", "t", "--check", "--columns", "y", "--columns", "z")
    assert (options.embeddings, options.out, options.check, options.columns) == (["b"], "t", True, ["y", "z"])


def test_one_text_is_a_list_of_one_and_a_whole_number_a_number(given):
    options = given('[score]\nembeddings = "a"\nout = "s"\nnoisy-precision = 1\n', "score")
    assert (options.embeddings, options.noisy_precision) == (["a"], 1.0)


def test_several_devices_are_a_list_as_well(given):
    text = '[embed]\nsources = "a"\nout = "s"\ndevices = ["cuda:0", "cuda:1"]\n'
    assert given(text, "embed").devices == ("cuda:0", "cuda:1")


def test_a_flag_that_is_called_otherwise_than_its_field_has_the_name_of_the_flag(given):
    text = '[filter]\nscores = "a"\nout = "x.txt"\nas = "ids"\nkeep-share = 0.5\n'
    assert given(text, "filter").write_as.value == "ids"


def test_the_tables_of_other_commands_and_dotted_keys_do_no_harm(given):
    text = 'quiet = true\nscore.out = "s"\n[filter]\nkeep-share = 0.5\n[eval.scores]\ntruth = "t"\n'
    assert given(text, "score", "emb").out == "s"


@pytest.mark.parametrize("table", ["", "[scorers]\n"])
def test_what_may_stand_before_any_command_is_taken_from_the_top_or_from_its_table(tmp_path, table):
    (tmp_path / "my.toml").write_text(f'{table}log = "{tmp_path}/log"\nquiet = true\n')
    CliRunner().invoke(app, ["--config", str(tmp_path / "my.toml"), "scorers"])
    assert (loudness.is_quiet(), (tmp_path / "log").is_file()) == (True, True)
    CliRunner().invoke(app, ["scorers"])
    assert not loudness.is_quiet()


def test_an_option_that_this_mode_does_not_read_is_no_mistake_at_its_default(given, refused):
    shared = '[score]\ncsls-k = 10\nformat = "arrow"\nprune = false\n'  # --csls-k 10 is refused on the command line
    assert given(shared, "score", "emb", "--out", "s").csls_k == 10
    what, fix = refused("[score]\nk = 3\n", "score", "emb", "--out", "s", "--scorer", "csls")
    assert what == "--k is not read by --scorer csls"
    assert fix.endswith("; it stands in my.toml")


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        ("[scor]\nk = 1", "there is no command for the table [scor] (line 1)", "write [score]"),
        ("[eval.score]\n", "there is no command for the table [eval.score] (line 1)", "write [eval.scores]"),
        ("[eval]\nbins = 3\n", "bins stands in [eval] (line 2), which is several commands", "put it into [eval.retr"),
        ("[trane]\n", "there is no command for the table [trane] (line 1)", "write [train]"),
        ("[x]\n", "there is no command for the table [x] (line 1)", "give one of: audit, inspect"),
        (
            "score = 3\n",
            "ncaudit, before a command, has no option score (line 1)",
            "give one of: log, quiet, scratch, verbose",
        ),
        ("quit = true\n", "ncaudit, before a command, has no option quit (line 1)", "write quiet"),
        ("quiet = 1\n", "quiet is 1 (line 1)", "give true or false"),
        ("[score]\n\nsede = 1\n", "ncaudit score has no option sede in [score] (line 3)", "write seed"),
        ("[score]\nfit_pairs = 1\n", "ncaudit score has no option fit_pairs in [score] (line 2)", "write fit-pairs"),
        ("[score]\nno-check = true\n", "ncaudit score has no option no-check in [score] (line 2)", "write check"),
        ("[filter]\nkeepshare = 1\n", "ncaudit filter has no option keepshare in [filter] (line 2)", "write keep-"),
        ('[score]\nseed = "3"\n', 'seed in [score] is "3" (line 2)', "give a whole number"),
        ("[score]\nseed = 3.5\n", "seed in [score] is 3.5 (line 2)", "give a whole number"),
        ("[score]\nseed = true\n", "seed in [score] is true (line 2)", "give a whole number"),
        ("[score]\nnoisy-precision = true\n", "noisy-precision in [score] is true (line 2)", "give a number"),
        ("[score]\ncheck = 0\n", "check in [score] is 0 (line 2)", "give true or false"),
        ('[score]\nout = ["s"]\n', "out in [score] is ['s'] (line 2)", "give a text in quotes"),
        ("[score]\ncolumns = [1]\n", "columns in [score] is 1 (line 2)", "give a text in quotes, or a list of such"),
        ('[score]\nalign = "ccb"\n', 'align in [score] is "ccb" (line 2)', "write cca"),
        ('[score]\nalign = "words"\n', 'align in [score] is "words" (line 2)', "give one of auto, none, cca"),
        ("[score]\nout = 1979-05-27\n", "out in [score] is 1979-05-27 (line 2)", "give a text in quotes"),
    ],
)
def test_what_no_command_takes_is_refused_by_its_line_with_the_nearest_name(refused, text, what, fix):
    told = refused(text)
    assert told[0] == f"my.toml: {what}"
    assert told[1].startswith(fix)


def test_a_file_that_is_none_is_told(refused, tmp_path, monkeypatch):
    assert refused("[score\n")[0].startswith("my.toml is no TOML: Expected ']'")
    assert refused(b"[score]\nout = '\xff'\n")[0] == "--config my.toml is no text in UTF-8 (byte 15)"
    monkeypatch.chdir(tmp_path)
    for name, why in (("nothing.toml", "No such file or directory"), (".", "Is a directory")):
        ran = CliRunner().invoke(app, ["--config", name, "score"])
        assert (ran.exit_code, ran.stderr.splitlines()[0]) == (2, f"ncaudit: --config {name} cannot be read: {why}")


def test_a_file_of_many_brackets_is_told(refused):
    what, _ = refused("a = " + "[" * 100_000)
    assert what.startswith("my.toml is ")
