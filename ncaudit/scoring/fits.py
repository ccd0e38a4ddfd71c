"""A fit (what a scorer learned) and what applying it gives. Knows tensors and plain facts; `shards/` saves them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor

from ncaudit.scoring.pairs import Pairs


@dataclass(frozen=True)
class PairScores:
    """The scores of n pairs; every tensor is (n,). What a scorer does not compute is None.

    score: any real, higher = likelier; ranks the pairs. similarity: cosine. soft_label, clean_probability,
    image_consistency, text_consistency: in [0, 1], higher = better, nan where undefined. is_anchor: bool.
    verdict: int64 index into `schema.VERDICTS`.
    image_anchor, text_anchor: int64 index into the fit's `pair_ids`, -1 for none.
    """

    score: Tensor
    similarity: Tensor
    soft_label: Tensor | None = None
    clean_probability: Tensor | None = None
    image_consistency: Tensor | None = None
    text_consistency: Tensor | None = None
    is_anchor: Tensor | None = None
    verdict: Tensor | None = None
    image_anchor: Tensor | None = None
    text_anchor: Tensor | None = None

    def take(self, rows: Tensor) -> "PairScores":
        """The scores at these places, (m,) int64, in that order."""
        each: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        taken: dict[str, Any] = {name: None if column is None else column[rows] for name, column in each.items()}
        return PairScores(**taken)


def together(parts: Sequence[PairScores]) -> PairScores:
    """The scores of parts, one after the other; of the same scorer, so that all have the same fields."""
    each = {field.name: [getattr(part, field.name) for part in parts] for field in fields(PairScores)}
    whole: dict[str, Any] = {name: None if x[0] is None else torch.cat(x) for name, x in each.items()}
    return PairScores(**whole)


Applier = Callable[[Pairs], PairScores]


@dataclass(frozen=True)
class Fit:
    """All that scoring needs besides the pair itself.

    options: the scorer's options that the fit was made with. tensors: what is large. facts: plain numbers and words
    for the user (and for applying). pair_ids: of the anchors or the bank, so that every number can be explained.
    """

    scorer: str
    options: Mapping[str, Any]
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    pair_ids: Sequence[str] = ()
    made: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)  # of it, for use again

    def __getstate__(self) -> dict[str, Any]:
        """Of another process: what is made of it is made there."""
        return {**self.__dict__, "made": {}}

    def with_labels(self, facts: Mapping[str, Any], tensors: Mapping[str, Tensor] | None = None) -> "Fit":
        """The same scores with other facts of their labels: what was made of the fit stays good."""
        told = replace(self, facts=facts, tensors=self.tensors if tensors is None else tensors)
        told.made.update(self.made)
        return told
