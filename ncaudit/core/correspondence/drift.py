"""Drift: the way from a pair's caption to its image, against that of the pairs around it.

Knows embeddings of a pair and its neighbours, already looked up; nothing of how the neighbours were found.
"""

from torch import Tensor
from torch.nn.functional import normalize


def drift_agreement(drift: Tensor, neighbours: Tensor) -> Tensor:
    """Cosine of a pair's drift (image minus caption) and the mean drift of its neighbours.

    drift: (n, d). neighbours: (n, d), the mean drift of each pair's neighbours. Returns (n,) in [-1, 1]; higher =
    likelier to correspond. 1 where either is zero: without a drift there is nothing to disagree.
    MGCS (AAAI 2026), the factor of its score.

    >>> import torch
    >>> drift_agreement(torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.tensor([[3.0, 4.0], [1.0, 0.0]]))
    tensor([0.6000, 1.0000])
    """
    cosine = (normalize(drift, dim=1) * normalize(neighbours, dim=1)).sum(dim=1)
    undefined = (drift == 0).all(dim=1) | (neighbours == 0).all(dim=1)
    return cosine.masked_fill(undefined, 1.0)


def drift_score(similarity: Tensor, agreement: Tensor) -> Tensor:
    """similarity * agreement where neither is negative, as published; below zero where either is.

    Both (n,) in [-1, 1]. Returns (n,) in [-4, 1]; higher = likelier to correspond. It never falls when either rises,
    which the plain product does: two negatives would make a high score, and a low agreement would lift a negative
    similarity towards 0. So a negative similarity s counts (2 - agreement) times, and a negative agreement is added,
    in full at s = 0 and less the more similar the pair is. No jump where a sign changes.

    >>> import torch
    >>> drift_score(torch.tensor([0.5, 0.5, -0.5, -0.5]), torch.tensor([0.5, -0.5, 0.5, -0.5]))
    tensor([ 0.2500, -0.2500, -0.7500, -1.7500])
    """
    agreed = agreement.clamp(min=0)
    positive = similarity.clamp(min=0) * agreed
    return positive + similarity.clamp(max=0) * (2 - agreed) + agreement.clamp(max=0) * (1 - similarity)
