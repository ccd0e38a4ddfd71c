"""BiCro's two directions: does a pair stand to its anchor on one side as it stands to it on the other?

Knows similarities to anchors that were already looked up; nothing of which pairs are anchors or how they were found.

For a pair (I, T): c = the anchor whose image is nearest to I. `own_side` = S(I, I_c), the side the anchor was found on;
`other_side` = S(T, T_c), the same anchor on the other side. For the text direction, d = the anchor whose caption is
nearest to T, own_side = S(T, T_d), other_side = S(I, I_d). A soft label is the mean of the two directions.
Anchors must not share the pair's photo or caption: D = 0 there, and the label would be 0 for a good pair.
"""

import torch
from torch import Tensor


def distance_consistency(own_side: Tensor, other_side: Tensor) -> Tensor:
    """D(I, I_c) / D(T, T_c) with the cosine distance D = 1 - S, clamped to [0, 1] (the paper's ratio is unbounded).

    own_side, other_side: (n,) cosines, or (n, k) to k anchors, averaged first; -inf = no such anchor, left out.
    Returns (n,) in [0, 1]; higher = more likely to correspond. 0 / 0 (both sides equal the anchor) is 1;
    nan for a row without any anchor. BiCro (Yang et al., CVPR 2023), one term of its soft label.

    >>> distance_consistency(torch.tensor([0.75, 0.75, 1.0]), torch.tensor([0.5, 0.875, 1.0]))
    tensor([0.5000, 1.0000, 1.0000])
    """
    own, other = _mean_of_anchors(own_side, other_side)
    own, other = (1 - own).clamp(min=0), (1 - other).clamp(min=0)
    ratio = (own / other).clamp(max=1)  # x / 0 = inf, clamped to 1
    return torch.where((own == 0) & (other == 0), torch.ones_like(ratio), ratio)


def similarity_consistency(own_side: Tensor, other_side: Tensor) -> Tensor:
    """min(r, 1/r) of the similarity ratio r = S(T, T_c) / S(I, I_c); 0 where r <= 0.

    Arguments as in `distance_consistency`. Returns (n,) in [0, 1]; higher = more likely to correspond.
    0 / 0 is 1 (equal on both sides), one zero alone is 0; nan for a row without any anchor.
    BiCro's released code, with r <= 0 defined (the code leaves a negative ratio a negative label).

    >>> similarity_consistency(torch.tensor([0.5, 0.25, 0.5]), torch.tensor([0.25, 0.5, -0.5]))
    tensor([0.5000, 0.5000, 0.0000])
    """
    own, other = _mean_of_anchors(own_side, other_side)
    ratio = other / own
    symmetric = torch.minimum(ratio, 1 / ratio).clamp(min=0)
    symmetric = torch.where((own == 0) ^ (other == 0), torch.zeros_like(symmetric), symmetric)
    return torch.where((own == 0) & (other == 0), torch.ones_like(symmetric), symmetric)


def centre(x: Tensor, mean: Tensor) -> Tensor:
    """Rows minus `mean`, made unit again: cosines in a narrow cone saturate near 1, centred ones spread.

    x: (n, d). mean: (d,), of the fitting sample and not of x, so that a row's value does not depend on its neighbours.
    Returns (n, d) unit rows; a row equal to the mean stays zero.

    >>> centre(torch.tensor([[3.0, 4.0], [1.0, 1.0]]), torch.tensor([1.0, 1.0])).norm(dim=1)
    tensor([1., 0.])
    """
    return torch.nn.functional.normalize(x - mean, dim=1)


def _mean_of_anchors(own: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    if own.ndim == 1:
        own, other = own[:, None], other[:, None]
    there = own.isfinite() & other.isfinite()
    count = there.sum(dim=1)
    return own.masked_fill(~there, 0).sum(dim=1) / count, other.masked_fill(~there, 0).sum(dim=1) / count
