"""What the machine refuses is two lines that help; a bug keeps its traceback."""

import errno
import importlib.util
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from ncaudit.cli.app import app
from ncaudit.cli.shared import ending
from ncaudit.errors import NcauditError, lacks_memory

LIMITED = pytest.mark.skipif(importlib.util.find_spec("resource") is None, reason="no limits to set")


def ended(monkeypatch, error):
    """(exit code, what is told, what to do) of a command that meets an error."""

    def score(*_):
        raise error

    monkeypatch.setattr("ncaudit.verbs.score.score.score", score)
    ran = CliRunner().invoke(app, ["score", "embeddings", "--out", "scores"])
    assert isinstance(ran.exception, SystemExit), ran.exception
    what, fix = ran.stderr.splitlines()
    return ran.exit_code, what, fix


@pytest.mark.parametrize(
    ("number", "does"),
    [
        (errno.ENOSPC, "make room"), (errno.EDQUOT, "make room"), (errno.EROFS, "access"), (errno.EACCES, "access"),
        (errno.EMFILE, "ulimit -n"), (errno.ENFILE, "ulimit -n"), (errno.EIO, "rerun"), (errno.ENAMETOOLONG, "rerun"),
    ],
)  # fmt: skip
def test_what_the_system_refuses_names_the_path_and_what_to_do(monkeypatch, number, does):
    told = ended(monkeypatch, OSError(number, os.strerror(number), "/out/a.parquet"))
    assert told[:2] == (1, f"ncaudit: /out/a.parquet: {os.strerror(number)}")
    assert does in told[2]


@pytest.mark.parametrize("kind", [PermissionError, FileNotFoundError])
def test_what_a_store_refuses_names_the_address_and_what_to_do(monkeypatch, kind):
    code, what, fix = ended(monkeypatch, kind(errno.EACCES, "Access Denied", "s3://pairs/a.parquet"))
    assert (code, what) == (1, "ncaudit: s3://pairs/a.parquet cannot be read: Access Denied")
    assert "rerun" in fix


def test_no_room_for_what_is_written_for_a_while_names_tmpdir(monkeypatch, tmp_path):
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(ending.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(ending.shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    for error in (full, OSError(*full.args, str(tmp_path / "spool"))):
        _, what, fix = ended(monkeypatch, error)
        assert str(tmp_path) in what
        assert f"set TMPDIR to another folder than {tmp_path}" in fix
    monkeypatch.setattr(ending.shutil, "disk_usage", lambda _: SimpleNamespace(free=10**9))
    assert "TMPDIR" not in ended(monkeypatch, OSError(*full.args, "/out/a.parquet"))[2]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        np._core._exceptions._ArrayMemoryError((10**6,), np.dtype(np.float32)),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("can't start new thread"),
        RuntimeError("std::bad_alloc"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        ImportError("libtorch.so: failed to map segment from shared object"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_too_little_memory_is_told_in_whatever_words_it_comes(monkeypatch, error):
    assert lacks_memory(error)
    code, what, fix = ended(monkeypatch, error)
    assert (code, what[:24]) == (1, "ncaudit: memory ran out ") or what == "ncaudit: memory ran out"
    assert "ulimit" in fix


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes differ"), OSError(errno.EBADF, "bad descriptor"), KeyError("a")]
)
def test_a_bug_is_no_lack_of_memory(monkeypatch, error):
    assert not lacks_memory(error)
    monkeypatch.setattr("ncaudit.verbs.score.score.score", lambda *_: (_ for _ in ()).throw(error))
    assert CliRunner().invoke(app, ["score", "embeddings", "--out", "scores"]).exception is error


@LIMITED
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux what this process takes")
def test_headroom_is_asked_for_beside_what_torch_takes(monkeypatch):
    monkeypatch.setattr(ending, "_memory", lambda: [(None, 0), (5 * ending.GIB, 3 * ending.GIB)])
    ending.require_memory()
    monkeypatch.setattr(ending, "_memory", lambda: [(5 * ending.GIB, 4.5 * ending.GIB), (None, 0)])
    with pytest.raises(NcauditError, match=r"may use 5.0 GiB of memory, .* torch alone takes 4.5") as caught:
        ending.require_memory()
    assert "5.5 GiB at least" in caught.value.fix


@LIMITED
@pytest.mark.parametrize("words", ["score emb --out scores", "scorers"])
def test_a_limit_below_what_torch_needs_is_two_lines(tmp_path, words):
    command = f"ulimit -v 600000; exec {sys.executable} -m ncaudit {words}"
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (ran.returncode, len(ran.stderr.splitlines())) == (1, 2), ran.stderr
    assert "memory" in ran.stderr
