"""NIRNL: each pair is learnt from as far as its neighbours vouch for its class, and pairs keep a wide margin.

AAAI 2026, arXiv 2512.24064. Pure, hard and noisy pairs have a loss each; unlabelled ones keep the margin only.
"""

from typing import Literal, get_args

import torch
from torch import Tensor

from ncaudit.core.classes.votes import HARD, PURE, UNLABELLED
from ncaudit.core.losses import class_losses
from ncaudit.errors import UsageError
from ncaudit.objectives import cmp
from ncaudit.objectives.by_class import cross_entropy

PARTITIONS = True
PseudoLabel = Literal["prediction", "neighbours"]


def class_loss(
    image: Tensor,
    text: Tensor,
    targets: class_losses.ClassTargets,
    *,
    allowed: Tensor | None = None,
    class_temperature: float = 0.5,
    pseudo_label: PseudoLabel = "neighbours",
    margin: float = 0.9,
    cmp_weight: float = 0.9,
) -> Tensor:
    """The mean over the labelled pairs of the loss of their part, plus cmp_weight * `cmp` of all pairs: a scalar >= 0.

    image, text: (n, d) unit rows. Pure pairs learn their class, hard ones as far as the two rows together believe it,
    noisy ones a pseudo class: what the neighbours in both modalities vote for ("neighbours", the paper's, as reported;
    here with the audit of given classes beside them, and by its chance, see `core/classes/split.py`), or what the two
    rows predict together ("prediction", the released code's).
    The paper does not say how the three parts are weighed: here each pair counts alike, in whichever part it is.
    """
    log_p = class_losses.both_log_probabilities(image, text, targets.barycentres, temperature=class_temperature)
    predicts = pseudo_label == "prediction"
    pseudo = class_losses.joint_class(*log_p) if predicts else targets.voted
    noisy = class_losses.noisy_loss(*log_p, pseudo) * (1 if predicts else targets.trust)
    given = (*log_p, targets.carried)
    of_part = torch.where(
        targets.part == PURE,
        class_losses.pure_loss(*given),
        torch.where(targets.part == HARD, class_losses.hard_loss(*given), noisy),
    )
    labelled = targets.part != UNLABELLED
    margin_loss = cmp.of_rows(image, text, allowed=allowed, margin=margin)
    return (of_part * labelled).sum() / labelled.sum().clamp(min=1) + cmp_weight * margin_loss


def check(*, class_temperature: float, pseudo_label: str, margin: float, cmp_weight: float) -> None:
    """Raises UsageError for a value that makes no sense."""
    cross_entropy.check(class_temperature=class_temperature, margin=margin, cmp_weight=cmp_weight)
    known = get_args(PseudoLabel)
    if pseudo_label not in known:
        raise UsageError(f"no pseudo_label is called {pseudo_label!r}", fix=f"give one of: {', '.join(known)}")
