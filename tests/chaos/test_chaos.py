"""Commands that are killed, starved or read changing inputs, a handful of each; `make chaos` deals out more."""

import json
import os
import subprocess
import sys
from collections import Counter

import pytest

from tests.chaos.changes import may_mount

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="forks, sends signals and reads /proc"),
]
KILLS, CHANGES, DISKS = 8, 6, 4
COMMANDS = "filter"  # all others by `make chaos`: Ctrl-C while torch reads weights is not told as such every time


@pytest.fixture(scope="module")
def aftermaths():
    words = ["--kills", str(KILLS), "--changes", str(CHANGES), "--disks", str(DISKS), "--seed", "1", "--only", COMMANDS, "--lines"]
    ran = subprocess.run(
        [sys.executable, "-m", "tests.chaos", *words], capture_output=True, text=True, cwd=os.getcwd(), check=False
    )
    assert ran.returncode in (0, 1), ran.stderr
    assert "Traceback" not in ran.stderr, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_whatever_hits_a_run_it_ends_as_promised(aftermaths):
    faults = [f"{one['name']}: {one['fault']}: {one['hits']}\n{one['told']}" for one in aftermaths if one["fault"]]
    assert faults == []


def test_all_that_was_meant_was_dealt_out(aftermaths):
    hits = Counter(
        "signal" if hit.startswith("SIG") else "disk" if " KiB: " in hit else "change"
        for one in aftermaths
        for hit in one["hits"]
    )
    assert hits["signal"] >= KILLS
    assert hits["change"] == CHANGES
    assert hits["disk"] == (DISKS if may_mount() else 0)
