"""What `show` would write, which is pictures and nothing else. Knows the lists; looks through none."""

from collections.abc import Iterator

from ncaudit.counts import counted
from ncaudit.options import ShowOptions
from ncaudit.planned import Plan, Reading
from ncaudit.progress import SILENT, Progress
from ncaudit.shards.claims.claims import Claim, Place, asked
from ncaudit.shards.claims.room import ask_for_room
from ncaudit.shards.tables.pairs_in_data import Dataset
from ncaudit.shards.tables.scores import ScoreTable
from ncaudit.verbs.outputs import inputs_of
from ncaudit.verbs.planning import plan_of_one, reading, refuse_streams
from ncaudit.verbs.show.lists import galleries
from ncaudit.verbs.show.show import opened


def plan_show(options: ShowOptions, progress: Progress = SILENT) -> Plan:
    """Raises NcauditError where `show` would refuse to begin.

    What the pictures are called depends on the pairs that are found: their folder is asked, not each file.
    """
    refuse_streams(options.scores)
    dataset, tables = opened(options)
    lists = galleries(options, tables)
    every, most = sum(table.rows for table in tables), options.worst * len(lists)
    work = [f"look through {counted(every, 'row')}", f"show {counted(most, 'pair')} at most"]
    if options.images is not None:
        work.append(f"write {counted(most, 'picture')} at most into {options.images}")
    return plan_of_one(
        _claim(options, dataset, tables), options.images, every, reads=tuple(_reads(options, dataset, tables)),
        work=tuple(work),
    )  # fmt: skip


def _claim(options: ShowOptions, dataset: Dataset | None, tables: list[ScoreTable]) -> Claim:
    places = [Place("--images", options.images, ())] if options.images is not None else []
    inputs = inputs_of([table.shard for table in tables], dataset.shards if dataset else [])
    claim = asked("show", places, inputs, overwrite=options.overwrite)
    for place in places:
        ask_for_room(place.told, place.folder, ())
    return claim


def _reads(options: ShowOptions, dataset: Dataset | None, tables: list[ScoreTable]) -> Iterator[Reading]:
    rows = {table.shard: table.rows for table in tables}
    yield reading("scores", options.scores, [*rows], rows.__getitem__)
    if dataset is not None:
        yield reading("--data", options.data or (), dataset.shards)
