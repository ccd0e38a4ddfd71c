"""Nearest neighbours of every row of a set among the set's own rows: exact up to some size, cell by cell above it.

Knows unit rows and group ids; nothing of photos, captions, classes or what the neighbours are wanted for.

Comparing all rows with all grows with the square of their number. Above `exact_up_to` rows each row is compared only
with the rows of the cells (`cells.py`) nearest to it. How many cells that takes depends on the data: few where
the rows lie in clusters, most of them where they have no structure. So the true neighbours of some rows are found
first, and as many cells are visited as it takes to find them again.

Where half precision is fast, the products are rough: then some `SPARE` more candidates than asked for are kept, and
ranked by their float32 similarities in the end.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ncaudit.core.neighbours.cells import BLOCK, Cells, make_cells, nearest_cells, product_dtype
from ncaudit.core.neighbours.search import SPARE, TIE, Nearest, best_first, nearest, prepare_keys

EXACT_UP_TO = 50_000  # rows; twice as many take four times as long
RECALL = 0.95  # of the true neighbours, at least
MARGIN = 0.01  # the recall of the measured rows and that of all rows differ by less
MEASURED_ROWS = 512
VISITS = 2**24  # (row, cell) pairs planned at once
ROWS = 2**17  # rows whose candidates are held at once
MEMBERS = 2**14  # rows of a cell compared at once
EXACT_KEYS = 2**16  # rows that the measured ones are compared with at once
EXACT_ENTRIES = 2**24  # numbers of the candidates' embeddings held at once
MORE_CELLS = 1.25


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
) -> NearestInSet:
    """Each row's k most similar other rows that share no group with it; of larger sets at least 95 % of them.

    rows: (n, d) float16 or float32 unit rows. k >= 1. groups: (n,) int64 tensors (photo ids, caption ids, …) on the
    rows' device: a row with any id equal to one's own is left out; so is, always, the row itself.
    exact_up_to: rows up to which the answer is exact. seed: of the cells and of the rows that the recall is measured
    on. block: rows compared at once.
    Returns cosines in float32, descending, and row numbers, (n, k) both; -inf and -1 where fewer than k are allowed,
    and above `exact_up_to` also where the cells that were visited hold no more. Beside rows and result, memory is a
    float32 sample of 80 √n rows and some 30 (k + 16) bytes for each of at most 131,072. On a CPU the same rows, groups
    and seed give the same bits.

    >>> nearest_in_set(torch.eye(3)[[0, 1, 1]], 1).index
    tensor([[1],
            [2],
            [1]])
    """
    rows, ids = rows.detach(), [torch.arange(len(rows), device=rows.device), *groups]
    if len(rows) > exact_up_to:
        return _by_cells(rows, k, ids, seed, block)
    keys = rows.float()
    found = nearest(keys, prepare_keys(keys), k, query_groups=ids, key_groups=ids, block=block)
    return NearestInSet(found.similarity, found.index, recall=1.0, recall_at_10=1.0, exact=True, compared=1.0)


def _by_cells(rows: Tensor, k: int, ids: list[Tensor], seed: int, block: int) -> NearestInSet:
    search = _CellSearch(rows, make_cells(rows, seed), k, ids, block)
    draw = torch.Generator().manual_seed(seed + 1)
    asked = torch.randperm(len(rows), generator=draw)[:MEASURED_ROWS].sort().values.to(rows.device)
    truth = _exact(rows, asked, k, ids)
    probes = _enough_cells(rows, search.cells, asked, truth)
    while _recall(found := search.of(asked, probes), truth, k) < RECALL + MARGIN and probes < len(search.cells):
        probes = min(len(search.cells), math.ceil(probes * MORE_CELLS))
    everything = search.of(torch.arange(len(rows), device=rows.device), probes)
    return NearestInSet(
        everything.similarity,
        everything.index,
        recall=_recall(found, truth, k),
        recall_at_10=_recall(found, truth, min(k, 10)),
        exact=False,
        compared=probes / len(search.cells),
    )


class _CellSearch:
    """Rows in cells, and one k: each row asked about is compared with the rows of its nearest cells."""

    def __init__(self, rows: Tensor, cells: Cells, k: int, ids: list[Tensor], block: int) -> None:
        self.rows, self.cells, self.k, self.ids, self.block = rows, cells, k, ids, block
        self.dtype = product_dtype(rows)
        self.rough = self.dtype != torch.float32
        self.width = k + SPARE if self.rough else k

    def of(self, asked: Tensor, probes: int) -> Nearest:
        """The best that the `probes` nearest cells hold for these rows, (q,) int64."""
        similarity = self.rows.new_full((len(asked), self.k), -torch.inf, dtype=torch.float32)
        index = torch.full_like(similarity, -1, dtype=torch.int64)
        step, done = max(1, min(ROWS, VISITS // probes)), 0
        for start in range(0, len(asked), step):
            for found in self._parts(asked[start : start + step], probes):
                rows = slice(done, done + len(found.index))
                similarity[rows], index[rows], done = found.similarity, found.index, rows.stop
        return Nearest(similarity, index)

    def _parts(self, asked: Tensor, probes: int) -> Iterator[Nearest]:
        best = _Best(len(asked), self.width, asked.device)
        cell = torch.empty(len(asked), probes, dtype=torch.int32, device=asked.device)
        for part, out in zip(torch.split(asked, BLOCK), torch.split(cell, BLOCK), strict=True):
            out.copy_(nearest_cells(self.rows.index_select(0, part), self.cells.centres, probes))
        self._visit(asked, cell[:, :1], best)  # one's own first: after it few others get in
        self._visit(asked, cell[:, 1:], best)
        value, index = best.found()
        size = max(1, EXACT_ENTRIES // (self.width * self.rows.shape[1]))
        for i in range(0, len(asked), size):
            yield self._ordered(asked[i : i + size], value[i : i + size], index[i : i + size].long())

    def _visit(self, asked: Tensor, cell: Tensor, best: "_Best") -> None:
        """Compares each of the rows asked about with its cells, (q, p) int32: one product per cell."""
        visited, visit = cell.flatten().sort(stable=True)
        ends = torch.bincount(visited, minlength=len(self.cells)).cumsum(0).tolist()
        for number, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
            if start < end:
                self._compare(number, asked, visit[start:end] // cell.shape[1], best)

    def _compare(self, number: int, asked: Tensor, places: Tensor, best: "_Best") -> None:
        held = self.cells.members[self.cells.starts[number] : self.cells.starts[number + 1]]
        for members in torch.split(held, MEMBERS):
            keys = self.rows.index_select(0, members).float()  # five times as fast as brackets
            for place in torch.split(places, self.block):
                queries = self.rows.index_select(0, asked[place]).float()
                value = self._similarity(queries, keys, self.cells.centres[number])
                hopeful = (value.amax(dim=1) > best.worst[place]).nonzero()[:, 0]
                if len(hopeful):
                    self._take(value.index_select(0, hopeful), asked, place[hopeful], members, best)

    def _similarity(self, queries: Tensor, keys: Tensor, centre: Tensor) -> Tensor:
        if not self.rough:
            return queries @ keys.T
        # without their centre keys are short, and half precision has its finest steps near 0
        short = (keys - centre).to(self.dtype)
        return (queries.to(self.dtype) @ short.T).float() + (queries @ centre)[:, None]

    def _take(self, value: Tensor, asked: Tensor, place: Tensor, members: Tensor, best: "_Best") -> None:
        """Lets in whom the rows at these places may have, (q, members) similarities given."""
        better = value > best.worst[place, None]
        many = (better.sum(dim=1) > best.room).nonzero()[:, 0]
        if len(many):
            hidden = self._shared(asked[place[many], None], members[None, :])
            kept, column = value[many].masked_fill(hidden, -torch.inf).topk(best.room, dim=1, sorted=False)
            better[many] = torch.zeros_like(hidden).scatter(1, column, kept > -torch.inf)
        row, column = better.nonzero(as_tuple=True)
        allowed = ~self._shared(asked[place[row]], members[column])
        row, column = row[allowed], column[allowed]
        best.add(place[row], value[row, column], members[column])

    def _shared(self, query: Tensor, other: Tensor) -> Tensor:
        shared = query == other
        for ids in self.ids[1:]:
            shared |= ids[query] == ids[other]
        return shared

    def _ordered(self, asked: Tensor, value: Tensor, index: Tensor) -> Nearest:
        """The k best of these candidates, (q, width) both, with their similarities in float32."""
        if self.rough:
            own = self.rows.index_select(0, asked).float()
            other = self.rows.index_select(0, index.clamp(min=0).flatten()).float().view(*index.shape, -1)
            value = (other @ own[:, :, None])[:, :, 0].masked_fill(index < 0, -torch.inf)
        return best_first(value, index, self.k)


class _Best:
    """The best `width` candidates of each row so far, and room for as many new ones before the worst are dropped."""

    def __init__(self, count: int, width: int, device: torch.device) -> None:
        self.width = self.room = width
        self.value = torch.full((count, 2 * width), -torch.inf, device=device)
        self.index = torch.full((count, 2 * width), -1, dtype=torch.int32, device=device)
        self.held = torch.zeros(count, dtype=torch.int64, device=device)
        self.worst = torch.full((count,), -torch.inf, device=device)  # what a new candidate must beat

    def add(self, place: Tensor, value: Tensor, index: Tensor) -> None:
        """New candidates, (m,) each: those of one place stand together, at most `room` of them."""
        where, count = torch.unique_consecutive(place, return_counts=True)
        self._shrink(where[self.held[where] + count > self.width + self.room])
        first = (count.cumsum(0) - count).repeat_interleave(count)
        slot = self.held[place] + torch.arange(len(place), device=place.device) - first
        self.value[place, slot], self.index[place, slot] = value, index.int()
        self.held[where] += count

    def found(self) -> tuple[Tensor, Tensor]:
        """The best of every row, (n, width) both, in no order; -inf and -1 where there are fewer."""
        for places in torch.split(torch.arange(len(self.held), device=self.held.device), BLOCK):
            self._shrink(places)
        return self.value[:, : self.width], self.index[:, : self.width]

    def _shrink(self, place: Tensor) -> None:
        kept, column = self.value[place].topk(self.width, dim=1, sorted=False)
        self.index[place, : self.width] = self.index[place].gather(1, column)
        self.value[place, : self.width] = kept
        self.value[place, self.width :] = -torch.inf
        self.index[place, self.width :] = -1
        self.held[place] = self.held[place].clamp(max=self.width)
        self.worst[place] = kept.amin(dim=1)


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
    home = nearest_cells(rows[truth.index[there]], cells.centres, 1)
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
