"""The best rows, against sorting everything."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from ncaudit.verbs.filter import best_rows
from ncaudit.verbs.filter.best_rows import BestRows


def chosen(tables, count, column=None):
    """(table, row) of all rows kept. tables: record batches with key, pair_id and maybe a column."""
    best = BestRows(column)
    keys = [batch["key"].to_numpy().astype(np.uint64) for batch in tables]
    for own, batch in zip(keys, tables, strict=True):
        best.add(own, batch)
    best.cut(count)
    if best.has_open_ties:
        for number, batch in enumerate(tables):
            best.add_tied(keys[number], np.ones(len(batch), dtype=bool), batch, number, 0)
        best.break_ties()
    return {(n, int(row)) for n, b in enumerate(tables) for row in np.flatnonzero(best.kept(keys[n], b, n, 0))}


def batch(keys, ids, lang=None):
    return pa.record_batch({"key": keys, "pair_id": ids, "lang": lang or [None] * len(keys)})


def test_equal_rows_are_kept_in_the_order_of_their_pair_ids():
    tables = [batch([5, 3, 3], ["z", "c", "a"]), batch([3, 1], ["b", "0"])]
    assert chosen(tables, lambda keys: 3) == {(0, 0), (0, 2), (1, 0)}  # z, then a and b of the three equal ones


def test_equal_rows_of_equal_names_are_kept_in_the_order_of_tables():
    assert chosen([batch([1, 1], ["a", "a"]), batch([1], ["a"])], lambda keys: 2) == {(0, 0), (0, 1)}


def test_each_value_of_a_column_has_its_own_cut_and_null_is_one():
    tables = [batch([9, 8, 7, 6], list("abcd"), ["en", "en", None, None]), batch([1, 2], list("ef"), ["de", "en"])]
    assert chosen(tables, lambda keys: len(keys) // 2, "lang") == {(0, 0), (0, 2)}  # floor(3/2), floor(2/2), floor(1/2)


@pytest.mark.parametrize("seed", range(20))
def test_they_are_those_that_sorting_puts_first(seed, monkeypatch):
    monkeypatch.setattr(best_rows, "SPARE_TIES", 3)  # candidates are thrown away while they are collected
    draw = np.random.default_rng(seed)
    sizes, share, langs = draw.integers(0, 40, 4), draw.random(), ["en", "de", None]
    tables = [
        batch(
            draw.integers(0, 6, n).tolist(), [f"{x}é" for x in draw.permutation(n)], draw.choice(langs, n).tolist()
        )
        if n
        else pa.record_batch({"key": pa.array([], pa.int64()), "pair_id": pa.array([], pa.string()),
                              "lang": pa.array([], pa.string())})
        for n in sizes
    ]  # fmt: skip
    rows = [
        (lang, -key, name, n, row)
        for n, b in enumerate(tables)
        for row, (key, name, lang) in enumerate(
            zip(*(b[c].to_pylist() for c in ("key", "pair_id", "lang")), strict=True)
        )
    ]
    expected = set()
    for lang in langs:
        own = sorted(row[1:] for row in rows if row[0] == lang)
        expected |= {(n, row) for *_, n, row in own[: int(share * len(own))]}
    assert chosen(tables, lambda keys: int(share * len(keys)), "lang") == expected


@pytest.mark.parametrize(
    "values",
    [
        pa.array([2**64 - 1, 2**64 - 2, 2**64 - 1, None], pa.uint64()),
        pa.array([2**53 + 1, 2**53, 2**53 + 1, None]),
        pa.array([Decimal("0.1"), Decimal("0.2"), Decimal("0.1"), None], pa.decimal32(5, 1)),
        pa.array([0.5, 0.25, 0.5, None], pa.float16()),
        pa.array([2**61, 2**61 + 1, 2**61, None], pa.int64()).cast(pa.timestamp("s")),
        pa.array([1, 2, 1, None], pa.int64()).cast(pa.timestamp("ns", "Mars/Olympus")),
        pa.array([1, 2, 1, None], pa.int64()).cast(pa.duration("us")),
        pa.array(["b", "a", "b", None]).dictionary_encode(),
    ],
    ids=lambda values: str(values.type),
)
def test_values_of_every_type_are_told_apart_as_they_are(values):
    table = pa.record_batch({"key": [4, 3, 2, 1], "pair_id": list("abcd"), "lang": values})
    assert chosen([table], lambda keys: 1, "lang") == {(0, 0), (0, 1), (0, 3)}
