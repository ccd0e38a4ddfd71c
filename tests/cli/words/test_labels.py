"""The words of `labels`: the rate with what it rests on, and which classes are taken for which."""

from dataclasses import replace
from typing import Any

import pytest

from ncaudit.cli.layout.rendering import plain
from ncaudit.cli.words import labels
from ncaudit.engines.local import Accounting
from ncaudit.verbs.labels.labels import LabelsResult

RESULT = LabelsResult(
    out="labels", label_column="kind", label_means="what it means", k=10, k_chosen=True, classes=1_200, noise_rate=0.25,
    noise_rate_low=0.2, noise_rate_high=0.3, noise_rate_told=True, class_names=(), class_noise_matrix=(),
    confusions=({"share": 0.0123, "true": "cat", "given": "dog"},), partitions={"pure": 3_000, "noisy": 1_000},
    suggestions=1_100, unlabelled=7, small_classes=0, small_class_pairs=0,
    accounting=Accounting(1, 0, (), {"ok": 4_007}), seconds=1.0, notes=("look",),
)  # fmt: skip


def lines(result: Any) -> list[str]:
    return plain(labels.lines(result))


def told(**changes: Any) -> list[str]:
    return lines(replace(RESULT, **changes))


def test_the_rate_comes_first_and_what_it_means_behind_what_to_do():
    assert told() == [
        "label noise rate 25.0% (90 % interval 20.0% to 30.0%)",
        "3,000 pure, 0 hard, 1,000 noisy (kind, 1,200 classes)",
        "  1.2% of labels: cat given as dog",
        "another class suggested for 1,100 pairs; 7 had no class",
        "next: ncaudit show labels",
        "      the least likely classes, and what to give instead",
        "also: ncaudit filter labels --where 'label_quality >= 0.5' --out kept/",
        "what it means",
        "10 neighbours per modality (chosen from the data)",
        "note: look",
        "4,007 rows = 4,007 ok + 0 failed (1 shard)",
    ]


def test_nothing_comes_next_for_a_stream():
    assert not any(line.startswith(("next", "also")) for line in told(out="-"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"k_chosen": False}, "(as given)"), ({"noise_rate_told": False}, "a usual one: these embeddings cannot tell it")],
)
def test_what_was_not_found_in_the_data_is_told_as_such(changes, said):
    assert said in "\n".join(told(**changes))


def test_without_a_rate_none_is_told():
    assert not any("rate" in line for line in told(noise_rate=None))
