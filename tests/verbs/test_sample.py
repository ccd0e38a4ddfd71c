import csv
import io
import json
import sys
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ncaudit
from ncaudit.core.statistics.stratified_sample import stratified_rate
from ncaudit.errors import BadTable, NcauditError
from ncaudit.options import SampleOptions
from ncaudit.shards.people.verdicts import read_verdicts
from ncaudit.shards.readers.parquet import ParquetShard
from ncaudit.verbs.sample import sample
from tests.worlds import processes

HARMFUL = ["=HYPERLINK(1)", "+1", "-1", "@x", "\tx", "\rx"]


def scored(path, n, *, first=0, failed=0, **columns):
    """n rows whose label and score grow with their number; every column may be given."""
    numbers = np.arange(first, first + n)
    draw = np.random.default_rng(first)
    table = {
        "pair_id": [f"p{i}" for i in numbers],
        "shard": [path.name] * n,
        "row": numbers - first,
        "status": ["image_missing" if i >= n - failed else "ok" for i in range(n)],
        "soft_label": pa.array([None if i >= n - failed else i / n for i in range(n)], pa.float32()),
        "similarity": pa.array(draw.normal(size=n), pa.float32()),
        "score": pa.array([None if i >= n - failed else float(numbers[i]) for i in range(n)], pa.float32()),
        "is_anchor": [False] * n,
        "caption": [f"caption {i}, é" for i in numbers],
        "url": [f"http://{i}" for i in numbers],
        **columns,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({name: column for name, column in table.items() if column is not None}), path)
    return str(path)


def drawn(tmp_path, *scores, out="review.csv", **options):
    path = tmp_path / out
    result = sample(SampleOptions(scores=scores, out=str(path), **options))
    return result, read(path)


def read(path):
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    # as it is: a lone \r in a cell is no end of a line
    text = path.read_bytes().decode("utf-8-sig" if path.suffix == ".csv" else "utf-8")
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines()]
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_every_stratum_is_drawn_from_and_the_accounts_add_up(tmp_path):
    result, rows = drawn(tmp_path, scored(tmp_path / "s.parquet", 1_030, failed=30), n=100)
    assert (result.drawn, result.rows, len(rows)) == (100, 1_000, 100)
    assert [stratum.rows for stratum in result.strata] == [100] * 10
    assert sum(stratum.drawn for stratum in result.strata) == 100
    assert (result.strata[0].low, result.strata[0].high, result.strata[9].high) == (0, 99, 999)
    # labels near one half promise the most disagreement between verdicts
    assert result.strata[5].drawn > result.strata[9].drawn >= 2
    assert (result.accounting.rows, result.accounting.ok, result.accounting.failed) == (1_030, 1_000, 30)
    for row in rows:
        stratum = result.strata[int(row["stratum"])]
        assert int(row["stratum"]) == float(row["score"]) // 100
        assert (int(row["stratum_rows"]), int(row["stratum_drawn"])) == (stratum.rows, stratum.drawn)


@pytest.mark.parametrize("out", ["review.csv", "review.parquet", "review.jsonl"])
def test_a_row_begins_with_an_empty_verdict_and_what_might_sway_a_judge_stands_last(tmp_path, out):
    prior = pa.array([0.5] * 50, pa.float64())
    scores = scored(tmp_path / "s.parquet", 50, aesthetic=prior, is_match=[True] * 50, width=[64] * 50)
    _, rows = drawn(tmp_path, scores, n=10, out=out)
    assert list(rows[0]) == [
        *("pair_id", "is_match", "caption", "url", "width", "shard", "row", "aesthetic", "input_is_match"),
        *("similarity", "soft_label", "score", "stratum", "stratum_rows", "stratum_drawn"),
    ]
    assert {row["is_match"] for row in rows} == {"" if out == "review.csv" else None}
    for row in rows:
        number = int(row["row"])
        assert (row["pair_id"], row["caption"], row["url"]) == (
            f"p{number}",
            f"caption {number}, é",
            f"http://{number}",
        )
        assert float(row["score"]) == number


