"""What ranks tell each other, in real processes."""

import json
import sys

import pytest

from ncaudit.engines.ranks import ALONE, Ranks, ToldByFirst, launched
from ncaudit.errors import NcauditError
from tests.worlds import processes

WORK = """
import json, sys
from ncaudit.engines.ranks import ToldByFirst, joined, launched
from ncaudit.errors import NcauditError

ranks = launched()
told = {{}}

def fail():
    raise NcauditError("no room", fix="make room")

def attempt(name, call, work):
    try:
        told[name] = call(work)
    except NcauditError as error:
        told[name] = [type(error).__name__, error.message, error.fix]

with joined(ranks, cuda=False):
    attempt("value", ranks.on_first, lambda: f"of rank {{ranks.rank}}")
    attempt("error", ranks.on_first, fail)
    attempt("own", ranks.together, lambda: ranks.rank)
    attempt("one fails", ranks.together, lambda: fail() if ranks.rank == 1 else "fine")
open({folder!r} + f"/{{ranks.rank}}.json", "w").write(json.dumps(told))
"""


@pytest.mark.slow
def test_what_the_first_rank_does_and_what_any_rank_fails_at_is_known_to_all(tmp_path):
    program = WORK.format(folder=str(tmp_path))
    for done in processes.ranks([sys.executable, "-c", program]):
        assert done.returncode == 0, done.stderr
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert (first.pop("own"), second.pop("own")) == (0, 1)
    error = ["no room", "make room"]
    assert first == {"value": "of rank 0", "error": ["NcauditError", *error], "one fails": ["NcauditError", *error]}
    assert second == {"value": "of rank 0", "error": ["ToldByFirst", *error], "one fails": ["ToldByFirst", *error]}


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_the_shares_of_all_ranks_are_the_batch_without_overlap_or_loss(count):
    rows = list(range(12))
    shares = [rows[Ranks(rank, count).share(12)] for rank in range(count)]
    assert [row for share in shares for row in share] == rows
    assert {len(share) for share in shares} == {12 // count}


def test_without_torchrun_a_process_is_alone_and_just_works():
    assert launched({"RANK": "1", "WORLD_SIZE": "2"}) == ALONE  # a cluster's own words, not torchrun's
    assert ALONE.is_first
    assert ALONE.on_first(lambda: 3) == ALONE.together(lambda: 3) == 3


def test_an_error_that_all_ranks_meet_is_told_by_the_first():
    error = NcauditError("no room", fix="make room")
    assert Ranks(0, 2).told(error) is error
    told = Ranks(1, 2).told(error)
    assert isinstance(told, ToldByFirst)
    assert (told.message, told.fix) == ("no room", "make room")
