"""What `labels` tells at its end: how many classes are wrong, and which are taken for which. Knows its result only."""

from ncaudit.cli.layout.vocabulary import Told, Words, command, headline, item
from ncaudit.cli.shared.accounts import accounting, noted
from ncaudit.core.classes.votes import PARTITIONS
from ncaudit.counts import counted
from ncaudit.options import STREAM
from ncaudit.verbs.labels.labels import LabelsResult


def lines(result: LabelsResult) -> Words:
    """The summary for people."""
    parts = ", ".join(f"{result.partitions.get(word, 0):,} {word}" for word in PARTITIONS)
    classes, voting = counted(result.classes, "class", "classes"), counted(result.k, "neighbour")
    chosen = "chosen from the data" if result.k_chosen else "as given"
    return [
        *rate(result),
        f"{parts} ({result.label_column}, {classes})",
        *(item(f"{one['share']:.1%} of labels: {one['true']} given as {one['given']}") for one in result.confusions),
        f"another class suggested for {counted(result.suggestions, 'pair')}; {result.unlabelled:,} had no class",
        *_next(result),
        result.label_means,
        f"{voting} per modality ({chosen})",
        *noted(result.notes),
        *accounting(result.accounting),
    ]


def _next(result: LabelsResult) -> Words:
    if result.out == STREAM or not result.accounting.ok:
        return []
    return [
        command("ncaudit", "show", result.out, why="the least likely classes, and what to give instead"),
        command("ncaudit", "filter", result.out, "--where", "label_quality >= 0.5", "--out", "kept/", lead="also: "),
    ]


def rate(result: LabelsResult) -> list[Told]:
    """How many classes are wrong; nothing where that is not known."""
    if result.noise_rate is None:
        return []
    interval = f"90 % interval {result.noise_rate_low:.1%} to {result.noise_rate_high:.1%}"
    measured = interval if result.noise_rate_told else "a usual one: these embeddings cannot tell it"
    return [headline(f"label noise rate {result.noise_rate:.1%}", f" ({measured})")]
