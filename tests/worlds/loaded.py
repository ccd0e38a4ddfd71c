"""What a process loads from which commands are forked: all that any of them may need, of which nothing is used.

A fork is sound for that: a pool of threads that has worked once does not survive one.
"""

import gc
import importlib
import pkgutil
from contextlib import suppress

import torch

import ncaudit

LATER = ("pandas", "scipy.sparse", "sklearn.linear_model", "faiss", "open_clip", "PIL.JpegImagePlugin")


def _load() -> None:
    for module in pkgutil.walk_packages(ncaudit.__path__, "ncaudit."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in LATER:
        importlib.import_module(name)
    with suppress(ImportError):  # what Typer loads when the first word is parsed: half of a child's time
        importlib.import_module("typer._adapters")


_load()
torch.set_num_threads(1)  # what is forked shares the machine with other tests
gc.freeze()  # else the first collection in each child goes through a million objects, and copies their pages
