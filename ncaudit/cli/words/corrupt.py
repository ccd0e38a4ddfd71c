"""What `corrupt` tells at its end: the real rate, and where the truth is. Knows its results only."""

from collections.abc import Mapping

from ncaudit.cli.shared.accounts import accounting
from ncaudit.verbs.corrupt.captions import CorruptResult
from ncaudit.verbs.corrupt.classes import CorruptLabelsResult

SHOWN = 8  # entries of the confusion map; all of them are in --json


def lines(result: CorruptResult | CorruptLabelsResult) -> list[str]:
    """The summary for people."""
    told = _classes(result) if isinstance(result, CorruptLabelsResult) else _captions(result)
    return [*told, *accounting(result.accounting)]


def _captions(result: CorruptResult) -> list[str]:
    kept = f"; {result.not_swappable:,} chosen pairs had no caption to swap with" if result.not_swappable else ""
    return [
        f"{result.mismatched:,} pairs mismatched ({result.kind}), {result.rate:.2%} of those with a caption{kept}",
        f"dataset in {result.out}: is_match, caption_of and noise_type tell the truth",
        f"moved captions in {result.index}",
    ]


def _classes(result: CorruptLabelsResult) -> list[str]:
    kept = f"; {result.unchanged:,} chosen ones kept their label" if result.unchanged else ""
    labelled = f"{result.rate:.2%} of {result.labelled:,} labelled rows"
    null = f"{result.unlabelled:,} rows have no label and are as they were"
    return [
        f"{result.wrong:,} labels wrong ({result.kind}), {labelled}{kept}",
        *_turned(result.confused_with or {}),
        *([null] if result.unlabelled else []),
        f"dataset in {result.out}: true_label, label_is_right and noise_type tell the truth on {result.label_column}",
    ]


def _turned(confused_with: Mapping[str, str]) -> list[str]:
    turned = [f"{old} -> {new}" for old, new in confused_with.items()]
    more = f", … ({len(turned)} in all: see --json)" if len(turned) > SHOWN else ""
    return [f"classes turned into: {', '.join(turned[:SHOWN])}{more}"] if turned else []
