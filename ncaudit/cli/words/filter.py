"""What `filter` tells at its end: how many rows were kept, and why the others were not. Knows its result only."""

from ncaudit.cli.shared.accounts import counted_shards, each, failures, noted
from ncaudit.verbs.filter.filter import FilterResult


def lines(result: FilterResult) -> list[str]:
    """The summary for people."""
    shards = counted_shards(result.shards, result.shards_resumed)
    mean = result.mean_soft_label
    return [
        f"{result.rows:,} rows = {result.kept:,} kept + {result.dropped:,} dropped ({shards})",
        *each(result.reasons),
        *([f"mean soft label of the rows kept: {mean:.3f}"] if mean is not None else []),
        *failures(result.shard_errors),
        *noted(result.notes),
    ]
