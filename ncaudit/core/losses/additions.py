"""What may be asked beside a loss: easier pairs first, equal geometry of both sides, likely matches as no negatives.

Knows rows, similarities and losses as tensors; nothing of objectives, batches or optimisers.
"""

from math import pi

import torch
from torch import Tensor

NULL_PAIRS = (
    16_384  # of a batch's random pairs that tell how random ones compare: sorting a million takes a step's time
)


def self_paced_weight(loss: Tensor, *, limit: float | Tensor) -> Tensor:
    """cos(pi loss / (2 limit)), 1 at loss 0, falling to 0 at `limit` and above. Same shape back, without gradient.

    loss: >= 0; limit: > 0, one number or one per pair. It never rises with the loss. The weight w that is least for
    w loss + R(w), where R(w) = -(2/pi) limit (w arccos w - sqrt(1 - w^2)). RRSITR (CVPR 2026), whose second and third
    branch are left out: with them a worse pair could count more.

    >>> self_paced_weight(torch.tensor([0.0, 1.0, 4 / 3, 2.0, 9.0]), limit=2.0)
    tensor([1.0000, 0.7071, 0.5000, 0.0000, 0.0000])
    """
    share = (loss.detach() / limit).nan_to_num(nan=1.0).clamp(max=1)  # a pair without negatives: 0 / 0
    return torch.cos(share * pi / 2).clamp(min=0).masked_fill(share >= 1, 0)


def chance_loss(similarity: Tensor, allowed: Tensor | None = None) -> Tensor:
    """InfoNCE of a pair that is one among its negatives: log(1 + their number), mean of both directions, (n,).

    Of a batch of n in which all others are true negatives: log n.

    >>> chance_loss(torch.zeros(3, 3)).exp()
    tensor([3., 3., 3.])
    """
    negatives = ~torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
    negatives = negatives if allowed is None else negatives & allowed
    image, text = (torch.log1p(negatives.sum(dim=dim).to(similarity)) for dim in (1, 0))
    return (image + text) / 2


def structure_loss(image: Tensor, text: Tensor) -> Tensor:
    """Mean over i and j of (image_i . image_j - text_i . text_j)^2: 0 where both sides have the same geometry.

    image, text: (n, d) and (n, d') unit rows. Returns a scalar >= 0. Turning one side as a whole changes nothing. No
    pair is asked whether it belongs together across the sides. GSC (CVPR 2024) and others share it.

    >>> image = torch.tensor([[1.0, 0.0], [0.8, 0.6]])  # cosine .8
    >>> text = torch.tensor([[1.0, 0.0], [0.2, 0.96**0.5]])  # cosine .2: 2 * .6^2 / 4
    >>> structure_loss(image, text)
    tensor(0.1800)
    """
    return (image @ image.T - text @ text.T).square().mean()


def unlike_matches(similarity: Tensor, *, share: float, allowed: Tensor | None = None) -> Tensor:
    """(n, n) bool: false where two that are no pair compare better than all but `share` of the batch's random pairs.

    similarity: (n, n), row = image; share: in (0, 1); allowed: (n, n) bool, which stays false where it is. Random pairs
    are the batch's own: every image beside the captions of others, at most NULL_PAIRS of them, evenly taken. PTA (a
    submission of 2025) compares with shuffled pairs, too. Where all random pairs are alike, none is left out.

    >>> similarity = torch.tensor([[0.5, 0.1, 0.9], [0.1, 0.5, 0.1], [0.1, 0.1, 0.5]])
    >>> unlike_matches(similarity, share=0.2)  # image 0 and caption 2 look like a match
    tensor([[False,  True, False],
            [ True, False,  True],
            [ True,  True, False]])
    """
    similarity = similarity.detach()
    negatives = ~torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
    negatives = negatives if allowed is None else negatives & allowed
    return negatives & (similarity <= null_quantile(similarity[negatives], share))


def null_quantile(null: Tensor, share: float) -> Tensor:
    """What all but `share` of random pairs' similarities, (m,), do not exceed: their linear quantile, a scalar.

    >>> null_quantile(torch.tensor([0.4, 0.0, 0.1, 0.3, 0.2]), 0.2)  # between .3 and .4
    tensor(0.3200)
    """
    if len(null) == 0:
        return null.new_tensor(torch.inf)
    return torch.quantile(null[:: -(-len(null) // NULL_PAIRS)], 1 - share)
