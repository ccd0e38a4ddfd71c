import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.errors import BadTable
from ncaudit.shards.people.verdicts import read_verdicts

YES = ["true", "TRUE", " True ", "1", "1.0", "yes", "Yes", "match", "MATCH"]
NO = ["false", "False", "0", "0.0", "no", "NO", "mismatch", "Mismatch "]


def told(tmp_path, text, name="review.csv"):
    (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return read_verdicts(str(tmp_path / name))


def judged(verdicts):
    return dict(zip(verdicts.pair_id, verdicts.is_match.tolist(), strict=True))


@pytest.mark.parametrize("word", YES + NO)
def test_people_say_yes_and_no_in_many_words(tmp_path, word):
    assert judged(told(tmp_path, f"pair_id,is_match\na,{word}\n")) == {"a": word in YES}


def test_an_empty_verdict_is_counted_and_left_out(tmp_path):
    verdicts = told(tmp_path, "pair_id,is_match\na,yes\nb,\nc, \nd,no\n")
    assert judged(verdicts) == {"a": True, "d": False}
    assert verdicts.unjudged == 2
    assert (verdicts.stratum, verdicts.stratum_rows) == (None, None)


def test_nobody_judged_yet_is_no_error(tmp_path):
    verdicts = told(tmp_path, "pair_id,is_match\na,\nb,\n")
    assert (verdicts.pair_id, len(verdicts.is_match), verdicts.unjudged) == ((), 0, 2)


def test_pair_ids_stay_text_and_are_found_again(tmp_path):
    verdicts = told(tmp_path, 'is_match,pair_id\nyes,007\nno,"a,b"\nno,"é\nx"\n')
    assert verdicts.pair_id == ("007", "a,b", "é\nx")


def test_strata_come_with_the_rows_of_all_of_them_judged_or_not(tmp_path):
    text = "pair_id,stratum,stratum_rows,is_match\na,1,20,no\nb,0,10,yes\nc,2,30,\nd,1,20,\n"
    verdicts = told(tmp_path, text)
    assert verdicts.stratum.tolist() == [1, 0]
    assert verdicts.stratum_rows.tolist() == [10, 20, 30]
    assert verdicts.stratum.dtype == verdicts.stratum_rows.dtype == np.int64


@pytest.mark.parametrize(
    "text",
    [
        "pair_id;stratum;stratum_rows;is_match\r\na;0;5;WAHR\r\n".replace("WAHR", "TRUE"),
        "pair_id\tstratum\tstratum_rows\tis_match\na\t0\t5\tTRUE\n",
        "\ufeffpair_id,stratum,stratum_rows,is_match\na,0,5,TRUE\n",
        '"pair_id","stratum","stratum_rows","is_match"\n"a","0","5","TRUE"\n',
        "pair_id,stratum,stratum_rows,is_match\na,0.0,5.0,TRUE\n,,,\n",
        "pair_id,stratum,stratum_rows,is_match,,\na,0,5,TRUE,,\n",
        "pair_id;a,or b,or c,or d,or e,or f;stratum;stratum_rows;is_match\na;x;0;5;TRUE\n",
    ],
    ids=[
        *("semicolons", "tabs", "byte order mark", "quotes", "decimals and an empty row", "columns without a name"),
        "a name with commas",
    ],
)
def test_what_spreadsheet_programs_make_of_a_file_is_read(tmp_path, text):
    verdicts = told(tmp_path, text)
    assert judged(verdicts) == {"a": True}
    assert (verdicts.stratum.tolist(), verdicts.stratum_rows.tolist(), verdicts.unjudged) == ([0], [5], 0)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([True, False, None]),
        pa.array([1, 0, None], pa.int8()),
        pa.array([1.0, 0.0, None]),
        pa.array(["yes", "no", ""]),
        pa.array(["yes", "no", None]).dictionary_encode(),
    ],
    ids=lambda column: str(column.type),
)
def test_parquet_may_hold_verdicts_of_any_type(tmp_path, column):
    table = pa.table({"pair_id": ["a", "b", "c"], "is_match": column, "stratum": [0, 0, 0], "stratum_rows": [9, 9, 9]})
    pq.write_table(table, tmp_path / "v.parquet")
    verdicts = read_verdicts(str(tmp_path / "v.parquet"))
    assert judged(verdicts) == {"a": True, "b": False}
    assert (verdicts.stratum.tolist(), verdicts.stratum_rows.tolist(), verdicts.unjudged) == ([0, 0], [9], 1)


