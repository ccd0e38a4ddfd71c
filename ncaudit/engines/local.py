"""Runs a shard function over all shards in this process, and keeps exact accounts.

Knows shards and counts; nothing of what the function does with a shard.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ncaudit.errors import NcauditError
from ncaudit.schema import OK
from ncaudit.shards.sources import Shard


@dataclass(frozen=True)
class ShardRows:
    """What became of one shard's rows: how many of each status, and whether an earlier run had finished it."""

    statuses: Mapping[str, int]
    resumed: bool = False


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
    statuses: Counter[str] = Counter()
    resumed, errors = 0, []
    for shard in shards:
        try:
            rows = work(shard)
        except NcauditError as error:
            if len(shards) == 1:
                raise
            errors.append((shard, error))
            continue
        statuses.update(rows.statuses)
        resumed += rows.resumed
    if errors and len(errors) == len(shards):
        raise errors[0][1]
    failures = tuple(ShardError(shard.name, error.message, error.fix) for shard, error in errors)
    return Accounting(len(shards), resumed, failures, dict(statuses))
