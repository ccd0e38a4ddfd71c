"""Cells: unit rows parted by the nearest of some centres, so that a search can leave most of them out.

Knows unit rows; nothing of groups or of what is searched for. The centres are a spherical k-means' (Dhillon & Modha
2001) on a seeded sample; all rows are then assigned in blocks, as the cells of an inverted file (Jégou et al. 2011).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ncaudit.core.device import matmul_dtype

CELLS_PER_ROOT = 2.0  # cells per square root of the rows: comparing with centres then costs about what cells cost
SAMPLE_PER_CELL = 40  # rows that a centre is fitted on
ROUNDS = 10
BLOCK = 4_096  # rows compared with all centres at once
LEAST_DIMS = 64  # under it half precision gains nothing


@dataclass(frozen=True)
class Cells:
    """c centres, (c, d) float32 unit rows; cell i holds the rows members[starts[i]:starts[i + 1]], ascending."""

    centres: Tensor
    members: Tensor  # (n,) int64
    starts: tuple[int, ...]  # (c + 1,)

    def __len__(self) -> int:
        return len(self.centres)


def make_cells(rows: Tensor, seed: int) -> Cells:
    """Parts rows, (n, d) float16 or float32 unit rows, n >= 1, into about 2 √n cells; some may be empty.

    The same rows and seed give the same cells on a CPU. Beside the rows, memory is a sample of 80 √n of them.

    >>> make_cells(torch.eye(2)[[0, 1, 0]], seed=0).members.sort().values
    tensor([0, 1, 2])
    """
    centres = _fit(rows, max(1, min(len(rows), round(CELLS_PER_ROOT * math.sqrt(len(rows))))), seed)
    cell = nearest_cells(rows, centres, 1)[:, 0]
    members = cell.sort(stable=True).indices
    ends = torch.bincount(cell, minlength=len(centres)).cumsum(0).tolist()
    return Cells(centres, members, (0, *ends))


def nearest_cells(rows: Tensor, centres: Tensor, count: int) -> Tensor:
    """The `count` centres most similar to each row, the nearest first.

    rows: (n, d) unit rows, centres: (c, d) float32, count <= c. Returns (n, count) int32.
    """
    dtype = product_dtype(rows)
    mean = centres.mean(dim=0)  # moves all of a row's similarities alike; near 0 half precision has the finest steps
    rough = (centres - mean).to(dtype).T.contiguous()
    # written in place: small results kept from each block would lie between the large products, and pin the heap
    found = torch.empty(len(rows), count, dtype=torch.int32, device=rows.device)
    for part, out in zip(torch.split(rows, BLOCK), torch.split(found, BLOCK), strict=True):
        out.copy_((part.to(dtype) @ rough).topk(count, dim=1).indices)
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
