"""BiCro's co-teaching, the arithmetic of it: what to learn first, whom to trust, and how far to believe the others.

Knows losses and unit rows; nothing of networks, epochs or files. Yang et al., CVPR 2023, arXiv 2303.12419; small-loss
selection: Han et al., NeurIPS 2018 (Co-teaching).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ncaudit.core.correspondence.consistency import centre, similarity_consistency
from ncaudit.core.neighbours.bank import Bank
from ncaudit.core.neighbours.search import KeyBank, nearest, prepare_keys
from ncaudit.core.statistics.mixture import clean_probability, fit_mixture


def smallest(loss: Tensor, share: float) -> Tensor:
    """The places of the round(share * n) lowest losses, at least one, ascending. loss: (n,), n > 0; share: (0, 1].

    Networks learn what is true of many pairs before they memorise single ones: early on, a low loss means a match.

    >>> smallest(torch.tensor([0.4, 0.1, 0.3, 0.2]), 0.5)
    tensor([1, 3])
    """
    count = max(1, round(share * len(loss)))
    return loss.argsort(stable=True)[:count].sort().values


@dataclass(frozen=True)
class Split:
    """Trusted pairs and the others. clean: (n,) bool. probability: (n,) float32, P(clean) in [0, 1]."""

    clean: Tensor
    probability: Tensor
    fell_back: bool  # the mixture trusted too few: those of the lowest loss were taken instead


def split(loss: Tensor, *, threshold: float, least: int, fallback_share: float) -> Split:
    """Trust the pairs of which a beta mixture on the losses says P(clean) > threshold: steps 2 and 3 of the paper.

    loss: (n,) finite, any range, min-max scaled here. least: where fewer pairs than this are trusted (equal losses, or
    one component on a few outliers), the fallback_share with the lowest loss are taken.

    >>> split(torch.tensor([0.1, 0.9, 0.12, 0.95]), threshold=0.5, least=1, fallback_share=0.5).clean
    tensor([ True, False,  True, False])
    """
    probability = clean_probability(fit_mixture(loss), loss)
    clean = probability > threshold
    if int(clean.sum()) >= least:
        return Split(clean, probability, False)
    return Split(torch.zeros_like(clean).index_fill(0, smallest(loss, fallback_share), True), probability, True)


@dataclass(frozen=True)
class Anchors:
    """Trusted pairs made ready to judge others: step 4 of the paper, with k anchors instead of one."""

    images: KeyBank
    texts: KeyBank
    groups: list[Tensor]
    means: tuple[Tensor, Tensor]

    @classmethod
    def of(cls, pairs: Bank) -> "Anchors":
        """pairs: the anchors, at least one, as one network sees them. Each side is centred: see `consistency`."""
        means = (pairs.image.mean(dim=0), pairs.text.mean(dim=0))
        images, texts = (prepare_keys(centre(x, m)) for x, m in zip((pairs.image, pairs.text), means, strict=True))
        return cls(images, texts, [pairs.image_id, pairs.caption_id], means)

    def label(self, pairs: Bank, k: int) -> Tensor:
        """How far each pair's two sides agree about where it stands among the anchors, (n,) float32 in [0, 1].

        pairs: as the same network sees them. The mean of both directions, each against the k nearest anchors that
        share neither photo nor caption with the pair; of one where the other has none; nan where neither has.
        """
        image, text = (centre(x, m) for x, m in zip((pairs.image, pairs.text), self.means, strict=True))
        by_image = self._direction(image, text, self.images, self.texts, k, [pairs.image_id, pairs.caption_id])
        by_text = self._direction(text, image, self.texts, self.images, k, [pairs.image_id, pairs.caption_id])
        return torch.stack([by_image, by_text]).nanmean(dim=0)

    def _direction(
        self, own: Tensor, other: Tensor, keys: KeyBank, across: KeyBank, k: int, ids: list[Tensor]
    ) -> Tensor:
        found = nearest(own, keys, k, query_groups=ids, key_groups=self.groups)
        rows = across.keys[found.index.clamp(min=0)]
        there = torch.einsum("nd,nkd->nk", other, rows).masked_fill(found.index < 0, -torch.inf)
        return similarity_consistency(found.similarity, there)
