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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ncaudit.core.neighbours.cells import BLOCK, Cells, make_cells, nearest_cells, product_dtype
from ncaudit.core.neighbours.search import SPARE, TIE, Nearest, best_first, nearest, prepare_keys
from ncaudit.core.neighbours.top import top_columns
from ncaudit.core.parallel import in_parallel

EXACT_UP_TO = 50_000  # rows; twice as many take four times as long
RECALL = 0.95  # of the true neighbours, at least
MARGIN = 0.01  # the recall of the measured rows and that of all rows differ by less
MEASURED_ROWS = 512
ENTRIES = 2**27  # rough similarities kept of one round
ROWS, LEAST_ROWS = 2**16, 2**12  # asked about in one round
PICK_ENTRIES = 2**20  # rough similarities looked through at once: what fits a core's own memory
HIDDEN_ENTRIES = 2**22  # pairs of rows whose groups are compared at once
RANK_ENTRIES = 2**20  # numbers of the candidates' embeddings held at once, likewise
EXACT_KEYS = 2**16  # rows that the measured ones are compared with at once
QUERY_STEP, KEY_STEP = 16, 64  # sizes of products are multiples: for each new size a kernel is made, for 5 ms
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
    block: int = 512,
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

    A round takes some rows and some of their nearest cells. All that is found in it is kept, as wide as the largest
    cell for each of the cells that a row visits, and looked through at the end of the round.
    """

    def __init__(
        self, rows: Tensor, cells: Cells, k: int, ids: list[Tensor], block: int, numbers: torch.dtype = torch.int64
    ) -> None:
        self.rows, self.cells, self.k, self.ids, self.block, self.numbers = rows, cells, k, ids, block, numbers
        self.dtype = product_dtype(rows)
        self.mean = cells.centres.mean(dim=0)  # near 0 half precision has its finest steps, and it moves no rank
        self.starts = torch.tensor(cells.starts, device=rows.device)
        self.cell_width = max(1, -(-int(cells.sizes.max()) // KEY_STEP)) * KEY_STEP
        self.width = k + SPARE
        self.room = torch.empty(0, dtype=self.dtype, device=rows.device)  # for what is found in one round

    def of(self, asked: Tensor, probes: int, by: Rounds = one_by_one) -> Nearest:
        """The best that the `probes` nearest cells hold for these rows, (q,) int64."""
        similarity = self.rows.new_full((len(asked), self.k), -torch.inf, dtype=torch.float32)
        index = torch.full_like(similarity, -1, dtype=self.numbers)
        # by their cells, so that the rows of a round visit the same ones
        order = self.cells.home[asked].sort(stable=True).indices
        places = torch.split(order, max(LEAST_ROWS, min(ROWS, ENTRIES // (probes * self.cell_width))))
        found = by(self, [asked[some] for some in places], probes)
        for some, best in zip(places, found, strict=True):
            similarity[some], index[some] = best.similarity, best.index.to(self.numbers)
        return Nearest(similarity, index)

    def best(self, asked: Tensor, probes: int) -> Nearest:
        """The same for the rows of one round."""
        visits = len(asked) * self._visits(len(asked), probes)
        size = visits + QUERY_STEP * min(len(self.cells), visits)
        if len(self.room) < size:
            self.room = self.room.new_empty(size, self.cell_width)
        return self._best(asked, probes, self.room)

    def _visits(self, rows: int, probes: int) -> int:
        """How many of the cells of each of so many rows one round visits."""
        return min(probes, max(1, ENTRIES // (rows * self.cell_width)))

    def _best(self, asked: Tensor, probes: int, room: Tensor) -> Nearest:
        """The best for some rows. room: for what is found in one round."""
        queries = torch.cat(in_parallel(self._queries, torch.split(asked, BLOCK)))
        cell = torch.empty(len(asked), probes, dtype=torch.int32, device=asked.device)

        def fill(both: tuple[Tensor, Tensor]) -> None:
            both[1].copy_(nearest_cells(self.rows.index_select(0, both[0]), self.cells.centres, probes))

        in_parallel(fill, zip(torch.split(asked, BLOCK), torch.split(cell, BLOCK), strict=True))
        value, found = queries.new_empty(len(asked), 0), asked.new_empty(len(asked), 0)
        for part in torch.split(cell, self._visits(len(asked), probes), dim=1):
            more, rows = self._round(asked, queries, part.contiguous(), room)
            value, found = torch.cat([value, more], dim=1), torch.cat([found, rows], dim=1)
            if value.shape[1] > self.width:
                value, column = value.topk(self.width, dim=1, sorted=False)
                found = found.gather(1, column)
        found = found.masked_fill(value == -torch.inf, -1)
        parts = zip(torch.split(asked, BLOCK), torch.split(found, BLOCK), strict=True)
        best = in_parallel(lambda both: best_first(self._exactly(*both), both[1], self.k), parts)
        return Nearest(torch.cat([part.similarity for part in best]), torch.cat([part.index for part in best]))

    def _queries(self, asked: Tensor) -> Tensor:
        return self.rows.index_select(0, asked).float().to(self.dtype)

    def _round(self, asked: Tensor, queries: Tensor, cell: Tensor, room: Tensor) -> tuple[Tensor, Tensor]:
        """The best candidates that these cells, (q, p) int32, hold for each row: rough similarities, row numbers."""
        place = self._compared(queries, cell, room)
        rows = max(1, PICK_ENTRIES // (cell.shape[1] * self.cell_width))
        parts = zip(*(torch.split(one, rows) for one in (asked, cell, place)), strict=True)

        def pick(part: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
            some, cells, places = part
            return self._picked(some, cells, room.index_select(0, places.flatten()).view(len(some), -1))

        picked = in_parallel(pick, parts)
        return torch.cat([value for value, _ in picked]), torch.cat([found for _, found in picked])

    def _compared(self, queries: Tensor, cell: Tensor, room: Tensor) -> Tensor:
        """Fills the room, cell by cell. Returns where in it each query's rows of its cells are, (q, p) int64."""
        visited, visit = cell.flatten().sort(stable=True)
        held = torch.bincount(visited, minlength=len(self.cells))
        wide = (held + QUERY_STEP - 1) // QUERY_STEP * QUERY_STEP
        ends, first = wide.cumsum(0), held.cumsum(0) - held
        at = torch.arange(len(visit), device=visit.device) + (ends - wide - first)[visited]
        query = torch.zeros(int(ends[-1]), dtype=torch.int64, device=visit.device)  # beyond `held`, any
        query[at] = visit // cell.shape[1]

        def compare(visit: tuple[int, tuple[int, int]]) -> None:
            number, (start, end) = visit
            self._compare(number, queries, query[start:end], room[start:end])

        spans = enumerate(zip([0, *ends.tolist()], ends.tolist(), strict=False))
        in_parallel(compare, ((number, (start, end)) for number, (start, end) in spans if start < end))
        place = torch.empty_like(visit)
        place[visit] = at
        return place.view(cell.shape)

    def _compare(self, number: int, queries: Tensor, query: Tensor, out: Tensor) -> None:
        """Rough similarities of some queries to the rows of one cell, into (q, width)."""
        members = self.cells.members[self.cells.starts[number] : self.cells.starts[number + 1]]
        keys = queries.new_zeros(-(-len(members) // KEY_STEP) * KEY_STEP, queries.shape[1])
        keys[: len(members)] = self.rows.index_select(0, members).float() - self.mean
        for rows, part in zip(torch.split(query, self.block), torch.split(out, self.block), strict=True):
            torch.mm(queries.index_select(0, rows), keys.T, out=part[:, : len(keys)])
        out[:, len(members) :] = -torch.inf

    def _picked(self, asked: Tensor, cell: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """The best of what was found for some rows, (q, p * cell width), without those that share a group with them."""
        column = top_columns(value, min(self.width, value.shape[1]))
        found = self._members(cell, column)
        hidden = self._shared(asked[:, None], found)
        many = (hidden.sum(dim=1) > SPARE // 2).nonzero()[:, 0]
        for some in torch.split(many, max(1, HIDDEN_ENTRIES // value.shape[1])):
            every = torch.arange(value.shape[1], device=value.device).expand(len(some), -1)
            shared = self._shared(asked[some, None], self._members(cell[some], every))
            column[some] = top_columns(value[some].masked_fill(shared, -torch.inf), column.shape[1])
            found[some] = self._members(cell[some], column[some])
            hidden[some] = shared.gather(1, column[some])
        return value.gather(1, column).masked_fill(hidden, -torch.inf), found

    def _members(self, cell: Tensor, column: Tensor) -> Tensor:
        """The rows that columns stand for, (q, m); any row where a column stands for none."""
        number = cell.gather(1, column // self.cell_width).long()
        place = self.starts[number] + column % self.cell_width
        return self.cells.members[place.clamp(max=len(self.cells.members) - 1)]

    def _shared(self, query: Tensor, other: Tensor) -> Tensor:
        shared = query == other
        for ids in self.ids[1:]:
            shared |= ids[query] == ids[other]
        return shared

    def _exactly(self, asked: Tensor, found: Tensor) -> Tensor:
        """The similarities in float32 of these candidates, (q, width); -inf for none, which is -1."""
        value = self.rows.new_empty(found.shape, dtype=torch.float32)
        size = max(1, RANK_ENTRIES // (self.width * self.rows.shape[1]))
        for query, other, out in zip(*(torch.split(one, size) for one in (asked, found, value)), strict=True):
            own = self.rows.index_select(0, query).float()
            keys = self.rows.index_select(0, other.clamp(min=0).flatten()).float()
            out.copy_(torch.einsum("qcd,qd->qc", keys.view(*other.shape, -1), own))
        return value.masked_fill(found < 0, -torch.inf)


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
