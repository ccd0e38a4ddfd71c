"""Where the kept rows end, found elsewhere digit by digit: the same as in one process that holds all keys."""

from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncaudit.core.statistics.digits import ordered
from ncaudit.options import FilterOptions
from ncaudit.progress import SILENT, Silent
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.tables.score_input import FileScores
from ncaudit.verbs.filter import filter as filter_module
from ncaudit.verbs.filter import selected
from ncaudit.verbs.filter.filter import filter_pairs
from ncaudit.verbs.filter.keep_rules import Chooser, KeptPrecision
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


def labelled(folder, sizes, labels, *, seed=0):
    """Score tables whose labels are some of these, and may be missing, as a score may."""
    written(folder, sizes, np.random.default_rng(seed).normal(size=40))
    draw = np.random.default_rng(seed)
    for number, rows in enumerate(sizes):
        path = folder / f"{number:03}.parquet"
        label = pa.array(draw.choice(labels, size=rows).astype(np.float32), mask=draw.random(rows) < 0.05)
        pq.write_table(pq.read_table(path).append_column("soft_label", label), path)
    return [FileScores(shard) for shard in find_shards([str(folder)])]


def with_mean(tables, precision):
    return FilterOptions(scores=[one.path for one in tables], out="o", kept_precision=precision)


@pytest.mark.parametrize("precision", [0.01, 0.5, 0.83, 0.9, 0.999, 1.0])
@pytest.mark.parametrize("labels", [[0.9], [0.0, 1.0], [0.1, 0.5, 0.9, 0.9000001, 1.0], [0.3, 0.2], [7.5, -1.0], None])
@pytest.mark.parametrize("bits", [16, 8])
def test_rows_with_a_mean_are_those_of_one_process(tmp_path, monkeypatch, precision, labels, bits):
    monkeypatch.setattr(selected, "DIGIT_BITS", bits)
    labels = np.random.default_rng(3).beta(4, 1, size=300) if labels is None else np.array(labels)
    tables = labelled(tmp_path / "s", [70, 0, 130, 40], labels)
    here, there = (Chooser(with_mean(tables, precision)) for _ in range(2))
    here.prepare(tables)
    selected.prepare(Elsewhere(), there, tables, SILENT)
    plain, ours = decided(here, tables), decided(there, tables)
    assert ours == plain
    every = np.concatenate([pq.read_table(one.path)["soft_label"].to_numpy(zero_copy_only=False) for one in tables])
    status = np.concatenate([pq.read_table(one.path)["status"].to_numpy(zero_copy_only=False) for one in tables])
    usable = np.sort(every[(status == "ok") & ~np.isnan(every)])[::-1].astype(float)
    means = usable.cumsum() / np.arange(1, len(usable) + 1)
    assert sum(plain[0]) == int((means >= precision - 5e-8).sum())


@settings(deadline=None)
@given(
    labels=st.lists(st.floats(0, 1, width=32), min_size=1, max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=3),
    precision=st.floats(0, 1),
)
def test_sums_of_parts_in_any_order_tell_the_rows_that_one_sum_tells(labels, cuts, precision):
    rule = KeptPrecision(precision)
    keys = ordered(np.array(labels, np.float32)).astype(np.uint64) << np.uint64(32)
    descending = np.sort(keys)[::-1]
    whole = [int(one) for one in np.cumsum(rule.surplus(descending).astype(object))]
    parts = np.split(keys, sorted(min(cut, len(keys)) for cut in cuts))
    assert sum(int(rule.surplus(part).sum()) for part in parts) == whole[-1]
    assert rule.count(descending) == sum(one >= 0 for one in whole)


def test_many_rows_are_ranked_without_a_cluster_as_few_are(tmp_path, monkeypatch):
    tables = labelled(tmp_path / "s", [70, 130, 40], np.array([0.2, 0.5, 0.9, 1.0]))
    given = {"scores": [str(tmp_path / "s")]}
    rules = ({"keep_share": 0.3, "keep_share_by": "lang"}, {"keep_share": 0.3}, {"kept_precision": 0.9})
    plain = [
        filter_pairs(FilterOptions(out=str(tmp_path / f"few-{n}"), **given, **rule)) for n, rule in enumerate(rules)
    ]
    monkeypatch.setattr(filter_module, "RANKED_IN_MEMORY", 100)
    monkeypatch.setattr(Chooser, "prepare", lambda *_: pytest.fail("all keys are held"))
    for number, rule in enumerate(rules):
        told = filter_pairs(FilterOptions(out=str(tmp_path / f"many-{number}"), **given, **rule))
        assert (told.kept, told.reasons) == (plain[number].kept, plain[number].reasons)
        for scores in tables:
            name = scores.shard.name
            both = [(tmp_path / f"{folder}-{number}" / name).read_bytes() for folder in ("few", "many")]
            assert both[0] == both[1]


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
