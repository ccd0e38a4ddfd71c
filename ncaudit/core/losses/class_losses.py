"""Losses of pairs that carry classes, some of them wrong: how near both rows of a pair come to their classes' centres.

Knows unit rows, classes and barycentres; nothing of neighbours, epochs or optimisers. Per pair, reduced only by the
caller. NIRNL (AAAI 2026, arXiv 2512.24064). Notation: u, v the unit rows of an image and its caption; b_c the
unit barycentre of class c; p_c(u) = softmax over c of u . b_c / temperature.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

BLOCK_ROWS = 65_536  # whose classes are held as float32 at once


@dataclass(frozen=True)
class ClassTargets:
    """What a class loss asks of n pairs beside their rows."""

    carried: Tensor  # (n, C) bool: the classes given; a row of False is unlabelled
    part: Tensor  # (n,) int8: PURE, HARD, NOISY or UNLABELLED of `core.classes.votes`
    voted: Tensor  # (n,) int64: the likeliest class, by neighbours and by the audit of given classes
    trust: Tensor  # (n,) float32 in [0, 1]: its chance
    barycentres: Tensor  # (C, d)

    def to(self, device: torch.device) -> "ClassTargets":
        """The same targets on `device`."""
        return replace(self.per_pair(lambda rows: rows.to(device)), barycentres=self.barycentres.to(device))

    def take(self, rows: Tensor) -> "ClassTargets":
        """The targets of the pairs at `rows`, (m,) int64, in that order."""
        return self.per_pair(lambda column: column[rows])

    def per_pair(self, change: Callable[[Tensor], Tensor]) -> "ClassTargets":
        """The targets with `change` made to everything that has a row per pair."""
        names = ("carried", "part", "voted", "trust")
        return replace(self, **{name: change(getattr(self, name)) for name in names})


def barycentres(image: Tensor, text: Tensor, carried: Tensor) -> Tensor:
    """The direction of all image rows and all text rows of the pairs that carry each class, (C, d) unit rows.

    image, text: (n, d) unit rows. carried: (n, C) bool, or float in [0, 1]: how far a pair counts for a class. The mean
    of those rows minimises the squared distances to them, which is what the published barycentre (Wasserstein, of one
    atom) comes to. Here it is made unit, the point of the sphere nearest to them: wrong labels shorten a mean, at 80 %
    of ten classes to a ninth, and with it all logits, so that one temperature would not do for every rate of noise.
    A class that no pair carries is 0.

    >>> barycentres(torch.eye(2), torch.eye(2), torch.tensor([[True, True], [True, False]]))
    tensor([[0.7071, 0.7071],
            [1.0000, 0.0000]])
    """
    total = image.new_zeros(carried.shape[1], image.shape[1])  # in the direction of the mean
    for rows in torch.split(torch.arange(len(image), device=image.device), BLOCK_ROWS):
        total += carried[rows].to(image.dtype).T @ (image[rows] + text[rows])
    return normalize(total, dim=1)


def class_log_probabilities(rows: Tensor, barycentres: Tensor, *, temperature: float) -> Tensor:
    """log p_c of every class, (n, C) <= 0: the log softmax of rows . barycentres / temperature.

    rows: (n, d) unit. barycentres: (C, d); a class at 0 has no pair and gets no probability. temperature: > 0. The
    paper has none, which is 1: then the softmax of cosines stays flat, none of ten well separated classes gets .26.

    >>> class_log_probabilities(torch.eye(2), torch.eye(2), temperature=0.5)[0].exp()  # e^2 against 1
    tensor([0.8808, 0.1192])
    """
    logits = rows @ barycentres.T / temperature
    empty = (barycentres == 0).all(dim=1)
    return logits.masked_fill(empty, torch.finfo(logits.dtype).min / 2).log_softmax(dim=1)


def both_log_probabilities(
    image: Tensor, text: Tensor, barycentres: Tensor, *, temperature: float
) -> tuple[Tensor, Tensor]:
    """`class_log_probabilities` of images and of captions.

    >>> [log_p.argmax().item() for log_p in both_log_probabilities(*torch.eye(2).split(1), torch.eye(2), temperature=1)]
    [0, 1]
    """
    image_log_p, text_log_p = (
        class_log_probabilities(rows, barycentres, temperature=temperature) for rows in (image, text)
    )
    return image_log_p, text_log_p


def pure_loss(image_log_p: Tensor, text_log_p: Tensor, carried: Tensor) -> Tensor:
    """Cross entropy of both rows with the given classes at equal weight, summed over the two: (n,) >= 0.

    image_log_p, text_log_p: (n, C) of `class_log_probabilities`. carried: (n, C) bool; a row without a class gives 0.

    >>> half = torch.full((1, 2), 0.5).log()
    >>> pure_loss(half, half, torch.tensor([[True, False]])).exp()
    tensor([4.])
    """
    target = carried.to(image_log_p) / carried.sum(dim=1, keepdim=True).clamp(min=1)
    return -(target * (image_log_p + text_log_p)).sum(dim=1)


def hard_loss(image_log_p: Tensor, text_log_p: Tensor, carried: Tensor) -> Tensor:
    """`pure_loss` times the probability that at least one of the two rows gives the pair its classes: (n,) >= 0.

    That is 1 - (1 - p(u)) (1 - p(v)), p the given classes' probability together, taken as it stands: no gradient flows
    through it, so a pair that neither side believes in pulls little and is not pushed away.

    >>> half = torch.full((1, 2), 0.5).log()
    >>> hard_loss(half, half, torch.tensor([[True, False]])) / torch.tensor(2.0).log()  # 2 log 2 at weight 1 - 1/4
    tensor([1.5000])
    """
    given = ((carried * log_p.exp()).sum(dim=1).clamp(max=1) for log_p in (image_log_p, text_log_p))
    believed = joint_probabilities(*given)
    return believed.detach() * pure_loss(image_log_p, text_log_p, carried)


def noisy_loss(image_log_p: Tensor, text_log_p: Tensor, pseudo_class: Tensor) -> Tensor:
    """Absolute error of both predictions against a class of one's own making: (n,) in [0, 4].

    The sum over the classes of |target - p|, which is 2 (1 - p of that class), for u and v together. Bounded, so that a
    wrong pseudo class cannot drown the others. pseudo_class: (n,) int64; the given classes do not enter.

    >>> half = torch.full((1, 2), 0.5).log()
    >>> noisy_loss(half, half, torch.tensor([1]))
    tensor([2.])
    """
    own = (log_p.gather(1, pseudo_class[:, None])[:, 0].exp() for log_p in (image_log_p, text_log_p))
    return torch.stack([2 * (1 - p) for p in own]).sum(dim=0)


def joint_class(image_log_p: Tensor, text_log_p: Tensor) -> Tensor:
    """The class that at least one of the two rows most likely has, (n,) int64: the largest 1 - (1 - p(u)) (1 - p(v)).

    >>> joint_class(torch.tensor([[0.5, 0.5, 0.0]]).log(), torch.tensor([[0.1, 0.6, 0.3]]).log())
    tensor([1])
    """
    return joint_probabilities(image_log_p.exp(), text_log_p.exp()).argmax(dim=1)


def joint_probabilities(image_p: Tensor, text_p: Tensor) -> Tensor:
    """1 - (1 - p(u)) (1 - p(v)): that at least one of the two is right, were they independent. Any shape, in [0, 1].

    >>> joint_probabilities(torch.tensor(0.5), torch.tensor(0.5))
    tensor(0.7500)
    """
    return 1 - (1 - image_p) * (1 - text_p)
