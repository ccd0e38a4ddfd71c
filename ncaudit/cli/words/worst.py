"""The captions that fit worst, a line for each: what people want to see first. Knows pairs with their numbers."""

from collections.abc import Sequence
from typing import Protocol

from ncaudit.cli.layout.vocabulary import Column, Kind, Table, Words


class Pair(Protocol):
    """What is told of a pair."""

    @property
    def pair_id(self) -> str: ...
    @property
    def caption(self) -> str | None: ...
    @property
    def soft_label(self) -> float | None: ...
    @property
    def score(self) -> float | None: ...


def lines(pairs: Sequence[Pair]) -> Words:
    """The pairs, by soft label, or by score where there are no labels."""
    if not pairs:
        return []
    labelled, told = pairs[0].soft_label is not None, any(pair.caption is not None for pair in pairs)
    header = [Column("soft label" if labelled else "score"), Column("pair", Kind.place)]
    header += [Column("caption", Kind.caption)] if told else []
    rows = [_row(pair, labelled)[: len(header)] for pair in pairs]
    return [Table("the worst captions" if told else "the worst pairs", header, rows)]


def _row(pair: Pair, labelled: bool) -> list[str]:
    number = pair.soft_label if labelled else pair.score
    return ["-" if number is None else f"{number:.3f}", pair.pair_id, pair.caption or ""]
