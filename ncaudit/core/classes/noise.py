"""How often given classes are wrong, and which class is given for which: told by two views, no truth needed.

Knows class numbers; nothing of neighbours, embeddings or files. A pair's given class, the class that its image's
neighbours vote for and the one that its caption's neighbours vote for are three raters of one unknown true class. Where
the two votes come from different pairs, the three err independently, and how often each agrees with each tells how
often each errs: Dawid & Skene 1979, fitted by EM. No rater needs to be right mostly, so heavy and lopsided noise is
found too. Confusions of a class that few pairs carry are drawn towards "wrong classes by their frequency", as strongly
as predicts held-out pairs best.

What it cannot know: votes that hardly agree with each other say either that embeddings do not show the classes, or that
the labels are noise throughout. Then `told` is False, and the rate is a usual one: nothing was measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ncaudit.core.parallel import in_parallel

STRENGTHS = (3.0, 30.0, 300.0, 3000.0)  # imagined pairs per class that err towards frequent classes
TOLD_FROM = 0.1  # chance-corrected agreement of the two votes, under which their errors are no longer independent
RATE_PRIOR = 2.0  # density (1 - rate)^2 of rates: most data are mostly right
ENTRIES = 2**20  # pairs x classes in fits that are done many times
STEPS, MOST_STEPS = 15, 150
GAIN = 1e-5  # of log likelihood per pair, under which EM has arrived
LEAST = 1e-9


@dataclass(frozen=True)
class ClassNoise:
    """How given classes come from true ones.

    matrix: (C, C) float32, rows add up to 1: chance of being given class column where row is true. prior: (C,) share
    of pairs that truly are of each class. rate: chance that a given class is wrong, [0, 1]; low, high: 90 % interval.
    told: whether the two votes agree often enough to tell; otherwise rate is only a usual one, and the interval goes
    from right labels to random ones.
    """

    matrix: Tensor
    prior: Tensor
    rate: float
    low: float
    high: float
    told: bool

    def evidence(self, given: Tensor) -> Tensor:
        """Chance of what was given under each true class, up to a factor: (n, C). given: (n, C), zeros: unlabelled.

        An unlabelled row gets ones. Of several given classes any may be the true one's.
        """
        chance = given @ self.matrix.T
        return chance.where(given.any(dim=1)[:, None], 1.0).clamp(min=LEAST)


@dataclass(frozen=True)
class Raters:
    """n pairs as three raters see them: given, (n, C) float32, rows add up to 1; and two votes, (n,) int64 each."""

    given: Tensor
    image: Tensor
    text: Tensor

    def rows(self, rows: Tensor) -> "Raters":
        """Some of the pairs."""
        return Raters(self.given[rows], self.image[rows], self.text[rows])


def class_noise(views: Sequence[Raters]) -> ClassNoise:
    """The noise of the given classes.

    views: several looks at the same n pairs in the same, random order; in each of them the two votes come from
    different pairs, and never from the pair's own photo. Their evidence is averaged.
    """
    if _agreement(_joined(views)) < TOLD_FROM:
        return _untold(views[0].given.mean(dim=0))
    classes, times = views[0].given.shape[1], len(views)
    few = max(200, ENTRIES // (times * classes))
    small = [view.rows(torch.arange(min(few, len(view.given)))) for view in views]
    strength = _strength(small)
    draft = _fit(_joined(small), strength, steps=MOST_STEPS)
    fitted = draft if few >= len(views[0].given) else _fit(_joined(views), strength, steps=MOST_STEPS)
    rates, weight = _posterior(_joined(small), strength, draft, times)
    low, high = (float(np.interp(share, weight.cumsum() - weight / 2, rates)) for share in (0.05, 0.95))
    rate = float(np.clip(fitted.rate, low, high))
    return ClassNoise(fitted.at(rate), fitted.prior, rate, low, high, told=True)


def _untold(share: Tensor) -> ClassNoise:
    """A usual rate, somewhere between right labels and random ones; wrong classes by their frequency. share: (C,)."""
    high = float(1 - (share**2).sum())
    rates = np.linspace(0, high, 101)
    weight = (1 - rates) ** RATE_PRIOR
    rate = float((rates * weight).sum() / weight.sum())
    matrix = (1 - rate) * torch.eye(len(share)) + rate * _without_diagonal(share.expand(len(share), -1) + LEAST)
    return ClassNoise(matrix, share, rate, 0.0, high, told=False)


@dataclass(frozen=True)
class _Fit:
    """One state of EM: the share of each true class, each rater's confusions, and each pair's classes."""

    prior: Tensor
    given: Tensor
    image: Tensor
    text: Tensor
    belief: Tensor
    likelihood: float

    @property
    def rate(self) -> float:
        return float(1 - (self.prior * self.given.diag()).sum())

    def at(self, rate: float) -> Tensor:
        """The given classes' confusions with another rate of errors, of the same kinds."""
        wrong = 1 - self.given.diag()
        kinds = _without_diagonal(self.given)
        error = (wrong * rate / max(self.rate, LEAST)).clamp(max=0.99)
        return torch.diag(1 - error) + error[:, None] * kinds


