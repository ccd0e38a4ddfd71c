"""What becomes of shards: exact accounts, and the plain way to make them, one shard after the other in this process.

This file knows shards and counts. `workers.py` owns the processes that do shards instead, and gives each the next one;
`worker_process.py` is the life of one of them. None of the three knows what is done with a shard: the verb owns that,
and what a worker is told to begin with.
"""

import os
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ncaudit.counts import counted
from ncaudit.errors import Displaced, NcauditError
from ncaudit.interruption import heed
from ncaudit.schema import OK
from ncaudit.shards.files.shard import Shard

Item = TypeVar("Item")


@dataclass(frozen=True)
class ShardRows:
    """What became of one shard's rows: how many of each status, and whether an earlier run had finished it."""

    statuses: Mapping[str, int]
    resumed: bool = False
    more: Any = None  # what the verb counts besides, from wherever the shard was done


Outcome = ShardRows | NcauditError  # of a shard: its rows, or why it could not be done at all


@dataclass(frozen=True)
class ShardError:
    """A shard that could not be done at all: what is wrong and what to do."""

    shard: str
    message: str
    fix: str


@dataclass(frozen=True)
class Accounting:
    """Rows in = rows ok + rows failed, over all shards that could be read."""

    shards: int
    shards_resumed: int
    shard_errors: tuple[ShardError, ...]
    statuses: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{counted(self.rows, 'row')} = {self.ok:,} ok + {self.failed:,} failed"

    @property
    def rows(self) -> int:
        """All rows of the shards that were read."""
        return sum(self.statuses.values())

    @property
    def ok(self) -> int:
        """Rows with a result."""
        return self.statuses.get(OK, 0)

    @property
    def failed(self) -> int:
        """Rows without a result; `statuses` says why."""
        return self.rows - self.ok

    def too_many_failed(self, max_failed: float) -> bool:
        """Whether a shard failed, or more than the share `max_failed` of the rows did: exit code 3."""
        return bool(self.shard_errors) or self.failed > max_failed * self.rows


def run_shards(shards: Sequence[Shard], work: Callable[[Shard], ShardRows]) -> Accounting:
    """Call `work` on each shard; one that cannot be done does not stop the others.

    Raises the first error itself when no shard could be done: that is a wrong command, not a bad shard.
    """
    return account(outcomes(shards, work))


def outcomes(shards: Sequence[Shard], work: Callable[[Shard], ShardRows]) -> list[tuple[Shard, Outcome]]:
    """What became of each shard, one after the other."""
    return [(shard, outcome_of(shard, work)) for shard in shards]


def account(tried: Sequence[tuple[Shard, Outcome]]) -> Accounting:
    """The accounts of shards that were tried, in their order. Raises the first error where there is nothing else."""
    errors = [(shard, outcome) for shard, outcome in tried if isinstance(outcome, NcauditError)]
    if errors and len(errors) == len(tried):
        raise errors[0][1]
    failures = tuple(ShardError(shard.name, error.message, error.fix) for shard, error in errors)
    done = [outcome for _, outcome in tried if isinstance(outcome, ShardRows)]
    statuses: Counter[str] = Counter()
    for rows in done:
        statuses.update(rows.statuses)
    return Accounting(len(tried), sum(rows.resumed for rows in done), failures, dict(statuses))


def outcome_of(item: Item, work: Callable[[Item], ShardRows]) -> Outcome:
    """What became of one. Raises Displaced, which ends all."""
    try:
        return work(item)
    except Displaced:
        raise
    except NcauditError as error:
        heed()  # Ctrl-C within a library may look like a damaged file
        return error


def the_systems(error: Exception) -> tuple[int, str, str | None] | None:
    """What ends all, as it would in one process: number, words and path of what the system, or a store, refuses.

    None for what carries no number of the system's: such an error is a bug, wherever it comes from.
    """
    if not isinstance(error, OSError) or error.errno is None:
        return None
    path = error.filename
    return error.errno, str(error.strerror or error), os.fsdecode(path) if isinstance(path, (str, bytes)) else None


def in_a_line(error: Exception) -> str:
    """What went wrong, and where: the traceback ends with the process that had it."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    told = traceback.format_exception_only(error)[0].partition("\n")[0].strip()
    return f"{told} ({os.path.basename(frame.filename)}, line {frame.lineno})"
