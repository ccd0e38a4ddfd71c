"""Rows that shown rows name, found in this process or by whoever does the shards: the same ones.

Knows sites and score tables; nothing of why they are named.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import partial

from ncaudit.engines.jobs import Site
from ncaudit.judging.galleries.collector import Row
from ncaudit.judging.galleries.named import WITNESSES, find_named
from ncaudit.progress import Progress
from ncaudit.shards.tables.scores import ScoreTable
from ncaudit.verbs.report.found.placed import Placed, found_in_each


def witnesses(
    site: Site, tables: Sequence[ScoreTable], ids: Collection[str], columns: Sequence[str], progress: Progress
) -> dict[str, Row]:
    """As `find_named` has it: the first row of each of these names."""
    if not site.elsewhere:
        return find_named(tables, ids, columns, progress)
    found = dict[str, Row]()
    if ids:
        progress.stage(WITNESSES, sum(table.rows for table in tables))
        for part in found_in_each(site, tables, partial(_in_table, ids=sorted(ids), columns=columns), progress):
            found |= {name: row for name, row in part.items() if name not in found or row.place < found[name].place}
    return found


def _in_table(of: Placed, progress: Progress, *, ids: Sequence[str], columns: Sequence[str]) -> Mapping[str, Row]:
    there = find_named([of.table], ids, columns, progress)
    return {name: Row(of.first + row.place, row.cells) for name, row in there.items()}
