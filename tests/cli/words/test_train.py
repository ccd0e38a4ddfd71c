"""The words of `train`: what was learnt on, whether it got better, and where the matcher is."""

from dataclasses import replace
from typing import Any

import pytest

from ncaudit.cli.layout.rendering import plain
from ncaudit.cli.words import train
from ncaudit.core.metrics.retrieval import RetrievalMetrics
from ncaudit.engines.local import Accounting
from ncaudit.verbs.train.auto.choice import Choice, Compared, Reason
from ncaudit.verbs.train.train import TrainResult

START = RetrievalMetrics(10.0, 20.0, 30.0, 11.0, 21.0, 31.0, rsum=123.0, i2t_median_rank=3, t2i_median_rank=3,
                         images=50, captions=50)  # fmt: skip
RESULT = TrainResult(
    out="out", tune="towers", objective="weighted-infonce", epochs=8, kept_epoch=3, steps=1_200, train_pairs=5_000,
    val_pairs=50, val_photos=50, dropped_pairs=0, labelled=True, mean_label=0.75, loss=1.0, start=START,
    kept=replace(START, i2t_r1=12.5, rsum=130.0), accounting=Accounting(2, 0, (), {"ok": 5_050}), pairs_per_s=1_500.4,
)  # fmt: skip


def lines(result: Any) -> list[str]:
    return plain(train.lines(result))


def told(**changes: Any) -> list[str]:
    return lines(replace(RESULT, **changes))


def test_a_run_is_told_from_whether_it_got_better_to_what_was_tuned():
    assert told() == [
        "on 50 validation pairs",
        "                            start   kept",
        "R@1 in %, image to caption   10.0   12.5",
        "R@1 in %, caption to image   11.0   11.0",
        "rSum of 600                 123.0  130.0",
        "matcher of epoch 3 in out",
        "next: ncaudit embed DATA --model out --out embeddings-2/",
        "towers by weighted-infonce: 8 epochs, 1,200 steps on 5,000 pairs (mean label 0.75), 1,500 pairs/s",
        "5,050 rows = 5,050 ok + 0 failed (2 shards)",
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labelled": False}, "(no --scores: every label is 1)"),
        ({"objective": "nirnl"}, "(all with a class)"),
        ({"objective": "cross-entropy", "unlabelled_pairs": 1_600}, "(1,600 without a class)"),
        ({"epochs": 1}, "weighted-infonce: 1 epoch, 1,200 steps"),
        ({"recipe": "bicro", "epochs": 4}, "towers by weighted-infonce, recipe bicro: 4 epochs, "),
        ({"epochs": 3, "stopped_early": True}, "3 epochs (stopped: no better one came), "),
    ],
)
def test_behind_it_stands_what_the_pairs_were_weighted_by_and_what_was_asked_for(changes, said):
    assert said in told(**changes)[-2]


def test_heads_score_the_same_embeddings_next():
    assert told(tune="heads")[6] == "next: ncaudit score EMBEDDINGS --model out --out scores-2/"


def test_dropped_pairs_and_the_split_come_behind_what_was_tuned():
    *_, dropped, split, _ = told(dropped_pairs=2_400, clean_pairs=(3_000, 2_900))
    assert dropped == "2,400 pairs dropped by the objective"
    assert split == "the two networks trust 3,000 and 2,900 of 5,000 pairs"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"noisy_pairs": 0}, "no pair is noisy (label below 0.5), so none was rematched"),
        ({"noisy_pairs": 1, "rematched": None}, "1 noisy pair, and none was rematched: too few clean pairs to tell"),
        (
            {"noisy_pairs": 800, "rematched": 778, "rematch_chance": 0.344, "half_there": 0.493},
            "778 of 800 noisy pairs learnt captions of others, right by a chance of 0.34 in the mean; about 49% of the",
        ),
    ],
)
def test_of_rematched_pairs_it_is_told_how_many_and_how_sure_they_are(changes, said):
    assert told(recipe="rematch", **changes)[-2].startswith(said)
    assert not any("rematched" in line for line in told(**changes))


def test_two_views_tell_how_far_they_agree():
    agreed = {"agreed_clean": 3_000, "disagreed": 500, "agreed_noisy": 1_500}
    said = "before and in training, 3,000 pairs look clean, 1,500 noisy, and 500 differ"
    assert told(recipe="consensus", agreement=agreed)[-2] == said


def test_without_validation_the_last_epoch_is_kept_and_that_is_said():
    assert told(start=None, kept=None)[0] == "no validation: the last epoch is kept"


def test_where_nothing_is_better_than_the_start_that_is_said():
    assert told(kept=START)[5] == "no epoch is better than the start model"


@pytest.mark.parametrize(("kept", "better"), [(0.5, True), (0.4, False)])
def test_by_class_the_map_says_whether_it_got_better_and_the_recalls_do_not(kept, better):
    parts = {"pure": 0.7, "noisy": 0.3}
    words = told(parts=parts, neighbours=10, start_map=0.4, kept_map=kept, kept=START)
    assert words[-2] == "classes by 10 neighbours in each modality: 70.0% pure, 30.0% noisy of the labelled pairs"
    assert words[5] == f"MAP by class, both directions  0.400  {kept:.3f}"
    assert ("no epoch is better than the start model" in words) is not better


def test_a_finished_run_is_told_in_one_line_and_its_accounts():
    assert told(finished_earlier=True) == [
        "out already holds this run, finished: nothing to do (--restart does it again)",
        "5,050 rows = 5,050 ok + 0 failed (2 shards)",
    ]


CHOICE = Choice(
    objective="drop", reason=Reason.better, labelled=True, learnt_pairs=2_000, judged_pairs=4_000,
    compared=(
        Compared(objective="drop", rank=9.42, auroc=0.9231, gain=0.2305, standard_error=0.0246),
        Compared(objective="infonce", rank=11.86, auroc=0.9108),
        Compared(objective="soft-infonce", rank=None, why_not="its training diverged"),
    ),
)  # fmt: skip


def test_what_auto_took_and_compared_stands_before_what_was_tuned():
    assert told(objective="drop", choice=CHOICE)[7:-2] == [
        "--objective auto took drop: with it, pairs held out stand highest among wrong ones",
        "compared by what each taught on 2,000 pairs, told on 4,000 others",
        "         rank  AUROC  rank beside infonce",
        "drop      9.4  0.923        -20.6% ± 2.5%",
        "infonce  11.9  0.911",
        "not compared: soft-infonce: its training diverged",
        "not compared: --recipe rematch: a sample of noisy pairs has few of their true captions",
    ]


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (Reason.plain, "none does clearly better on pairs held out, so noise does little harm here"),
        (Reason.too_few, "4,000 pairs are too few to compare on"),
        (Reason.no_signal, "pairs held out look like random ones, whatever is learnt, so nothing tells which is best"),
    ],
)
def test_why_auto_took_it_is_said(reason, said):
    choice = replace(CHOICE, objective="infonce", reason=reason, compared=(), labelled=False)
    words = told(choice=choice)
    assert words[7] == f"--objective auto took infonce: {said}"
    assert words[8] == "no labels: only objectives that ask for none were compared"
