"""Which rows of the tables people may have judged, told table by table by whoever does the shards.

Knows sites, tables and who judged; nothing of scores. Of each table only the rows come here that a file may be about:
as many as people judged, whatever the tables hold.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pyarrow as pa

from ncaudit.engines.jobs import Site, Task, finding, found_by
from ncaudit.errors import BadTable
from ncaudit.progress import Progress
from ncaudit.shards.people.pair_finder import Asked, Found, Likely, PairFinder
from ncaudit.shards.tables.embeddings import EmbeddingTable, Named
from ncaudit.shards.tables.key_index import Places

Names = Callable[[EmbeddingTable], Iterator[Named]]


@dataclass(frozen=True)
class Told:
    """What one table tells. first_id: of its first ok row. rows: of each judge those that his file may be about,
    numbered from 0, in their order. score: of all of these, by their number; of none where only names were asked for.
    """

    table: int
    first_id: str | None
    rows: Sequence[Sequence[Named]]
    score: Mapping[int, float] = field(default_factory=dict)

    @property
    def speaks(self) -> bool:
        """Whether there is any."""
        return any(self.rows)


class Telling:
    """What one table tells, while its ok rows pass by. judges: what each one's file says of its pairs."""

    def __init__(self, judges: Sequence[Asked]) -> None:
        self._likely = [Likely(wanted) for wanted in judges]
        self._rows: list[list[Named]] = [[] for _ in judges]
        self._first_id: str | None = None

    def add(self, named: Named) -> Places:
        """The next ok rows of the table: which of them somebody may have judged, ascending."""
        if self._first_id is None and len(named.place):
            self._first_id = str(named.pair_id[0])
        every = [np.empty(0, dtype=np.int64)]
        for likely, rows in zip(self._likely, self._rows, strict=True):
            at = likely.among(named.pair_id, named.shard, named.row)
            rows += [_some(named, at)] if len(at) else []
            every.append(at)
        return np.unique(np.concatenate(every))

    def told(self, table: int, score: Mapping[int, float]) -> Told:
        """All that was added. table: its number."""
        return Told(table, self._first_id, self._rows, score)


def look_up(
    site: Site, judges: Sequence[Asked], tables: Sequence[EmbeddingTable], require: Callable[["Looked"], None],
    progress: Progress,
) -> frozenset[int]:  # fmt: skip
    """The numbers of the tables that have rows which people may have judged. No embedding is read.

    require: raises BadTable where a judged pair is none of these tables, or its name is that of several. It is asked
    again, and then the rows without a usable embedding are left out, where rows that turn out to have none may be why.
    """
    try:
        looked = _looked(site, judges, tables, EmbeddingTable.named, progress)
        require(looked)
    except BadTable:
        looked = _looked(site, judges, tables, usable, progress)
        require(looked)
    return frozenset(number for number, told in looked.told.items() if told.speaks)


@dataclass(frozen=True)
class Looked:
    """What all tables tell, by their number; those that are left out tell of nothing."""

    judges: Sequence[Asked]
    tables: Sequence[EmbeddingTable]
    told: Mapping[int, Told]

    @property
    def starts(self) -> list[int]:
        """The number of each table's first row, all rows being counted through."""
        ends = np.cumsum([0, *(table.rows for table in self.tables)])
        return [int(end) for end in ends[:-1]]

    @property
    def first_id(self) -> str:
        """What the first row is called, for errors."""
        names = (self.told[number].first_id for number in sorted(self.told))
        return next((name for name in names if name is not None), "none")

    def found(self) -> list[Found]:
        """What every row of each judge's file is about. Raises BadTable as `PairFinder.found` does."""
        return [self._found(number) for number in range(len(self.judges))]

    def _found(self, judge: int) -> Found:
        finder = PairFinder(self.judges[judge])
        for number, (table, first) in enumerate(zip(self.tables, self.starts, strict=True)):
            finder.table(table.shard.path, first)
            for rows in self.told[number].rows[judge] if number in self.told else ():
                finder.add(first + rows.place, rows.pair_id, rows.shard, rows.row, rows.caption)
        return finder.found()


def tasks_of(tables: Sequence[EmbeddingTable], numbers: Sequence[int]) -> list[Task]:
    """One for each of some tables, whose item is its number and the table."""
    return [Task(tables[number].shard, (number, tables[number]), tables[number].rows) for number in numbers]


def usable(table: EmbeddingTable) -> Iterator[Named]:
    """What the rows are called that have embeddings."""
    first = 0
    for batch in table.batches():
        yield batch.named(first)
        first += len(batch)


def _looked(
    site: Site, judges: Sequence[Asked], tables: Sequence[EmbeddingTable], names: Names, progress: Progress
) -> Looked:
    engine = site.engine(finding(partial(_named, judges, names)))
    every = found_by(engine, tasks_of(tables, range(len(tables))), progress)
    return Looked(judges, tables, {told.table: told for told in every})


def _named(judges: Sequence[Asked], names: Names, item: tuple[int, EmbeddingTable], progress: Progress) -> Told:
    telling, ok = Telling(judges), 0
    for named in names(item[1]):
        telling.add(named)
        ok += len(named.place)
        progress.advance(len(named.place))
    progress.advance(item[1].rows - ok, item[1].rows - ok)
    return telling.told(item[0], {})


def _some(named: Named, at: Places) -> Named:
    words = (column.take(pa.array(at)) for column in (named.pair_id, named.shard, named.row, named.caption))
    return Named(named.place[at], *words)
