"""A model folder in a store, as a folder of this machine: open_clip reads no other. Knows files; nothing of models."""

import os
import tempfile
from functools import cache, partial

from ncaudit.errors import ModelUnavailable
from ncaudit.stores import again, reaching, system

_copies: list[tempfile.TemporaryDirectory[str]] = []  # they go when this process ends


@cache
def fetched_folder(address: str) -> str:
    """The folder's own files, copied once per process, in a folder that is called as that one is.

    Raises ModelUnavailable where nothing is there, NcauditError where the place cannot be reached.
    """
    files, inner = system(address)
    with reaching(address):
        found = again(address, lambda: files.find(inner, maxdepth=1))
        if not found:
            raise ModelUnavailable(
                f"{address} holds no files", fix="name a folder that open_clip or `ncaudit train` wrote"
            )
        place = os.path.join(_new(), os.path.basename(address.rstrip("/")) or "model")
        os.makedirs(place)
        for name in found:
            again(address, partial(files.get_file, name, os.path.join(place, os.path.basename(name))))
    return place


def _new() -> str:
    _copies.append(tempfile.TemporaryDirectory(prefix="ncaudit-model-"))
    return _copies[-1].name
