"""Two-component mixtures on per-pair losses: which losses look like those of well-matched pairs?

Knows a vector of losses; nothing of the pairs they belong to. It always finds two groups, also in clean data (it called
21 % of clean pairs noisy, where a null sample said 0.5 %): a posterior to pick anchors with, not a noise rate.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ncaudit.errors import NcauditError

Kind = Literal["beta", "gaussian"]
Shape = tuple[float, float]  # beta: (alpha, beta); gaussian: (mean, variance)
_Ascent = tuple[tuple[float, float], tuple[Shape, Shape], bool]

EDGE = 1e-4  # a beta density at exactly 0 or 1 is 0 or infinite: losses are clipped this far inside
TOLERANCE = 1e-5  # of a posterior: what moves less has arrived
LEAST_VARIANCE = 1e-6  # a component on equal losses stays a density


@dataclass(frozen=True)
class Mixture:
    """A fitted mixture; component 0 is the low-loss one, the clean pairs'."""

    kind: Kind
    weights: tuple[float, float]
    parameters: tuple[Shape, Shape]
    loss_min: float
    loss_max: float
    converged: bool


def fit_mixture(loss: Tensor, kind: Kind = "beta", *, iterations: int = 300) -> Mixture:
    """Fits two components to losses that are min-max scaled to [0, 1], by expectation maximisation.

    loss: (n,), finite, any range; lower = better match. Deterministic: no random start. The beta components' M step
    matches weighted moments (Arazo et al. 2019, section 3.1), as in BiCro step 2; "gaussian" as in DivideMix.
    Stops when no posterior moves by more than TOLERANCE; `converged` says whether that happened.
    Fewer than two pairs or equal losses tell nothing: probability 0.5 for every loss, `converged` false.
    Raises NcauditError when a loss is not finite.

    >>> fit_mixture(torch.tensor([0.3, 0.3])).converged
    False
    """
    if not loss.isfinite().all():
        raise NcauditError(f"{int((~loss.isfinite()).sum())} losses are not finite", fix="leave failed pairs out")
    if len(loss) < 2 or loss.min() == loss.max():
        low, high = (float(loss.min()), float(loss.max())) if len(loss) else (0.0, 0.0)
        return Mixture(kind, (0.5, 0.5), _SAME[kind], low, high, converged=False)
    low, high = float(loss.min()), float(loss.max())
    x = _scaled(loss, low, high)
    # Two starts, both "a smaller loss is likelier clean". Either can end with the two components on top of each other
    # (from 1 - x in one draw of three on real photos at 40 % noise), or one of them on a few outliers. The end that
    # divides the losses better is taken; the likelihood would not tell, as the M step matches moments instead
    starts = (1 - x, torch.where(x <= x.median(), 0.95, 0.05).to(x))
    runs = [_climb(x, start, kind, iterations) for start in starts]
    weights, parameters, converged = max(runs, key=lambda run: _between(run[0], run[1], kind))
    return _low_loss_first(Mixture(kind, weights, parameters, low, high, converged))


def clean_probability(mixture: Mixture, loss: Tensor) -> Tensor:
    """Posterior of the low-loss component, made non-increasing in the loss.

    loss: any shape; losses beyond those of the fit count as its smallest or largest. Returns float32 in [0, 1], same
    shape; higher = more likely clean. Where a wide component would win again beyond the narrow one's far side, the
    value stays what it was at the turning point: the best losses of all must not be called noisy.

    >>> fitted = fit_mixture(torch.tensor([0.1, 0.12, 0.11, 0.9, 0.92, 0.95]))
    >>> clean_probability(fitted, torch.tensor([0.0, 0.11, 0.9, 2.0])).round()
    tensor([1., 1., 0., 0.])
    """
    x = _scaled(loss, mixture.loss_min, mixture.loss_max)
    turn, is_peak = _turning_point(mixture)
    if turn is not None:
        x = x.clamp(min=turn) if is_peak else x.clamp(max=turn)
    return _posterior(_features(x, mixture.kind), mixture.weights, mixture.parameters, mixture.kind).float()


def _scaled(loss: Tensor, low: float, high: float) -> Tensor:
    span = high - low
    x = (loss.double() - low) / span if span > 0 else torch.full_like(loss, 0.5, dtype=torch.float64)
    return x.clamp(EDGE, 1 - EDGE)


