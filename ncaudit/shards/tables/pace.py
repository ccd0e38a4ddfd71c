"""How fast an earlier run was, by the times of the tables that it left.

Knows files and their times; nothing of what is in them. No timing is written anywhere: outputs are the same bytes
whenever they are made, and the system keeps the time of each file anyway.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from itertools import pairwise
from statistics import median

SHORTEST_S = 1.0  # that a pace can be told from: a copied folder has the times of its copying, which is a matter of ms


def rows_per_s(tables: Iterable[tuple[str, int]]) -> float | None:
    """Of whoever wrote these tables, (path, rows) each, one after the other; None where too little is known.

    The first only begins the clock. The median of what each took stands for all, so that a night between two runs, or
    a shard of failures, does not count.
    """
    known = sorted(_timed(tables))
    if len(known) < 2 or known[-1][0] - known[0][0] < SHORTEST_S:
        return None
    paces = [(late[0] - early[0]) / late[1] for early, late in pairwise(known) if late[1]]
    return 1 / middle if paces and (middle := median(paces)) > 0 else None


def _timed(tables: Iterable[tuple[str, int]]) -> Iterable[tuple[float, int]]:
    for path, rows in tables:
        with suppress(OSError):
            yield os.stat(path).st_mtime, rows
