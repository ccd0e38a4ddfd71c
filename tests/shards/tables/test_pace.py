"""How fast an earlier run was, by the times of its tables: worked out by hand."""

import os

import pytest

from ncaudit.shards.tables.pace import rows_per_s


def tables(folder, times, rows=100):
    """One file per time (seconds since a morning), each of so many rows."""
    made = []
    for number, time in enumerate(times):
        path = folder / f"{number}.parquet"
        path.touch()
        os.utime(path, (1e9 + time, 1e9 + time))
        made.append((str(path), rows))
    return made


def test_tables_that_appear_every_five_seconds_tell_their_rows_over_five(tmp_path):
    assert rows_per_s(tables(tmp_path, [0, 5, 10, 15])) == pytest.approx(20)


def test_the_order_of_names_does_not_matter(tmp_path):
    assert rows_per_s(tables(tmp_path, [15, 0, 10, 5])) == pytest.approx(20)


def test_a_night_between_two_runs_does_not_count(tmp_path):
    assert rows_per_s(tables(tmp_path, [0, 5, 10, 30_000, 30_005, 30_010])) == pytest.approx(20)


def test_shards_of_other_sizes_are_told_by_the_row(tmp_path):
    large = [(path, rows) for (path, _), rows in zip(tables(tmp_path, [0, 4, 12]), [7, 200, 400], strict=True)]
    assert rows_per_s(large) == pytest.approx(50)


@pytest.mark.parametrize("times", [[], [0], [0, 0.2, 0.4], [3, 3]])
def test_too_little_tells_nothing(tmp_path, times):
    assert rows_per_s(tables(tmp_path, times)) is None


def test_empty_tables_and_those_that_are_not_there_do_not_count(tmp_path):
    made = [*tables(tmp_path, [0, 10]), (str(tmp_path / "gone.parquet"), 5)]
    assert rows_per_s(made) == pytest.approx(10)
    assert rows_per_s(tables(tmp_path, [0, 10], rows=0)) is None
