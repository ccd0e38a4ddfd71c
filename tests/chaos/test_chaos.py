"""Commands that are killed, starved or read changing inputs, a handful of each; `make chaos` deals out more."""

import json
import sys
from collections import Counter

import pytest

from tests.chaos.__main__ import kind_of
from tests.chaos.changes import WAYS, may_mount
from tests.chaos.runs import COMMANDS
from tests.worlds import processes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="forks, sends signals and reads /proc"),
]
KILLS, CHANGES, DISKS = 16, 6, 4


@pytest.fixture(scope="module")
def aftermaths():
    """Of all of them: in one process that makes the world once."""
    dealt = ["--kills", str(KILLS), "--changes", str(CHANGES), "--disks", str(DISKS), "--seed", "4"]
    ran = processes.run([sys.executable, "-m", "tests.chaos", *dealt, "--lines"], capture_output=True, text=True)
    assert ran.returncode in (0, 1), ran.stderr
    assert "Traceback" not in ran.stderr, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_whatever_hits_a_run_it_ends_as_promised(aftermaths):
    faults = [f"{one['name']}: {one['fault']}: {one['hits']}\n{one['told']}" for one in aftermaths if one["fault"]]
    assert faults == []


def test_all_that_was_meant_was_dealt_out(aftermaths):
    kinds = Counter(kind_of(hit) for one in aftermaths for hit in one["hits"])
    assert sum(count for kind, count in kinds.items() if kind.startswith("SIG")) == KILLS
    assert sum(kinds[f"input {way}"] for way in WAYS) == CHANGES
    assert kinds["full disk"] == (DISKS if may_mount() else 0)


def test_every_kind_of_signal_and_several_commands_are_among_it(aftermaths):
    kinds = {kind_of(hit) for one in aftermaths for hit in one["hits"]}
    assert {"SIGKILL", "SIGTERM", "SIGINT", "SIGSTOP"} <= kinds
    assert len({one["name"] for one in aftermaths} & {name for name, *_ in COMMANDS}) >= KILLS // 3