def test_only_a_csv_file_begins_with_the_mark_by_which_spreadsheet_programs_know_utf_8(tmp_path):
    scores = scored(tmp_path / "s.parquet", 20)
    for name, marked in (("a.csv", True), ("a.jsonl", False)):
        drawn(tmp_path, scores, n=4, out=name)
        assert (tmp_path / name).read_bytes().startswith("\ufeff".encode()) == marked
    done = processes.run(
        [sys.executable, "-m", "ncaudit", "sample", scores, "--n", "4", "--out", "-"], capture_output=True, check=True
    )
    assert done.stdout.startswith(b'"pair_id",')


def test_rows_come_in_random_order(tmp_path):
    _, rows = drawn(tmp_path, scored(tmp_path / "s.parquet", 1_000), n=200)
    strata = [int(row["stratum"]) for row in rows]
    rising = sum(a <= b for a, b in pairwise(strata)) / 199
    assert 0.4 < rising < 0.7


def test_the_draw_is_the_same_however_the_rows_lie_in_files(tmp_path):
    one = scored(tmp_path / "one" / "s.parquet", 300, shard=["s"] * 300)
    parts = [("z", 0, 100), ("a", 100, 120), ("m", 220, 80)]
    for name, first, n in parts:
        table = pq.read_table(one).slice(first, n)
        (tmp_path / "many").mkdir(exist_ok=True)
        pq.write_table(table, tmp_path / "many" / f"{name}.parquet", row_group_size=7)
    drawn(tmp_path, one, n=40, out="one.csv")
    drawn(tmp_path, str(tmp_path / "many"), n=40, out="many.csv")
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "many.csv").read_bytes()


def test_equal_scores_are_drawn_alike_however_the_rows_lie_in_files(tmp_path):
    one = scored(tmp_path / "one" / "s.parquet", 100, score=[0.5] * 100, soft_label=None)
    pq.write_table(pq.read_table(one).take(list(range(99, -1, -1))), tmp_path / "turned.parquet")
    _, rows = drawn(tmp_path, one, n=20, out="one.csv")
    _, turned = drawn(tmp_path, str(tmp_path / "turned.parquet"), n=20, out="turned.csv")
    assert rows == turned


