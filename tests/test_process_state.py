"""What a test leaves in the process that other tests share is gone with it, whatever it is."""

import logging
import os
import random
import signal
import sys
import warnings

import fsspec
import numpy as np
import pytest
import torch

from ncaudit import interruption
from ncaudit.cli.commands import anywhere
from ncaudit.cli.shared import loudness
from ncaudit.shards.places import listings
from tests.worlds.commands import run
from tests.worlds.process_state import put_back

HEARS = signal.default_int_handler


def hear():
    signal.signal(signal.SIGINT, signal.SIG_IGN)


LEFT = {  # what somebody leaves, and what then tells
    "variable": (lambda: os.environ.update(NCAUDIT_STORAGE_OPTIONS="{}"), lambda: dict(os.environ)),
    "variable taken away": (lambda: os.environ.pop("PATH"), lambda: dict(os.environ)),
    "folder": (lambda: os.chdir("/"), os.getcwd),
    "threads": (lambda: torch.set_num_threads(7), torch.get_num_threads),
    "Ctrl-C": (hear, lambda: signal.getsignal(signal.SIGINT)),
    "Ctrl-C heard": (interruption.listen, lambda: (signal.getsignal(signal.SIGINT), sys.unraisablehook)),
    "loudness": (lambda: loudness.set_loudness(quiet=not loudness.is_quiet()), loudness.is_quiet),
    "options of a store": (lambda: anywhere._given.append("key=value"), lambda: list(anywhere._given)),
    "log": (lambda: logging.getLogger("ncaudit").addHandler(logging.NullHandler()), lambda: handlers("ncaudit")),
    "level": (lambda: logging.getLogger().setLevel(1), lambda: logging.getLogger().level),
    "file in memory": (lambda: fsspec.filesystem("memory").pipe("/left", b""), lambda: remembered("/left")),
    "listing": (lambda: listings.look("memory://left"), lambda: dict(listings._known)),
}


def handlers(name):
    return list(logging.getLogger(name).handlers)


def remembered(path):
    return fsspec.filesystem("memory").exists(path)


@pytest.mark.parametrize("what", LEFT)
def test_it_is_put_back(what):
    leave, seen = LEFT[what]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what is started in the background is deaf to it
    before = seen()
    with put_back():
        leave()
        assert seen() != before
    assert seen() == before


@pytest.mark.parametrize("draw", [torch.rand, np.random.rand, lambda n: [random.random() for _ in range(n)]])
def test_chance_begins_anew(draw):
    drawn = []
    for before in (0, 5):
        draw(before)
        with put_back():
            drawn.append(list(map(float, draw(3))))
    assert drawn[0] == drawn[1]


def test_what_a_fixture_of_several_tests_holds_stays():
    files = fsspec.filesystem("memory")
    with put_back():
        files.pipe("/held", b"1")
        with put_back():
            files.pipe("/left", b"2")
        assert (files.cat("/held"), files.exists("/left")) == (b"1", False)
    assert not files.exists("/held")


def test_a_command_in_this_process_leaves_nothing(tmp_path):
    before = loudness.is_quiet(), torch.get_num_threads(), handlers(None), list(warnings.filters)
    with put_back():
        run("inspect", tmp_path, "--storage-option", "key=value", "--threads", "3", "--log", tmp_path / "log")
    assert (loudness.is_quiet(), torch.get_num_threads(), handlers(None), list(warnings.filters)) == before
