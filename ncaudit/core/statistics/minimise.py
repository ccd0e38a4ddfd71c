"""Minimise a smooth function of one vector: L-BFGS with backtracking (Nocedal & Wright 2006, algorithms 7.4 and 3.1).

Knows a function and a vector. torch has the same in `torch.optim`, whose import takes as long as a small audit.
"""

from collections.abc import Callable

import torch
from torch import Tensor

MEMORY = 10
SUFFICIENT, HALVINGS = 1e-4, 20
TOLERANCE = 1e-9  # a step that gains less, relative to the loss, is the last


def minimise(loss: Callable[[Tensor], Tensor], start: Tensor, *, steps: int = 100) -> Tensor:
    """Where the loss is least, as far as `steps` steps lead: (p,).

    loss: of (p,), differentiable, one number.

    >>> minimise(lambda x: ((x - 3) ** 2).sum(), torch.zeros(2)).round()
    tensor([3., 3.])
    """
    at, value, gradient = start, *_value(loss, start)
    moves: list[tuple[Tensor, Tensor]] = []
    for _ in range(steps):
        direction = -_scaled(gradient, moves)
        slope, length = float(direction @ gradient), 1.0
        if not moves:
            length = min(1.0, 1 / max(float(gradient.abs().sum()), 1e-12))
        for _ in range(HALVINGS):
            new = at + length * direction
            new_value, new_gradient = _value(loss, new)
            if new_value <= value + SUFFICIENT * length * slope:
                break
            length /= 2
        else:
            break
        moved, turned, gained = new - at, new_gradient - gradient, value - new_value
        if float(moved @ turned) > 1e-12:
            moves = [*moves, (moved, turned)][-MEMORY:]
        at, value, gradient = new, new_value, new_gradient
        if gained <= TOLERANCE * max(abs(value), 1e-12):
            break
    return at


def _value(loss: Callable[[Tensor], Tensor], at: Tensor) -> tuple[float, Tensor]:
    variable = at.detach().requires_grad_()
    value = loss(variable)
    (gradient,) = torch.autograd.grad(value, variable)
    return float(value.detach()), gradient


def _scaled(gradient: Tensor, moves: list[tuple[Tensor, Tensor]]) -> Tensor:
    """The gradient times the inverse curvature that the last moves have shown."""
    direction, used = gradient, []
    for moved, turned in reversed(moves):
        share = (moved @ direction) / (moved @ turned)
        direction = direction - share * turned
        used.append(share)
    if moves:
        moved, turned = moves[-1]
        direction = direction * (moved @ turned) / (turned @ turned)
    for (moved, turned), share in zip(moves, reversed(used), strict=True):
        direction = direction + (share - (turned @ direction) / (moved @ turned)) * moved
    return direction
