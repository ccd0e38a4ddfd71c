"""Neighbours of pairs' halves, each half looked up once for all pairs that it is part of.

Knows pairs that know their origin, and banks; nothing of what is made of the neighbours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from weakref import WeakKeyDictionary

from torch import Tensor

from ncaudit.core.neighbours.known import KnownNeighbours
from ncaudit.core.neighbours.search import KeyBank, Nearest, nearest
from ncaudit.scoring.pairs import Origin, Pairs

Groups = tuple[Sequence[Tensor], Sequence[Tensor]]
Tables = dict[tuple[str, str, int], KnownNeighbours]


@dataclass(frozen=True)
class Way:
    """One way of looking at one half of pairs."""

    what: str  # its name
    side: str  # image or text
    cell: int = 0  # which of `cells` banks is asked, and in which space
    cells: int = 1


class Lookups:
    """What one model has looked up so far; forgotten with the pairs that it was looked up for."""

    def __init__(self) -> None:
        self._tables: WeakKeyDictionary[Origin, Tables] = WeakKeyDictionary()
        self._lock = Lock()

    def nearest(self, way: Way, pairs: Pairs, queries: Tensor, bank: KeyBank, k: int, among: Groups) -> Nearest:
        """`search.nearest` of `queries`, (n, d): what these pairs' images (or captions) are in one way of looking.

        among: the groups of the queries and those of the keys; equal ones never meet.
        """
        of_queries, of_keys = among
        row = pairs.image_row if way.side == "image" else pairs.text_row
        if pairs.origin is None or row is None:
            return nearest(queries, bank, k, query_groups=of_queries, key_groups=of_keys)
        rows, known = row * way.cells + way.cell, self._known(way, pairs.origin, queries, k)
        return known.nearest(rows, queries, bank, query_groups=of_queries, key_groups=of_keys)

    def _known(self, way: Way, origin: Origin, queries: Tensor, k: int) -> KnownNeighbours:
        with self._lock:
            tables, name = self._tables.setdefault(origin, {}), (way.what, way.side, k)
            if name not in tables:
                tables[name] = KnownNeighbours(k, origin.rows * way.cells, queries.device)
            return tables[name]
