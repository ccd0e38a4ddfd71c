"""Rows of a people's file find their pairs by name, and by shard and row where a program has changed the name."""

import numpy as np
import pyarrow as pa
import pytest

from ncaudit.errors import BadTable
from ncaudit.shards.people.verdicts import read_verdicts

SHARD = "0.parquet"


def found(tmp_path, text, tables, *, batch=3):
    """Where the judged pairs of a file are among the rows of all tables, and how many names were changed.

    tables: lists of (pair_id, shard, row, caption).
    """
    path = tmp_path / "v.csv"
    path.write_text(text, encoding="utf-8")
    from ncaudit.shards.people.pair_finder import PairFinder

    finder, first = PairFinder(read_verdicts(str(path)).pairs), 0
    for number, rows in enumerate(tables):
        finder.table(f"t{number}", first)
        for start in range(0, len(rows), batch):
            part = rows[start : start + batch]
            ids, shards, numbers, captions = (list(column) for column in zip(*part, strict=True))
            at = np.arange(first + start, first + start + len(part))
            finder.add(at, ids, shards, pa.array(numbers), pa.array(captions, pa.string()))
        first += len(rows)
    told = finder.found()
    return told.row.tolist(), told.changed


def numbered(*ids, shard=SHARD):
    return [(name, shard, row, f"caption {row}") for row, name in enumerate(ids)]


HEAD = "pair_id,is_match,shard,row\n"


def test_names_are_enough(tmp_path):
    rows = numbered("a", "b", "c", "d", "e")
    assert found(tmp_path, "pair_id,is_match\nd,yes\na,no\n", [rows]) == ([3, 0], 0)
    assert found(tmp_path, HEAD + "d,yes,elsewhere,9\nz,no,elsewhere,8\n", [rows]) == ([3, -1], 0)


def test_changed_names_are_found_by_their_place_and_counted(tmp_path):
    rows = numbered("000000336", "1e5", "3-1", "000000007", "x")
    text = HEAD + f'336,yes,{SHARD},0\n1E+05,no,{SHARD},1\n3-Jan,no,{SHARD},"2.0"\nx,yes,{SHARD},4\n'
    assert found(tmp_path, text, [rows]) == ([0, 1, 2, 4], 3)


def test_a_thousands_separator_in_the_row_does_no_harm(tmp_path):
    rows = numbered(*(f"{i:05}" for i in range(1_240)))
    assert found(tmp_path, HEAD + f'1234,yes,{SHARD},"1,234"\n', [rows], batch=500) == ([1_234], 1)


def test_a_changed_name_that_is_now_another_pairs_is_still_told_by_its_place(tmp_path):
    rows = numbered("336", "0336", "00336")
    text = HEAD + f"336,yes,{SHARD},1\n336,no,{SHARD},0\n336,no,{SHARD},2\n"
    assert found(tmp_path, text, [rows]) == ([1, 0, 2], 2)


def test_the_same_row_of_another_shard_is_another_place(tmp_path):
    tables = [numbered("01", "02", shard="a"), numbered("1", "2", shard="b")]
    assert found(tmp_path, HEAD + "1,yes,a,0\n1,no,b,0\n", tables) == ([0, 2], 1)


def test_name_and_place_that_tell_of_two_pairs_are_refused_with_the_row_and_both(tmp_path):
    rows = numbered("a", "b", "c")
    with pytest.raises(BadTable, match=r"row 3 \(the header is row 1\) says pair 'a', but .* those of pair c"):
        found(tmp_path, HEAD + f"b,yes,{SHARD},1\na,no,{SHARD},2\n", [rows])
    with pytest.raises(BadTable, match=r"row 2 .* says pair 'other', but shard and row there are those of pair b"):
        found(tmp_path, HEAD + f"other,yes,{SHARD},1\n", [rows])


def test_several_captions_of_one_image_are_told_apart_by_caption_or_its_number(tmp_path):
    rows = [(f"1/{i}", SHARD, 0, f"caption {i}") for i in range(3)] + numbered("2/0")
    assert found(tmp_path, HEAD + f"1/1,yes,{SHARD},0\n1/0,no,{SHARD},0\n", [rows]) == ([1, 0], 0)
    text = f"pair_id,is_match,shard,row,caption\n1-Jan,yes,{SHARD},0,caption 1\n"
    assert found(tmp_path, text, [rows[:3]]) == ([1], 1)
    text = f"pair_id,is_match,shard,row,caption_index\n1-Feb,yes,{SHARD},0,2\n"
    assert found(tmp_path, text, [rows[:3]]) == ([2], 1)
    with pytest.raises(BadTable, match="may be about 1/0 or 1/1 or 1/2, several pairs of one image"):
        found(tmp_path, HEAD + f"1-Jan,yes,{SHARD},0\n".replace("1-Jan", "#VALUE!"), [rows[:3]])


@pytest.mark.parametrize("batch", [1, 2, 9])
def test_a_name_of_several_rows_is_refused_with_both_wherever_they_lie(tmp_path, batch):
    one = numbered("a", "b", "a", "c")
    with pytest.raises(BadTable, match="pair_id a names several rows, row 0 of t0 and row 2: "):
        found(tmp_path, "pair_id,is_match\nc,yes\na,no\n", [one], batch=batch)
    with pytest.raises(BadTable, match="pair_id b names several rows, row 1 of t0 and row 0 of t1: "):
        found(tmp_path, "pair_id,is_match\nb,yes\n", [one, numbered("b", shard="x")], batch=batch)
    assert found(tmp_path, "pair_id,is_match\nc,yes\n", [one], batch=batch) == ([3], 0)  # nothing is said of a


def test_the_rows_that_a_file_may_be_about_are_all_that_must_be_taken(tmp_path):
    """Names, places, names that are changed, and one that several rows have, of which two are told."""
    from ncaudit.shards.people.pair_finder import Likely, PairFinder

    names = ["000336", "a", "b", "c", "c", "c", "c", "d", "e"]
    rows = numbered(*names)
    path = tmp_path / "v.csv"
    path.write_text(HEAD + f"336,yes,{SHARD},0\nb,no,,\nc,yes,,\nx,no,{SHARD},7\n", encoding="utf-8")
    wanted = read_verdicts(str(path)).pairs
    likely, finder, taken = Likely(wanted), PairFinder(wanted), []
    finder.table("t", 0)
    for start in range(0, len(rows), 4):
        ids, shards, numbers, captions = map(list, zip(*rows[start : start + 4], strict=True))
        at = likely.among(ids, shards, pa.array(numbers))
        taken += (start + at).tolist()
        some = [[column[place] for place in at] for column in (ids, shards, numbers, captions)]
        finder.add(start + at, some[0], some[1], pa.array(some[2]), pa.array(some[3], pa.string()))
    assert taken == [0, 2, 3, 4, 7]
    with pytest.raises(BadTable, match="pair_id c names several rows, row 3 of t and row 4"):
        finder.found()
