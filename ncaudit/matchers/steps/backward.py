"""The backward pass of one training step: over all ranks' pairs, and in chunks where the memory is small.

Knows batches, encode functions and losses; nothing of what encodes or of the optimiser, which averages the gradients.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ncaudit.core.gathering import gather_rows
from ncaudit.matchers.steps.batch import Batch, true_negatives
from ncaudit.matchers.steps.large_batch import backward_in_chunks
from ncaudit.objectives import BatchLoss, ClassLoss
from ncaudit.objectives.additions import StructuredLoss


def backward(
    batch: Batch,
    encode: Callable[[Batch], tuple[Tensor, Tensor]],
    batch_loss: BatchLoss | ClassLoss,
    logit_scale: Tensor,
    *,
    chunk_pairs: int | None = None,
) -> Tensor:
    """Add this rank's share of the loss's gradient to every weight; the mean over the ranks is the whole gradient.

    batch: this rank's pairs, on the device to compute on. encode: pairs to (n, d) unit image rows and text rows.
    batch_loss: an objective, here of the pairs of all ranks; a ClassLoss asks for `batch.targets`, a StructuredLoss for
    the rows themselves.
    logit_scale: log of what similarities are multiplied with. chunk_pairs: how many pairs have a graph at a time; None:
    all at once. Returns the loss, without graph.
    """
    loss = _of_rows(batch, batch_loss, logit_scale)
    if chunk_pairs is not None and chunk_pairs < len(batch):
        return backward_in_chunks(batch.chunks(chunk_pairs), encode, loss, batch.label.device)
    value = loss(*encode(batch))
    value.backward()  # type: ignore[no-untyped-call]
    return value.detach()


def _of_rows(
    batch: Batch, batch_loss: BatchLoss | ClassLoss, logit_scale: Tensor
) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of all ranks' pairs as a function of this rank's image and text rows."""
    label, photo, caption = (gather_rows(column) for column in (batch.label, batch.photo, batch.caption))
    allowed = true_negatives(photo, caption)
    targets = None if batch.targets is None else batch.targets.per_pair(_gather_any)

    def loss(image: Tensor, text: Tensor) -> Tensor:
        image, text = gather_rows(image), gather_rows(text)
        if isinstance(batch_loss, ClassLoss):
            assert targets is not None, "a class objective was given pairs without targets"
            return batch_loss.of_rows(image, text, targets, allowed=allowed)
        found = batch_loss(image @ text.T, label, scale=logit_scale.exp(), allowed=allowed)
        return found + batch_loss.of_rows(image, text) if isinstance(batch_loss, StructuredLoss) else found

    return loss


def _gather_any(rows: Tensor) -> Tensor:
    """`gather_rows` of any type: not every backend sends booleans."""
    return gather_rows(rows.byte()).bool() if rows.dtype == torch.bool else gather_rows(rows)
