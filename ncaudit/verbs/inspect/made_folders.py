"""The folders that ncaudit writes beside tables: fine-tuned models, heads, fits. Told by the small JSON files in them.

Knows file names and JSON; loads no weights and no torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ncaudit import own_json
from ncaudit.shards.files.locations import is_dir, is_file, join

HEADS, MODEL, FIT, RUN = "heads.json", "open_clip_config.json", "fit.json", "run.json"
_OBJECT: own_json.Shape = (None, {})
_NAMED: own_json.Shape = (None, {"name?": (None, str)})
SHAPES: Mapping[str, own_json.Shape] = {
    HEADS: {"description?": (None, {"model?": _NAMED}), "shape?": (None, {"members?": [{}]})},
    MODEL: {"model_cfg?": _OBJECT},
    FIT: {"facts?": (None, {"noise_rate?": _OBJECT}), "model?": _NAMED, "shards?": _OBJECT},
    RUN: {},
}
TRAINED: own_json.Shape = {"run": {"options?": {}, "model?": _NAMED}, "summary": (None, {"start_model?": _NAMED})}


class FolderKind(StrEnum):
    """What lies in a folder."""

    heads = "heads"
    model = "model"
    fit = "fit"
    unfinished = "unfinished training run"


@dataclass(frozen=True)
class MadeFolder:
    """A folder's kind, what it is in words, and what its files say of it."""

    kind: FolderKind
    words: str
    facts: Mapping[str, Any]


def made_folder(path: str) -> MadeFolder | None:
    """What this folder is, if it holds a model, heads or a fit; None for anything else.

    Raises BadTable when the file that says so is damaged.
    """
    if not is_dir(path):
        return None
    run = _training(path)
    for name, described in ((HEADS, _heads), (MODEL, _model), (FIT, _fit)):
        if is_file(join(path, name)):
            return described(_read(join(path, name), SHAPES[name]), run)
    if run:
        return MadeFolder(FolderKind.unfinished, "training run of ncaudit without a model yet", _of_run(run))
    return None


def _heads(told: Mapping[str, Any], run: Mapping[str, Any]) -> MadeFolder:
    description, shape = told.get("description") or {}, told.get("shape") or {}
    members = shape.get("members") or [shape]
    facts = {
        "ncaudit": told.get("ncaudit"),
        "image_width": description.get("image_width"),
        "text_width": description.get("text_width"),
        "dims": members[0].get("dims"),
        "networks": len(members),
        "embeddings_of": (description.get("model") or {}).get("name"),
    }
    return MadeFolder(FolderKind.heads, "heads on frozen embeddings, trained by ncaudit", {**facts, **_of_run(run)})


def _model(told: Mapping[str, Any], run: Mapping[str, Any]) -> MadeFolder:
    words = "open_clip model, fine-tuned by ncaudit" if run else "open_clip model"
    config = told.get("model_cfg") or told
    return MadeFolder(FolderKind.model, words, {"dims": config.get("embed_dim"), **_of_run(run)})


def _fit(told: Mapping[str, Any], run: Mapping[str, Any]) -> MadeFolder:
    rate = (told.get("facts") or {}).get("noise_rate") or {}
    facts = {
        "ncaudit": told.get("ncaudit"),
        "fit": told.get("fit_id"),
        "scorer": told.get("scorer"),
        "model": (told.get("model") or {}).get("name"),
        "weight_hash": (told.get("model") or {}).get("weight_hash"),
        "fitted_on_shards": len(told.get("shards") or {}),
        "noise_rate": rate.get("rate"),
        **_judged((told.get("facts") or {}).get("verdicts")),
    }
    return MadeFolder(FolderKind.fit, "fit of ncaudit score", facts)


def _judged(pairs: Any) -> dict[str, Any]:
    """From how many pairs that people judged; nothing where nobody did."""
    return {} if pairs is None else {"judged_pairs": pairs}


def _of_run(run: Mapping[str, Any]) -> dict[str, Any]:
    """What a training run says of itself; nothing where there was none."""
    if not run:
        return {}
    asked, options = run["run"], run["run"].get("options", {})
    summary = run["summary"] or {}
    return {
        "finished": run["summary"] is not None,
        "start_model": (summary.get("start_model") or asked.get("model") or {}).get("name"),
        "tune": options.get("tune"),
        "objective": options.get("objective"),
        "recipe": options.get("recipe"),
        "label_column": options.get("label_column"),
        "with_scores": asked.get("scores") is not None,
        "epochs": options.get("epochs"),
        "kept_epoch": summary.get("kept_epoch"),
        "train_pairs": summary.get("train_pairs"),
        "mean_label": summary.get("mean_label"),
    }


def _training(path: str) -> Mapping[str, Any]:
    """run.json of `train`; `embed` writes one of its own."""
    name = join(path, RUN)
    told = _read(name, SHAPES[RUN]) if is_file(name) else {}
    return _read(name, TRAINED) if {"run", "summary"} <= set(told) else {}


def _read(path: str, shape: own_json.Shape) -> Mapping[str, Any]:
    told: Mapping[str, Any] = own_json.read(path, shape, fix="fetch or write the folder again")
    return told
