"""The words of `report`: where the page is, what is on it, and what must be said of it."""

from typing import Any

from ncaudit.cli.layout.rendering import plain
from ncaudit.cli.words import report
from ncaudit.engines.local import Accounting
from ncaudit.verbs.report.report import ReportResult

TOLD: dict[str, Any] = {
    **{"out": "report.html", "page_bytes": 2 * 1024 * 1024, "pairs_shown": 1_080, "pictures": 388, "judge_pairs": 200},
    **{"pictures_failed": 2, "galleries": {"worst": 2_000}, "of_labels": False, "noise_rate": 0.185},
    **{"noise_rate_low": 0.125, "noise_rate_high": 0.25, "noise_rate_told": True, "notes": ("look",)},
    "accounting": Accounting(1, 0, (), {"ok": 1_990, "image_missing": 10}),
}


def lines(result: Any) -> list[str]:
    return plain(report.lines(result))


def told(**changes: Any) -> list[str]:
    return lines(ReportResult(**TOLD | changes))


def test_what_is_on_the_page_and_where_it_is():
    assert told() == [
        "noise rate 18.5% (90 % interval 12.5% to 25.0%)",
        "report.html: 1,080 pairs in galleries, 388 pictures (2 could not be shown), 2.0 MiB",
        "200 pairs to judge on the page",
        "next: open report.html in a browser",
        "note: look",
        "2,000 rows = 1,990 ok + 10 failed (1 shard)",
        "  image_missing: 10",
    ]


def test_nothing_is_said_of_what_is_not_there():
    words = told(noise_rate=None, judge_pairs=0, pictures_failed=0, galleries={}, page_bytes=5_000, notes=())
    assert words[::2][:2] == ["report.html: 388 pictures, 5 KiB", "2,000 rows = 1,990 ok + 10 failed (1 shard)"]


def test_a_usual_rate_of_wrong_classes_is_called_so():
    assert told(of_labels=True, noise_rate_told=False)[0] == (
        "label noise rate 18.5% (a usual one: these embeddings cannot tell it)"
    )
