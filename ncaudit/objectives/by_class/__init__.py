"""Training losses that ask for the class of each pair, one file each: the folder is the registry, as that above it.

A class objective is a module with
`class_loss(image, text, targets, *, allowed=None) -> Tensor`: one number to minimise for one batch, where
image, text: (n, d) float unit rows of n pairs; targets: what `core.losses.class_losses.ClassTargets` holds of them;
allowed: (n, n) bool, false where caption j is no true negative of image i, or None.
Its settings are the further keyword arguments, and `check(...)` takes them, as in the registry above. One that wants
the pairs split by their neighbours' classes at each epoch's start says PARTITIONS = True, else `part` and `voted` of
the targets are not to be looked at.
"""

from pkgutil import iter_modules


def names() -> list[str]:
    """The class objectives there are, as the command line writes them.

    >>> {"cross-entropy", "nirnl"} <= set(names())
    True
    """
    return sorted(module.name.replace("_", "-") for module in iter_modules(__path__))
