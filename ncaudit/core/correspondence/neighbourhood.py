"""LEMoN's neighbourhood term: do the pairs whose images (or captions) are near also have near captions (images)?

Knows similarities to neighbours that were already looked up; nothing of how they were found.
"""

import torch
from torch import Tensor


def neighbourhood_distance(
    own_side: Tensor, other_side: Tensor, neighbours_own: Tensor, *, nearness: float, trust: float
) -> Tensor:
    """Mean over the neighbours j of d(other side) e^(-nearness d(own side)) e^(-trust d_j), d = 1 - cosine.

    own_side: (n, k) cosines to the neighbours on the side they were found on, -inf = no such neighbour, left out.
    other_side: (n, k) cosines to the same neighbours on the other side. neighbours_own: (n, k) cosine of each
    neighbour's own two embeddings: d_j, how little the neighbour itself can be trusted. nearness, trust: >= 0, the τ1
    and τ2 of the paper. Returns (n,) >= 0; higher = the pair fits its neighbourhood worse; 0 without any neighbour.
    LEMoN (Zhang et al., ICML 2025), s_n and s_m.

    >>> neighbourhood_distance(torch.tensor([[1.0]]), torch.tensor([[0.5]]), torch.tensor([[0.0]]), nearness=1, trust=1)
    tensor([0.1839])
    """
    there = own_side.isfinite()
    weight = torch.exp(-nearness * (1 - own_side) - trust * (1 - neighbours_own)).masked_fill(~there, 0)
    return (weight * (1 - other_side)).masked_fill(~there, 0).sum(dim=1) / there.sum(dim=1).clamp(min=1)