def test_another_seed_draws_other_rows(tmp_path):
    table = scored(tmp_path / "s.parquet", 1_000)
    first, again, other = (
        {row["pair_id"] for row in drawn(tmp_path, table, n=50, seed=seed, out=f"{name}.csv")[1]}
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first == again
    assert len(first & other) < 15


def test_every_row_of_a_stratum_is_as_likely_to_be_drawn(tmp_path):
    table = scored(tmp_path / "s.parquet", 20, soft_label=None)
    times = np.zeros(20)
    for seed in range(150):
        for row in drawn(tmp_path, table, n=8, strata=2, seed=seed, out=f"{seed}.csv")[1]:
            times[int(row["row"])] += 1
    # 4 of 10 in 150 draws: 60, sd 6
    assert times.min() > 60 - 4 * 6
    assert times.max() < 60 + 4 * 6


def test_text_that_spreadsheets_would_run_is_made_harmless_but_pair_ids_stay(tmp_path):
    texts = {"pair_id": HARMFUL, "caption": HARMFUL, "=url": HARMFUL, "note": [*HARMFUL[:5], None]}
    table = scored(tmp_path / "s.parquet", 6, url=None, **texts)
    result, rows = drawn(tmp_path, table, n=6)
    assert sorted(row["pair_id"] for row in rows) == sorted(HARMFUL)
    for row in rows:
        assert row["caption"] == row["'=url"] == "'" + row["pair_id"]
        assert row["note"] in ("'" + row["pair_id"], "")
    assert any("6 pair ids begin like a formula" in note for note in result.notes)
    _, untouched = drawn(tmp_path, table, n=6, out="review.jsonl")
    assert all(row["caption"] == row["=url"] == row["pair_id"] for row in untouched)


def test_negative_numbers_stay_numbers(tmp_path):
    _, rows = drawn(tmp_path, scored(tmp_path / "s.parquet", 4, score=[-1.5, -0.5, -0.25, -0.125]), n=4)
    assert sorted(float(row["score"]) for row in rows) == [-1.5, -0.5, -0.25, -0.125]


def test_captions_with_quotes_commas_and_lines_come_back_whole(tmp_path):
    captions = ['a "b", c', "two\nlines", "", "ünï"]
    _, rows = drawn(tmp_path, scored(tmp_path / "s.parquet", 4, caption=captions), n=4)
    assert {row["pair_id"]: row["caption"] for row in rows} == {f"p{i}": text for i, text in enumerate(captions)}


def test_a_file_that_is_there_is_never_overwritten(tmp_path):
    table = scored(tmp_path / "s.parquet", 50)
    (tmp_path / "review.csv").write_text("pair_id,is_match\np0,yes\n")
    with pytest.raises(NcauditError, match="is there already and may hold verdicts"):
        drawn(tmp_path, table)
    assert (tmp_path / "review.csv").read_text() == "pair_id,is_match\np0,yes\n"


def test_fewer_pairs_than_asked_for_are_all_drawn_with_a_note(tmp_path):
    result, rows = drawn(tmp_path, scored(tmp_path / "s.parquet", 7), n=200)
    assert len(rows) == result.drawn == result.rows == 7
    assert len(result.strata) == 3  # of at least two rows each
    assert "that is every pair there is" in result.notes[0]


def test_fewer_strata_than_asked_for_are_told(tmp_path):
    scores = scored(tmp_path / "a.parquet", 100)
    told = "5 strata instead of 500: at least two verdicts are needed from each"
    for strata, notes in ((500, (told,)), (5, ())):
        options = SampleOptions(scores=[scores], out=str(tmp_path / f"{strata}.csv"), n=10, strata=strata)
        assert sample(options).notes == notes


def test_a_single_pair_and_few_verdicts_are_fine(tmp_path):
    assert drawn(tmp_path, scored(tmp_path / "s.parquet", 1), n=2)[0].drawn == 1
    assert len(drawn(tmp_path, scored(tmp_path / "t.parquet", 100), n=5, out="few.csv")[0].strata) == 2


def test_rows_without_a_score_are_counted(tmp_path):
    table = scored(tmp_path / "s.parquet", 5, score=pa.array([1.0, None, float("nan"), 2.0, 3.0], pa.float64()))
    result, rows = drawn(tmp_path, table, n=10)
    assert {row["pair_id"] for row in rows} == {"p0", "p3", "p4"}
    assert result.without_score == 2
    assert any("2 ok rows have no score" in note for note in result.notes)


def test_tables_without_labels_shards_or_captions_are_drawn_from_too(tmp_path):
    table = scored(
        tmp_path / "s.parquet", 40, shard=None, row=None, caption=None, soft_label=None, similarity=None,
        embedding=[[1.0]] * 40, image=[b"x"] * 40,
    )  # fmt: skip
    result, rows = drawn(tmp_path, table, n=20, strata=5)
    assert list(rows[0]) == ["pair_id", "is_match", "url", "score", "stratum", "stratum_rows", "stratum_drawn"]
    assert [stratum.drawn for stratum in result.strata] == [4] * 5
    assert {stratum.mean_soft_label for stratum in result.strata} == {None}


def test_a_users_columns_that_are_called_like_ours_are_renamed(tmp_path):
    table = scored(tmp_path / "s.parquet", 4, is_match=[True] * 4, stratum=[9] * 4, input_stratum=[8] * 4)
    _, rows = drawn(tmp_path, table, n=4)
    assert {(row["input_is_match"], row["input_input_stratum"], row["input_stratum"]) for row in rows} == {
        ("true", "9", "8")
    }
    assert {row["is_match"] for row in rows} == {""}


def test_shards_with_different_columns_are_put_together(tmp_path):
    first = scored(tmp_path / "a.parquet", 5, url=None)
    second = scored(tmp_path / "b.parquet", 5, first=5, note=["n"] * 5, caption=pa.array(["c"] * 5).dictionary_encode())
    _, rows = drawn(tmp_path, first, second, n=10)
    assert {row["note"] for row in rows} == {"", "n"}
    assert len(rows) == 10


def test_strange_types_have_a_cell(tmp_path):
    second = pa.array([1] * 4, pa.duration("s"))
    columns = {"length": second, "kind": pa.array(["=a"] * 4).dictionary_encode(), "nothing": pa.nulls(4)}
    _, rows = drawn(tmp_path, scored(tmp_path / "s.parquet", 4, **columns), n=4)
    assert {(row["length"], row["kind"], row["nothing"]) for row in rows} == {("0:00:01", "'=a", "")}


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"score": None}, r"s\.parquet has no column score"),
        ({"score": ["high"] * 4}, "score is string, not a number"),
        ({"status": ["image_missing"] * 4}, "holds no ok row with a score"),
        ({"pair_id": ["a", "a", "b", "c"]}, "pair_id a names 2 different rows"),
    ],
)
def test_tables_that_cannot_be_drawn_from_are_refused(tmp_path, columns, said):
    with pytest.raises(BadTable, match=said):
        drawn(tmp_path, scored(tmp_path / "s.parquet", 4, **columns), n=4)
    assert not (tmp_path / "review.csv").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [({"n": 1}, "--n is 1"), ({"strata": 0}, "--strata is 0"), ({"out": "r.xlsx"}, "--out is r.xlsx")],
)
def test_options_are_checked_before_anything_is_read(options, said):
    with pytest.raises(NcauditError, match=said):
        SampleOptions(**{"scores": ["nowhere"], "out": "r.csv", **options})


