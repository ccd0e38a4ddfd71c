"""Per-pair losses that bound what a wrong pair can do, of a batch's similarities; reduced only by the caller.

Knows similarities and which columns are true negatives; nothing of embeddings, batches or optimisers.
Notation and arguments as in `pair_losses.batch_infonce_loss`: s_ij = similarity of image i and caption j, (n, n);
p_ij = softmax over captions j, q_ij = softmax over images i, of scale * s; allowed: (n, n) bool, false where caption j
is no true negative of image i, or None; scale: > 0, 1 / temperature. A pair without any allowed negative gives 0.
"""

from math import log

import torch
from torch import Tensor

from ncaudit.core.losses.by_formula import both_directions, not_negatives, probabilities


def generalised_cross_entropy_loss(
    similarity: Tensor, *, scale: float | Tensor, exponent: float, allowed: Tensor | None = None
) -> Tensor:
    """(1 - p_ii^exponent) / exponent, mean of the two directions: between -log p (towards 0) and 1 - p (at 1).

    exponent: in (0, 1]. Returns (n,) in [0, 1 / exponent]; higher = the pair fits worse. The pull is InfoNCE's times
    p_ii^exponent: it fades for pairs that look hopeless. GCE (Zhang & Sabuncu, NeurIPS 2018).

    >>> generalised_cross_entropy_loss(torch.zeros(4, 4), scale=10.0, exponent=0.5)  # (1 - 1/2) / .5
    tensor([1., 1., 1., 1.])
    """
    image, text = _own_log_probabilities(similarity, scale, allowed)
    return -(torch.expm1(exponent * image) + torch.expm1(exponent * text)) / (2 * exponent)


def symmetric_cross_entropy_loss(
    similarity: Tensor, *, scale: float | Tensor, reverse_weight: float, allowed: Tensor | None = None
) -> Tensor:
    """InfoNCE plus reverse_weight * (1 - p_ii), mean of the two directions: a bounded term beside the unbounded one.

    reverse_weight: what -log 0 counts as in the cross entropy with target and prediction exchanged, >= 0; at 0 the loss
    is InfoNCE. Returns (n,) >= 0; higher = the pair fits worse. SCE (Wang et al., ICCV 2019).

    >>> symmetric_cross_entropy_loss(torch.zeros(2, 2), scale=10.0, reverse_weight=4.0)  # log 2 + 4 / 2
    tensor([2.6931, 2.6931])
    """
    image, text = _own_log_probabilities(similarity, scale, allowed)
    return -(image + text + reverse_weight * (torch.expm1(image) + torch.expm1(text))) / 2


def rince_loss(
    similarity: Tensor,
    *,
    scale: float | Tensor,
    exponent: float,
    negatives_weight: float,
    allowed: Tensor | None = None,
) -> Tensor:
    """((negatives_weight * sum_j e^(scale s_ij))^exponent - e^(exponent scale s_ii)) / exponent, mean of both ways.

    The sum is over the pair and its allowed negatives. exponent: in (0, 1], negatives_weight: in (0, 1]. Returns (n,);
    higher = the pair fits worse. Below 0 where negatives_weight < 1 and the pair leads; at 1 never. At
    negatives_weight 1 an exponent towards 0 gives InfoNCE, and at 1 the loss is the sum of the negatives' exponentials.
    RINCE (Chuang et al., CVPR 2022).

    >>> rince_loss(torch.zeros(2, 2), scale=10.0, exponent=0.5, negatives_weight=1.0)  # -2 + 2 sqrt 2
    tensor([0.8284, 0.8284])
    """
    logits = _logits(similarity, scale, allowed)
    own = torch.expm1(exponent * logits.diagonal())
    every = [torch.expm1(exponent * (logits.logsumexp(dim=dim) + log(negatives_weight))) for dim in (1, 0)]
    some = _some_negative(similarity, allowed)
    image, text = ((sums - own).masked_fill(~has, 0) / exponent for sums, has in zip(every, some, strict=True))
    return (image + text) / 2


