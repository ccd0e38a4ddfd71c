"""Ctrl-C is Ctrl-C, whatever a library makes of the exception that it is."""

import errno
import gc
import os
import signal
import sys

import pyarrow as pa
import pytest
from rich.console import Console

from ncaudit import interruption
from ncaudit.cli.shared import live, loudness, output
from ncaudit.engines.local import run_shards
from ncaudit.errors import BadTable, Interrupted, ModelUnavailable
from ncaudit.options import StreamFormat
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.files.writer import atomic_file
from ncaudit.shards.streams.standard_output import StreamWriter

# what libraries have been seen to make of it, or might
TURNED = [
    RuntimeError("could not determine the shape of object type UntypedStorage"),
    ImportError("cannot import name 'x' from partially initialized module 'y'"),
    AttributeError("partially initialized module 'torch' has no attribute 'nn'"),
    SystemError("returned a result with an exception set"),
    ValueError("not a header"),
    OSError(errno.ENOSPC, "No space left on device"),
    MemoryError(),
    BrokenPipeError(),
    pa.ArrowInvalid("Unexpected end of stream"),
    BadTable("a.parquet is damaged", fix="mend it"),
    ModelUnavailable("small-clip cannot be loaded", fix="check it"),
    SystemExit(0),
    SystemExit(1),
]


@pytest.fixture
def listening(monkeypatch):
    """This process as that of a command, before its first words."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(interruption.atexit, "register", lambda *_: None)
    for name in ("_asked", "_at_once"):
        monkeypatch.setattr(interruption, name, False)
    interruption.listen()
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def pressed(listening):
    """Ctrl-C has been pressed, and a library has kept its exception to itself."""
    interruption.attend()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_while_commands_are_being_loaded_it_waits(listening):
    signal.raise_signal(signal.SIGINT)
    interruption.heed()
    with pytest.raises(KeyboardInterrupt):
        interruption.attend()


def test_it_is_raised_where_the_program_is(listening):
    interruption.attend()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("error", TURNED, ids=repr)
def test_whatever_it_was_turned_into_it_is_recognised(pressed, error):
    with pytest.raises(KeyboardInterrupt) as caught, interruption.recognised():
        raise error
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("error", [*TURNED, KeyboardInterrupt()], ids=repr)
def test_it_knows_whether_anything_is_kept(pressed, error, kept):
    with pytest.raises(Interrupted) as caught, interruption.recognised(kept=lambda: kept):
        raise error
    assert caught.value.kept is kept


@pytest.mark.parametrize("error", TURNED, ids=repr)
def test_without_it_an_error_is_what_it_is(listening, error):
    with pytest.raises(type(error)) as caught, interruption.recognised(kept=lambda: True):
        raise error
    assert caught.value is error


def test_a_file_gets_no_name_any_more(pressed, tmp_path):
    with pytest.raises(KeyboardInterrupt), atomic_file(str(tmp_path / "a.parquet")) as file:
        file.write(b"a row that failed for no reason of its own")
    assert list(tmp_path.iterdir()) == []


def test_no_shard_is_counted_as_failed(pressed):
    def work(shard):
        raise BadTable(f"{shard.name} is damaged", fix="mend it")

    with pytest.raises(KeyboardInterrupt):
        run_shards([Shard("a", "a"), Shard("b", "b")], work)


def test_no_row_is_given_any_more(pressed, tmp_path):
    rows = pa.record_batch({"a": [1]})
    with open(tmp_path / "rows", "wb") as file:
        writer = StreamWriter(file, rows.schema, StreamFormat.jsonl)
        with pytest.raises(KeyboardInterrupt):
            writer.write(rows)
    assert (tmp_path / "rows").read_bytes() == b""


@pytest.mark.parametrize("terminal", [None, Console(file=open(os.devnull, "w"), force_terminal=True)])
@pytest.mark.parametrize("quiet", [True, False])
def test_work_that_goes_on_ends_at_its_next_step(pressed, monkeypatch, terminal, quiet):
    monkeypatch.setattr(output, "terminal", lambda: terminal)
    monkeypatch.setattr(loudness, "_quiet", quiet)
    for told in (lambda progress: progress.stage("embed", 5), lambda progress: progress.advance(1)):
        with pytest.raises(KeyboardInterrupt), live.progress() as progress:
            told(progress)


def test_in_a_destructor_it_is_neither_printed_nor_lost(listening, capsys):
    class Held:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    interruption.attend()
    held = Held()
    del held
    gc.collect()
    assert "KeyboardInterrupt" not in capsys.readouterr().err
    with pytest.raises(KeyboardInterrupt):
        interruption.heed()


def test_a_users_second_press_does_not_disturb_the_answer_to_the_first(pressed):
    interruption.answered()
    signal.raise_signal(signal.SIGINT)
    interruption.heed()


def test_who_was_started_deaf_to_it_stays_so():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        interruption.listen()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_notebook_keeps_what_it_has():
    def library():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise RuntimeError("its own") from None

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(RuntimeError), interruption.recognised(kept=lambda: True):
            library()
    finally:
        signal.signal(signal.SIGINT, before)
