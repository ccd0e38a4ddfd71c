"""What several commands tell of shards and rows: counts, failures, notes. Knows accounts; nothing of a command."""

from collections.abc import Iterable, Mapping

from ncaudit.cli.layout.vocabulary import Told, Word, Words, failure, fix, item, note
from ncaudit.counts import counted
from ncaudit.engines.local import Accounting, ShardError
from ncaudit.schema import OK


def accounting(accounts: Accounting) -> Words:
    """The lines that every command over shards ends with: rows in = rows ok + rows failed."""
    shards = counted_shards(accounts.shards, accounts.shards_resumed)
    failed = {status: count for status, count in accounts.statuses.items() if status != OK and count}
    return [
        f"{counted(accounts.rows, 'row')} = {accounts.ok:,} ok + {accounts.failed:,} failed ({shards})",
        *each(failed),
        *failures(accounts.shard_errors),
    ]


def counted_shards(count: int, resumed: int = 0) -> str:
    """How many shards, and how many of them an earlier run had finished.

    >>> counted_shards(1), counted_shards(1_200, resumed=2)
    ('1 shard', '1,200 shards, 2 finished earlier')
    """
    earlier = f", {resumed:,} finished earlier" if resumed else ""
    return f"{counted(count, 'shard')}{earlier}"


def each(counts: Mapping[str, int]) -> list[Told]:
    """A line for each word with its count, in the order of the alphabet."""
    return [item(f"{word}: {count:,}") for word, count in sorted(counts.items())]


def failures(errors: Iterable[ShardError]) -> list[Word]:
    """Which shards could not be done, and what to do about each."""
    return [line for error in errors for line in (failure(error.message), fix(error.fix))]


def noted(notes: Iterable[str]) -> list[Told]:
    """What is surprising and makes no answer wrong."""
    return [note(told) for told in notes]
