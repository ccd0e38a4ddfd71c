"""Where the kept rows end, found elsewhere digit by digit: the same as in one process that holds all keys."""

from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.options import FilterOptions
from ncaudit.progress import SILENT, Silent
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.tables.score_input import FileScores
from ncaudit.verbs.filter import selected
from ncaudit.verbs.filter.keep_rules import Chooser
from tests.worlds.sites import Elsewhere


def written(folder, sizes, values, *, langs=("en", "de", None), seed=0):
    """Score tables with a few values that tie, rows that have failed, and scores that are missing."""
    folder.mkdir()
    draw = np.random.default_rng(seed)
    for number, rows in enumerate(sizes):
        score = draw.choice(values, size=rows)
        lang = [langs[place] for place in draw.integers(0, len(langs), rows)]
        table = {
            "pair_id": pa.array([f"{one}" for one in draw.permutation(rows)], pa.string()),
            "status": pa.array(np.where(draw.random(rows) < 0.1, "image_missing", "ok").tolist(), pa.string()),
            "score": pa.array(score, mask=draw.random(rows) < 0.05),
            "lang": pa.array(lang, pa.string()),
        }
        pq.write_table(pa.table(table), folder / f"{number:03}.parquet")
    return [FileScores(shard) for shard in find_shards([str(folder)])]


def decided(chooser, tables):
    """Whether each row of each table is kept; and the cuts, in their order."""
    for scores in tables:
        chooser.require(scores)
    codes = []
    for number, scores in enumerate(tables):
        first = 0
        for batch in scores.batches():
            codes += chooser.codes(batch, scores.path, number, first).tolist()
            first += len(batch)
    return [code == 0 for code in codes], list(chooser.cuts.items())


def options(tables, share, by):
    return FilterOptions(scores=[one.path for one in tables], out="o", keep_share=share, keep_share_by=by)


@pytest.mark.parametrize("by", [None, "lang"])
@pytest.mark.parametrize("share", [0.001, 0.29, 0.5, 1.0])
@pytest.mark.parametrize("values", [[1.0], [-2.5, -1.0, 0.0, -0.0, 1e-9, 3.0, np.inf], None])
def test_cuts_and_ties_are_those_of_one_process(tmp_path, by, share, values):
    values = np.random.default_rng(1).normal(size=5_000) if values is None else np.array(values)
    tables = written(tmp_path / "s", [70, 0, 130, 40], values)
    here, there = (Chooser(options(tables, share, by)) for _ in range(2))
    here.prepare(tables)
    selected.prepare(Elsewhere(), there, tables, SILENT)
    plain, ours = decided(here, tables), decided(there, tables)
    assert ours == plain
    ranked = sum(cut.of for _, cut in plain[1])
    if by is None:
        assert sum(plain[0]) == int(Fraction(str(share)) * ranked)


def test_keys_that_are_left_are_not_held_either(tmp_path, monkeypatch):
    """With no key left over for the last step, every digit is looked at: what is held is counts of digits."""
    monkeypatch.setattr(selected, "FEW", 0)
    monkeypatch.setattr(selected, "DIGIT_BITS", 8)
    tables = written(tmp_path / "s", [400] * 5, np.random.default_rng(2).normal(size=10_000))
    held = []
    gathered = selected._gathered

    def watched(*given):
        strata = gathered(*given)
        held.append(sum(len(digits) for digits in strata.values()))
        return strata

    monkeypatch.setattr(selected, "_gathered", watched)
    here, there, site = Chooser(options(tables, 0.3, None)), Chooser(options(tables, 0.3, None)), Elsewhere()
    here.prepare(tables)
    selected.prepare(site, there, tables, SILENT)
    assert decided(there, tables) == decided(here, tables)
    assert len(held) == 8
    assert max(held) <= 256


def test_every_row_is_counted_once(tmp_path):
    told = []
    listener = type("Listener", (Silent,), {"advance": lambda self, done, failed=0: told.append(done)})()
    tables = written(tmp_path / "s", [70, 30], np.array([1.0, 2.0]))
    selected.prepare(Elsewhere(), Chooser(options(tables, 0.5, None)), tables, listener)
    assert sum(told) == 100
