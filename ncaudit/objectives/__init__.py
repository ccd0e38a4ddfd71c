"""Training losses, one file each: the folder is the registry. Knows their names without importing torch.

An objective is a module with
`batch_loss(similarity, label, *, scale, allowed) -> Tensor`: one number to minimise for one batch, where
similarity: (n, n) float, row = image, column = caption, row i of both is pair i; label: (n,) in [0, 1];
scale: > 0, 1 / temperature; allowed: (n, n) bool, false where caption j is no true negative of image i, or None.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Protocol

from ncaudit.errors import NcauditError

if TYPE_CHECKING:
    from torch import Tensor


class BatchLoss(Protocol):
    """One number to minimise for one batch; shapes as in the module's docstring."""

    def __call__(
        self, similarity: "Tensor", label: "Tensor", *, scale: "float | Tensor", allowed: "Tensor | None" = None
    ) -> "Tensor": ...


def names() -> list[str]:
    """The objectives there are, as the command line writes them.

    >>> names()
    ['infonce', 'weighted-infonce']
    """
    return sorted(module.name.replace("_", "-") for module in iter_modules(__path__))


def get(name: str) -> BatchLoss:
    """The loss called `name`. Raises NcauditError, with the known names, when there is none."""
    if name not in names():
        raise NcauditError(f"no objective is called {name!r}", fix=f"give one of: {', '.join(names())}")
    loss: BatchLoss = import_module(f"{__name__}.{name.replace('-', '_')}").batch_loss
    return loss
