"""The arena tells each way of breaking a promise; otherwise nothing that it finds, or does not, means anything."""

import os
import signal
import sys
import time

import pytest

from tests.fuzz import arena
from tests.fuzz.arena import Input, run

FINE = '{"accounting": {"rows": 3, "ok": 2, "failed": 1, "statuses": {"ok": 2, "image_missing": 1}}}'


def ending(tmp_path, command):
    """Of one input that this stands for."""
    (one,) = run([Input("one", (), lambda folder: None)], lambda words: command(), scratch=tmp_path)
    return one


def says(text, code, stream=1):
    """Of a command that writes this and ends."""
    return lambda: os.write(stream, text.encode()) and code


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        (says(FINE, 0), None),
        (says("ncaudit: a.csv is damaged\n  fix: fetch it again\n", 1, stream=2), None),
        (says("ncaudit: it is damaged\n", 1, stream=2), "without two lines"),
        (says("ncaudit: \x1b[31m is damaged\n  fix: fetch it again\n", 1, stream=2), "without two lines"),
        (says(FINE.replace('"ok": 2, "f', '"ok": 3, "f'), 0), "accounts do not add up"),
        (says(FINE.replace('"ok": 2, "i', '"ok": 3, "i'), 3), "statuses do not add up"),
        (says("120 rows\n", 0), "not one JSON object"),
        (lambda: 1 // 0, "traceback: ZeroDivisionError"),
        (lambda: os.kill(os.getpid(), signal.SIGSEGV), "killed by SIGSEGV"),
        (lambda: len(bytearray(2200 << 20)) * 0, "MiB"),
        (lambda: 7, "exit code 7"),
        (lambda: sys.exit(0), "traceback"),
    ],
)
def test_an_ending_is_judged_by_what_is_promised(tmp_path, command, fault):
    told = ending(tmp_path, command).fault
    assert told is None if fault is None else fault in told


def test_what_does_not_end_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(arena, "WALL_S", 0.5)
    assert ending(tmp_path, lambda: time.sleep(60)).fault.startswith("no end within")


def test_all_memory_of_the_machine_cannot_be_taken(tmp_path):
    assert "MemoryError" in ending(tmp_path, lambda: len(bytearray(64 << 30))).fault


def test_nothing_is_left_of_an_input(tmp_path):
    ending(tmp_path, lambda: 0)
    assert list(tmp_path.iterdir()) == []
