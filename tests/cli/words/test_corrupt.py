"""The words of `corrupt`: the real rate, what could not be changed, and where the truth is."""

from dataclasses import replace
from typing import Any

from ncaudit.cli.layout.rendering import plain
from ncaudit.cli.words import corrupt
from ncaudit.engines.local import Accounting
from ncaudit.options import CorruptKind
from ncaudit.verbs.corrupt.captions import CorruptResult
from ncaudit.verbs.corrupt.classes import CorruptLabelsResult

ACCOUNTS = Accounting(1, 0, (), {"ok": 5_000})
CAPTIONS = CorruptResult(
    out="out", index="out/_corruption.parquet", kind=CorruptKind.topic, asked_rate=0.3, rate=0.28, mismatched=1_400,
    changed=1_400, not_swappable=0, accounting=ACCOUNTS,
)  # fmt: skip
CLASSES = CorruptLabelsResult(
    out="out", kind=CorruptKind.label_asymmetric, label_column="kind", classes=2, labelled=5_000, unlabelled=0,
    asked_rate=0.3, rate=0.28, wrong=1_400, unchanged=0, confused_with=None, accounting=ACCOUNTS,
)  # fmt: skip


def lines(result: Any) -> list[str]:
    return plain(corrupt.lines(result))


def test_swapped_captions_are_told_with_the_real_rate():
    assert lines(CAPTIONS) == [
        "1,400 pairs mismatched (topic), 28.00% of those with a caption",
        "dataset in out: is_match, caption_of and noise_type tell the truth",
        "moved captions in out/_corruption.parquet",
        "next: ncaudit inspect out",
        "5,000 rows = 5,000 ok + 0 failed (1 shard)",
    ]
    first = lines(replace(CAPTIONS, not_swappable=1_000))[0]
    assert first.endswith("; 1,000 chosen pairs had no caption to swap with")


def test_changed_classes_are_told_with_the_real_rate():
    assert lines(CLASSES) == [
        "1,400 labels wrong (label-asymmetric), 28.00% of 5,000 labelled rows",
        "dataset in out: true_label, label_is_right and noise_type tell the truth on kind",
        "next: ncaudit inspect out",
        "5,000 rows = 5,000 ok + 0 failed (1 shard)",
    ]
    first, _, null, *_ = lines(replace(CLASSES, unchanged=20, unlabelled=1_000, confused_with={"a": "b", "b": "a"}))
    assert first.endswith("; 20 chosen ones kept their label")
    assert null == "1,000 rows have no label and are as they were"


def test_a_long_map_of_classes_is_cut_and_says_how_long_it_is():
    def turned(classes: int) -> str:
        return lines(replace(CLASSES, confused_with={str(i): str(i + 1) for i in range(classes)}))[1]

    assert turned(8) == "classes turned into: " + ", ".join(f"{i} -> {i + 1}" for i in range(8))
    assert turned(9) == f"{turned(8)}, … (9 in all: see --json)"
