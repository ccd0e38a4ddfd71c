"""What `labels` tells at its end: how many classes are wrong, and which are taken for which. Knows its result only."""

from ncaudit.cli.shared.accounts import accounting, noted
from ncaudit.core.classes.votes import PARTITIONS
from ncaudit.counts import counted
from ncaudit.verbs.labels.labels import LabelsResult


def lines(result: LabelsResult) -> list[str]:
    """The summary for people."""
    parts = ", ".join(f"{result.partitions.get(word, 0):,} {word}" for word in PARTITIONS)
    classes, voting = counted(result.classes, "class", "classes"), counted(result.k, "neighbour")
    chosen = "chosen from the data" if result.k_chosen else "as given"
    return [
        result.label_means,
        f"{classes}; {voting} per modality ({chosen}): {parts}",
        *rate(result),
        *(f"  {one['share']:.1%} of labels: {one['true']} given as {one['given']}" for one in result.confusions),
        f"another class suggested for {counted(result.suggestions, 'pair')}; {result.unlabelled:,} had no class",
        *noted(result.notes),
        *accounting(result.accounting),
    ]


def rate(result: LabelsResult) -> list[str]:
    """How many classes are wrong; nothing where that is not known."""
    if result.noise_rate is None:
        return []
    interval = f"90 % interval {result.noise_rate_low:.1%} to {result.noise_rate_high:.1%}"
    measured = interval if result.noise_rate_told else "a usual one: these embeddings cannot tell it"
    return [f"label noise rate {result.noise_rate:.1%} ({measured})"]
