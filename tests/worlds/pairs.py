"""Pairs in memory, as scorers take them."""

import torch
from torch import Tensor

from ncaudit.scoring.pairs import Pairs


def pairs_of(image: Tensor, text: Tensor, photos: list[int] | None = None, captions: list[int] | None = None) -> Pairs:
    """Row i of both is pair i; what is not said to be one photo or caption is another."""
    n = len(image)
    ids = [torch.tensor(list(range(n)) if given is None else given) for given in (photos, captions)]
    return Pairs(image, text, *ids, [f"p{i}" for i in range(n)])
