"""Damaged files of every kind through every verb: exact accounts or two lines, never a traceback, a crash or no end."""

import json
import random
import sys
from collections import Counter

import pytest

from tests.fuzz.__main__ import drawn, found
from tests.fuzz.mutators import BY_NAME
from tests.fuzz.world import ATTACKS
from tests.worlds import processes

pytestmark = pytest.mark.slow
SEEDED = 300
WHOLE = [f"{attack.name} | {target} | whole | 0" for attack in ATTACKS.values() for target in attack.targets[:1]]


@pytest.fixture(scope="module")
def ended():
    """How all of them ended: in one process that makes the world once."""
    names = [*WHOLE, *found(), *drawn(seed=1, count=SEEDED)]
    ran = processes.run(
        [sys.executable, "-m", "tests.fuzz.report"], input="\n".join(names), capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_every_input_is_answered_as_promised(ended):
    assert [f"{one['name']}: {one['fault']}\n{one['told']}" for one in ended if one["fault"]] == []


def test_no_input_is_lost(ended):
    assert len(ended) == len(WHOLE) + len(found()) + SEEDED


def test_every_command_works_while_nothing_is_damaged(ended):
    assert {one["name"]: one["code"] for one in ended if " whole " in one["name"]} == dict.fromkeys(WHOLE, 0)


def test_the_damage_is_neither_harmless_nor_always_fatal(ended):
    codes = Counter(one["code"] for one in ended[len(WHOLE) :])
    assert codes[0] > SEEDED / 10
    assert codes[1] > SEEDED / 10


def test_a_seed_is_the_same_input_for_ever():
    assert next(drawn(seed=1, count=1)) == next(drawn(seed=1, count=2))
    data = bytes(range(256)) * 8
    for damage in BY_NAME.values():
        assert damage(data, random.Random(5)) == damage(data, random.Random(5))
