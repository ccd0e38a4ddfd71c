"""One scoring method per file; the folder is the registry. Parts of a scorer that has several lie in a folder below.

A scorer file offers two functions:

    fit(pairs, options) -> Fit         everything global, learned once from a bounded sample of pairs
    applier(fit, device) -> Applier    a function from any pairs to their PairScores, one row at a time

A row's scores depend on that row, on the fit and (bicro, siblings) on pairs of the same photo beside it, on nothing
else.
"""

import pkgutil
from collections.abc import Collection, Iterator, Sequence
from importlib import import_module
from typing import Protocol, cast

import torch

from ncaudit.errors import UsageError
from ncaudit.nearest import one_of
from ncaudit.options import SETTINGS, ScorerOptions, Variant
from ncaudit.options.shared.about import flag_of
from ncaudit.options.shared.effect import Unread
from ncaudit.scoring.fits import Applier, Fit
from ncaudit.scoring.pairs import Pairs


class Scorer(Protocol):
    """What a scorer file offers; one with fold models also `cells(fit, pairs)`.

    One whose variants read different options has `reads(options)`, their names, instead of RECORDED.
    """

    ABOUT: str  # one line for people
    RECORDED: tuple[str, ...]  # the options that its scores depend on
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
    """The scorer of that name. Raises UsageError with the known names for any other."""
    if name not in names():
        raise UsageError(f"no scorer is called {name!r}", fix=one_of(name, names()))
    return cast(Scorer, import_module(f"{__name__}.{name.replace('-', '_')}"))


def applier(fit: Fit, device: torch.device) -> Applier:
    """What scores pairs with this fit; made once for each device."""
    if device not in fit.made:
        fit.made[device] = get(fit.scorer).applier(fit, device)
    return cast(Applier, fit.made[device])


def reads(name: str, options: ScorerOptions) -> frozenset[str]:
    """The options that the scorer's scores depend on."""
    scorer = get(name)
    own = getattr(scorer, "reads", None)
    return frozenset(scorer.RECORDED if own is None else own(options))


def unread(wanted: Sequence[str], options: ScorerOptions, settings: Collection[str] = SETTINGS) -> Iterator[Unread]:
    """Those of the settings that none of these scorers reads, with the scorers that do."""
    read = frozenset[str]().union(*(reads(name, options) for name in wanted))
    for name in SETTINGS:
        if name in settings and name not in read:
            readers = " or ".join(_readers(name))
            asked = ", ".join(wanted) + (f" --variant {options.variant}" if "bicro" in wanted else "")
            yield Unread((name,), f"is not read by --scorer {asked}", f"leave it out, or give {readers}")


def refuse_unread(wanted: Sequence[str], options: ScorerOptions, given: Collection[str] = ()) -> None:
    """Raises UsageError where a setting that none of these scorers reads is not at its default, or among `given`."""
    changed = [name for name in SETTINGS if getattr(options, name) != getattr(ScorerOptions, name)]
    for one in unread(wanted, options, {*changed, *given}):  # who reads the others takes a fifth of a second to tell
        raise UsageError(f"{flag_of(one.names[0])} {one.reason}", fix=one.fix)


def _readers(setting: str) -> Iterator[str]:
    for name in names():
        every = [each for each in Variant if setting in reads(name, ScorerOptions(variant=each))]
        if len(every) == len(Variant):
            yield f"--scorer {name}"
        elif every:
            yield f"--scorer {name} --variant {' or '.join(every)}"


def cells(fit: Fit, pairs: Pairs) -> torch.Tensor:
    """(n,) int64: a random pair whose halves are of one cell is scored exactly as an observed pair is."""
    of_scorer = getattr(get(fit.scorer), "cells", None)
    found: torch.Tensor = torch.zeros_like(pairs.image_id) if of_scorer is None else of_scorer(fit, pairs)
    return found
