"""What tables say of their rates: each is told with the place that tells it from the others."""

from ncaudit.shards.tables.told_rates import several_fits, why_no_labels


def scored(fit, rate, name):
    return {"fit": fit, "scores_of_fit": "f", "noise_rate": {"rate": rate}, "source": {"name": name}}


def test_parts_of_one_table_are_told_apart_by_the_file_that_each_was_made_from():
    parts = {"shards": [scored("f", 0.05, "day1.parquet"), scored("g", 0.543, "day2.parquet")]}
    told = several_fits([("o.parquet", parts)])
    assert "5.0% in o.parquet (from day1.parquet), 54.3% in o.parquet (from day2.parquet)" in told


def test_tables_that_were_made_of_one_are_told_by_their_path():
    told = several_fits([("s/1.parquet", scored("f", 0.05, "1")), ("s/2.parquet", scored("g", 0.5, "2"))])
    assert "(5.0% in s/1.parquet, 50.0% in s/2.parquet)" in told


def test_a_table_whose_columns_say_otherwise_is_not_without_labels():
    said = {"label_means": "no soft label: too few"}
    tables = [("a", said), ("b", said), ("c", {"label_means": "1 - P"})]
    assert why_no_labels(tables, lambda path: path == "a") == (["b"], "too few")
    assert why_no_labels(tables, lambda path: True) is None
