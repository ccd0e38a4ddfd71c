"""What an engine is given, wherever it does it: something to set up once, and shards to do with that one by one.

Knows shapes alone. An engine promises: every task gets one outcome, in the order of the tasks; one that fails stops no
other; `Displaced`, a set-up that is refused and what the system refuses (a full disk) end all.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from ncaudit.engines.local import Outcome, ShardRows, outcome_of
from ncaudit.progress import Progress
from ncaudit.shards.files.shard import Shard


@dataclass(frozen=True)
class Task:
    """One shard. item: what the work is called with. rows: how large it is, roughly: the largest begin first."""

    shard: Shard
    item: Any
    rows: int = 0


Does = Callable[[Any], ShardRows]
Job = Callable[[Progress], AbstractContextManager[tuple[Any, Does]]]  # facts of what was set up, and the work


class Engine(Protocol):
    """Where tasks are done."""

    def run(self, tasks: Sequence[Task], progress: Progress) -> list[tuple[Task, Outcome]]:
        """What became of each, in their order."""


@dataclass(frozen=True)
class Here:
    """In this process, one after the other."""

    job: Job

    def run(self, tasks: Sequence[Task], progress: Progress) -> list[tuple[Task, Outcome]]:
        """As `Engine` has it."""
        return list(self._each(tasks, progress))

    def _each(self, tasks: Sequence[Task], progress: Progress) -> Iterator[tuple[Task, Outcome]]:
        with self.job(progress) as (_, does):
            for task in tasks:
                yield task, outcome_of(task.item, does)
