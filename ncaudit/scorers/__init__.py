"""One scoring method per file; the folder is the registry. Parts of a scorer that has several lie in a folder below.

A scorer file offers two functions:

    fit(pairs, options) -> Fit         everything global, learned once from a bounded sample of pairs
    applier(fit, device) -> Applier    a function from any pairs to their PairScores, one row at a time

A row's scores depend on that row, on the fit and (bicro, siblings) on pairs of the same photo beside it, on nothing
else.
"""

import pkgutil
from importlib import import_module
from typing import Protocol, cast

import torch

from ncaudit.errors import NcauditError
from ncaudit.options import ScorerOptions
from ncaudit.scoring.fits import Applier, Fit
from ncaudit.scoring.pairs import Pairs


class Scorer(Protocol):
    """What a scorer file offers; one with fold models also `cells(fit, pairs)`."""

    ABOUT: str  # one line for people
    NEEDS_SHARED_SPACE: bool  # whether images and captions are compared as they are

    def fit(self, pairs: Pairs, options: ScorerOptions) -> Fit:
        """Learn from a sample of pairs in random order."""

    def applier(self, fit: Fit, device: torch.device) -> Applier:
        """Make the function that scores pairs with this fit."""


def names() -> list[str]:
    """The scorers there are, as `--scorer` spells them."""
    files = (module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)
    return sorted(name.replace("_", "-") for name in files)


def get(name: str) -> Scorer:
    """The scorer of that name. Raises NcauditError with the known names for any other."""
    if name not in names():
        raise NcauditError(f"no scorer is called {name!r}", fix=f"give one of: {', '.join(names())}")
    return cast(Scorer, import_module(f"{__name__}.{name.replace('-', '_')}"))


def cells(fit: Fit, pairs: Pairs) -> torch.Tensor:
    """(n,) int64: a random pair whose halves are of one cell is scored exactly as an observed pair is."""
    of_scorer = getattr(get(fit.scorer), "cells", None)
    found: torch.Tensor = torch.zeros_like(pairs.image_id) if of_scorer is None else of_scorer(fit, pairs)
    return found
