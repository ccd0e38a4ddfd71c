"""Plain cross entropy with the given classes, all trusted: the baseline that a loss for noisy ones has to beat."""

from torch import Tensor

from ncaudit.core.losses import class_losses
from ncaudit.errors import NcauditError, UsageError
from ncaudit.objectives import cmp

PARTITIONS = False
DEFAULT_MARGIN = 0.9


def class_loss(
    image: Tensor,
    text: Tensor,
    targets: class_losses.ClassTargets,
    *,
    allowed: Tensor | None = None,
    class_temperature: float = 0.5,
    margin: float = DEFAULT_MARGIN,
    cmp_weight: float = 0.0,
) -> Tensor:
    """The mean over the labelled pairs of both rows' cross entropy with the given classes: a scalar >= 0.

    The classes are told apart by their barycentres, as in `nirnl`: there are no further weights to fit. With cmp_weight
    the pairs keep `cmp`'s margin beside it, unlabelled ones too; that is `nirnl` without a look at the neighbours.
    """
    log_p = class_losses.both_log_probabilities(image, text, targets.barycentres, temperature=class_temperature)
    labelled = targets.carried.any(dim=1).sum().clamp(min=1)
    of_classes = class_losses.pure_loss(*log_p, targets.carried).sum() / labelled
    if not cmp_weight:
        return of_classes
    margin_loss = cmp.of_rows(image, text, allowed=allowed, margin=margin)
    return of_classes + cmp_weight * margin_loss


def check(*, class_temperature: float, margin: float, cmp_weight: float) -> None:
    """Raises NcauditError for a value that makes no sense."""
    cmp.check(margin=margin)
    if not 0.001 <= class_temperature <= 10:
        raise NcauditError(f"class_temperature is {class_temperature}", fix="give a number from 0.001 to 10")
    if not 0 <= cmp_weight < float("inf"):
        raise NcauditError(f"cmp_weight is {cmp_weight}", fix="give 0 or more; 0.9 is the paper's")
    if not cmp_weight and margin != DEFAULT_MARGIN:
        raise UsageError(f"margin is {margin}, but cmp_weight is 0", fix="give cmp_weight too, or leave out the margin")
