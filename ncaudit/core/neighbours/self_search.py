"""Nearest neighbours of every row of a set among the set's own rows: exact up to some size, cell by cell above it.

Knows unit rows and group ids; nothing of photos, captions, classes or what the neighbours are wanted for.

Comparing all rows with all grows with the square of their number. Above `exact_up_to` rows each row is compared only
with the rows of the cells (`cells.py`) nearest to it. How many cells that takes depends on the data: few where
the rows lie in clusters, most of them where they have no structure. So the true neighbours of some rows are found
first, and as many cells are visited as it takes to find them again.

Where half precision is fast, the products are rough: so some `SPARE` more candidates than asked for are kept, and
ranked by their float32 similarities in the end.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ncaudit.core.neighbours.cells import BLOCK, Cells, make_cells, nearest_cells, product_dtype
from ncaudit.core.neighbours.search import SPARE, TIE, Nearest, best_first, nearest, prepare_keys
from ncaudit.core.neighbours.shortlist import MOST_ROWS, NOBODY, Shortlist, above, packed
from ncaudit.core.neighbours.top import sorted_ascending
from ncaudit.core.parallel import in_parallel

EXACT_UP_TO = 50_000  # rows; twice as many take four times as long
RECALL = 0.95  # of the true neighbours, at least
MARGIN = 0.01  # the recall of the measured rows and that of all rows differ by less
MEASURED_ROWS = 512
ROWS = MOST_ROWS  # asked about in one round
FIRST_LOOK, LOOKS_GROW = 2, 6  # cells of which everything is kept, and how many times as many have been visited next
RANK_ENTRIES = 2**18  # numbers of the candidates' embeddings held at once: what fits a core's own memory
EXACT_KEYS = 2**16  # rows that the measured ones are compared with at once
QUERY_STEP, KEY_STEP = 64, 16  # sizes of products are multiples: for each new size a kernel is made, for 5 ms
MORE_CELLS = 1.25


# Who does the rounds of a search: its tables, the rows of each round, and how many cells each row visits; what is found
# for each comes in their order.
Rounds = Callable[["CellSearch", Sequence[Tensor], int], Iterable[Nearest]]


def one_by_one(search: "CellSearch", rounds: Sequence[Tensor], probes: int) -> Iterable[Nearest]:
    """Here, one round after the other."""
    return (search.best(rows, probes) for rows in rounds)


@dataclass(frozen=True)
class NearestInSet(Nearest):
    """Row i: the best other rows for row i; and how many of the truly nearest these are."""

    recall: float  # share of the true k nearest that are there, [0, 1]: measured on some rows, 1 where all are exact
    recall_at_10: float  # the same of the 10 best, or of all k where k is less
    exact: bool  # every row was compared with every other
    compared: float  # share of the cells with whose rows each row was compared, 1 where all are exact


def nearest_in_set(
    rows: Tensor,
    k: int,
    groups: Sequence[Tensor] = (),
    *,
    exact_up_to: int = EXACT_UP_TO,
    seed: int = 0,
    block: int = 1_024,
    by: Rounds = one_by_one,
    numbers: torch.dtype = torch.int64,
) -> NearestInSet:
    """Each row's k most similar other rows that share no group with it; of larger sets at least 95 % of them.

    rows: (n, d) float16 or float32 unit rows. k >= 1. groups: (n,) int64 tensors (photo ids, caption ids, …) on the
    rows' device: a row with any id equal to one's own is left out; so is, always, the row itself.
    exact_up_to: rows up to which the answer is exact. seed: of the cells and of the rows that the recall is measured
    on. block: rows compared at once. by: who does the rounds of a search in cells; each finds the same wherever it is
    done. numbers: the type of the row numbers; int32 takes half the memory where there are many.
    Returns cosines in float32, descending, and row numbers, (n, k) both; -inf and -1 where fewer than k are allowed,
    and above `exact_up_to` also where the cells that were visited hold no more. Beside rows and result, memory is a
    float32 sample of 160 √n rows and about 400 MiB. On a CPU the same rows, groups
    and seed give the same bits.

    >>> nearest_in_set(torch.eye(3)[[0, 1, 1]], 1).index
    tensor([[1],
            [2],
            [1]])
    """
    rows, ids = rows.detach(), [torch.arange(len(rows), device=rows.device), *groups]
    if len(rows) > exact_up_to:
        return _by_cells(CellSearch(rows, make_cells(rows, seed), k, ids, block, numbers), seed, by)
    keys = rows.float()
    found = nearest(keys, prepare_keys(keys), k, query_groups=ids, key_groups=ids, block=block)
    index = found.index.to(numbers)
    return NearestInSet(found.similarity, index, recall=1.0, recall_at_10=1.0, exact=True, compared=1.0)


def _by_cells(search: "CellSearch", seed: int, by: Rounds) -> NearestInSet:
    rows, k, ids = search.rows, search.k, search.ids
    draw = torch.Generator().manual_seed(seed + 1)
    asked = torch.randperm(len(rows), generator=draw)[:MEASURED_ROWS].sort().values.to(rows.device)
    truth = _exact(rows, asked, k, ids)
    probes = _enough_cells(rows, search.cells, asked, truth)
    while _recall(found := search.of(asked, probes), truth, k) < RECALL + MARGIN and probes < len(search.cells):
        probes = min(len(search.cells), math.ceil(probes * MORE_CELLS))
    everything = search.of(torch.arange(len(rows), device=rows.device), probes, by)
    return NearestInSet(
        everything.similarity,
        everything.index,
        recall=_recall(found, truth, k),
        recall_at_10=_recall(found, truth, min(k, 10)),
        exact=False,
        compared=probes / len(search.cells),
    )


class CellSearch:
    """Rows in cells, and one k: each row asked about is compared with the rows of its nearest cells.

    A round takes some rows and does one cell after the other, with all of the rows that visit it. Of the nearest few
    cells everything is kept; of the others what is more similar than a row's `width`-th best until then, which few
    are. So nothing as large as the products is ever held, or looked through again.
    """

    def __init__(
        self, rows: Tensor, cells: Cells, k: int, ids: list[Tensor], block: int, numbers: torch.dtype = torch.int64
    ) -> None:
        self.rows, self.cells, self.k, self.ids, self.block, self.numbers = rows, cells, k, ids, block, numbers
        self.dtype = product_dtype(rows)
        self.mean = cells.centres.mean(dim=0)  # near 0 half precision has its finest steps, and it moves no rank
        self.width = k + SPARE

    def of(self, asked: Tensor, probes: int, by: Rounds = one_by_one) -> Nearest:
        """The best that the `probes` nearest cells hold for these rows, (q,) int64."""
        similarity = self.rows.new_full((len(asked), self.k), -torch.inf, dtype=torch.float32)
        index = torch.full_like(similarity, -1, dtype=self.numbers)
        # by their cells, so that the rows of a round visit the same ones
        places = torch.split(self.cells.home[asked].sort(stable=True).indices, min(ROWS, MOST_ROWS))
        found = by(self, [asked[some] for some in places], probes)
        for some, best in zip(places, found, strict=True):
            similarity[some], index[some] = best.similarity, best.index.to(self.numbers)
        return Nearest(similarity, index)

    def best(self, asked: Tensor, probes: int) -> Nearest:
        """The same for the rows of one round, MOST_ROWS at most."""
        queries = torch.cat(in_parallel(self._queries, torch.split(asked, BLOCK)))
        cell = torch.empty(len(asked), probes, dtype=torch.int32, device=asked.device)

        def fill(both: tuple[Tensor, Tensor]) -> None:
            both[1].copy_(nearest_cells(self.rows.index_select(0, both[0]), self.cells.centres, probes))

        in_parallel(fill, zip(torch.split(asked, BLOCK), torch.split(cell, BLOCK), strict=True))
        found = self._candidates(asked, queries, cell)
        parts = zip(torch.split(asked, BLOCK), torch.split(found, BLOCK), strict=True)
        best = in_parallel(lambda both: best_first(self._exactly(*both), both[1], self.k), parts)
        return Nearest(torch.cat([part.similarity for part in best]), torch.cat([part.index for part in best]))

    def _queries(self, asked: Tensor) -> Tensor:
        return self.rows.index_select(0, asked).float().to(self.dtype)

    def _candidates(self, asked: Tensor, queries: Tensor, cell: Tensor) -> Tensor:
        """The roughly best of these cells, (q, p) int32, nearest first, for each row: (q, width), -1 for none."""
        asking = _Asking(queries, [of[asked] for of in self.ids], cell)
        best, start = Shortlist.empty(len(asked), self.width, asked.device), 0
        for end in _looks(cell.shape[1]):
            best = best.joined(self._visited(asking, start, end, best.least))
            start = end
        return best.index

    def _visited(self, asking: "_Asking", start: int, end: int, least: Tensor) -> list[Tensor]:
        """What is above `least` in the cells `start` to `end` of each row: packed as in a `Shortlist`."""
        some = asking.cell[:, start:end]
        numbered = some.flatten().long() * 2**32 + torch.arange(some.numel(), device=some.device)
        visit = sorted_ascending(numbered[None])[0]
        query = (visit & (2**32 - 1)) // (end - start)
        ends = torch.bincount(some.flatten(), minlength=len(self.cells)).cumsum(0).tolist()

        def look(span: tuple[int, tuple[int, int]]) -> Tensor:
            number, (first, last) = span
            return self._cell(number, asking, query[first:last], least)

        spans = enumerate(zip([0, *ends], ends, strict=False))
        return in_parallel(look, [(number, (first, last)) for number, (first, last) in spans if first < last])

    def _cell(self, number: int, asking: "_Asking", query: Tensor, least: Tensor) -> Tensor:
        """What one cell holds above `least` for some rows."""
        members = self.cells.members[self.cells.starts[number] : self.cells.starts[number + 1]]
        keys = asking.queries.new_zeros(-(-len(members) // KEY_STEP) * KEY_STEP, asking.queries.shape[1])
        keys[: len(members)] = self.rows.index_select(0, members).float() - self.mean
        groups, found = [of[members] for of in self.ids], []
        for some in torch.split(query, self.block):
            asked = some.new_zeros(-(-len(some) // QUERY_STEP) * QUERY_STEP)  # beyond `some`, any
            asked[: len(some)] = some
            product = torch.mm(asking.queries.index_select(0, asked), keys.T)[: len(some)]
            product[:, len(members) :] = -torch.inf
            row, column, value = above(product, least[some])
            row = some[row]
            found.append(packed(row, value, members[column]))
            for own, of in zip(asking.groups, groups, strict=True):
                found[-1][own[row] == of[column]] = NOBODY
        return torch.cat(found)

    def _exactly(self, asked: Tensor, found: Tensor) -> Tensor:
        """The similarities in float32 of these candidates, (q, width); -inf for none, which is -1."""
        value = self.rows.new_empty(found.shape, dtype=torch.float32)
        size = max(1, RANK_ENTRIES // (self.width * self.rows.shape[1]))
        for query, other, out in zip(*(torch.split(one, size) for one in (asked, found, value)), strict=True):
            own = self.rows.index_select(0, query).float()
            keys = self.rows.index_select(0, other.clamp(min=0).flatten()).float()
            out.copy_(torch.einsum("qcd,qd->qc", keys.view(*other.shape, -1), own))
        return value.masked_fill(found < 0, -torch.inf)


@dataclass(frozen=True)
class _Asking:
    """The rows of one round: rough copies, (q, d); their groups' ids, (q,) each; their cells, (q, p), nearest first."""

    queries: Tensor
    groups: list[Tensor]
    cell: Tensor


