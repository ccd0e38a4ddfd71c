"""The same pairs are drawn whoever reads the rows: digit by digit, with equal scores, equal names and none at all."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.tables.scores import open_scores
from ncaudit.verbs.report.found import drawn
from ncaudit.verbs.report.found.drawn import Elsewhere, Held, _as_whole
from ncaudit.verbs.report.found.placed import placed
from tests.worlds import sites


def tables_of(folder: Path, score, label=None, ids=None, sizes=(40, 1, 0, 300, 159)):
    """Tables of these sizes, the rows of which have these scores; every seventh row has failed."""
    n, first = sum(sizes), 0
    status = np.where(np.arange(n) % 7 == 3, "image_missing", "ok")
    columns = {
        "pair_id": ids or [f"p{i}" for i in range(n)], "status": status.tolist(),
        "score": pa.array(score, pa.float32(), mask=np.isnan(score)),
        "soft_label": pa.array([None] * n if label is None else label, pa.float32()),
    }  # fmt: skip
    for number, rows in enumerate(sizes):
        pq.write_table(pa.table(columns).slice(first, rows), folder / f"{number}.parquet")
        first += rows
    return [open_scores(shard) for shard in find_shards([str(folder)])]


def held(tables, seed=0):
    rows, scored = Held(sum(table.rows for table in tables), seed), 0
    for of in placed(tables):
        for first, batch in ((0, batch) for batch in of.table.batches(rows=10**6)):
            rows.add(batch, first, of)
            usable = np.array(batch["status"].to_pylist()) == "ok"
            scored += int((usable & ~np.isnan(batch["score"].to_numpy(zero_copy_only=False))).sum())
    return rows, scored


SCORES = {
    "all different": lambda rng: rng.normal(size=500),
    "of both signs, and many alike": lambda rng: rng.integers(-3, 3, 500) / 4.0,
    "all alike": lambda rng: np.full(500, 0.5),
    "some without": lambda rng: np.where(rng.random(500) < 0.3, np.nan, rng.normal(size=500)),
}


@pytest.mark.parametrize("few", [1, 60, 1 << 18])
@pytest.mark.parametrize("kind", SCORES)
def test_the_draw_is_that_of_one_process(tmp_path, monkeypatch, kind, few):
    monkeypatch.setattr(drawn, "FEW", few)
    rng = np.random.default_rng(1)
    tables = tables_of(tmp_path, SCORES[kind](rng), rng.random(500))
    here, scored = held(tables)
    there = Elsewhere(sites.Elsewhere(), tables, 0, scored)
    for count, strata in ((50, 10), (2, 10), (7, 3), (10_000, 10)):
        mine, theirs = here.drawn(count, strata), there.drawn(count, strata)
        for name in ("sizes", "drawn", "place", "stratum"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name), err_msg=f"{name} of {count}")
        assert mine.drawn.sum() == len(mine.place) == min(count, scored)


def test_rows_of_one_name_are_told_apart_by_their_place(tmp_path, monkeypatch):
    monkeypatch.setattr(drawn, "FEW", 1)
    tables = tables_of(tmp_path, np.full(500, 0.5), np.full(500, 0.5), ids=["same"] * 500)
    here, scored = held(tables)
    mine, theirs = here.drawn(40, 10), Elsewhere(sites.Elsewhere(), tables, 0, scored).drawn(40, 10)
    np.testing.assert_array_equal(mine.place, theirs.place)


def test_without_a_score_nothing_is_drawn_and_too_few_are_told(tmp_path):
    tables = tables_of(tmp_path, np.full(500, np.nan))
    here, scored = held(tables)
    assert (scored, here.drawn(9, 3), Elsewhere(sites.Elsewhere(), tables, 0, 0).drawn(9, 3)) == (0, None, None)


def test_numbers_stand_in_the_order_of_the_scores():
    scores = np.array([-np.inf, -2, -1e-30, -0.0, 0.0, 1e-30, 0.5, 2, np.inf], np.float32)
    whole = _as_whole(scores)
    assert whole[3] == whole[4]
    assert (np.diff(whole.astype(np.int64)) >= 0).all()
    assert len(set(whole.tolist())) == len(scores) - 1
