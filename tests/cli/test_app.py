"""How a command ends when the machine says no."""

import errno
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from ncaudit.cli import app
from ncaudit.errors import Interrupted
from tests.worlds import processes


def run(monkeypatch, error):
    def score(*_):
        raise error

    monkeypatch.setattr("ncaudit.verbs.score.score.score", score)
    return CliRunner().invoke(app.app, ["score", "embeddings", "--out", "scores"])


def test_a_full_disk_is_two_lines_and_exit_code_1(monkeypatch):
    ran = run(monkeypatch, OSError(errno.ENOSPC, "No space left on device", "/out/00000.parquet.partial"))
    assert ran.exit_code == 1
    first, second = ran.stderr.splitlines()
    assert first == "ncaudit: /out/00000.parquet.partial: No space left on device"
    assert second.startswith("  fix: ")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Interrupted(kept=True), "interrupted; what is finished is kept. Resume with:"),
        (Interrupted(kept=False), "interrupted before anything was finished. Begin again with:"),
        (KeyboardInterrupt(), "interrupted before anything was finished. Begin again with:"),
    ],
)
def test_ctrl_c_says_only_of_what_is_there_that_it_is_kept(monkeypatch, error, said):
    ran = run(monkeypatch, error)
    assert ran.exit_code == 130
    assert ran.stderr.splitlines()[0] == f"ncaudit: {said}"


@pytest.mark.parametrize("number", [errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EROFS])
def test_a_path_that_the_system_refuses_late_is_told_with_its_name(monkeypatch, number):
    ran = run(monkeypatch, OSError(number, "refused", "/out/x"))
    assert (ran.exit_code, ran.stderr.splitlines()[0]) == (1, "ncaudit: /out/x: refused")


def test_a_bug_keeps_its_traceback(monkeypatch):
    assert isinstance(run(monkeypatch, ZeroDivisionError()).exception, ZeroDivisionError)
    assert isinstance(run(monkeypatch, OSError(errno.EBADF, "bad descriptor")).exception, OSError)


@pytest.mark.skipif(sys.platform == "win32", reason="needs /dev/full")
def test_standard_output_on_a_full_disk_is_told(write_embeddings):
    command = [sys.executable, "-m", "ncaudit", "-q", "score", write_embeddings(), "--out", "-"]
    with open("/dev/full", "w") as full:
        ran = processes.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
    assert "No space left on device" in ran.stderr
