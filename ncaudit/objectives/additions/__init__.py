"""What may be asked beside an objective: easier pairs first, equal geometry, likely matches as no negatives.

Knows objectives and the pure functions of `core.losses.additions`; nothing of options, batches or networks.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ncaudit.core.losses import pair_losses
from ncaudit.core.losses.additions import chance_loss, self_paced_weight, structure_loss, unlike_matches
from ncaudit.core.losses.class_losses import ClassTargets
from ncaudit.objectives import AnyObjective, BatchLoss, ClassLoss, ClassObjective, LossOfRows, OfInfonce


@dataclass(frozen=True, kw_only=True)
class Additions:
    """What is asked beside the loss; each is None where it is not asked."""

    self_paced: float | None = None  # InfoNCE, in units of that of a pair at chance, at which a pair's weight is 0
    null_share: float | None = None  # of random pairs that are taken for matches, and so for no negatives
    structure_weight: float | None = None  # of the structure loss


def with_additions(objective: AnyObjective, asked: Additions) -> AnyObjective:
    """The objective with what is asked beside it. Class objectives take the structure loss alone."""
    if isinstance(objective, ClassObjective):
        weight = asked.structure_weight
        of_rows = objective.loss.of_rows if weight is None else _StructuredRows(objective.loss.of_rows, weight)
        return replace(objective, loss=ClassLoss(of_rows))
    loss = objective.batch_loss
    if asked.self_paced is not None:
        loss = _SelfPaced(loss, asked.self_paced, objective.of_infonce)
    if asked.null_share is not None:  # outermost: what is no negative is none for the pace either
        loss = _WithoutLikelyMatches(loss, asked.null_share)
    if asked.structure_weight is not None:
        loss = StructuredLoss(loss, asked.structure_weight)
    return replace(objective, batch_loss=loss)


@dataclass(frozen=True)
class StructuredLoss:
    """A BatchLoss that wants the structure loss of the rows behind the similarities added, which `of_rows` gives."""

    loss: BatchLoss
    weight: float

    def __call__(
        self, similarity: Tensor, label: Tensor, *, scale: float | Tensor, allowed: Tensor | None = None
    ) -> Tensor:
        return self.loss(similarity, label, scale=scale, allowed=allowed)

    def of_rows(self, image: Tensor, text: Tensor) -> Tensor:
        """What is added, of (n, d) unit rows."""
        return self.weight * structure_loss(image, text)


@dataclass(frozen=True)
class _StructuredRows:
    loss: LossOfRows
    weight: float

    def __call__(self, image: Tensor, text: Tensor, targets: ClassTargets, *, allowed: Tensor | None = None) -> Tensor:
        return self.loss(image, text, targets, allowed=allowed) + self.weight * structure_loss(image, text)


@dataclass(frozen=True)
class _SelfPaced:
    """Labels times the weight of each pair's own InfoNCE; as they are where a whole batch would weigh nothing."""

    loss: BatchLoss
    limit: float
    of_infonce: OfInfonce | None

    def __call__(
        self, similarity: Tensor, label: Tensor, *, scale: float | Tensor, allowed: Tensor | None = None
    ) -> Tensor:
        with torch.set_grad_enabled(self.of_infonce is not None and torch.is_grad_enabled()):
            own = pair_losses.batch_infonce_loss(similarity, scale=scale, allowed=allowed)
        label = self._paced(own.detach(), label, chance_loss(similarity.detach(), allowed))
        if self.of_infonce is not None:  # the loss is made of what is known by now
            return self.of_infonce(own, label)
        return self.loss(similarity, label, scale=scale, allowed=allowed)

    def _paced(self, own: Tensor, label: Tensor, chance: Tensor) -> Tensor:
        paced = label * self_paced_weight(own, limit=self.limit * chance)
        return torch.where(paced.sum() > 0, paced, label)


@dataclass(frozen=True)
class _WithoutLikelyMatches:
    """Negatives without those that compare like matches."""

    loss: BatchLoss
    share: float

    def __call__(
        self, similarity: Tensor, label: Tensor, *, scale: float | Tensor, allowed: Tensor | None = None
    ) -> Tensor:
        allowed = unlike_matches(similarity, share=self.share, allowed=allowed)
        return self.loss(similarity, label, scale=scale, allowed=allowed)
