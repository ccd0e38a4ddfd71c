"""Rows that other rows name, such as the anchors that judged them: found by pair_id, and where the dataset has them.

Knows rows and score tables; nothing of why somebody wants them. One pass over the names alone, then the few row groups
that hold them.
"""

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ncaudit.judging.galleries.cells import Cells, whole_length
from ncaudit.judging.galleries.collector import Row
from ncaudit.progress import SILENT, Progress
from ncaudit.shards.tables.made_from import data_of
from ncaudit.shards.tables.pairs_in_data import Wanted
from ncaudit.shards.tables.scores import ScoreTable

WITNESSES = "look up witnesses"  # a stage
Places = npt.NDArray[np.int64]


def find_named(
    tables: Sequence[ScoreTable], ids: Collection[str], columns: Sequence[str], progress: Progress = SILENT
) -> dict[str, Row]:
    """The first row of each of these names, with those of the columns that its table has; unknown ones are left out."""
    found, first = dict[str, Row](), 0
    if ids:
        progress.stage(WITNESSES, sum(table.rows for table in tables))
    for table in tables:
        lacking = set(ids) - found.keys()
        if not lacking:
            break
        places = _places(table, pa.array(sorted(lacking), pa.string()), progress)
        for place, row in zip(places.tolist(), _rows(table, places, columns), strict=True):
            found.setdefault(str(row["pair_id"]), Row(first + place, row))
        first += table.rows
    return found


def _places(table: ScoreTable, wanted: pa.Array, progress: Progress) -> Places:
    """The rows of these names in a table, until the last name is found."""
    found, lacking, first = [np.zeros(0, np.int64)], set(wanted.to_pylist()), 0
    for batch in table.batches([]):
        at = np.flatnonzero(pc.is_in(batch["pair_id"], wanted).to_numpy(zero_copy_only=False))
        found.append(first + at)
        lacking -= {*batch["pair_id"].take(pa.array(at)).to_pylist()}
        first += len(batch)
        progress.advance(len(batch))
        if not lacking:
            break
    return np.concatenate(found)


def _rows(table: ScoreTable, places: Places, columns: Sequence[str]) -> list[dict[str, object]]:
    if not len(places):
        return []
    names = [name for name in dict.fromkeys(("pair_id", *columns)) if name in table.schema.names]
    rows = table.rows_at(places, names).select(names)
    return [row for batch in rows.to_batches() for row in Cells(batch).rows(np.arange(len(batch)), names)]


def in_data(tables: Sequence[ScoreTable], row: Row) -> Wanted:
    """What the dataset is asked for, to see the pair of a row."""
    table, shard, number = _table_of(tables, row.place), row.get("shard"), row.get("row")
    if not (isinstance(shard, str) and isinstance(number, int) and number >= 0):  # of a table from elsewhere
        shard = number = None
    caption = row.get("caption")
    told, cut = (caption if isinstance(caption, str) else None), whole_length(row.cells, "caption") is not None
    return Wanted(str(row.get("pair_id")), shard, number, table.shard.path, data_of(table.provenance), told, cut)


def _table_of(tables: Sequence[ScoreTable], place: int) -> ScoreTable:
    for table in tables:
        if place < table.rows:
            return table
        place -= table.rows
    raise AssertionError(place)
