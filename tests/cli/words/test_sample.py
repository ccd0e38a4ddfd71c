"""The words of `sample`: what was drawn, and the command that takes it back."""

from typing import Any

import pytest

from ncaudit.cli.layout.rendering import plain
from ncaudit.cli.words import sample
from ncaudit.engines.local import Accounting
from ncaudit.verbs.sample import SampleResult, Stratum


def lines(result: Any) -> list[str]:
    return plain(sample.lines(result))


def drawn(*of_each: int, **changes: Any) -> list[str]:
    strata = tuple(Stratum(rows=100, drawn=each, low=0.0, high=1.0, mean_soft_label=None) for each in of_each)
    told: dict[str, Any] = {"out": "pairs.csv", "rows": 1_500, "drawn": sum(of_each), "without_score": 0}
    accounts = Accounting(1, 0, (), {"ok": 1_500})
    return lines(SampleResult(**told | {"strata": strata, "accounting": accounts, "notes": ("look",)} | changes))


def test_what_was_drawn_and_what_to_do_next():
    assert drawn(20, 1_005) == [
        "1,025 of 1,500 pairs drawn, from 2 strata by score (20 to 1,005 of each): pairs.csv",
        "next: fill in is_match (yes, no or cannot tell; empty: not judged), then run",
        "  ncaudit score … --verdicts pairs.csv",
        "note: look",
        "1,500 rows = 1,500 ok + 0 failed (1 shard)",
    ]


@pytest.mark.parametrize(("of_each", "said"), [((7,), "1 stratum by score (7 of each)"), ((7, 7), "2 strata")])
def test_one_stratum_is_no_strata_and_equal_shares_are_told_once(of_each, said):
    assert said in drawn(*of_each)[0]


def test_a_stream_is_called_by_a_name_that_it_may_be_saved_under():
    assert drawn(7, out="-")[2] == "  ncaudit score … --verdicts review.csv"
