"""What `filter` tells at its end: how many rows were kept, and why the others were not. Knows its result only."""

import os

from ncaudit.cli.layout.vocabulary import Words, command
from ncaudit.cli.shared.accounts import counted_shards, each, failures, noted
from ncaudit.counts import counted
from ncaudit.options import STREAM
from ncaudit.verbs.filter.filter import FilterResult

TABLES = {"", ".parquet"}


def lines(result: FilterResult) -> Words:
    """The summary for people."""
    shards = counted_shards(result.shards, result.shards_resumed)
    mean, several = result.mean_soft_label, result.input_rows != result.rows
    one = "pair" if several else "row"
    return [
        f"{counted(result.rows, one)} = {result.kept:,} kept + {result.dropped:,} dropped ({shards})",
        *([_several(result)] if several else []),
        *each(result.reasons),
        *([f"mean soft label of the {one}s kept: {mean:.3f}"] if mean is not None else []),
        *_where(result),
        *failures(result.shard_errors),
        *noted(result.notes),
    ]


def _where(result: FilterResult) -> Words:
    """What to do with it depends on what was filtered: `inspect` knows."""
    if result.out == STREAM:
        return []
    if result.part is not None:
        return [command("ncaudit", "status", result.out, why="how far all parts are")]
    told: Words = [f"what is kept is in {result.out}"]
    return [*told, command("ncaudit", "inspect", result.out)] if os.path.splitext(result.out)[1] in TABLES else told


def _several(result: FilterResult) -> str:
    """A row with several captions stays with those that are kept, and may be on both sides."""
    stay = counted(result.rows_kept, "stays with its kept captions", "stay with their kept captions")
    lose = counted(result.rows_dropped, "loses some or all", "lose some or all")
    rows = counted(result.input_rows, "input row with several captions", "input rows with several captions")
    return f"{rows}: {stay}, {lose}"
