"""Training losses, one file each: the folder is the registry. Knows their names without importing torch.

An objective is a module with
`batch_loss(similarity, label, *, scale, allowed=None) -> Tensor`: one number to minimise for one batch, where
similarity: (n, n) float, row = image, column = caption, row i of both is pair i; label: (n,) in [0, 1];
scale: > 0, 1 / temperature; allowed: (n, n) bool, false where caption j is no true negative of image i, or None.
It may also offer
`trains_on(label) -> mask`: which pairs of a dataset are learnt from, numpy (n,) float to (n,) bool, because labels are
read as numpy and pairs are chosen before a batch exists (every batch stays full);
`of_infonce(loss, label) -> Tensor`: what `batch_loss` gives, of the pairs' own InfoNCE, (n,), where that is all it asks
of the similarities: whoever has worked that out already need not do it again.
Its settings are the further keyword arguments of these two; their defaults are the only ones. One with settings has
`check(...)`, which takes all of them and raises NcauditError where a value makes no sense.
Those that ask for the pairs' classes instead of labels are in the folder `by_class`, with an interface of their own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from inspect import Parameter, signature
from pkgutil import iter_modules
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from ncaudit.errors import NcauditError, UsageError
from ncaudit.nearest import one_of
from ncaudit.objectives import by_class

if TYPE_CHECKING:  # options ask for the names, and `--help` must not pay for numpy
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    from ncaudit.core.losses.class_losses import ClassTargets

Setting = float | str
TrainsOn = Callable[["npt.NDArray[np.floating]"], "npt.NDArray[np.bool_]"]
OfInfonce = Callable[["Tensor", "Tensor"], "Tensor"]
_GIVEN_PER_BATCH = {"scale", "allowed"}


class BatchLoss(Protocol):
    """One number to minimise for one batch; shapes as in the module's docstring."""

    def __call__(
        self, similarity: "Tensor", label: "Tensor", *, scale: "float | Tensor", allowed: "Tensor | None" = None
    ) -> "Tensor": ...


class LossOfRows(Protocol):
    """One number to minimise for one batch whose classes are known; shapes as in `by_class`."""

    def __call__(
        self, image: "Tensor", text: "Tensor", targets: "ClassTargets", *, allowed: "Tensor | None" = None
    ) -> "Tensor": ...


@dataclass(frozen=True)
class ClassLoss:
    """A loss of rows and classes: told from a BatchLoss, which takes similarities, by its type."""

    of_rows: LossOfRows


@dataclass(frozen=True)
class ClassObjective:
    """What training asks a class objective; its settings are bound."""

    name: str
    loss: ClassLoss
    partitions: bool  # the pairs are split by their neighbours' classes at each epoch's start


@dataclass(frozen=True)
class Objective:
    """What training asks an objective; its settings are bound."""

    name: str
    batch_loss: BatchLoss
    trains_on: TrainsOn  # numpy labels (n,) to (n,) bool; all true unless the objective filters
    of_infonce: OfInfonce | None = None  # the loss from the pairs' own InfoNCE and labels, where it is made of these


AnyObjective = Objective | ClassObjective


def names() -> list[str]:
    """The objectives there are, as the command line writes them; `by_class.names()` are those that ask for classes.

    >>> {"bicro", "soft-infonce"} <= set(names()), set(by_class.names()) <= set(names())
    (True, True)
    """
    of_labels = (module.name for module in iter_modules(__path__) if not module.ispkg)
    return sorted([*(name.replace("_", "-") for name in of_labels), *by_class.names()])


def get(name: str, **settings: Setting) -> Objective:
    """The objective called `name`, with its settings; those not given keep their defaults.

    Raises NcauditError for an unknown name, one that asks for classes, a setting that the objective does not have, or a
    value out of range.

    >>> import numpy as np
    >>> get("drop", drop_below=0.25).trains_on(np.array([0.2, 0.25, 0.9]))
    array([False,  True,  True])
    """
    if name in by_class.names():
        raise NcauditError(f"objective {name!r} asks for classes, not labels", fix="get it by get_by_class")
    module = _checked(name, settings)
    trains_on = getattr(module, "trains_on", every_pair)
    of_infonce = getattr(module, "of_infonce", None)
    return Objective(name, _bind(module.batch_loss, settings), _bind(trains_on, settings), of_infonce)


def get_by_class(name: str, **settings: Setting) -> ClassObjective:
    """The class objective called `name`, with its settings. Raises NcauditError as `get` does.

    >>> get_by_class("nirnl", cmp_weight=0.5).partitions
    True
    """
    if name in set(names()) - set(by_class.names()):
        raise NcauditError(f"objective {name!r} does not ask for classes", fix="get it by get")
    module = _checked(name, settings)
    return ClassObjective(name, ClassLoss(_bind(module.class_loss, settings)), module.PARTITIONS)


def get_any(name: str, **settings: Setting) -> AnyObjective:
    """The objective called `name`, of either kind."""
    return get_by_class(name, **settings) if name in by_class.names() else get(name, **settings)


def settings(name: str) -> dict[str, Setting]:
    """The settings of the objective called `name` and their defaults.

    >>> settings("bicro")
    {'margin': 0.2, 'margin_base': 10.0}
    """
    return _settings(_module(name))


def _checked(name: str, settings: dict[str, Setting]) -> ModuleType:
    """The module of that name, once it has found the settings to be its own and sensible."""
    module = _module(name)
    known = _settings(module)
    for unknown in sorted(settings.keys() - known):
        raise UsageError(f"objective {name!r} has no setting {unknown!r}", fix=_what_it_has(known))
    if known:
        module.check(**known | settings)
    return module


def _module(name: str) -> ModuleType:
    if name not in names():
        raise UsageError(f"no objective is called {name!r}", fix=one_of(name, names()))
    package = by_class.__name__ if name in by_class.names() else __name__
    return import_module(f"{package}.{name.replace('-', '_')}")


def _settings(module: ModuleType) -> dict[str, Setting]:
    if hasattr(module, "class_loss"):
        return _of(module.class_loss)
    return _of(module.batch_loss) | _of(getattr(module, "trains_on", every_pair))


def _of(function: Callable[..., Any]) -> dict[str, Setting]:
    """The function's own keyword-only arguments, with their defaults."""
    own = (value for key, value in signature(function).parameters.items() if key not in _GIVEN_PER_BATCH)
    return {value.name: value.default for value in own if value.kind is Parameter.KEYWORD_ONLY}


def _bind(function: Callable[..., Any], settings: dict[str, Setting]) -> Callable[..., Any]:
    return partial(function, **{key: settings[key] for key in _of(function).keys() & settings.keys()})


def _what_it_has(known: dict[str, Setting]) -> str:
    return f"leave it out; it has: {', '.join(known)}" if known else "leave it out; it has none"


def every_pair(label: "npt.NDArray[np.floating]") -> "npt.NDArray[np.bool_]":
    """`trains_on` of an objective that refuses none."""
    import numpy as np

    return np.ones(len(label), dtype=bool)
