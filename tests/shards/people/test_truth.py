"""The truth of a pair is what the file says of it, once."""

import json
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.errors import BadTable
from ncaudit.shards.people.truth import MATCH, MISMATCH, MISSING, TruthTable, read_truth


def truth_of(path, text):
    path.write_text(text, encoding="utf-8")
    return read_truth(str(path), "good")


def joined(truth, *pair_ids):
    """The truth of score tables with these rows, and how many pairs of the truth are none of them."""
    finder = truth.finder()
    finder.table("scores", 0)
    finder.add(np.arange(len(pair_ids)), list(pair_ids), None, None, None)
    found = finder.found()
    return truth.of(found, len(pair_ids)).tolist(), truth.unused(found)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "pair_id,good\n007,true\n8,0\nx,\n"),
        ("t.csv", "\ufeffnote;good;pair_id\n;TRUE;007\n;0.0;8\n;;x\n"),
        ("t.tsv", "good\tpair_id\n1\t007\n0\t8\nnan\tx\n"),
        ("t.jsonl", '{"pair_id": "007", "good": true}\n{"pair_id": 8, "good": 0}\n{"pair_id": "x"}\n'),
    ],
    ids=["commas", "semicolons and a byte order mark", "tabs", "JSON lines"],
)
def test_text_of_any_kind_tells_the_truth_and_pair_ids_stay_text(tmp_path, name, text):
    truth = truth_of(tmp_path / name, text)
    assert joined(truth, "x", "8", "7", "007") == ([MISSING, MISMATCH, MISSING, MATCH], 0)


def test_a_pair_that_no_score_table_has_is_unused_and_repeats_and_nameless_rows_count_once(tmp_path):
    ids = pa.array(["a", None, "b", "a", None])
    pq.write_table(pa.table({"pair_id": ids, "good": [True, True, False, True, False]}), tmp_path / "t.parquet")
    truth = read_truth(str(tmp_path / "t.parquet"), "good")
    assert [joined(truth, *pairs)[1] for pairs in ([], ["a", "z"], ["a", "b"])] == [3, 2, 1]


def test_a_pair_behind_a_repeat_keeps_its_own_truth(tmp_path):
    truth = truth_of(tmp_path / "t.csv", "pair_id,good\na,1\na,1\nb,0\nc,1\n")
    assert joined(truth, "c", "b", "a") == ([MATCH, MISMATCH, MATCH], 0)


def test_a_few_pairs_asked_for_of_many_are_found(tmp_path):
    rows = "".join(f"{number},{number % 2}\n" for number in range(1_000))
    truth = truth_of(tmp_path / "t.csv", "pair_id,good\n" + rows)
    assert joined(truth, "999", "none", "0") == ([MATCH, MISSING, MISMATCH], 998)


def test_the_first_pair_that_contradicts_itself_is_named_with_how_many_do(tmp_path):
    with pytest.raises(BadTable, match=r"says both true and false of pair z \(2 such pairs\)"):
        truth_of(tmp_path / "t.csv", "pair_id,good\nz,1\na,1\nb,0\nz,0\na,\nb,0\n")


def test_an_empty_truth_table_knows_no_pair(tmp_path):
    truth = truth_of(tmp_path / "t.csv", "pair_id,good\n")
    assert joined(truth, "a") == ([MISSING], 0)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("t.csv", "pair_id,other\na,1\n", r"t\.csv has no column good \(found: pair_id, other\)"),
        ("t.csv", "pair_id,good\na,perhaps\n", r"good does not say whether pairs match: 'perhaps' in 1 row"),
        ("t.csv", "pair_id,good\na,1\nb\n", "line 3 has 1 cell, and the first line names 2 columns"),
        ("t.jsonl", json.dumps({"pair_id": "a"}), r"has no column good \(found: pair_id\)"),
        ("t.parquet", "no parquet", "cannot be read as parquet"),
    ],
)
def test_a_file_that_holds_no_truth_is_refused(tmp_path, name, text, said):
    with pytest.raises(BadTable, match=said):
        truth_of(tmp_path / name, text)


@pytest.mark.parametrize("said", [(MATCH, MISMATCH), (MISMATCH, MATCH)])
def test_rows_that_contradict_each_other_on_one_pair_are_refused_in_either_order(said):
    rows, found = SimpleNamespace(pair_id=np.array(["a", "b"])), SimpleNamespace(row=np.array([0, 0]))
    table = TruthTable("t.csv", rows, np.array(said, dtype=np.int8))
    with pytest.raises(BadTable, match=r"t\.csv says both true and false of pair"):
        table.of(found, 1)
