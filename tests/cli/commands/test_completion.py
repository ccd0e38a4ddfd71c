"""Completion of words: what the shells' scripts ask for and get, and bash itself with the installed script."""

import os
import shlex
import shutil
import subprocess
import sys

import pytest

from ncaudit import objectives, scorers
from ncaudit.options.shared import common

pytestmark = pytest.mark.slow
BASH = shutil.which("bash")


@pytest.fixture
def home(tmp_path):
    """A home of its own, and an `ncaudit` on the path that is this one."""
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin/ncaudit"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m ncaudit "$@"\n')
    script.chmod(0o755)
    return tmp_path


def run(home, *words, **more):
    environment = {**os.environ, "HOME": str(home), "PATH": f"{home / 'bin'}:{os.environ['PATH']}", **more}
    return subprocess.run(
        [sys.executable, "-m", "ncaudit", *words], capture_output=True, text=True, env=environment, check=False
    )


def words_of(home, line):
    """What fish is told to offer behind a line: one word each, and its help behind a tab."""
    ran = run(
        home, _NCAUDIT_COMPLETE="complete_fish", _TYPER_COMPLETE_FISH_ACTION="get-args", _TYPER_COMPLETE_ARGS=line
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return [word.partition("\t")[0] for word in ran.stdout.splitlines() if word.strip()]


def test_the_scorers_are_found_without_loading_them():
    assert common.scorers() == scorers.names()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ncaudit sco", ["score", "scorers"]),
        ("ncaudit eval ", ["retrieval", "scores"]),
        ("ncaudit score e --scorer ", ["auto", *scorers.names()]),
        ("ncaudit score e --scorer c", ["clip-score", "csls"]),
        ("ncaudit score e --variant ", ["robust", "paper", "released"]),
        ("ncaudit score e --out - --format ", ["arrow", "jsonl", "csv"]),
        ("ncaudit train --objective ", ["auto", *objectives.names()]),
        ("ncaudit train --tune h", ["heads"]),
        ("ncaudit corrupt d --kind label-", ["label-symmetric", "label-asymmetric"]),
        ("ncaudit filter s --verdict n", ["noisy"]),
        ("ncaudit filter s --as w", ["weights"]),
        ("ncaudit score e --suggest --re", ["--refit"]),
        ("ncaudit --vers", ["--version"]),
    ],
)
def test_words_that_are_offered(line, expected, home):
    assert words_of(home, line) == expected


@pytest.mark.parametrize("line", ["ncaudit score ", "ncaudit score e --out ", "ncaudit embed d --image-root "])
def test_where_a_path_is_asked_the_shell_offers_files(line, home):
    fish = {"_NCAUDIT_COMPLETE": "complete_fish", "_TYPER_COMPLETE_ARGS": line}
    assert run(home, **fish, _TYPER_COMPLETE_FISH_ACTION="is-args").returncode == 1  # fish: then files
    assert run(home, _NCAUDIT_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS=line).stdout.strip() == "_files"


def test_zsh_is_told_words_with_their_first_sentence(home):
    told = run(home, _NCAUDIT_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS="ncaudit tra").stdout
    assert '"train":"Train a matcher on pairs weighted by soft label."' in told


@pytest.mark.parametrize(
    ("shell", "file", "rc"),
    [
        ("bash", ".bash_completions/ncaudit.sh", ".bashrc"),
        ("zsh", ".zfunc/_ncaudit", ".zshrc"),
        ("fish", ".config/fish/completions/ncaudit.fish", None),
    ],
)
def test_completion_is_installed_for_the_shell_that_is_named(shell, file, rc, home):
    ran = run(home, "--install-completion", shell)
    assert (ran.returncode, ran.stderr) == (0, "")
    script = (home / file).read_text()
    assert "_NCAUDIT_COMPLETE=complete_" + shell in script
    assert rc is None or (home / rc).exists()
    shown = run(home, "--show-completion", shell)
    assert shown.stdout.strip() == script.strip()


@pytest.mark.skipif(BASH is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["ncaudit", "trai"], ["train"]),
        (["ncaudit", "score", "emb", "--scorer", "neg"], ["neg-clip-loss"]),
        (["ncaudit", "train", "--obj"], ["--objective"]),
        (["ncaudit", "score", "emb", "--out", ""], []),  # bash offers files then: `complete -o default`
    ],
)
def test_bash_completes_with_what_was_installed(words, offered, home):
    run(home, "--install-completion", "bash")
    array = " ".join(map(shlex.quote, words))
    script = (
        f"source {shlex.quote(str(home / '.bashrc'))}; COMP_WORDS=({array}); COMP_CWORD={len(words) - 1}; "
        '_ncaudit_completion ncaudit; printf "%s\\n" "${COMPREPLY[@]}"; complete -p ncaudit'
    )
    environment = {**os.environ, "HOME": str(home), "PATH": f"{home / 'bin'}:{os.environ['PATH']}"}
    ran = subprocess.run(
        [str(BASH), "--norc", "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    *found, registered = ran.stdout.splitlines()
    assert [word for word in found if word] == offered
    assert registered == "complete -o default -F _ncaudit_completion ncaudit"
