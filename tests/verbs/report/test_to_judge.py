"""What the page asks people, and the command that it tells them in the end."""

import pytest

from ncaudit.errors import BadTable
from ncaudit.options import ReportOptions
from ncaudit.verbs.report.report import report
from ncaudit.verbs.report.to_judge import command
from tests.worlds.reports import Page, scores


def test_the_command_has_the_options_that_the_scores_were_made_with():
    recorded = {"scorer": "ncr", "variant": "robust", "k": 7, "center": False, "align": "none", "columns": ["a"]}
    told = command(["my scores"], {"options": recorded})
    assert told == (
        "ncaudit score EMBEDDINGS --scorer ncr --k 7 --no-center --align none --verdicts judged.csv --out 'my scores'"
    )


def test_scores_of_another_tool_have_no_options():
    assert command(["s.parquet"], None) == "ncaudit score EMBEDDINGS --verdicts judged.csv --out s.parquet"


@pytest.mark.parametrize("scores_at", ["scores", "scores/"])
def test_embeddings_that_lie_beside_the_scores_are_named(tmp_path, monkeypatch, scores_at):
    (tmp_path / "run" / "embeddings").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    told = command([f"run/{scores_at}"], None)
    assert told == f"ncaudit score run/embeddings --verdicts judged.csv --out run/{scores_at}"


def test_the_page_tells_how_to_make_it_anew_unless_a_judge_is_to_see_no_more(tmp_path):
    out = tmp_path / "r.html"
    table = scores(tmp_path / "a.parquet", [{**ONE_NAME[0], "pair_id": str(i)} for i in range(3)])
    report(ReportOptions(scores=[str(table)], out=str(out)))
    assert f"ncaudit report {table} --out {out}" in Page(out).text["judge"]
    report(ReportOptions(scores=[str(table)], out=str(out), judge_only=True))
    assert "ncaudit report" not in Page(out).text["judge"]


ONE_NAME = [{"pair_id": "a", "score": float(i), "caption": "a cat"} for i in range(3)]


def test_pairs_of_one_name_are_not_judged_and_the_page_says_why(tmp_path):
    table = scores(tmp_path / "a.parquet", ONE_NAME)
    result = report(ReportOptions(scores=[str(table)], out=str(tmp_path / "r.html")))
    assert result.judge_pairs == 0
    assert "There is nothing to judge: pair_id a names 3 different rows" in Page(tmp_path / "r.html").html
    with pytest.raises(BadTable, match="pair_id a names 3 different rows"):
        report(ReportOptions(scores=[str(table)], out=str(tmp_path / "j.html"), judge_only=True))


def test_as_many_are_judged_as_there_are(tmp_path):
    for rows in (1, 2, 3):
        table = scores(tmp_path / f"{rows}.parquet", [{**one, "pair_id": str(one["score"])} for one in ONE_NAME[:rows]])
        result = report(ReportOptions(scores=[str(table)], out=str(tmp_path / f"{rows}.html"), judge=2))
        assert result.judge_pairs == min(rows, 2)