def _climb(x: Tensor, posterior: Tensor, kind: Kind, iterations: int) -> _Ascent:
    """Expectation maximisation from one start: weights, shapes, whether it converged."""
    features, converged = _features(x, kind), False
    for _ in range(iterations):
        weights, parameters = _maximise(x, posterior, kind)
        update = _posterior(features, weights, parameters, kind)
        converged = bool((update - posterior).abs().max() < TOLERANCE)
        posterior = update
        if converged:
            break
    return weights, parameters, converged


def _between(weights: tuple[float, float], parameters: tuple[Shape, Shape], kind: Kind) -> float:
    """The variance between the components, as in Otsu's threshold: 0 for equal means or an empty component."""
    low, high = (_mean(shape, kind) for shape in parameters)
    return weights[0] * weights[1] * (high - low) ** 2


def _maximise(x: Tensor, posterior: Tensor, kind: Kind) -> tuple[tuple[float, float], tuple[Shape, Shape]]:
    low = _weighted_shape(x, posterior, kind)
    high = _weighted_shape(x, 1 - posterior, kind)
    share = min(max(float(posterior.mean()), 1e-6), 1 - 1e-6)
    return (share, 1 - share), (low, high)


def _weighted_shape(x: Tensor, weight: Tensor, kind: Kind) -> Shape:
    total = weight.sum().clamp(min=1e-9)
    mean = ((weight * x).sum() / total).clamp(EDGE, 1 - EDGE)
    variance = float(((weight * (x - mean) ** 2).sum() / total).clamp(min=LEAST_VARIANCE))
    return _beta_shape(float(mean), variance) if kind == "beta" else (float(mean), variance)


def _beta_shape(mean: float, variance: float) -> Shape:
    # EDGE keeps the variance under mean (1 - mean), but rounding and LEAST_VARIANCE may not
    concentration = max(mean * (1 - mean) / variance - 1, 1e-3)
    return mean * concentration, (1 - mean) * concentration


def _features(x: Tensor, kind: Kind) -> tuple[Tensor, Tensor]:
    """Both kinds' log densities are a constant plus two numbers times these: taken once, not in every round."""
    return (x, x * x) if kind == "gaussian" else (x.log(), torch.log1p(-x))


def _posterior(
    features: tuple[Tensor, Tensor], weights: tuple[float, float], parameters: tuple[Shape, Shape], kind: Kind
) -> Tensor:
    low, high = (_log_density(shape, kind) for shape in parameters)
    constant = math.log(weights[0]) - math.log(weights[1]) + low[0] - high[0]
    return torch.sigmoid(constant + (low[1] - high[1]) * features[0] + (low[2] - high[2]) * features[1])


def _log_density(shape: Shape, kind: Kind) -> tuple[float, float, float]:
    """The constant (up to one that all components share) and the factors of the two features."""
    if kind == "gaussian":
        mean, variance = shape
        return -mean * mean / (2 * variance) - 0.5 * math.log(variance), mean / variance, -1 / (2 * variance)
    a, b = shape
    return math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b), a - 1, b - 1


def _low_loss_first(mixture: Mixture) -> Mixture:
    if _mean(mixture.parameters[0], mixture.kind) <= _mean(mixture.parameters[1], mixture.kind):
        return mixture
    weights, parameters = mixture.weights[::-1], mixture.parameters[::-1]
    return Mixture(mixture.kind, weights, parameters, mixture.loss_min, mixture.loss_max, mixture.converged)


def _mean(shape: Shape, kind: Kind) -> float:
    return shape[0] if kind == "gaussian" else shape[0] / (shape[0] + shape[1])


def _turning_point(mixture: Mixture) -> tuple[float | None, bool]:
    """Where the log odds stop falling, and whether that is a peak (else a valley): both kinds have one at most."""
    (low_a, low_b), (high_a, high_b) = mixture.parameters
    if mixture.kind == "gaussian":  # odds: quadratic; slope zero where (x - m0) / v0 = (x - m1) / v1
        first, second = low_a / low_b - high_a / high_b, 1 / low_b - 1 / high_b
        return (first / second, second > 0) if second else (None, False)
    first, second = low_a - high_a, low_b - high_b  # odds: first log x + second log (1 - x)
    return (first / (first + second), first > 0) if first * second > 0 else (None, False)


_SAME: dict[Kind, tuple[Shape, Shape]] = {
    "beta": ((1.0, 1.0), (1.0, 1.0)),
    "gaussian": ((0.5, 1.0), (0.5, 1.0)),
}
