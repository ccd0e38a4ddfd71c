"""Cells: unit rows parted by the nearest of some centres, so that a search can leave most of them out.

Knows unit rows; nothing of groups or of what is searched for. The centres are a spherical k-means' (Dhillon & Modha
2001) on a seeded sample; all rows are then assigned in blocks, as the cells of an inverted file (Jégou et al. 2011).
Cells that lie near each other have numbers near each other, and none is much larger than most: a large one is parted.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ncaudit.core.device import matmul_dtype
from ncaudit.core.neighbours.top import top_columns
from ncaudit.core.parallel import in_parallel

CELLS_PER_ROOT = 4.0  # cells per square root of the rows: with fewer, more rows must be compared for the same recall
LARGEST = 1.5  # times the mean that a cell may hold: what is kept of a comparison is as wide as the largest
SAMPLE_PER_CELL = 40  # rows that a centre is fitted on
ROUNDS = 10
BLOCK = 4_096  # rows compared with all centres at once
LEAST_DIMS = 64  # under it half precision gains nothing


@dataclass(frozen=True)
class Cells:
    """c centres, (c, d) float32 unit rows; cell i holds the rows members[starts[i]:starts[i + 1]], ascending.

    The parts of a cell that was too large stand next to each other, and have one centre.
    """

    centres: Tensor
    members: Tensor  # (n,) int64
    starts: tuple[int, ...]  # (c + 1,)

    def __len__(self) -> int:
        return len(self.centres)

    @cached_property
    def sizes(self) -> Tensor:
        """(c,) int64: how many rows each holds."""
        return torch.tensor(self.starts, device=self.members.device).diff()

    @cached_property
    def home(self) -> Tensor:
        """(n,) int32: the cell of each row."""
        cell = torch.arange(len(self), dtype=torch.int32, device=self.members.device)
        home = torch.empty(len(self.members), dtype=torch.int32, device=self.members.device)
        home[self.members] = cell.repeat_interleave(self.sizes)
        return home


def make_cells(rows: Tensor, seed: int) -> Cells:
    """Parts rows, (n, d) float16 or float32 unit rows, n >= 1, into 4 √n cells and some more; some may be empty.

    The same rows and seed give the same cells on a CPU. Beside the rows, memory is a sample of 160 √n of them.

    >>> make_cells(torch.eye(2)[[0, 1, 0]], seed=0).members.sort().values
    tensor([0, 1, 2])
    """
    count = max(1, min(len(rows), round(CELLS_PER_ROOT * math.sqrt(len(rows)))))
    centres = _side_by_side(_fit(rows, count, seed), seed)
    cell = nearest_cells(rows, centres, 1)[:, 0]
    held = torch.bincount(cell, minlength=count)
    parts = (held / math.ceil(LARGEST * len(rows) / count)).ceil().long().clamp(min=1)
    number = torch.arange(count, device=rows.device).repeat_interleave(parts)
    place = torch.arange(len(number), device=rows.device) - (parts.cumsum(0) - parts)[number]
    before = (held.cumsum(0) - held)[number]
    starts = [*(before + held[number] * place // parts[number]).tolist(), len(rows)]
    return Cells(centres[number], cell.sort(stable=True).indices, tuple(starts))


def _side_by_side(centres: Tensor, seed: int) -> Tensor:
    """The same centres, those near each other together."""
    coarse = _fit(centres, max(1, round(math.sqrt(len(centres)))), seed)
    return centres[nearest_cells(centres, coarse, 1)[:, 0].sort(stable=True).indices]


def nearest_cells(rows: Tensor, centres: Tensor, count: int) -> Tensor:
    """The `count` centres most similar to each row, the nearest first.

    rows: (n, d) unit rows, centres: (c, d) float32, count <= c. Returns (n, count) int32.
    """
    dtype = product_dtype(rows)
    mean = centres.mean(dim=0)  # moves all of a row's similarities alike; near 0 half precision has the finest steps
    rough = (centres - mean).to(dtype).T.contiguous()
    # written in place: small results kept from each block would lie between the large products, and pin the heap
    found = torch.empty(len(rows), count, dtype=torch.int32, device=rows.device)

    def fill(both: tuple[Tensor, Tensor]) -> None:
        part, out = both
        product = part.float().to(dtype) @ rough  # from float16 straight to bfloat16 takes twice as long
        column = top_columns(product, count)
        out.copy_(column if count == 1 else column.gather(1, product.gather(1, column).argsort(1, descending=True)))

    in_parallel(fill, zip(torch.split(rows, BLOCK), torch.split(found, BLOCK), strict=True))
    return found


def product_dtype(rows: Tensor) -> torch.dtype:
    """The type that products of these rows are fastest in."""
    return matmul_dtype(rows.device) if rows.shape[1] >= LEAST_DIMS else torch.float32


def _fit(rows: Tensor, count: int, seed: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(rows), generator=draw)[: count * SAMPLE_PER_CELL]
    sample = rows[chosen.to(rows.device)].float()
    centres = sample[:count].clone()
    for _ in range(ROUNDS):
        cell = nearest_cells(sample, centres, 1)[:, 0].long()
        centres = normalize(torch.zeros_like(centres).index_add_(0, cell, sample), dim=1)
        empty = (torch.bincount(cell, minlength=count) == 0).nonzero()[:, 0]
        again = torch.randint(len(sample), (len(empty),), generator=draw)
        centres[empty] = sample[again.to(rows.device)]
    return centres
