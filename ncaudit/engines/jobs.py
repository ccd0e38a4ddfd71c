"""What an engine is given, wherever it does it: something to set up once, and shards to do with that one by one.

Knows shapes alone. An engine promises: every task gets one outcome; one that fails stops no other; `Displaced`, a
set-up that is refused and what the system refuses (a full disk) end all. A site is where one command's jobs are done,
one after the other: what it takes to be there is paid once.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from ncaudit.engines.local import Outcome, ShardRows, outcome_of
from ncaudit.errors import NcauditError
from ncaudit.progress import Progress
from ncaudit.shards.files.shard import Shard


@dataclass(frozen=True)
class Task:
    """One shard. item: what the work is called with. rows: how large it is, roughly: the largest begin first."""

    shard: Shard
    item: Any
    rows: int = 0


Does = Callable[[Any], ShardRows]
Told = Generator[tuple["Task", Outcome], None, None]
Job = Callable[[Progress], AbstractContextManager[tuple[Any, Does]]]  # facts of what was set up, and the work


class Engine(Protocol):
    """Where tasks are done."""

    def run(self, tasks: Sequence[Task], progress: Progress) -> list[tuple[Task, Outcome]]:
        """What became of each, in their order."""

    def each(self, tasks: Sequence[Task], progress: Progress) -> Told:
        """The same as it comes, in any order: none is held."""


class Site(Protocol):
    """Where one command's jobs are done."""

    @property
    def elsewhere(self) -> bool:
        """Whether the work is done by other processes, maybe on other machines: what they need is sent to them."""

    def engine(self, job: Job) -> Engine:
        """Does this job there."""


@dataclass(frozen=True)
class Here:
    """In this process, one after the other."""

    job: Job

    def run(self, tasks: Sequence[Task], progress: Progress) -> list[tuple[Task, Outcome]]:
        """As `Engine` has it."""
        return list(self.each(tasks, progress))

    def each(self, tasks: Sequence[Task], progress: Progress) -> Told:
        """As `Engine` has it, in their order."""
        with self.job(progress) as (_, does):
            for task in tasks:
                yield task, outcome_of(task.item, does)


@dataclass(frozen=True)
class ThisProcess:
    """The site that is always there."""

    elsewhere: bool = False

    def engine(self, job: Job) -> Here:
        """As `Site` has it."""
        return Here(job)


def finding(find: Callable[[Any, Progress], Any]) -> Job:
    """A job that writes no shard: what `find` makes of an item is told. It must be known by its name everywhere."""
    return partial(_finding, find)


@contextmanager
def _finding(find: Callable[[Any, Progress], Any], progress: Progress) -> Iterator[tuple[None, Does]]:
    yield None, lambda item: ShardRows({}, more=find(item, progress))


def found_by(engine: Engine, tasks: Sequence[Task], progress: Progress) -> Iterator[Any]:
    """What each task found, as it comes: `more` of its rows. Raises the error of the first that could not be done.

    For what is told of all shards together, which a shard that is left out would make wrong.
    """
    with closing(engine.each(tasks, progress)) as outcomes:
        for _, outcome in outcomes:
            if isinstance(outcome, NcauditError):
                raise outcome
            yield outcome.more
