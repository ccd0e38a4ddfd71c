"""The words of `bench`: a row per setting, and how to read it."""

from ncaudit.cli.layout.rendering import plain
from ncaudit.cli.words.bench import COLUMNS, IN_DETAIL, lines
from ncaudit.verbs.bench import MEASURED, BenchResult, Setting, Spread


def result(spread: Spread, **changes: object) -> BenchResult:
    setting = Setting(scorer="csls", kind="random", rate=0.3, runs=1, measures=dict.fromkeys(MEASURED, spread))
    told = {"pairs": 4_096, "settings": (setting,), "runs": (), "out": None, "notes": ("look",)}
    return BenchResult(**told | changes)


def test_the_table_has_a_row_per_setting_and_a_column_per_measure():
    table, *_ = lines(result(Spread(0.9, None)), seeds=1)
    assert table.title == "Finding injected mismatches among 4,096 pairs"
    assert [column.name for column in table.columns] == ["scorer", "kind", "rate", *COLUMNS.values()]
    assert [column.name for column in table.columns if column.detail] == [COLUMNS[name] for name in IN_DETAIL]
    assert table.rows == [["csls", "random", "0.3", *["0.900"] * len(COLUMNS)]]


def test_several_seeds_have_a_spread_and_what_is_undefined_a_dash():
    table, *_ = lines(result(Spread(0.9, 0.0125)), seeds=3)
    assert table.title.endswith(", mean ± standard deviation of 3 seeds")
    assert table.rows[0][3] == "0.900 ± 0.013"
    assert lines(result(Spread(None, None)), seeds=3)[0].rows[0][3] == "-"


def test_the_file_comes_behind_the_table_and_notes_last():
    assert plain(lines(result(Spread(0.9, None)), seeds=1))[-1] == "note: look"
    assert lines(result(Spread(0.9, None), out="runs.csv"), seeds=1)[1] == "0 runs in runs.csv"
