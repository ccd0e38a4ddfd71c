"""Pairs that other rows name as their witnesses, found by pair_id: where they are, and what is known of them.

Knows tables of ours; nothing of pictures. One pass over the names alone, then the few row groups that hold them.
"""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ncaudit.judging.galleries.cells import Cells
from ncaudit.progress import Progress
from ncaudit.shards.tables.scores import ScoreTable

Cellmap = dict[str, Any]


def find_named(
    tables: Sequence[ScoreTable], ids: Collection[str], columns: Sequence[str], progress: Progress
) -> dict[str, Cellmap]:
    """The first row of each of these names, with those of the columns that its table has; unknown ones are left out."""
    if not ids:
        return {}
    progress.stage("look up witnesses", sum(table.rows for table in tables))
    wanted, found = pa.array(sorted(ids), pa.string()), dict[str, Cellmap]()
    for table in tables:
        places = _places(table, wanted, progress)
        if len(places):
            for row in _rows(table, places, columns):
                found.setdefault(str(row["pair_id"]), row)
        if len(found) == len(ids):
            break
    return found


def _places(table: ScoreTable, wanted: pa.Array, progress: Progress) -> Any:
    found, first = [np.zeros(0, np.int64)], 0
    for batch in table.batches([]):
        found.append(first + np.flatnonzero(pc.is_in(batch["pair_id"], wanted).to_numpy(zero_copy_only=False)))
        first += len(batch)
        progress.advance(len(batch))
    return np.concatenate(found)


def _rows(table: ScoreTable, places: Any, columns: Sequence[str]) -> list[Cellmap]:
    names = [name for name in dict.fromkeys(("pair_id", *columns)) if name in table.schema.names]
    rows = table.rows_at(places, names).select(names)
    return [row for batch in rows.to_batches() for row in Cells(batch).rows(np.arange(len(batch)), names)]
