"""Neighbours of pairs' halves, each half looked up once for all pairs that it is part of.

Knows pairs that know their origin, and banks; nothing of what is made of the neighbours.
"""

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from torch import Tensor

from ncaudit.core.neighbours.known import KnownNeighbours
from ncaudit.core.neighbours.search import KeyBank, Nearest, nearest
from ncaudit.scoring.pairs import Origin, Pairs

Tables = dict[tuple[str, str, int], KnownNeighbours]


class Lookups:
    """What one model has looked up so far; forgotten with the pairs that it was looked up for."""

    def __init__(self) -> None:
        self._tables: WeakKeyDictionary[Origin, Tables] = WeakKeyDictionary()

    def nearest(
        self,
        what: str,
        side: str,
        pairs: Pairs,
        queries: Tensor,
        bank: KeyBank,
        k: int,
        query_groups: Sequence[Tensor],
        key_groups: Sequence[Tensor],
        *,
        cell: int = 0,
        cells: int = 1,
    ) -> Nearest:
        """`search.nearest` of `queries`, (n, d): what these pairs' images (or captions) are in one way of looking.

        what: the name of that way. side: image or text. cell: which of `cells` banks is asked, and in which space.
        """
        row = pairs.image_row if side == "image" else pairs.text_row
        if pairs.origin is None or row is None:
            return nearest(queries, bank, k, query_groups=query_groups, key_groups=key_groups)
        tables = self._tables.setdefault(pairs.origin, {})
        if (what, side, k) not in tables:
            tables[what, side, k] = KnownNeighbours(k, pairs.origin.rows * cells, queries.device)
        known = tables[what, side, k]
        return known.nearest(row * cells + cell, queries, bank, query_groups=query_groups, key_groups=key_groups)