def test_only_row_groups_with_drawn_rows_are_read_whole(tmp_path, monkeypatch):
    table = scored(tmp_path / "s.parquet", 1_000)
    pq.write_table(pq.read_table(table), table, row_group_size=10)
    read_groups, read = [], ParquetShard.batches

    def watched(self, rows, columns=None, pieces=None):
        if "caption" in columns:
            read_groups.extend(pieces)
        return read(self, rows, columns, pieces)

    monkeypatch.setattr(ParquetShard, "batches", watched)
    _, rows = drawn(tmp_path, table, n=10)
    assert sorted(read_groups) == sorted({int(row["row"]) // 10 for row in rows})


def test_verdicts_come_back_and_tell_the_rate(tmp_path):
    result, rows = drawn(tmp_path, scored(tmp_path / "s.parquet", 1_000), n=100)
    for row in rows:
        row["is_match"] = "yes" if int(row["row"]) >= 200 else "no"
    with (tmp_path / "judged.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    verdicts = read_verdicts(str(tmp_path / "judged.csv"))
    told = stratified_rate(~verdicts.is_match, verdicts.stratum, verdicts.stratum_rows)
    assert told.rate == pytest.approx(0.2)
    assert (told.judged, verdicts.stratum_rows.sum()) == (100, result.rows)


def test_the_verb_is_ncaudits():
    assert ncaudit.sample.__wrapped__ is sample


def cli(*arguments):
    run = processes.run([sys.executable, "-m", "ncaudit", "sample", *arguments], capture_output=True, check=False)
    return run.returncode, run.stdout.decode(), run.stderr.decode()


@pytest.mark.slow
def test_the_command_tells_what_was_drawn_and_what_to_do_next(tmp_path):
    table, out = scored(tmp_path / "s.parquet", 100), str(tmp_path / "review.csv")
    code, said, _ = cli(table, "--n", "20", "--out", out)
    assert code == 0
    assert f"20 of 100 pairs drawn, from 10 strata by score (2 of each): {out}" in said
    assert f"--verdicts {out}" in said
    code, said, err = cli(table, "--n", "20", "--out", out)
    assert (code, said) == (1, "")
    assert "fix: name another file" in err


@pytest.mark.slow
def test_standard_output_is_csv_alone_or_one_object_alone(tmp_path):
    table = scored(tmp_path / "s.parquet", 100)
    code, said, err = cli(table, "--n", "20", "--out", "-")
    assert (code, len(list(csv.DictReader(io.StringIO(said))))) == (0, 20)
    assert "20 of 100 pairs drawn" in err
    code, said, _ = cli(table, "--n", "20", "--out", str(tmp_path / "r.jsonl"), "--json")
    assert (code, json.loads(said)["drawn"]) == (0, 20)
    assert cli(table, "--out", "-", "--json")[0] == 2
