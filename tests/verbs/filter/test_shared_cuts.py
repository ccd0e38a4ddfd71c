"""Parts of an array job go by the cuts that one of them has found, as long as rules and tables are the same."""

import datetime
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.errors import NcauditError
from ncaudit.options import FilterOptions
from ncaudit.verbs.filter.filter import filter_pairs
from ncaudit.verbs.filter.keep_rules import Chooser
from ncaudit.verbs.filter.plan import plan_filter
from ncaudit.verbs.filter.shared_cuts import CUTS
from tests.verbs.filter.test_selected import labelled

LABELS = np.array([0.2, 0.5, 0.9, 1.0])
RULES = ({"keep_share": 0.37}, {"keep_share": 0.5, "keep_share_by": "lang"}, {"kept_precision": 0.8})


@pytest.fixture
def given(tmp_path):
    return labelled(tmp_path / "s", [70, 50, 60, 0, 40], LABELS)


@pytest.fixture
def ranked(monkeypatch):
    """How often all rows were ranked."""
    times, prepare = [], Chooser.prepare
    monkeypatch.setattr(Chooser, "prepare", lambda self, *more: times.append(1) or prepare(self, *more))
    return times


def keep(tmp_path, out, **more):
    return filter_pairs(FilterOptions(scores=[str(tmp_path / "s")], out=str(tmp_path / out), **more))


def tables(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.parquet")}


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_first_part_ranks_and_the_others_go_by_it(given, tmp_path, ranked, rule):
    keep(tmp_path, "whole", **rule)
    assert not (tmp_path / "whole" / CUTS).exists()
    parts = [keep(tmp_path, "parts", slice=f"{number}/3", **rule) for number in range(3)]
    assert len(ranked) == 2
    assert tables(tmp_path / "parts") == tables(tmp_path / "whole")
    assert [bool([note for note in part.notes if "to rank" in note]) for part in parts] == [True, False, False]


def test_where_no_row_is_kept_parts_agree_on_that_too(given, tmp_path, ranked):
    rule = {"keep_share": 0.001}
    for number in range(2):
        told = keep(tmp_path, "parts", slice=f"{number}/2", **rule)
        assert told.kept == 0
        assert [note for note in told.notes if "no row is kept" in note]
    assert len(ranked) == 1


def test_other_rules_or_tables_are_ranked_anew(given, tmp_path, ranked):
    keep(tmp_path, "parts", slice="0/2", keep_share=0.5)
    keep(tmp_path, "parts", slice="1/2", keep_share=0.6, overwrite=True)
    assert len(ranked) == 2
    path = tmp_path / "s/001.parquet"
    table = pq.read_table(path)
    pq.write_table(table.set_column(0, "pair_id", pa.array([f"other {row}" for row in range(len(table))])), path)
    keep(tmp_path, "parts", slice="0/2", keep_share=0.6, overwrite=True)
    keep(tmp_path, "whole", keep_share=0.6)
    keep(tmp_path, "parts", slice="1/2", keep_share=0.6)
    assert len(ranked) == 4  # one of them whole
    assert tables(tmp_path / "parts") == tables(tmp_path / "whole")


def test_what_a_part_would_do_goes_by_the_cuts_and_keeps_none(given, tmp_path, ranked):
    options = FilterOptions(scores=[str(tmp_path / "s")], out=str(tmp_path / "parts"), keep_share=0.5, slice="1/2")
    before = plan_filter(options)
    assert not (tmp_path / "parts").exists()
    keep(tmp_path, "parts", slice="0/2", keep_share=0.5)
    assert plan_filter(options).outcome == before.outcome
    assert len(ranked) == 2


@pytest.mark.parametrize("text", ["{}", "not json", json.dumps({"of": "x", "strata": [{"value": []}], "ties": []})])
def test_a_file_of_that_name_that_is_not_ours_is_not_written_over_unasked(given, tmp_path, ranked, text):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / CUTS).write_text(text)
    with pytest.raises(NcauditError, match=CUTS):
        keep(tmp_path, "parts", slice="0/2", keep_share=0.5)
    assert (tmp_path / "parts" / CUTS).read_text() == text
    keep(tmp_path, "parts", slice="0/2", keep_share=0.5, overwrite=True)
    keep(tmp_path, "parts", slice="1/2", keep_share=0.5)
    assert len(ranked) == 1


def test_strata_that_json_knows_no_value_for_are_right_all_the_same(given, tmp_path):
    for path in (tmp_path / "s").glob("*.parquet"):
        table = pq.read_table(path)
        days = [datetime.date(2024, 1, 1 + row % 3) for row in range(len(table))]
        numbers = pa.array([2**63 + row % 2 for row in range(len(table))], pa.uint64())
        pq.write_table(table.append_column("day", pa.array(days)).append_column("many", numbers), path)
    for column in ("day", "many"):
        rule = {"keep_share": 0.4, "keep_share_by": column}
        keep(tmp_path, f"whole-{column}", **rule)
        for number in range(2):
            keep(tmp_path, f"parts-{column}", slice=f"{number}/2", **rule)
        assert tables(tmp_path / f"parts-{column}") == tables(tmp_path / f"whole-{column}")