def triplet_alignment_loss(
    similarity: Tensor, *, margin: float, temperature: float, allowed: Tensor | None = None
) -> Tensor:
    """[margin - s_ii + temperature * log sum_{j != i} e^(s_ij / temperature)]_+, both directions summed.

    similarity: cosines. margin: >= 0; temperature: > 0. Returns (n,) >= 0; higher = the pair fits worse. Every negative
    is heard, the nearest loudest; towards temperature 0 it is the triplet loss of the hardest negative, which it never
    undercuts. TAL (RDE: Qin et al., CVPR 2024).

    >>> similarity = torch.tensor([[0.5, 0.45], [0.3, 0.6]])  # [.1 - .5 + .45] + [.1 - .5 + .3]_+, and none
    >>> triplet_alignment_loss(similarity, margin=0.1, temperature=0.015)
    tensor([0.0500, 0.0000])
    """
    nobody = not_negatives(similarity, allowed)
    # a row without any negative must stay finite: the gradient of a logsumexp of nothing is not a number
    logits = (similarity / temperature).masked_fill(nobody, torch.finfo(similarity.dtype).min / 2)
    room = margin - similarity.diagonal()
    image, text = ((room + temperature * logits.logsumexp(dim=dim)).clamp(min=0) for dim in (1, 0))
    return image + text


def active_complementary_loss(
    similarity: Tensor,
    label: Tensor,
    *,
    scale: float | Tensor,
    complement_weight: float,
    allowed: Tensor | None = None,
) -> Tensor:
    """-label log p_ii + complement_weight * sum_{j != i} tan p_ij / (sum_j tan p_ij)^(1 - label), both ways summed.

    label: (n,) in [0, 1]. complement_weight: >= 0. Returns (n,) >= 0. The first term says "this one" as far as the
    label believes it; the second "not those", bounded: of a pair with label 0 it is the share that the negatives have
    of all, at most 1 each way. ACL (CRCL: Qin et al., NeurIPS 2023).

    >>> one, none = torch.ones(2), torch.zeros(2)  # 2 log 2 + 5 * 2 tan .5, and 5 * 2 / 2
    >>> [active_complementary_loss(torch.zeros(2, 2), y, scale=1.0, complement_weight=5.0)[0] for y in (one, none)]
    [tensor(6.8493), tensor(5.0000)]
    """

    def direction(negative: Tensor, own: Tensor, dim: int) -> tuple[Tensor, Tensor]:
        return _active(negative, own, label, complement_weight, dim)

    return both_directions(scale * similarity, direction, allowed)


def _active(negative: Tensor, own: Tensor, label: Tensor, weight: float, dim: int) -> tuple[Tensor, Tensor]:
    """One direction, and its derivatives by the logits: see `by_formula.both_directions`."""
    p, own_log_p = probabilities(negative, own, dim)
    tangent = p.tan()
    of_own = tangent.diagonal().clone()
    others = tangent.fill_diagonal_(0).sum(dim=dim)
    every = of_own + others
    share = weight * every ** (label - 1)  # what a tangent in the numerator is multiplied with
    by_every = (label - 1) * share * others / every  # the derivative by the denominator, which has the own one, too
    own_p = p.diagonal().clone()
    loss = share * others - label * own_log_p
    slope = tangent.square_().mul_(p).add_(p).mul_((share + by_every).unsqueeze(dim))  # by p, times p
    slope.diagonal().copy_(by_every * (1 + of_own**2) * own_p - label)
    slope.addcmul_(p, -slope.sum(dim=dim, keepdim=True))
    return loss, slope


def _own_log_probabilities(similarity: Tensor, scale: float | Tensor, allowed: Tensor | None) -> tuple[Tensor, Tensor]:
    """log p_ii and log q_ii, (n,) each, <= 0."""
    logits = _logits(similarity, scale, allowed)
    own = logits.diagonal()
    return own - logits.logsumexp(dim=1), own - logits.logsumexp(dim=0)


def _logits(similarity: Tensor, scale: float | Tensor, allowed: Tensor | None) -> Tensor:
    """(n, n), -inf where a column is neither the pair itself nor a true negative."""
    logits = scale * similarity
    return logits if allowed is None else logits.masked_fill(~(allowed | _eye(similarity)), -torch.inf)


def _some_negative(similarity: Tensor, allowed: Tensor | None) -> tuple[Tensor, Tensor]:
    """Whether each image, and each caption, has any negative: (n,) bool each."""
    negatives = (~not_negatives(similarity, allowed)).view(torch.uint8)  # `any` of booleans takes ten times as long
    if len(negatives) == 0:
        return negatives.new_zeros(0, dtype=torch.bool), negatives.new_zeros(0, dtype=torch.bool)
    return negatives.amax(dim=1).bool(), negatives.amax(dim=0).bool()


def _eye(similarity: Tensor) -> Tensor:
    return torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
