"""What `corrupt` tells at its end: the real rate, and where the truth is. Knows its results only."""

from collections.abc import Mapping

from ncaudit.cli.layout.vocabulary import Words, command
from ncaudit.cli.shared.accounts import accounting
from ncaudit.counts import counted
from ncaudit.options import CorruptKind
from ncaudit.verbs.corrupt.captions import CorruptResult
from ncaudit.verbs.corrupt.classes import CorruptLabelsResult

TRUTH = ("is_match", "caption_of", "noise_type")
SHOWN = 8  # entries of the confusion map; all of them are in --json


def lines(result: CorruptResult | CorruptLabelsResult) -> Words:
    """The summary for people."""
    told = _classes(result) if isinstance(result, CorruptLabelsResult) else _captions(result)
    return [*told, *_next(result), *accounting(result.accounting)]


def _next(result: CorruptResult | CorruptLabelsResult) -> Words:
    """Known noise is there to be found; `inspect` knows whether these are rows to embed or embeddings."""
    return [command("ncaudit", "inspect", result.out)] if result.accounting.ok else []


def _captions(result: CorruptResult) -> list[str]:
    done = result.changed if result.kind is CorruptKind.paraphrase else result.mismatched
    what = "exchanged for another caption of its photo" if done != result.mismatched else "mismatched"
    kept = counted(result.not_swappable, "chosen pair")
    more = f"; {kept} had {_lacking(result.kind)}" if result.not_swappable else ""
    truth = f"{', '.join(TRUTH[:-1])} and {TRUTH[-1]}"
    changes = "; put_in, replaced, lent_by and share_right tell the change" if result.kind.rewords else ""
    rate = f"{result.rate:.2%} of those with a caption" if done == result.mismatched else "none of them wrong"
    return [
        f"{counted(done, 'pair')} {what} ({result.kind}), {rate}{more}",
        f"dataset in {result.out}: {truth} tell the truth{changes}",
        f"{'changed' if result.kind.rewords else 'moved'} captions in {result.index}",
    ]


def _lacking(kind: CorruptKind) -> str:
    lacks = {CorruptKind.word: "no word to exchange", CorruptKind.half_truth: "no phrase to add"}
    return lacks.get(kind, "no caption to swap with")


def _classes(result: CorruptLabelsResult) -> list[str]:
    kept = f"; {counted(result.unchanged, 'chosen one')} kept their label" if result.unchanged else ""
    labelled = f"{result.rate:.2%} of {counted(result.labelled, 'labelled row')}"
    null = counted(result.unlabelled, "row has no label and is as it was", "rows have no label and are as they were")
    return [
        f"{counted(result.wrong, 'label')} wrong ({result.kind}), {labelled}{kept}",
        *_turned(result.confused_with or {}),
        *([null] if result.unlabelled else []),
        f"dataset in {result.out}: true_label, label_is_right and noise_type tell the truth on {result.label_column}",
    ]


def _turned(confused_with: Mapping[str, str]) -> list[str]:
    turned = [f"{old} -> {new}" for old, new in confused_with.items()]
    more = f", … ({len(turned)} in all: see --json)" if len(turned) > SHOWN else ""
    return [f"classes turned into: {', '.join(turned[:SHOWN])}{more}"] if turned else []
