"""The words about power: the table first, then whether the scorer beats the cosine, and what it would miss."""

from typing import Any

import pytest

from ncaudit.cli.words import power


def told(scorer: str, auroc_random: float | None, **kinds: float | None) -> dict[str, Any]:
    error = None if auroc_random is None else 0.01
    return {"scorer": scorer, "estimated_auroc_random": auroc_random, "standard_error": error, "auroc": kinds}


@pytest.mark.parametrize(
    ("own", "said"),
    [(0.95, "beats"), (0.902, "is about as good as"), (0.898, "is about as good as"), (0.8, "no better")],
)
def test_the_conclusion_compares_with_the_plain_cosine(own, said):
    lines = power.conclusions([told("bicro", own), told("clip-score", 0.9)])
    assert len(lines) == 1
    assert f"bicro {'is ' if said == 'no better' else ''}{said}" in lines[0]
    assert lines[0].endswith("the plain cosine here (0.900)")


def test_the_conclusion_compares_with_nothing_where_there_is_no_cosine():
    for others in ([], [told("clip-score", None)], [told("structure", 0.8)]):
        assert power.conclusions([told("bicro", 0.9), *others]) == [
            "estimated AUROC against random mismatches 0.900 ± 0.010"
        ]
    assert "cosine" not in power.conclusions([told("clip-score", 0.9)])[0]


@pytest.mark.parametrize("near", [0.5, 0.0])
def test_what_would_be_missed_is_said_however_badly_it_is_seen(near):
    line = power.conclusions([told("bicro", 0.9, random=0.9, topic=0.9, near=near)])[-1]
    assert "miss most nearly right captions" in line
    assert "random" not in line.split(":")[0]


def test_what_cannot_be_told_is_not_said():
    assert power.conclusions([]) == []
    assert power.conclusions([told("bicro", None, random=None, near=None)]) == []


def test_the_table_has_a_row_per_scorer_and_a_dash_for_what_cannot_be_told():
    own = {**told("bicro", 0.9, random=0.9, topic=0.8), "caught": {"random": 0.5, "near": None}}
    other = {**told("csls", None), "caught": {}}
    table, footnote, *conclusions = power.lines([own, other])
    assert [column.name for column in table.columns][:3] == ["scorer", "AUROC, random*", "AUROC, topic"]
    assert table.whole().rows == [["bicro", "0.900 ± 0.010", "0.800", "-", "0.500", "-", "-"], ["csls", *6 * "-"]]
    assert footnote.startswith("* estimated without labels")
    assert conclusions == power.conclusions([own, other])


def test_the_scorer_and_the_cosine_are_told_first_and_the_others_on_request():
    names = ["bicro", "csls", "clip-score", "lemon"]
    table, *_ = power.lines([{**told(name, 0.9), "caught": {}} for name in names])
    assert [row[0] for row in table.rows] == ["bicro", "clip-score"]
    assert [row[0] for row in table.more] == ["csls", "lemon"]
    assert table.hint == "2 more scorers: -v"
    assert power.lines([{**told("clip-score", 0.9), "caught": {}}])[0].hint == ""


def test_without_a_check_there_is_no_table():
    assert power.lines([]) == []
