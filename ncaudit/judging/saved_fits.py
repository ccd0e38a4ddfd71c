"""Saves and loads fits: `fit.safetensors` for what is large, `fit.json` for the rest, in one folder.

Knows fits as tensors and facts; nothing of how they are made or used.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save

from ncaudit import own_json
from ncaudit.errors import BadTable
from ncaudit.scoring.fits import Fit
from ncaudit.shards.files.locations import exists, is_file, join, open_file
from ncaudit.shards.files.writer import atomic_file
from ncaudit.version import FORMATS, format_of, written_by

TENSORS, FACTS = "fit.safetensors", "fit.json"
FIT_ANEW = "give a folder that `ncaudit score --save-fit` wrote, or fit anew: --refit, without --fit"
SHAPE: own_json.Shape = {
    **{"scorer": str, "options": {}, "facts": {}, "pair_ids": [str], "model": (None, {}), "shards": {...: str}},
    **{"fit_id": str, "format?": int},
}


@dataclass(frozen=True)
class SavedFit:
    """A fit with where it comes from: the model of its embeddings, and the shards (name → fingerprint) it saw."""

    fit: Fit
    model: Mapping[str, Any] | None
    shards: Mapping[str, str]
    format: int = field(default_factory=lambda: FORMATS["score"])  # that it was written in

    @cached_property  # asked for with every batch, and all tensors are hashed
    def fit_id(self) -> str:
        """Of the content: two fits with the same id score alike."""
        digest = hashlib.sha256(json.dumps(self._facts(), sort_keys=True).encode())
        digest.update(save(_contiguous(self.fit)))
        return digest.hexdigest()[:16]

    def _facts(self) -> dict[str, Any]:
        fit = self.fit
        plain = {
            "scorer": fit.scorer,
            "options": dict(fit.options),
            "facts": dict(fit.facts),
            "pair_ids": list(fit.pair_ids),
        }
        return {**plain, "model": self.model}

    def to_json(self) -> dict[str, Any]:
        """All but the tensors."""
        return {**written_by("score"), "fit_id": self.fit_id, **self._facts(), "shards": dict(self.shards)}


def save_fit(saved: SavedFit, folder: str) -> None:
    """Write both files, the small one last: a folder without it holds no fit. The same fit, if it is there, stays."""
    if holds_fit(folder, saved):
        return
    with atomic_file(join(folder, TENSORS)) as file:
        file.write(save(_contiguous(saved.fit)))
    with atomic_file(join(folder, FACTS)) as file:
        file.write(json.dumps(saved.to_json(), indent=1, sort_keys=True, ensure_ascii=False).encode())


def holds_fit(folder: str, saved: SavedFit) -> bool:
    """Whether this very fit is what lies in the folder."""
    try:
        found = load_fit(folder)
    except BadTable:
        return False
    return (found.fit_id, found.shards, found.format) == (saved.fit_id, saved.shards, saved.format)


def has_fit(folder: str) -> bool:
    """Whether a whole fit lies in this folder."""
    return is_file(join(folder, FACTS))


def load_fit(folder: str) -> SavedFit:
    """Read what `save_fit` wrote. Raises BadTable when it is not there, damaged, or of two different fits."""
    _require_there(folder)
    try:
        with open_file(join(folder, TENSORS)) as file:
            tensors = load(file.read())  # not mapped: a file that is cut while it is used would end the process
        facts = _facts_in(folder)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise _not_whole(folder, error) from error
    fit = Fit(facts["scorer"], facts["options"], tensors, facts["facts"], facts["pair_ids"])
    saved = SavedFit(fit, facts["model"], facts["shards"], format_of(facts))
    if saved.fit_id != facts["fit_id"]:
        what = f"{folder}: {FACTS} and {TENSORS} do not belong together"
        raise BadTable(what, fix="fit anew: --refit, without --fit")
    return saved


def options_of_fit(folder: str) -> dict[str, Any]:
    """What a fit was made with, by its small file alone. Raises BadTable as `load_fit` does."""
    _require_there(folder)
    try:
        return dict(_facts_in(folder)["options"])
    except (OSError, ValueError, KeyError) as error:
        raise _not_whole(folder, error) from error


def _require_there(folder: str) -> None:
    if not has_fit(folder):
        what = f"{folder} holds no fit: {FACTS} is not there" if exists(folder) else f"{folder} does not exist"
        raise BadTable(what, fix=FIT_ANEW)


def _facts_in(folder: str) -> Any:
    return own_json.read(join(folder, FACTS), SHAPE, fix=FIT_ANEW)


def _not_whole(folder: str, error: Exception) -> BadTable:
    return BadTable(f"{folder} holds no whole fit ({type(error).__name__}: {error})", fix=FIT_ANEW)


def _contiguous(fit: Fit) -> dict[str, Any]:
    return {name: tensor.cpu().contiguous() for name, tensor in fit.tensors.items()}
