"""The scores of all rows, laid aside table by table while it is found where they are cut into strata.

Knows files of numbers, and sites; nothing of what made the numbers. Each table's are 4 bytes per row on the disk that
all share. Whoever reads them holds those of one table; the cuts are found by counts of their digits.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from ncaudit import own_json
from ncaudit.core.statistics.digits import Counted, Keys, beginning_so, first_digits, known_whole, together
from ncaudit.core.statistics.stratified_sample import Counts, Numbers, edge_ranks, score_edges
from ncaudit.engines.jobs import Site, finding, found_by
from ncaudit.errors import NcauditError
from ncaudit.progress import SILENT, Progress
from ncaudit.shards.files import locations
from ncaudit.shards.files.writer import atomic_file
from ncaudit.shards.tables.embeddings import EmbeddingTable
from ncaudit.shards.tables.repeats.kept import HEAD_BYTES, head_of, headed
from ncaudit.shards.tables.repeats.spread import clear
from ncaudit.verbs.score.judged.likely_rows import tasks_of

Scores = npt.NDArray[np.float32]
SHAPE: own_json.Shape = {"of": str, "scores": int}


@dataclass(frozen=True)
class Aside:
    """Where they lie. of: what they are of and what made them, as both are."""

    folder: str
    of: str

    def has(self, table: int) -> bool:
        """Whether those of a table are there."""
        head = head_of(self._path(table), SHAPE)
        return head is not None and head["of"] == self.of

    def write(self, table: int, scores: Scores) -> None:
        """Lay aside (n,) scores of a table."""
        with atomic_file(self._path(table), asked=False) as file:
            file.write(headed({"of": self.of, "scores": len(scores)}))
            file.write(np.ascontiguousarray(scores))

    def read(self, table: int) -> Scores:
        """Those of a table. Raises NcauditError where they are gone."""
        path = self._path(table)
        if self.has(table):
            with locations.open_file(path, jumps=True) as file:
                file.seek(HEAD_BYTES)
                return np.frombuffer(file.read(), np.float32)
        fix = "another run may write to the same folder: run the same command again"
        raise NcauditError(f"{path} is gone, or has the scores of another run", fix=fix)

    def _path(self, table: int) -> str:
        return locations.join(self.folder, f"table-{table:06}.bin")


@contextmanager
def laid_aside(folder: str | None, of: str) -> Iterator[Aside]:
    """Where scores may lie; they go when the block ends well. folder: which all processes share, and what a killed run
    had laid there stays there; None: one of this process alone.
    """
    if folder is None:
        with TemporaryDirectory(prefix="ncaudit-") as own:
            yield Aside(own, of)
        return
    yield Aside(folder, of)
    clear(folder)


def edges(site: Site, aside: Aside, tables: Sequence[EmbeddingTable]) -> tuple[Numbers, Counts]:
    """What `score_edges` finds of all scores: from counts of how they begin, and then of those that begin as a cut."""
    first = _counted(site, partial(_beginnings, aside), tables)
    begins = np.unique(first.at(edge_ranks(first.rows)))
    known = known_whole(first, _counted(site, partial(_beginning_so, aside, begins), tables))
    return score_edges(known.values.astype(np.float64), times=known.times)


def _counted(site: Site, find: Callable[..., Counted], tables: Sequence[EmbeddingTable]) -> Counted:
    return together(found_by(site.engine(finding(find)), tasks_of(tables, range(len(tables))), SILENT))


def _beginnings(aside: Aside, item: tuple[int, EmbeddingTable], progress: Progress) -> Counted:
    return first_digits(aside.read(item[0]))


def _beginning_so(aside: Aside, begins: Keys, item: tuple[int, EmbeddingTable], progress: Progress) -> Counted:
    return beginning_so(aside.read(item[0]), begins)
