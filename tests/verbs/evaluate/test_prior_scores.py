"""Prior scores beside ours: agreement, disagreements, and which one is better, on tables counted by hand."""

import decimal
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from ncaudit.cli import app
from ncaudit.errors import BadTable, UsageError
from ncaudit.options import EvalScoresOptions
from ncaudit.verbs.evaluate.scores import DetectionResult, eval_scores


def table(path, first=0, **columns):
    rows = len(next(iter(columns.values())))
    ids = {"pair_id": [f"p{first + i}" for i in range(rows)], "status": ["ok"] * rows}
    pq.write_table(pa.table({**ids, **columns}), path)
    return str(path)


def compared(*tables, against=("clip",), **options):
    return eval_scores(EvalScoresOptions(scores=tables, against=against, **options))


def test_rank_correlation_over_the_ok_rows_that_have_both(tmp_path):
    # p2 failed, p5 has no prior; of the rest, ranks 1 2 3 4 5 against 2 1 3 5 4: 1 - 6 * 4 / (5 * 24) = .8
    path = table(
        tmp_path / "s.parquet",
        score=[1.0, 2.0, 9.0, 3.0, 4.0, 5.0, 6.0],
        soft_label=[0.5, 0.5, None, 0.5, 0.5, 0.5, None],
        clip=[0.2, 0.1, 0.9, 0.3, 0.8, None, 0.7],
        status=["ok", "ok", "image_missing", "ok", "ok", "ok", "ok"],
    )
    found = compared(path)
    prior = found.against[0]
    assert not isinstance(found, DetectionResult)
    assert (prior.column, prior.pairs, prior.pairs_soft_label) == ("clip", 5, 4)
    assert prior.spearman_score == pytest.approx(0.8)
    assert prior.spearman_soft_label is None  # labels that are all alike order nothing
    assert (found.accounting.rows, found.accounting.ok) == (7, 6)
    assert (prior.auroc, prior.better) == (None, None)


def test_disagreements_are_the_widest_first_with_their_captions_across_tables(tmp_path):
    captions = [f"caption {i}" for i in range(8)]
    # p0 is lowest by score and highest by clip; p7 the other way round; p1 is 1st of 7 against 6th
    score, clip = [0.0, 1, 2, 3, 4, 5, 6, 7], [7.0, 6, 2, 3, 4, 5, 1, 0]
    first = table(tmp_path / "a.parquet", score=score[:3], clip=clip[:3], caption=captions[:3])
    second = table(tmp_path / "b.parquet", 3, score=score[3:], clip=clip[3:], caption=captions[3:])
    prior = compared(first, second).against[0]
    assert [(d.pair_id, d.caption) for d in prior.ours_higher] == [("p7", "caption 7"), ("p6", "caption 6")]
    assert [(d.pair_id, d.caption) for d in prior.prior_higher] == [("p0", "caption 0"), ("p1", "caption 1")]
    widest = prior.ours_higher[0]
    assert (widest.score, widest.prior, widest.score_share, widest.prior_share) == (7, 0, 1, 0)
    assert prior.ranked_by == "score"


def test_failed_rows_before_them_do_not_shift_the_pairs_that_are_shown(tmp_path):
    path = table(
        tmp_path / "s.parquet",
        score=[None, 1.0, None, 2.0, 3.0],
        clip=[None, 3.0, 9.0, 2.0, 1.0],
        caption=["failed", "low", "failed", "middle", "high"],
        status=["image_missing", "ok", "image_missing", "ok", "ok"],
    )
    prior = compared(path).against[0]
    assert [(d.pair_id, d.caption) for d in prior.ours_higher] == [("p4", "high")]
    assert [(d.pair_id, d.caption) for d in prior.prior_higher] == [("p1", "low")]


def test_a_name_means_the_inputs_own_column_too(tmp_path):
    path = table(tmp_path / "s.parquet", score=[1.0, 2, 3], similarity=[1.0, 2, 3], input_similarity=[3.0, 2, 1])
    both = compared(path, against=("similarity",)).against
    assert [(p.column, p.spearman_score) for p in both] == [("similarity", 1), ("input_similarity", -1)]
    assert [p.column for p in compared(path, against=("input_similarity",)).against] == ["input_similarity"]


def test_with_truth_the_better_one_is_named(tmp_path):
    draw = np.random.default_rng(0)
    match = np.arange(200) % 4 > 0
    good, weak = match + 0.3 * draw.normal(size=200), match + 3 * draw.normal(size=200)
    path = table(tmp_path / "s.parquet", score=weak, clip=good, same=weak, is_match=match)
    found = compared(path, against=("clip", "same"), truth="is_match")
    assert isinstance(found, DetectionResult)
    better, same = found.against
    assert better.better == "clip"
    assert better.auroc.first == pytest.approx(found.score.auroc)
    assert better.auroc.second > 0.9
    assert same.better is None


