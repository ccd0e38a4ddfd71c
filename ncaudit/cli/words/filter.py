"""What `filter` tells at its end: how many rows were kept, and why the others were not. Knows its result only."""

from ncaudit.cli.shared.accounts import counted_shards, each, failures, noted
from ncaudit.verbs.filter.filter import FilterResult


def lines(result: FilterResult) -> list[str]:
    """The summary for people."""
    shards = counted_shards(result.shards, result.shards_resumed)
    mean, several = result.mean_soft_label, result.input_rows != result.rows
    pairs = "pairs" if several else "rows"
    return [
        f"{result.rows:,} {pairs} = {result.kept:,} kept + {result.dropped:,} dropped ({shards})",
        *([_several(result)] if several else []),
        *each(result.reasons),
        *([f"mean soft label of the {pairs} kept: {mean:.3f}"] if mean is not None else []),
        *failures(result.shard_errors),
        *noted(result.notes),
    ]


def _several(result: FilterResult) -> str:
    """A row with several captions stays with those that are kept, and may be on both sides."""
    sides = f"{result.rows_kept:,} stay with their kept captions, {result.rows_dropped:,} lose some or all"
    return f"{result.input_rows:,} input rows with several captions: {sides}"
