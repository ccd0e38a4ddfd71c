"""Training losses, one file each: the folder is the registry. Knows their names without importing torch.

An objective is a module with
`batch_loss(similarity, label, *, scale, allowed=None) -> Tensor`: one number to minimise for one batch, where
similarity: (n, n) float, row = image, column = caption, row i of both is pair i; label: (n,) in [0, 1];
scale: > 0, 1 / temperature; allowed: (n, n) bool, false where caption j is no true negative of image i, or None.
It may also offer
`trains_on(label) -> mask`: which pairs of a dataset are learnt from, numpy (n,) float to (n,) bool, because labels are
read as numpy and pairs are chosen before a batch exists (every batch stays full).
Its settings are the further keyword arguments of these two; their defaults are the only ones. One with settings has
`check(...)`, which takes all of them and raises NcauditError where a value makes no sense.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from inspect import Parameter, signature
from pkgutil import iter_modules
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from ncaudit.errors import NcauditError

if TYPE_CHECKING:
    from torch import Tensor

Setting = float | str
TrainsOn = Callable[[npt.NDArray[np.floating]], npt.NDArray[np.bool_]]
_GIVEN_PER_BATCH = {"scale", "allowed"}


class BatchLoss(Protocol):
    """One number to minimise for one batch; shapes as in the module's docstring."""

    def __call__(
        self, similarity: "Tensor", label: "Tensor", *, scale: "float | Tensor", allowed: "Tensor | None" = None
    ) -> "Tensor": ...


@dataclass(frozen=True)
class Objective:
    """What training asks an objective; its settings are bound."""

    name: str
    batch_loss: BatchLoss
    trains_on: TrainsOn  # numpy labels (n,) to (n,) bool; all true unless the objective filters


def names() -> list[str]:
    """The objectives there are, as the command line writes them.

    >>> names()
    ['bicro', 'drop', 'infonce', 'rcl', 'soft-infonce', 'weighted-infonce']
    """
    return sorted(module.name.replace("_", "-") for module in iter_modules(__path__))


def get(name: str, **settings: Setting) -> Objective:
    """The objective called `name`, with its settings; those not given keep their defaults.

    Raises NcauditError for an unknown name, a setting that the objective does not have, or a value out of range.

    >>> get("drop", drop_below=0.25).trains_on(np.array([0.2, 0.25, 0.9]))
    array([False,  True,  True])
    """
    module = _module(name)
    known = _settings(module)
    for unknown in sorted(settings.keys() - known):
        raise NcauditError(f"objective {name!r} has no setting {unknown!r}", fix=_what_it_has(known))
    if known:
        module.check(**known | settings)
    trains_on = getattr(module, "trains_on", every_pair)
    return Objective(name, _bind(module.batch_loss, settings), _bind(trains_on, settings))


def settings(name: str) -> dict[str, Setting]:
    """The settings of the objective called `name` and their defaults.

    >>> settings("bicro")
    {'margin': 0.2, 'margin_base': 10.0}
    """
    return _settings(_module(name))


def _module(name: str) -> ModuleType:
    if name not in names():
        raise NcauditError(f"no objective is called {name!r}", fix=f"give one of: {', '.join(names())}")
    return import_module(f"{__name__}.{name.replace('-', '_')}")


def _settings(module: ModuleType) -> dict[str, Setting]:
    return _of(module.batch_loss) | _of(getattr(module, "trains_on", every_pair))


def _of(function: Callable[..., Any]) -> dict[str, Setting]:
    """The function's own keyword-only arguments, with their defaults."""
    own = (value for key, value in signature(function).parameters.items() if key not in _GIVEN_PER_BATCH)
    return {value.name: value.default for value in own if value.kind is Parameter.KEYWORD_ONLY}


def _bind(function: Callable[..., Any], settings: dict[str, Setting]) -> Callable[..., Any]:
    return partial(function, **{key: settings[key] for key in _of(function).keys() & settings.keys()})


def _what_it_has(known: dict[str, Setting]) -> str:
    return f"leave it out; it has: {', '.join(known)}" if known else "leave it out; it has none"


def every_pair(label: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """`trains_on` of an objective that refuses none."""
    return np.ones(len(label), dtype=bool)
