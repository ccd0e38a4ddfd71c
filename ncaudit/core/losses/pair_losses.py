"""Per-pair losses on similarities, shared by scoring and training, reduced only by the caller.

Knows similarities and which columns are true negatives; nothing of embeddings, batches or optimisers.
Notation: s_ij = similarity of image i and caption j; row i of every argument is pair i.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

Spread = Literal["uniform", "similarity"]
Allowed = Tensor | tuple[Tensor, Tensor]


class Negatives(NamedTuple):
    """What the losses below take: `ranking_loss(*negatives[:3], allowed=negatives.allowed, margin=0.2)`."""

    positive: Tensor  # (n,) s_ii
    image_to_text: Tensor  # (n, m) image i against negative captions
    text_to_image: Tensor  # (n, m) caption i against negative images
    allowed: tuple[Tensor, Tensor]  # two (n, m) bool, false where the column is no true negative


def batch_negatives(similarity: Tensor, allowed: Tensor | None = None) -> Negatives:
    """A batch's similarity matrix as positives and negatives; the diagonal (the pair itself) is never a negative.

    similarity: (n, n), row = image, column = caption. allowed: (n, n) bool in the same layout, false where caption j
    is no true negative of image i (same photo, same caption). Gradients flow through.

    >>> batch_negatives(torch.eye(2)).allowed[0]
    tensor([[False,  True],
            [ True, False]])
    """
    mask = ~torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
    mask = mask if allowed is None else mask & allowed
    return Negatives(similarity.diagonal(), similarity, similarity.T, (mask, mask.T))


def ranking_loss(
    positive: Tensor,
    image_to_text: Tensor,
    text_to_image: Tensor,
    *,
    margin: float | Tensor,
    allowed: Allowed | None = None,
    negatives: Literal["hardest", "mean"] = "hardest",
) -> Tensor:
    """Triplet loss [margin - s_ii + s_ij]_+ of the hardest negative (or the mean of all), both directions summed.

    positive: (n,). image_to_text, text_to_image: (n, m). margin: one number or (n,), both directions use row i's own.
    allowed: (n, m) bool, or one for each direction; a row without any allowed negative gives 0.
    Returns (n,) >= 0; higher = the pair fits worse than its negatives.
    VSE++ (Faghri et al. 2018) eq. 6 for "hardest", eq. 5 with a mean for "mean"; BiCro (CVPR 2023) with a soft margin.

    >>> ranking_loss(torch.tensor([0.5]), torch.tensor([[0.25, 0.75]]), torch.tensor([[0.0, 0.5]]), margin=0.25)
    tensor([0.7500])
    """
    room = margin - positive
    image_allowed, text_allowed = _both_directions(allowed)
    reduce = _hardest if negatives == "hardest" else _mean
    return reduce(room, image_to_text, image_allowed) + reduce(room, text_to_image, text_allowed)


def infonce_loss(
    positive: Tensor,
    image_to_text: Tensor,
    text_to_image: Tensor,
    *,
    scale: float | Tensor,
    allowed: Allowed | None = None,
) -> Tensor:
    """-log softmax of the positive among its negatives, logits scale * s, mean of the two directions.

    Shapes and `allowed` as in `ranking_loss`; scale: > 0, 1 / temperature (CLIP's logit_scale.exp()).
    Returns (n,) >= 0; higher = the pair fits worse; 0 for a row without any allowed negative.
    CLIP (Radford et al. 2021), figure 3.

    >>> infonce_loss(torch.zeros(1), torch.zeros(1, 3), torch.zeros(1, 1), scale=10.0).exp()  # sqrt(4 * 2)
    tensor([2.8284])
    """
    image_allowed, text_allowed = _both_directions(allowed)
    image_loss = _cross_entropy(positive, image_to_text, scale, image_allowed)
    return (image_loss + _cross_entropy(positive, text_to_image, scale, text_allowed)) / 2


def batch_infonce_loss(similarity: Tensor, *, scale: float | Tensor, allowed: Tensor | None = None) -> Tensor:
    """`infonce_loss` of every pair of a batch against the others, (n,): the same numbers with fewer n x n copies.

    similarity: (n, n), row = image, column = caption; scale, allowed: as in `batch_negatives` and `infonce_loss`.

    >>> batch_infonce_loss(torch.zeros(2, 2), scale=10.0).exp()
    tensor([2., 2.])
    """
    logits = scale * similarity
    if allowed is not None:
        own = torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
        logits = logits.masked_fill(~(allowed | own), -torch.inf)
    return (logits.logsumexp(dim=1) + logits.logsumexp(dim=0)) / 2 - logits.diagonal()


def soft_infonce_loss(
    positive: Tensor,
    image_to_text: Tensor,
    text_to_image: Tensor,
    *,
    label: Tensor,
    scale: float | Tensor,
    allowed: Allowed | None = None,
    spread: Spread = "uniform",
) -> Tensor:
    """Cross entropy with a soft target: label on the positive, 1 - label over the row's negatives; both directions.

    Shapes, `allowed`, scale and the mean of the directions as in `infonce_loss`; label: (n,) in [0, 1].
    spread: how 1 - label is divided among the true negatives: "uniform", or by "similarity", in proportion to
    softmax(scale * s) among them, taken as it stands: no gradient flows through the target.
    Returns (n,) >= 0; at label 1 it is `infonce_loss`; 0 for a row without any allowed negative: its softmax has one
    entry, and its 1 - label nowhere to go. Label smoothing (Szegedy et al. 2016) with each pair's own label.

    >>> one, two = torch.zeros(1), torch.zeros(1, 2)
    >>> soft_infonce_loss(one, two, two, label=torch.tensor([0.25]), scale=10.0).exp()  # all alike: log 3
    tensor([3.])
    """
    image_allowed, text_allowed = _both_directions(allowed)
    image_loss = _soft_cross_entropy(positive, image_to_text, label, scale, image_allowed, spread)
    return (image_loss + _soft_cross_entropy(positive, text_to_image, label, scale, text_allowed, spread)) / 2


def complementary_loss(
    positive: Tensor,
    image_to_text: Tensor,
    text_to_image: Tensor,
    *,
    scale: float | Tensor,
    allowed: Allowed | None = None,
    doubt: Tensor | None = None,
) -> Tensor:
    """Sum over the negatives of -log(1 - p_ij), mean of the two directions: "it is not this one", said of each.

    p_ij: softmax of scale * s over the positive and its allowed negatives. Shapes, `allowed`, scale as in
    `infonce_loss`. Returns (n,) >= 0; 0 for a row without any allowed negative; with one negative it is `infonce_loss`.
    The positive enters through the softmax only: the loss pulls s_ii up by scale * p_ii * sum_j p_ij / (1 - p_ij),
    which is at most InfoNCE's scale * (1 - p_ii), and fades with p_ii where InfoNCE pulls hardest.
    RCL (Hu et al., TPAMI 2023).
    doubt: (n,) in [0, 1], how far "not this one" is said of the pair itself, too: -doubt log(1 - p_ii) is added. None:
    of no pair. DCL (Information Fusion 2026) says it of every pair that is split off as noisy.

    >>> complementary_loss(torch.zeros(1), torch.zeros(1, 2), torch.zeros(1, 2), scale=10.0).exp()  # (1 - 1/3)^-2
    tensor([2.2500])
    """
    image_allowed, text_allowed = _both_directions(allowed)
    image_loss = _complement(positive, image_to_text, scale, image_allowed, doubt)
    return (image_loss + _complement(positive, text_to_image, scale, text_allowed, doubt)) / 2


def weighted_mean(loss: Tensor, weight: Tensor) -> Tensor:
    """sum_i weight_i * loss_i / sum_i weight_i, a scalar; 0 where every weight is 0. loss, weight: (n,), weight >= 0.

    >>> weighted_mean(torch.tensor([3.0, 100.0]), torch.tensor([0.5, 0.0]))
    tensor(3.)
    """
    return (weight * loss).sum() / weight.sum().clamp(min=torch.finfo(loss.dtype).tiny)


def soft_margin(label: Tensor, *, margin: float, m: float = 10.0) -> Tensor:
    """BiCro's margin of a soft label: margin * (m^label - 1) / (m - 1), 0 at label 0, `margin` at label 1.

    label: any shape, in [0, 1]. m: > 1, how late the margin rises. Same shape back. BiCro (Yang et al., CVPR 2023).

    >>> soft_margin(torch.tensor([0.0, 0.5, 1.0]), margin=0.2)
    tensor([0.0000, 0.0481, 0.2000])
    """
    return margin * (m**label - 1) / (m - 1)


def _both_directions(allowed: Allowed | None) -> tuple[Tensor | None, Tensor | None]:
    return allowed if isinstance(allowed, tuple) else (allowed, allowed)


def _hinge(room: Tensor, negative: Tensor, allowed: Tensor | None) -> Tensor:
    cost = (room[:, None] + negative).clamp(min=0)
    return cost if allowed is None else cost.masked_fill(~allowed, 0)


def _hardest(room: Tensor, negative: Tensor, allowed: Tensor | None) -> Tensor:
    if negative.shape[1] == 0:
        return torch.zeros_like(room)
    hardest = (negative if allowed is None else negative.masked_fill(~allowed, -torch.inf)).amax(dim=1)
    return (room + hardest).clamp(min=0)  # one hinge a row, not one a column


def _mean(room: Tensor, negative: Tensor, allowed: Tensor | None) -> Tensor:
    count = negative.new_tensor(negative.shape[1]) if allowed is None else allowed.sum(dim=1)
    return _hinge(room, negative, allowed).sum(dim=1) / count.clamp(min=1)


def _logits(positive: Tensor, negative: Tensor, scale: float | Tensor, allowed: Tensor | None) -> Tensor:
    """(n, 1 + m): the positive first, -inf where a column is not allowed."""
    logits = scale * torch.cat([positive[:, None], negative], dim=1)
    if allowed is None:
        return logits
    own = allowed.new_ones(len(allowed), 1)
    return logits.masked_fill(~torch.cat([own, allowed], dim=1), -torch.inf)


def _cross_entropy(positive: Tensor, negative: Tensor, scale: float | Tensor, allowed: Tensor | None) -> Tensor:
    logits = _logits(positive, negative, scale, allowed)
    return logits.logsumexp(dim=1) - logits[:, 0]


def _soft_cross_entropy(
    positive: Tensor, negative: Tensor, label: Tensor, scale: float | Tensor, allowed: Tensor | None, spread: Spread
) -> Tensor:
    allowed = torch.ones_like(negative, dtype=torch.bool) if allowed is None else allowed
    # not as infonce_loss + (1 - label) * difference of logits: at scale 100 both are near 200 and leave 5 digits
    log_p = _logits(positive, negative, scale, allowed).log_softmax(dim=1)
    own, others = log_p[:, 0], log_p[:, 1:]
    of_others = (_shares(others.detach(), allowed, spread) * others.masked_fill(~allowed, 0)).sum(dim=1)
    return -(label * own + (1 - label) * of_others)


def _shares(log_p: Tensor, allowed: Tensor, spread: Spread) -> Tensor:
    """What each allowed column gets of the rest of a target: rows sum to 1, or to 0 where no column is allowed."""
    if spread == "uniform":
        return allowed.to(log_p) / allowed.sum(dim=1, keepdim=True).clamp(min=1)
    return log_p.softmax(dim=1).masked_fill(~allowed, 0)  # NaN before in a row without any


def _complement(
    positive: Tensor, negative: Tensor, scale: float | Tensor, allowed: Tensor | None, doubt: Tensor | None
) -> Tensor:
    logits = _logits(positive, negative, scale, allowed)
    top = torch.zeros_like(logits, dtype=torch.bool).scatter(1, logits.argmax(dim=1, keepdim=True), True)
    top[:, 0] = False  # the positive is nobody's negative
    # Only the top negative can have p above 1/2. In float32 its 1 - p is 0 from a lead of 17 logits on, and scale 100
    # makes leads of 200: its -log(1 - p) is softplus(logit - logsumexp of all others). The rest is safe for log1p.
    others = logits.masked_fill(top, -torch.inf).logsumexp(dim=1, keepdim=True)
    of_top = softplus(logits - others).masked_fill(~top, 0).sum(dim=1)
    of_negatives = of_top - torch.log1p(-logits.softmax(dim=1).masked_fill(top, 0)[:, 1:]).sum(dim=1)
    return of_negatives if doubt is None else of_negatives + doubt * _own_complement(logits)


def _own_complement(logits: Tensor) -> Tensor:
    """-log(1 - p) of the first column, exact where p is nearly 1; 0 in a row without any other entry."""
    alone = (logits[:, 1:] == -torch.inf).all(dim=1)
    others = logits[:, 1:].masked_fill(alone[:, None], 0).logsumexp(dim=1)
    return softplus(logits[:, 0] - others).masked_fill(alone, 0)
