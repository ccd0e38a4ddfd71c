"""Cells: every row in exactly one, the nearest centre's; clear clusters stay whole."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ncaudit.core.neighbours.cells import Cells, make_cells, nearest_cells


def _blobs(n: int = 900, d: int = 64) -> tuple[Tensor, Tensor]:
    truth = torch.arange(n) % 9
    noise = torch.randn(n, d, generator=torch.Generator().manual_seed(0))
    return normalize(torch.eye(d)[truth] + 0.02 * noise, dim=1), truth


def _cell_of(cells: Cells) -> Tensor:
    cell = torch.empty_like(cells.members)
    cell[cells.members] = torch.arange(len(cells)).repeat_interleave(torch.tensor(cells.starts).diff())
    return cell


def test_every_row_lies_in_the_cell_of_its_nearest_centre() -> None:
    rows, _ = _blobs()
    cells = make_cells(rows, seed=0)
    assert len(cells.centres.unique(dim=0)) == 120  # four times the square root of the rows
    assert cells.members.sort().values.tolist() == list(range(900))
    nearest = rows @ cells.centres.T
    chosen = nearest.gather(1, _cell_of(cells)[:, None])[:, 0]
    torch.testing.assert_close(chosen, nearest.amax(dim=1), rtol=0, atol=0.01)  # a rough product may err a little


def test_a_cell_does_not_mix_clear_clusters() -> None:
    rows, truth = _blobs()
    cells = make_cells(rows, seed=0)
    mixed = [truth[cells.members[a:b]].unique() for a, b in zip(cells.starts, cells.starts[1:], strict=False)]
    assert max(len(found) for found in mixed) == 1


def test_the_nearest_centre_comes_first() -> None:
    order = nearest_cells(normalize(torch.tensor([[3.0, 2.0, 1.0]]), dim=1), torch.eye(3), 3)
    assert order.tolist() == [[0, 1, 2]]


def test_no_cell_is_much_larger_than_most_and_the_parts_of_one_stand_together() -> None:
    rows, _ = _blobs()
    rows[:500] = rows[0]  # one photo for all that failed
    cells = make_cells(rows, seed=0)
    assert int(cells.sizes.max()) <= 12  # of 900 rows in 120 cells, one and a half times 7.5
    assert int(cells.sizes.sum()) == 900
    same = (cells.centres[1:] == cells.centres[:-1]).all(dim=1)
    assert len(cells) - int(same.sum()) == len(cells.centres.unique(dim=0))
    assert torch.equal(cells.home.long(), _cell_of(cells))


def test_cells_that_lie_near_each_other_have_numbers_near_each_other() -> None:
    rows, truth = _blobs()
    cells = make_cells(rows, seed=0)
    cluster = truth[cells.members]  # in the order of the cells
    assert int((cluster[1:] != cluster[:-1]).sum()) < 30  # of nine clusters, in about a dozen coarse groups


def test_the_same_seed_gives_the_same_cells() -> None:
    rows, _ = _blobs()
    first, again = make_cells(rows.half(), seed=4), make_cells(rows.half(), seed=4)
    assert torch.equal(first.members, again.members)
    assert torch.equal(first.centres, again.centres)
