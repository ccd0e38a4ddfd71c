"""`-q`, `-v` and `--log` before or after the verb, and what the log holds."""

import re
from datetime import datetime

import pytest
from typer.testing import CliRunner

from ncaudit import stores
from ncaudit.cli.app import app
from ncaudit.cli.shared import log, loudness
from ncaudit.version import __version__


def run(*words, code=0):
    ran = CliRunner().invoke(app, [str(word) for word in words])
    assert ran.exit_code == code, (ran.output, ran.exception)
    return ran


@pytest.fixture
def loud(monkeypatch):
    """What the loudness was while the verb ran."""
    seen = []
    monkeypatch.setattr(
        "ncaudit.cli.words.scorers.lines", lambda _: seen.append((loudness.is_quiet(), loudness.is_verbose())) or []
    )
    return seen


@pytest.mark.parametrize(
    ("words", "quiet", "verbose"),
    [
        (["scorers"], False, False),
        (["-q", "scorers"], True, False),
        (["--quiet", "scorers"], True, False),
        (["scorers", "-q"], True, False),
        (["scorers", "--quiet"], True, False),
        (["-v", "scorers"], False, True),
        (["scorers", "-v"], False, True),
        (["scorers", "--verbose"], False, True),
        (["-q", "scorers", "-q"], True, False),
    ],
)
def test_loudness_is_asked_before_or_after_the_verb(words, quiet, verbose, loud):
    run(*words)
    assert loud == [(quiet, verbose)]
    run("scorers")
    assert loud[1:] == [(False, False)]  # of one run only


@pytest.mark.parametrize("words", [["-q", "-v", "scorers"], ["-q", "scorers", "-v"], ["scorers", "-v", "-q"]])
def test_quiet_and_verbose_contradict_each_other(words):
    assert run(*words, code=2).stderr.splitlines()[0] == "ncaudit: --quiet and --verbose contradict each other"


@pytest.mark.parametrize(
    "words", [["--storage-option", "anon=true", "inspect"], ["inspect", "--storage-option", "anon=true"]]
)
def test_an_option_of_a_store_without_a_store_is_refused(words, tmp_path, monkeypatch):
    monkeypatch.delenv(stores.OPTIONS, raising=False)
    told = run(*words, tmp_path, code=2).stderr.splitlines()
    assert told[0] == "ncaudit: --storage-option is about stores (s3://…), and every path here is one of this machine"
    monkeypatch.delenv(stores.OPTIONS)
    assert "storage" not in run("inspect", tmp_path, code=1).stderr  # of one run only


def lines_of(path):
    """What each line tells, once its time is seen to be one."""
    lines = [line.split(" ", 1) for line in path.read_text(encoding="utf-8").splitlines()]
    assert all(datetime.fromisoformat(time).tzinfo for time, _ in lines)
    return [told for _, told in lines]


def test_the_log_tells_versions_options_stages_notes_and_the_end(tmp_path, write_embeddings):
    path = tmp_path / "run.log"
    words = ("score", write_embeddings(n=60), "--no-check", "--device", "cpu", "--out", tmp_path / "scores")
    run("-q", *words, "--log", path)
    told = lines_of(path)
    assert told[0].startswith("begin: ncaudit")
    assert told[1].startswith(f"versions: ncaudit {__version__}, Python 3.")
    assert re.match(r"libraries: torch \d.*, pyarrow \d", told[2])
    assert "check=False" in told[3]
    assert told[3].startswith("options: ")
    assert "scorer=" not in told[3]  # at its default
    stages = [line for line in told if line.startswith("stage ended: ")]
    assert stages
    assert all(re.search(r", [\d,]+ \w+, \d+\.\d{3} s$", line) for line in stages)
    assert re.match(r"end: exit code 0 after \d+\.\d{3} s$", told[-1])


def test_a_log_is_appended_to_and_tells_what_went_wrong(tmp_path):
    path = tmp_path / "run.log"
    run("--log", path, "scorers")
    before = lines_of(path)
    run("score", tmp_path / "none", "--out", tmp_path / "s", "--log", path, code=1)
    told = lines_of(path)
    assert told[: len(before)] == before
    wrong, fix, end = told[-3:]
    assert wrong.startswith("ncaudit: ")
    assert fix.startswith("fix: ")
    assert end.startswith("end: exit code 1 after ")


def test_a_run_without_a_log_writes_into_no_earlier_one(tmp_path):
    run("--log", tmp_path / "run.log", "scorers")
    before = lines_of(tmp_path / "run.log")
    run("scorers")
    assert lines_of(tmp_path / "run.log") == before


def test_a_bug_is_in_the_log_with_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr("ncaudit.scorers.names", lambda: 1 / 0)
    CliRunner().invoke(app, ["scorers", "--log", str(tmp_path / "run.log")])
    assert lines_of(tmp_path / "run.log")[-1].startswith("end: ZeroDivisionError: division by zero after ")


def test_a_log_that_cannot_be_written_is_told_before_any_work(tmp_path):
    ran = run("scorers", "--log", tmp_path / "no" / "run.log", code=1)
    assert ran.stdout == ""
    assert ran.stderr.splitlines()[1] == "  fix: name a file that can be written"


@pytest.mark.parametrize(
    "secret",
    [
        "s3://key:hunter2@bucket/data",
        "https://host/a?X-Amz-Signature=hunter2&part=1",
        "https://host/a?sig=hunter2",
        "https://host/a?access_token=hunter2",
        "hf_hunter2hunter2",
        "AKIAHUNTER2HUNTER2",
    ],
)
def test_secrets_are_never_written(secret):
    assert "hunter2" not in log.masked(f"ncaudit embed '{secret}' --out e").lower()


def test_the_environment_is_never_written(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hunter2hunter2")
    run("scorers", "--log", tmp_path / "run.log")
    assert "hunter2" not in (tmp_path / "run.log").read_text(encoding="utf-8")