def _fit(
    raters: Raters, strength: float, *, steps: int, start: Tensor | None = None, fixed: Tensor | None = None
) -> _Fit:
    """EM. start: (n, C) first beliefs; fixed: confusions of the given classes that are not to be learnt."""
    classes = raters.given.shape[1]
    one_hot = [torch.nn.functional.one_hot(vote, classes).float() for vote in (raters.image, raters.text)]
    belief = (one_hot[0] + one_hot[1] + raters.given) / 3 * 0.9 + 0.1 / classes if start is None else start
    share = raters.given.mean(dim=0)
    known = -torch.inf
    for _ in range(steps):
        prior = (belief.sum(dim=0) + classes * share + LEAST) / (belief.sum() + classes)
        given = _confusions(raters.given.T @ belief, raters.given.mean(dim=0), strength) if fixed is None else fixed
        image, text = (
            _confusions(torch.zeros(classes, classes).index_add_(0, vote, belief), ones.mean(dim=0), strength)
            for vote, ones in zip((raters.image, raters.text), one_hot, strict=True)
        )
        log = _log_chances(raters, prior, given, image, text)
        likelihood, belief = float(log.logsumexp(dim=1).sum()), log.softmax(dim=1)
        if likelihood - known < GAIN * len(belief):
            break
        known = likelihood
    return _Fit(prior, given, image, text, belief, likelihood)


def _log_chances(raters: Raters, prior: Tensor, given: Tensor, image: Tensor, text: Tensor) -> Tensor:
    votes = image.clamp(min=LEAST).log().T[raters.image] + text.clamp(min=LEAST).log().T[raters.text]
    return prior.log() + votes + (raters.given @ given.T).clamp(min=LEAST).log()


def _confusions(counts: Tensor, share: Tensor, strength: float) -> Tensor:
    """counts: (C rated, C true), expected. Rows of the result: what a true class is rated as."""
    counts = counts.T
    right = (counts.diag().sum() + 1) / (counts.sum() + 2)
    usual = _without_diagonal(share.expand(len(share), -1) + LEAST)
    drawn = counts + strength * (right * torch.eye(len(share)) + (1 - right) * usual)
    return drawn / drawn.sum(dim=1, keepdim=True)


def _without_diagonal(table: Tensor) -> Tensor:
    """Rows without their diagonal, adding up to 1."""
    off = table - torch.diag(table.diag())
    return off / off.sum(dim=1, keepdim=True).clamp(min=LEAST)


def _strength(views: Sequence[Raters]) -> float:
    """The strength that predicts held-out pairs best."""
    rows = torch.arange(len(views[0].given))
    halves = rows[rows % 2 == 0], rows[rows % 2 == 1]

    def held_out(strength: float) -> float:
        total = 0.0
        for seen, unseen in (halves, halves[::-1]):
            fit = _fit(_joined([view.rows(seen) for view in views]), strength, steps=2 * STEPS)
            log = _log_chances(
                _joined([view.rows(unseen) for view in views]), fit.prior, fit.given, fit.image, fit.text
            )
            total += float(log.logsumexp(dim=1).sum())
        return total

    told = dict(zip(STRENGTHS, in_parallel(held_out, STRENGTHS), strict=True))
    return max(STRENGTHS, key=told.__getitem__)


def _posterior(raters: Raters, strength: float, fit: _Fit, times: int) -> tuple[np.ndarray, np.ndarray]:
    """Rates, ascending, and the weight of each: the likelihood at that rate, all else fitted anew, times the prior."""
    rates = np.linspace(0.002, 0.98, 12)
    for _ in range(2):  # the second time on a fine grid, where the first one found anything
        fitted = in_parallel(
            lambda rate: _fit(raters, strength, steps=STEPS, start=fit.belief, fixed=fit.at(rate)).likelihood, rates
        )
        likelihood = np.array(fitted)
        log = likelihood / times + RATE_PRIOR * np.log1p(-rates)
        weight = np.exp(log - log.max())
        used = rates
        inside = np.flatnonzero(weight > 1e-4)
        rates = np.linspace(rates[max(0, inside[0] - 1)], rates[min(len(rates) - 1, inside[-1] + 1)], 13)
    return used, weight / weight.sum()


def _agreement(raters: Raters) -> float:
    """Cohen's kappa of the two votes."""
    classes = raters.given.shape[1]
    share = [torch.bincount(vote, minlength=classes) / len(vote) for vote in (raters.image, raters.text)]
    chance = float((share[0] * share[1]).sum())
    return (float((raters.image == raters.text).float().mean()) - chance) / max(1 - chance, LEAST)


def _joined(views: Sequence[Raters]) -> Raters:
    return Raters(*(torch.cat([getattr(view, name) for view in views]) for name in ("given", "image", "text")))
