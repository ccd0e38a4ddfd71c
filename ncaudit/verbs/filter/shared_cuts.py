"""Where the kept rows end, kept for other parts of an array job: one of them ranks all rows, and all go by that.

Knows cuts and one small file beside the tables; nothing of how a cut is found. A file of other rules or tables says
nothing.
"""

import json
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from ncaudit import own_json
from ncaudit.shards.files.locations import join
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.files.writer import atomic_file
from ncaudit.verbs.filter.best_rows import BestRows, Cut
from ncaudit.verbs.outputs import versions_of
from ncaudit.version import FORMATS

CUTS = "_cuts.json"  # readers of a folder of parquet pass over names with an underscore
MOST_TIES = 1 << 16  # rows at cuts that are told one by one; with more, each part looks for itself
_CUT: own_json.Shape = {
    **{"value": (None, bool, int, float, str), "of": int, "kept": int},
    **{"key": str, "tied": int, "at_key": int},  # 64 bits, which are more than JSON's numbers have
}
SHAPE: own_json.Shape = {"of": str, "strata": [_CUT], "ties": [[int]]}


class SharedCuts:
    """The file of one output folder."""

    def __init__(self, folder: str, rules: Any, tables: Sequence[Shard]) -> None:
        """rules: what decides on the ranks of rows, as JSON. tables: whose rows are ranked, in their order."""
        self._path = join(folder, CUTS)
        told = json.dumps([FORMATS["filter"], rules, versions_of(tables)], sort_keys=True)
        self._of = blake2b(told.encode(), digest_size=16).hexdigest()

    def take(self, best: BestRows) -> bool:
        """Let these be the cuts, where they are known. Returns whether they are."""
        known = own_json.known(self._path, SHAPE)
        if known is None or known["of"] != self._of:
            return False
        rows = {one["value"]: one["of"] for one in known["strata"]}
        best.settle({one["value"]: _cut(one) for one in known["strata"]}, rows)
        best.choose([(table, row) for table, row in known["ties"]])
        return True

    def keep(self, best: BestRows) -> None:
        """Tell the other parts. What JSON cannot hold, or only at length, is not told."""
        told = {"of": self._of, "strata": [_told(*one) for one in best.cuts.items()], "ties": best.chosen}
        if len(best.chosen) > MOST_TIES or not own_json.fits(told, SHAPE):
            return
        with atomic_file(self._path) as file:
            file.write(json.dumps(told, sort_keys=True).encode())


def is_ours(path: str) -> bool:
    """Whether a file of that name is one of these."""
    return own_json.known(path, SHAPE) is not None


def _told(value: Any, cut: Cut) -> dict[str, Any]:
    numbers = {"of": cut.of, "kept": cut.kept, "tied": cut.tied, "at_key": cut.at_key}
    return {"value": value, "key": f"{cut.key:x}", **numbers}


def _cut(told: Any) -> Cut | None:
    if not told["kept"]:
        return None
    return Cut(told["kept"], told["of"], int(told["key"], 16), told["tied"], told["at_key"])