def test_pairs_without_truth_count_for_the_correlation_and_not_for_who_is_better(tmp_path):
    match = [True, True, False, False, None, None]
    path = table(
        tmp_path / "s.parquet", score=[4.0, 3, 2, 1, 9, 0], clip=[3.0, 4, 1, 2, 0, 9], is_match=pa.array(match)
    )
    prior = compared(path, truth="is_match").against[0]
    assert prior.pairs == 6
    assert (prior.auroc.first, prior.auroc.second, prior.auroc.standard_error) == (1, 1, 0)


def test_a_table_without_a_score_is_compared_by_its_labels(tmp_path):
    path = table(tmp_path / "s.parquet", soft_label=[0.1, 0.2, 0.9], clip=[1.0, 3.0, 2.0])
    prior = compared(path).against[0]
    assert (prior.pairs, prior.pairs_soft_label, prior.ranked_by) == (0, 3, "soft_label")
    assert prior.spearman_soft_label == pytest.approx(0.5)  # 1 - 6 * 2 / (3 * 8)
    assert [d.pair_id for d in prior.prior_higher] == ["p1"]


@pytest.mark.parametrize(
    ("columns", "against", "said"),
    [
        ({"score": [1.0], "clip": [1.0]}, "clap", r"no prior score clap \(columns of numbers: clip\)"),
        ({"score": [1.0], "clip": [1.0]}, "score", "no prior score score"),
        ({"score": [1.0], "clip": ["high"]}, "clip", "clip is string, not a number"),
        ({"other": [1.0], "clip": [1.0]}, "clip", "neither score nor soft_label"),
    ],
)
def test_what_cannot_be_compared_is_told(tmp_path, columns, against, said):
    with pytest.raises(BadTable, match=said):
        compared(table(tmp_path / "s.parquet", **columns), against=(against,))


def test_neither_truth_nor_another_score_is_a_contradiction():
    with pytest.raises(UsageError, match="neither a truth nor another score"):
        EvalScoresOptions(scores=["s"])
    with pytest.raises(UsageError, match="--truth-table has no column"):
        EvalScoresOptions(scores=["s"], against=["clip"], truth_table="t.csv")


def test_the_command_says_it_in_words_without_obeying_a_caption_and_as_one_object(tmp_path):
    match = [False, False, False, True, True, True]
    captions = ["a", "b", "\x1b[2Jred [bold]", "c", "d", "e"]
    path = table(
        tmp_path / "s.parquet", score=[1.0, 2, 6, 3, 4, 5], clip=[1.0, 2, 0, 4, 5, 6], caption=captions, is_match=match
    )
    ran = CliRunner().invoke(app.app, ["-q", "eval", "scores", path, "--against", "clip", "--truth", "is_match"])
    assert ran.exit_code == 0, ran.stderr
    assert "clip against ours, rank correlation: score 0.143 over 6 pairs" in ran.stdout  # 1 - 6 * 30 / (6 * 35)
    assert ["p2", "100%", "0%", "\\x1b[2Jred", "[bold]"] in [line.split() for line in ran.stdout.splitlines()]
    assert "AUROC on the same pairs: clip 1.000, score 0.667" in ran.stdout
    ran = CliRunner().invoke(app.app, ["-q", "eval", "scores", path, "--against", "clip", "--json"])
    told = json.loads(ran.stdout)["against"][0]
    assert (told["column"], told["pairs"], told["ours_higher"][0]["pair_id"]) == ("clip", 6, "p2")


@pytest.mark.parametrize(
    "column",
    [
        pa.array([2**53 + i for i in range(6)], pa.int64()),  # by twos the same float64
        pa.array([2**63 + i for i in range(6)], pa.uint64()),
        pa.array([decimal.Decimal(10**30 + i) for i in range(6)], pa.decimal128(38, 0)),
        pa.array([decimal.Decimal(f"0.{'1' * 40}{i}") for i in range(6)], pa.decimal256(60, 41)),
    ],
    ids=lambda column: str(column.type),
)
def test_large_numbers_are_ranked_as_they_are(tmp_path, column):
    path = table(tmp_path / "s.parquet", score=[0.0, 1, 2, 3, 5, 4], hash=column)
    prior = compared(path, against=("hash",)).against[0]
    assert prior.spearman_score == pytest.approx(1 - 6 * 2 / (6 * 35))
    assert prior.ours_higher[0].prior == pytest.approx(float(column[4].as_py()))


def test_tables_whose_types_differ_are_ranked_together(tmp_path):
    first = table(tmp_path / "a.parquet", score=[0.0, 3.0], hash=pa.array([-1, 2**53 + 1]))
    second = table(tmp_path / "b.parquet", 2, score=[1.0, 2.0], hash=pa.array([0.5, 2.0**53]))
    third = table(tmp_path / "c.parquet", 4, score=[5.0, 4.0], hash=pa.array([2**64 - 1, 2**63], pa.uint64()))
    prior = compared(first, second, third, against=("hash",)).against[0]
    assert (prior.pairs, prior.spearman_score) == (6, pytest.approx(1))
