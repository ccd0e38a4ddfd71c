"""The words of `eval`: tables of numbers, and which rows they are about."""

from dataclasses import replace

import pytest

from ncaudit.cli.layout.rendering import plain
from ncaudit.cli.layout.vocabulary import Table, mapped
from ncaudit.cli.shared.user_text import visible
from ncaudit.cli.words.evaluate import retrieval_lines, scores_lines
from ncaudit.core.metrics.detection import ReliabilityBin
from ncaudit.core.metrics.mean_average_precision import ClassRetrieval
from ncaudit.core.metrics.paired_auroc import PairedAuroc
from ncaudit.core.metrics.retrieval import RetrievalMetrics
from ncaudit.engines.local import Accounting
from ncaudit.verbs.evaluate.class_retrieval import ClassRetrievals
from ncaudit.verbs.evaluate.prior_scores import Disagreement, PriorScore
from ncaudit.verbs.evaluate.retrieval import LabelledRetrievalResult, RetrievalResult
from ncaudit.verbs.evaluate.scores import Detection, DetectionResult, ScoresResult

ACCOUNTS = Accounting(1, 0, (), {"ok": 1_000})
ROWS = "1,000 rows = 1,000 ok + 0 failed (1 shard)"
METRICS = RetrievalMetrics(10.0, 20.0, 30.0, 11.0, 21.0, 31.0, rsum=123.0, i2t_median_rank=3.5, t2i_median_rank=3.0,
                           images=1_000, captions=5_000)  # fmt: skip
PRIOR = PriorScore(
    column="clip", pairs=1_000, spearman_score=0.5, pairs_soft_label=900, spearman_soft_label=None, ranked_by="score",
    ours_higher=(), prior_higher=(), auroc=None, better=None,
)  # fmt: skip
FOUND = Detection(pairs=1_000, mismatched=200, auroc=0.9, average_precision=0.8, precision_at_true_count=0.7)
DETECTED = DetectionResult(
    accounting=ACCOUNTS, truth="is_match", judged=1_000, mismatched=200, truth_missing=0, truth_unused=0,
    soft_label=FOUND, similarity=None, score=replace(FOUND, auroc=None, note="one kind only"), calibration_error=None,
    reliability=None,
)  # fmt: skip


def against(prior: PriorScore) -> list[str]:
    words = scores_lines(ScoresResult(accounting=ACCOUNTS, against=(prior,)))
    *told, rows = plain(mapped(word, visible) for word in words)
    assert rows == ROWS
    return told


def test_recalls_are_a_table_and_the_notes_come_before_the_accounts():
    table, *others = retrieval_lines(RetrievalResult(metrics=METRICS, accounting=ACCOUNTS, notes=("look",)))
    assert table == Table(
        "Recall in %, rSum 123.0 of 600",
        ["", "R@1", "R@5", "R@10", "median rank"],
        [["image to caption", "10.0", "20.0", "30.0", "3.5"], ["caption to image", "11.0", "21.0", "31.0", "3"]],
    )
    assert plain(others) == ["1,000 images, 5,000 captions", "note: look", ROWS]


@pytest.mark.parametrize(
    ("unlabelled", "said"), [(0, []), (1_200, ["1,200 ok rows have no class and are left out of the precision"])]
)
def test_with_classes_there_is_a_second_table(unlabelled, said):
    way = ClassRetrieval(map_all=0.5, map_at_k=0.25, k=50, queries=10, without_relevant=0, items=10)
    found = ClassRetrievals(
        label_column="kind", classes=1_200, unlabelled=unlabelled, image_to_text=way,
        text_to_image=replace(way, map_all=0.75),
    )  # fmt: skip
    result = LabelledRetrievalResult(metrics=METRICS, accounting=ACCOUNTS, by_class=found)
    _, table, _, *others = retrieval_lines(result)
    assert table.title == "Mean average precision (1 = perfect), 1,200 classes of kind"
    assert table.header == ["", "all", "@50"]
    assert table.rows == [["image to caption", "0.500", "0.250"], ["caption to image", "0.750", "0.250"]]
    assert others == [*said, ROWS]


def test_what_the_scores_know_of_the_truth_is_a_table_with_a_dash_for_what_is_undefined():
    table, *others = scores_lines(replace(DETECTED, truth_missing=1_100, truth_unused=1_200))
    assert table.title == "Finding 200 mismatches among 1,000 pairs (1 = perfect)"
    assert table.rows == [
        ["soft_label", "0.900", "0.800", "0.700", "1,000"],
        ["score", "-", "0.800", "0.700", "1,000"],
    ]
    assert plain(others) == [
        "note: one kind only",
        "1,100 ok rows have no truth and are left out",
        "1,200 pairs of the truth table have no score",
        ROWS,
    ]


def test_the_honesty_of_the_soft_label_is_a_table_of_its_own():
    one = ReliabilityBin(low=0.0, high=0.5, mean_probability=0.25, observed=0.3, count=1_000)
    _, table, *_ = scores_lines(replace(DETECTED, calibration_error=0.05, reliability=(one,)))
    assert table.title == "Calibration error 0.050"
    assert table.rows == [["0.000 to 0.500", "0.250", "0.300", "1,000"]]


def test_a_prior_score_is_told_by_its_rank_correlation():
    assert against(PRIOR) == [
        "clip against ours, rank correlation: score 0.500 over 1,000 pairs, "
        "soft_label undefined (one of them is constant) over 900 pairs"
    ]
    assert against(replace(PRIOR, pairs=0, pairs_soft_label=0))[0].endswith(": no pair has both")


@pytest.mark.parametrize(("better", "end"), [(None, "no clear difference"), ("clip", "clip is better at finding")])
def test_with_a_truth_it_is_told_which_one_is_better(better, end):
    found = PairedAuroc(first=0.8, second=0.9, standard_error=0.01)
    _, told = against(replace(PRIOR, auroc=found, better=better))
    assert told.startswith("  AUROC on the same pairs: clip 0.900, score 0.800, difference ± 0.020: ")
    assert end in told


def test_disagreements_show_a_users_text_harmlessly():
    pair = Disagreement(pair_id="a/0", caption="\x1b[2Jcat", score=1.0, prior=0.0, score_share=0.99, prior_share=0.01)
    other = replace(pair, pair_id="a/1", caption=None)
    assert against(replace(PRIOR, ours_higher=(pair,), prior_higher=(other,)))[1:] == [
        "score high, clip low",
        "pair  score above  clip above  caption",
        "a/0           99%          1%  \\x1b[2Jcat",
        "clip high, score low",
        "pair  score above  clip above",
        "a/1           99%          1%",
    ]
