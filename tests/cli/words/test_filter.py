"""The words of `filter`: kept + dropped are all rows, and each reason has its count."""

from typing import Any

import pytest

from ncaudit.cli.layout.rendering import plain
from ncaudit.cli.words import filter
from ncaudit.engines.local import ShardError
from ncaudit.verbs.filter.filter import FilterResult


def lines(result: Any) -> list[str]:
    return plain(filter.lines(result))


def test_rows_reasons_failures_and_notes_are_told_in_this_order():
    result = FilterResult(
        out="kept", rows=5_000, kept=3_000, dropped=2_000, input_rows=5_000, rows_kept=3_000, rows_dropped=2_000,
        reasons={"min_soft_label": 1_990, "image_missing": 10},
        mean_soft_label=0.9125, shards=3, shards_resumed=1, shard_errors=(ShardError("b", "b is damaged", "fetch it"),),
        seconds=1.0, notes=("look",),
    )  # fmt: skip
    assert lines(result) == [
        "5,000 rows = 3,000 kept + 2,000 dropped (3 shards, 1 finished earlier)",
        "  image_missing: 10",
        "  min_soft_label: 1,990",
        "mean soft label of the rows kept: 0.912",
        "what is kept is in kept",
        "next: ncaudit inspect kept",
        "failed shard: b is damaged",
        "  fix: fetch it",
        "note: look",
    ]


def test_where_no_kept_row_has_a_label_no_mean_is_told():
    result = FilterResult(
        out="-", rows=1, kept=1, dropped=0, input_rows=1, rows_kept=1, rows_dropped=0, reasons={},
        mean_soft_label=None, shards=1, shards_resumed=0, shard_errors=(), seconds=1.0,
    )  # fmt: skip
    assert lines(result) == ["1 row = 1 kept + 0 dropped (1 shard)"]


@pytest.mark.parametrize(
    ("out", "told"),
    [
        ("-", []),
        ("ids.npy", ["what is kept is in ids.npy"]),
        ("k.parquet", ["what is kept is in k.parquet", "next: ncaudit inspect k.parquet"]),
    ],
)
def test_tables_are_looked_at_next(out, told):
    result = FilterResult(
        out=out, rows=1, kept=1, dropped=0, input_rows=1, rows_kept=1, rows_dropped=0, reasons={},
        mean_soft_label=None, shards=1, shards_resumed=0, shard_errors=(), seconds=1.0,
    )  # fmt: skip
    assert lines(result)[1:] == told


def test_where_rows_have_several_captions_pairs_are_counted_and_rows_are_told():
    result = FilterResult(
        out="-", rows=9, kept=5, dropped=4, input_rows=4, rows_kept=3, rows_dropped=2, reasons={"where": 4},
        mean_soft_label=0.5, shards=1, shards_resumed=0, shard_errors=(), seconds=1.0,
    )  # fmt: skip
    assert lines(result) == [
        "9 pairs = 5 kept + 4 dropped (1 shard)",
        "4 input rows with several captions: 3 stay with their kept captions, 2 lose some or all",
        "  where: 4",
        "mean soft label of the pairs kept: 0.500",
    ]
