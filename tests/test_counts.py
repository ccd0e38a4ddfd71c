"""A count and what is counted agree, in whatever the commands print."""

import re

from ncaudit.counts import counted
from tests.worlds.commands import run
from tests.worlds.reports import dataset, scores

NOUNS = "rows|pairs|shards|classes|pictures|images|captions|tables|files|labels|verdicts|names|samples|columns"


def test_one_is_singular_and_every_other_number_plural():
    told = [counted(n, "class", "classes") for n in (0, 1, 2, 1_000)]
    assert told == ["0 classes", "1 class", "2 classes", "1,000 classes"]
    assert [counted(n, "row is", "rows are") for n in (1, 2)] == ["1 row is", "2 rows are"]


def test_what_commands_say_of_a_single_row_is_singular(tmp_path):
    data = dataset(tmp_path / "a.parquet", ["a dog"])
    table = scores(tmp_path / "s/a.parquet", [{"soft_label": 0.1, "score": 1.0, "caption": "a dog"}], data=data)
    told = [
        run("inspect", table),
        run("report", table, "--data", data, "--out", tmp_path / "r.html", "--workers", "0"),
        run("show", table, "--data", data, "--images", tmp_path / "pictures"),
        run("filter", table, "--keep-share", "1", "--out", tmp_path / "kept"),
    ]
    assert [one.exit_code for one in told] == [0] * 4
    page = re.sub(r"<(script|style).*?</\1>", "", (tmp_path / "r.html").read_text(), flags=re.DOTALL)
    for text in (*(one.output for one in told), re.sub("<[^>]*>", "", page)):
        assert re.findall(rf"\b1 (?:\w+ )?(?:{NOUNS})\b", text) == []
        assert re.findall(r"\b1 (?:row|pair|picture|shard)\b", text)


def test_a_failed_picture_of_a_single_pair_is_singular(tmp_path):
    data = dataset(tmp_path / "a.parquet", ["a dog"], images=[None])
    table = scores(tmp_path / "s/a.parquet", [{"soft_label": 0.1, "caption": "a dog"}], data=data)
    told = run("show", table, "--data", data, "--images", tmp_path / "pictures")
    assert "1 of 1 pair has no picture" in told.output