def test_json_lines_may_mix_words(tmp_path):
    rows = [{"pair_id": "a", "is_match": True}, {"pair_id": "b", "is_match": "no"}, {"pair_id": 7, "is_match": 1}]
    lines = "\n".join(map(json.dumps, [*rows, {"pair_id": "c", "is_match": None}, {"pair_id": "d"}]))
    verdicts = told(tmp_path, lines, "v.jsonl")
    assert judged(verdicts) == {"a": True, "b": False, "7": True}
    assert verdicts.unjudged == 2


def test_a_pair_judged_twice_alike_counts_once(tmp_path):
    verdicts = told(tmp_path, "pair_id,is_match\na,yes\nb,no\na,1\na,\n")
    assert judged(verdicts) == {"a": True, "b": False}
    assert verdicts.unjudged == 0


STRATA = "pair_id,stratum,stratum_rows,is_match\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pair_id,is_match\na,yes\nb,no\na,no\n", "says both match and mismatch of pair a"),
        ("pair_id,is_match\na,yes\nb,maybe\n", r"review\.csv: row 3 \(the header is row 1\) says 'maybe' in is_match"),
        ("pair_id,is_match\na,yes\n,no\n", "row 3 .* has a verdict but no pair_id"),
        ("pair_id,match\na,yes\n", r"has no column is_match \(found: pair_id, match\)"),
        ("id,is_match\na,yes\n", "has no column pair_id"),
        (STRATA + "a,0,10,yes\nb,0,11,yes\n", "different stratum_rows for stratum 0"),
        (STRATA + "a,0,10,yes\nb,2,10,yes\n", "has no row of stratum 1"),
        (STRATA + "a,0,10,yes\nb,,,yes\n", "row 3 .* has '' in stratum"),
        (STRATA + "a,-1,10,yes\n", "has '-1' in stratum"),
        ("pair_id,is_match\na\n", "line 2 has 1 cell, and the first line names 2 columns"),
        (b"pair_id,is_match\n\xff\xfe,yes\n", "line 2 is not UTF-8"),
        ("", "holds no header"),
        ('pair_id,is_match\na,yes\nb,"no\nc,yes\n', "ends within a quoted cell"),
        ("pair_id,is_match,is_match\na,yes,no\n", "its first line names several columns 'is_match'"),
    ],
)
def test_a_file_that_cannot_be_trusted_is_refused(tmp_path, text, said):
    with pytest.raises(BadTable, match=said):
        told(tmp_path, text)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("v.jsonl", '{"pair_id": "a", "is_match": "yes"}\n{"pair_id": "b", "is_match": 2}\n', "line 2 says '2'"),
        ("v.jsonl", "[1]\n", "line 1 is no JSON object"),
        ("v.jsonl", "{\n", "line 1 is no JSON"),
        ("v.parquet", "no parquet", "cannot be read"),
        ("v.xlsx", "PK", r"v\.xlsx is no \.csv, \.parquet, \.jsonl file"),
    ],
)
def test_other_files_are_refused_by_their_own_words(tmp_path, name, text, said):
    with pytest.raises(BadTable, match=said):
        told(tmp_path, text, name)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(BadTable, match=r"review\.csv cannot be read"):
        read_verdicts(str(tmp_path / "review.csv"))


def test_a_pair_that_is_judged_elsewhere_in_the_file_is_none_that_nobody_can_tell(tmp_path):
    (tmp_path / "v.csv").write_text("pair_id,is_match\na,cannot tell\na,yes\nb,cannot tell\n")
    assert read_verdicts(str(tmp_path / "v.csv")).cannot_tell == 1
