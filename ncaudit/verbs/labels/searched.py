"""Neighbours of all rows, searched by whoever does the shards: each process has all rows, and does some of the rounds.

Knows sites and a search; nothing of tables or classes. The rows are sent once to each machine, and read there as they
lie in its memory: a process that looks through them copies nothing.
"""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ncaudit.core.device import pick_device
from ncaudit.core.neighbours.cells import Cells
from ncaudit.core.neighbours.search import Nearest
from ncaudit.core.neighbours.self_search import CellSearch, Rounds
from ncaudit.engines.jobs import Site, Task, finding, found_by
from ncaudit.progress import SILENT, Progress
from ncaudit.shards.files.shard import Shard


def searching(site: Site, shard: Shard, device: str) -> Rounds:
    """Who does the rounds of a search there. shard: any, that a process is told of which dies of one."""

    def rounds(search: CellSearch, rows: Sequence[Tensor], probes: int) -> Iterable[Nearest]:
        job = finding(partial(_round, _Sent.of(search, device), probes))
        tasks = [Task(shard, (number, some.cpu().numpy())) for number, some in enumerate(rows)]
        came: dict[int, Nearest] = {}
        wanted = 0
        for number, similarity, index in found_by(site.engine(job), tasks, SILENT):
            came[number] = Nearest(*(torch.from_numpy(one).to(search.rows.device) for one in (similarity, index)))
            while wanted in came:
                yield came.pop(wanted)
                wanted += 1

    return rounds


def _round(
    sent: "_Sent", probes: int, item: tuple[int, npt.NDArray[np.int64]], progress: Progress
) -> tuple[int, npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    number, rows = item
    found = sent.search.best(torch.from_numpy(np.array(rows)).to(sent.search.rows.device), probes)
    return number, found.similarity.cpu().numpy(), found.index.cpu().numpy()


@dataclass(frozen=True)
class _Sent:
    """A search as arrays, which a machine holds once for all its processes."""

    rows: npt.NDArray[Any]
    ids: Sequence[npt.NDArray[np.int64]]
    centres: npt.NDArray[np.float32]
    members: npt.NDArray[np.int64]
    starts: tuple[int, ...]
    k: int
    block: int
    device: str

    @classmethod
    def of(cls, search: CellSearch, device: str) -> "_Sent":
        ids = [one.cpu().numpy() for one in search.ids[1:]]  # the first are the rows' own numbers
        cells = search.cells
        arrays = (search.rows.cpu().numpy(), ids, cells.centres.cpu().numpy(), cells.members.cpu().numpy())
        return cls(*arrays, cells.starts, search.k, search.block, device)

    @cached_property
    def search(self) -> CellSearch:
        device = pick_device(self.device)
        with warnings.catch_warnings():  # arrays that are for reading alone: nobody writes to them
            warnings.simplefilter("ignore")
            given = (self.rows, self.centres, self.members, *self.ids)
            rows, centres, members, *ids = (torch.from_numpy(one).to(device) for one in given)
        own = torch.arange(len(rows), device=device)
        return CellSearch(rows, Cells(centres, members, self.starts), self.k, [own, *ids], self.block)
