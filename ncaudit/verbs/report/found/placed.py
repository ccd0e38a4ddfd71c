"""Score tables with the places of their rows among all rows, and what is found in each by whoever does the shards.

Knows tables and sites; nothing of what is found.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ncaudit.engines.jobs import Site, Task, finding, found_by
from ncaudit.progress import Progress
from ncaudit.shards.tables.scores import ScoreTable


@dataclass(frozen=True)
class Placed:
    """A table. number: among all tables, from 0. first: the place of its first row among all rows."""

    number: int
    first: int
    table: ScoreTable


def placed(tables: Sequence[ScoreTable]) -> Iterator[Placed]:
    """The tables in their order."""
    first = 0
    for number, table in enumerate(tables):
        yield Placed(number, first, table)
        first += table.rows


def found_in_each(
    site: Site, tables: Sequence[ScoreTable], find: Callable[[Placed, Progress], Any], progress: Progress
) -> Iterator[Any]:
    """What `find`, which must be known by its name everywhere, finds in each table, in any order."""
    tasks = [Task(one.table.shard, one, one.table.rows) for one in placed(tables)]
    return found_by(site.engine(finding(find)), tasks, progress)
