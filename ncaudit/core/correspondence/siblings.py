"""What the other captions of a photo say about this one. Knows numbers; nothing of photos, captions or embeddings.

If pair and sibling both match the photo, their captions resemble each other; if either does not, they are two random
captions. With f1 and f0 the densities of their resemblance, and q the chance that a sibling itself is clean, the
evidence of one sibling is the likelihood ratio q f1/f0 + 1 - q. Siblings are taken as independent given the pair.
"""

import torch
from torch import Tensor

LEAST, MOST = 0.05, 200.0  # of f1/f0: a sample of this size tells no ratio beyond them


def clean_ratio(mixed_ratio: Tensor, both_clean: float) -> Tensor:
    """f1/f0 from the ratio of observed sibling pairs, of which only the share `both_clean` is f1 and the rest f0.

    >>> clean_ratio(torch.tensor([0.75, 1.5]), both_clean=0.5)
    tensor([0.5000, 2.0000])
    """
    return ((mixed_ratio - (1 - both_clean)) / both_clean).clamp(LEAST, MOST)


def sibling_evidence(ratio: Tensor, clean: Tensor, there: Tensor) -> Tensor:
    """Sum over a pair's siblings of log(q f1/f0 + 1 - q).

    ratio: (n, k) f1/f0 of pair and sibling. clean: (n, k) in [0, 1], the probability q that the sibling matches.
    there: (n, k) bool, false where there is no sibling.
    Returns (n,) float32, any real; higher = likelier to correspond; 0 without siblings.

    >>> sibling_evidence(torch.tensor([[3.0, 9.0]]), torch.tensor([[0.5, 1.0]]), torch.tensor([[True, False]])).exp()
    tensor([2.])
    """
    return torch.log(clean * ratio + 1 - clean).masked_fill(~there, 0.0).sum(dim=1)
