"""Which picture has which caption, where each has one at most: shares of an entropic assignment between near ones.

Knows unit rows of one space, each picture and each caption once; nothing of pairs, files or what the shares are for.
Sinkhorn's scaling in logs (Cuturi, NeurIPS 2013), on the edges between rows that are near to each other: a caption that
many pictures are near to is given to none of them, and one that no other picture asks for to the one that does.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ncaudit.core.neighbours.search import nearest, prepare_keys

NEAREST = 64  # of each row; what is left out has a share of nothing at the scales in use
ROUNDS = 20


@dataclass(frozen=True)
class Edges:
    """Pictures and captions that are near to each other, each such two once; (e,) each.

    picture, caption: numbers below `pictures` and `captions`. similarity: cosine.
    """

    picture: Tensor
    caption: Tensor
    similarity: Tensor
    pictures: int
    captions: int

    @classmethod
    def between(cls, image: Tensor, text: Tensor, k: int = NEAREST) -> "Edges":
        """Each row's k nearest rows of the other side. image: (p, d), text: (c, d) float32 unit rows on one device."""
        forth = _nearest(image, text, k)
        back = _nearest(text, image, k).flip(0)
        key = torch.unique(torch.cat([forth, back], dim=1)[0] * len(text) + torch.cat([forth, back], dim=1)[1])
        picture, caption = key // len(text), key % len(text)
        similarity = (image[picture] * text[caption]).sum(dim=1)
        return cls(picture, caption, similarity, len(image), len(text))

    def take(self, kept: Tensor) -> "Edges":
        """Those where `kept`, (e,) bool, is true."""
        rows = self.picture[kept], self.caption[kept], self.similarity[kept]
        return Edges(*rows, self.pictures, self.captions)

    def shares(self, scale: float) -> Tensor:
        """How much of its picture each edge has, (e,) in [0, 1], where no caption is given away more than once.

        scale: > 0, 1 / temperature of the cosine.

        >>> edges = Edges.between(torch.eye(2), torch.eye(2)[[1, 0]])
        >>> edges.shares(1.0)  # picture 0 with captions 0 and 1, then picture 1: e / (e + 1), and what is left
        tensor([0.2689, 0.7311, 0.7311, 0.2689])
        """
        log = scale * self.similarity
        for _ in range(ROUNDS):
            log = log - log_sums(log, self.picture, self.pictures)[self.picture]
            log = log - log_sums(log, self.caption, self.captions)[self.caption].clamp(min=0)
        return (log - log_sums(log, self.picture, self.pictures)[self.picture].clamp(min=0)).exp()

    def received(self, scale: float) -> tuple[Tensor, Tensor]:
        """What each picture gets, (pictures,), where every caption shares itself out among those that are near to it,
        and what each caption gets, (captions,), of the pictures. 1 in the mean where there are as many of both.

        >>> edges = Edges.between(torch.eye(2), torch.eye(2)[[0, 0]])
        >>> edges.received(1.0)  # both captions are the first picture's
        (tensor([1.4621, 0.5379]), tensor([1., 1.]))
        """
        log = scale * self.similarity
        by_caption = (log - log_sums(log, self.caption, self.captions)[self.caption]).exp()
        by_picture = (log - log_sums(log, self.picture, self.pictures)[self.picture]).exp()
        of_picture = log.new_zeros(self.pictures).index_add(0, self.picture, by_caption)
        return of_picture, log.new_zeros(self.captions).index_add(0, self.caption, by_picture)


def log_sums(log: Tensor, group: Tensor, groups: int) -> Tensor:
    """The log of the sum of e^log in each group, (groups,); -inf for an empty one. log, group: (e,).

    >>> log_sums(torch.tensor([0.0, 0.0, 1.0]), torch.tensor([0, 0, 2]), 3).exp()
    tensor([2.0000, 0.0000, 2.7183])
    """
    top = log.new_full((groups,), -torch.inf).scatter_reduce(0, group, log, "amax")
    total = torch.zeros_like(top).index_add(0, group, (log - top[group]).exp())
    return top + total.log()


def _nearest(rows: Tensor, others: Tensor, k: int) -> Tensor:
    """(2, e): numbers of rows and of their nearest others."""
    found = nearest(rows, prepare_keys(others), min(k, len(others))).index
    row = torch.arange(len(rows), device=rows.device)[:, None].expand_as(found)
    return torch.stack([row.flatten(), found.flatten()])
