"""Reads a checkpoint as what may have become of it: its archive tells of every byte whether it is as it was written.

Knows torch's files, which are ZIP archives of unpacked members with checksums; nothing of what is trained.
"""

import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pickle import UnpicklingError
from typing import Any

import torch

from ncaudit import own_json
from ncaudit.core.metrics.retrieval import RetrievalMetrics
from ncaudit.errors import BadTable, lacks_memory

_NUMBER: own_json.Shape = (None, float)
_VALIDATION: dict[Any, own_json.Shape] = {field.name: _NUMBER for field in fields(RetrievalMetrics)}
EPOCH: own_json.Shape = {  # a line of metrics.jsonl
    **{"epoch": int, "step?": int, "loss?": float, "scale": float, "mean_label?": _NUMBER, "neighbours?": (None, int)},
    "val": (None, {**_VALIDATION, ...: _NUMBER}),
}
STATE: own_json.Shape = {"epoch": int, "kept_epoch": int, "metrics": [EPOCH], "lessons": {}, "model": Mapping}
_MISFITS = (RuntimeError, LookupError, TypeError, ValueError, AttributeError)
_UNREAD = (*_MISFITS, UnpicklingError, EOFError, OSError, ImportError, struct.error, AssertionError, ArithmeticError)
RESTART = "--restart discards this run and trains from the beginning; what it was made from is not touched"


def load_checkpoint(path: str) -> dict[str, Any]:
    """What was saved, read as data, never as code. Raises BadTable when a byte of it is not as it was."""
    with whole(path, _UNREAD):
        _require_checksums(path)
        # torch's own words advise to load it as code: they are not passed on
        state = torch.load(path, map_location="cpu", weights_only=True)
    if not own_json.fits(state, STATE):
        raise _damaged(path, "it holds no state of a training run")
    told: dict[str, Any] = state
    return told


@contextmanager
def whole(path: str, misfits: tuple[type[Exception], ...] = _MISFITS) -> Iterator[None]:
    """What is raised inside, where the state of `path` is read or taken up, as BadTable; not that memory ran out."""
    try:
        yield
    except misfits as error:
        if lacks_memory(error):
            raise
        raise _damaged(path, type(error).__name__) from error


def _require_checksums(path: str) -> None:
    """Every member is read once, some 1 GB/s; none is packed, so that nothing is larger than the file says."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            sound = sum(member.file_size for member in members) <= os.path.getsize(path)
            sound = sound and all(member.compress_type == zipfile.ZIP_STORED for member in members)
            broken = archive.testzip() if sound else members[0].filename
    except (zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise ValueError(str(error)) from error
    if broken is not None:
        raise ValueError(f"{broken} is not as it was written")


def _damaged(path: str, why: str) -> BadTable:
    return BadTable(f"{path} is damaged: the run cannot go on from it ({why})", fix=RESTART)