def _looks(probes: int) -> Iterator[int]:
    """How many of its cells a row has visited after each look.

    >>> list(_looks(20))
    [2, 12, 20]
    """
    end = FIRST_LOOK
    while end < probes:
        yield end
        end *= LOOKS_GROW
    yield probes


def _exact(rows: Tensor, asked: Tensor, k: int, ids: list[Tensor]) -> Nearest:
    """The true k nearest of some rows; only a part of all rows is in float32 at a time."""
    queries, own = rows[asked].float(), [of[asked] for of in ids]
    best = Nearest(queries.new_empty(len(asked), 0), asked.new_empty(len(asked), 0))
    for start in range(0, len(rows), EXACT_KEYS):
        here = slice(start, start + EXACT_KEYS)
        found = nearest(queries, rows[here].float(), k, query_groups=own, key_groups=[of[here] for of in ids])
        similarity = torch.cat([best.similarity, found.similarity], dim=1)
        best = best_first(similarity, torch.cat([best.index, found.index + start], dim=1), k)
    return best


def _enough_cells(rows: Tensor, cells: Cells, asked: Tensor, truth: Nearest) -> int:
    """How many of a row's nearest cells hold enough of its true neighbours."""
    there = truth.index >= 0
    if not bool(there.any()):
        return 1
    home = cells.home[truth.index[there]][:, None]
    order = nearest_cells(rows[asked], cells.centres, len(cells))
    asker = there.nonzero()[:, 0]
    rank = (order[asker] == home).int().argmax(dim=1).sort().values
    return int(rank[min(len(rank) - 1, math.ceil((RECALL + MARGIN) * len(rank)))]) + 1


def _recall(found: Nearest, truth: Nearest, k: int) -> float:
    """Share of the true k nearest that were found; of equally similar rows any will do."""
    true = truth.similarity[:, :k]
    there = true > -torch.inf
    least = true.masked_fill(~there, torch.inf).amin(dim=1, keepdim=True)
    hits = (found.similarity[:, :k] >= least - TIE).sum()
    return float(hits / there.sum()) if bool(there.any()) else 1.0
