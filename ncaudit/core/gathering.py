"""Rows of all ranks in one tensor, with gradient, and the gradients of all ranks as one.

Knows torch.distributed once it is initialised; nothing of how ranks are started, of models or of batches. Without
ranks every function gives back what it got.

Every rank computes the same loss of the gathered rows. So each sends the same gradient to every row: their sum is
`ranks` times too long, and the mean of the parameters' gradients over the ranks takes that factor away again, also for
parameters (a temperature) that act after the gathering, where every rank holds the whole gradient.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, distributed, nn


def rank_count() -> int:
    """How many ranks work together: 1 where torch.distributed is not initialised.

    >>> rank_count()
    1
    """
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def rank() -> int:
    """Which of the ranks this process is, from 0.

    >>> rank()
    0
    """
    return distributed.get_rank() if rank_count() > 1 else 0


def sum_over_ranks(rows: Tensor) -> Tensor:
    """The sum of all ranks' tensors, on every rank, written over `rows`: the same shape and type everywhere.

    >>> sum_over_ranks(torch.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """
    if rank_count() > 1:
        distributed.all_reduce(rows)
    return rows


def gather_rows(rows: Tensor) -> Tensor:
    """The rows of all ranks below one another, in the ranks' order, on every rank.

    rows: (n, ...), the same shape and type on every rank. Returns (ranks * n, ...). Backwards, a row's gradient is the
    sum of what all ranks send it; the caller averages the parameters' gradients: `average_gradients`.

    >>> gather_rows(torch.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """
    if rank_count() == 1:
        return rows
    gathered: Tensor = _GatherRows.apply(rows)
    return gathered


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by its mean over the ranks; those that are None must be None on every rank."""
    ranks = rank_count()
    if ranks == 1:
        return
    for gradients in _by_type(parameter.grad for parameter in parameters if parameter.grad is not None):
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])  # one message, not one per bias
        distributed.all_reduce(flat)
        for gradient, mean in zip(
            gradients, torch.split(flat.div_(ranks), [g.numel() for g in gradients]), strict=True
        ):
            gradient.copy_(mean.view(gradient.shape))


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.count = len(rows)
        rows = rows.contiguous()
        parts = [torch.empty_like(rows) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, rows)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        summed = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(summed)
        return summed.narrow(0, distributed.get_rank() * ctx.count, ctx.count)


def _by_type(gradients: Iterable[Tensor]) -> list[list[Tensor]]:
    groups: dict[torch.dtype, list[Tensor]] = {}
    for gradient in gradients:
        groups.setdefault(gradient.dtype, []).append(gradient)
    return list(groups.values())
