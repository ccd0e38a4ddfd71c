"""One scoring method per file; the folder is the registry.

A scorer file offers two functions:

    fit(pairs, options) -> Fit         everything global, learned once from a bounded sample of pairs
    applier(fit, device) -> Applier    a function from any pairs to their PairScores, one row at a time

A row's scores depend on that row and on the fit alone, never on which rows are scored beside it.
"""

import pkgutil
from importlib import import_module
from typing import Protocol, cast

import torch

from ncaudit.errors import NcauditError
from ncaudit.options import ScorerOptions
from ncaudit.scorers.fits import Applier, Fit
from ncaudit.scorers.pairs import Pairs

_NOT_SCORERS = frozenset({"fits", "pairs", "shared_space"})


class Scorer(Protocol):
    """What a scorer file offers."""

    def fit(self, pairs: Pairs, options: ScorerOptions) -> Fit:
        """Learn from a sample of pairs in random order."""

    def applier(self, fit: Fit, device: torch.device) -> Applier:
        """Make the function that scores pairs with this fit."""


def names() -> list[str]:
    """The scorers there are, as `--scorer` spells them."""
    files = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name.replace("_", "-") for name in files if name not in _NOT_SCORERS)


def get(name: str) -> Scorer:
    """The scorer of that name. Raises NcauditError with the known names for any other."""
    if name not in names():
        raise NcauditError(f"no scorer is called {name!r}", fix=f"give one of: {', '.join(names())}")
    return cast(Scorer, import_module(f"{__name__}.{name.replace('-', '_')}"))
