"""The encoder behind `embed --model HEADS`: the open_clip model that they were trained on, found again and checked.

Knows what `heads.json` tells, and open_clip's ways to name a model; nothing of shards or tables.
"""

import os
from dataclasses import replace
from typing import Any, TypeVar

import torch

from ncaudit.encoders.open_clip import HUB, LOCAL, Encoder, ModelIdentity, ModelSource
from ncaudit.errors import ModelUnavailable, NcauditError, UsageError
from ncaudit.matchers.heads.behind import difference, model_behind
from ncaudit.matchers.heads.projection import HEAD_DESCRIPTION, HEAD_WEIGHTS, SavedHeads, load_heads
from ncaudit.options import ModelOptions
from ncaudit.shards.files import locations

Options = TypeVar("Options", bound=ModelOptions)


def heads_of(options: ModelOptions) -> SavedHeads | None:
    """The heads that `--model` names, on the CPU; None where it names a model of another kind.

    Raises NcauditError when the folder holds heads, but no whole ones.
    """
    folder = options.model
    there = locations.is_file(locations.join(folder, HEAD_DESCRIPTION))
    return load_heads(folder, torch.device("cpu")) if there else None


def encoder_options(options: Options, saved: SavedHeads) -> Options:
    """The same options, naming the encoder behind the heads as open_clip knows it.

    `--pretrained` says where the encoder is, if it is no longer where it was: a folder, or as usual a tag or a file.
    Raises NcauditError when the heads know no encoder, or ModelUnavailable when its folder is gone.
    """
    told = saved.description.get("model") or {}
    if "name" not in told or "heads" in told:
        known = "embeddings that went through other heads" if "heads" in told else "embeddings of an unknown model"
        raise NcauditError(
            f"the heads in {options.model} were trained on {known}: there is no encoder to embed with",
            fix="embed as those embeddings were made, and give the heads to `ncaudit score` or `eval` with --model",
        )
    given = options.pretrained
    if given and (locations.is_remote(given) or os.path.isdir(given) or given.startswith((LOCAL, HUB))):
        return replace(options, model=given, pretrained=None)
    name = str(told["name"])
    if given and name.startswith((LOCAL, HUB)):
        raise UsageError(
            f"--pretrained {given} is no folder, and the encoder behind {options.model}, {name}, has its own weights",
            fix="leave it out, or name the folder where that encoder is now",
        )
    if name.startswith(HUB):
        return replace(options, model=name)
    if name.startswith(LOCAL):
        return replace(options, model=LOCAL + _folder(options, saved, name))
    architecture, _, tag = name.rpartition("/")
    return replace(options, model=architecture, pretrained=given or tag)


def source_behind(source: ModelSource, folder: str) -> ModelSource:
    """The encoder's source, with the heads among the files that decide."""
    heads = (locations.join(folder, name) for name in (HEAD_DESCRIPTION, HEAD_WEIGHTS))
    return replace(source, files=(*source.files, *heads))


def with_heads(encoder: Encoder, saved: SavedHeads, folder: str) -> Encoder:
    """The encoder and the heads behind it as one. Raises ModelUnavailable when they do not belong together."""
    model: dict[str, Any] = encoder.identity.as_dict()
    if different := difference(saved, model):
        raise ModelUnavailable(
            f"{encoder.identity.name} is not the encoder that the heads in {folder} were trained on: {different}",
            fix="name that encoder's folder or weights with --pretrained, or train heads on this one's embeddings",
        )
    heads = saved.heads.to(encoder.device)
    return encoder.followed_by(heads.image, heads.text, ModelIdentity.from_dict(model_behind(saved, model)))


def _folder(options: ModelOptions, saved: SavedHeads, name: str) -> str:
    folder = saved.description.get("encoder_folder")
    if not folder or not locations.is_dir(folder):
        where = f"and {folder} is gone" if folder else "and nothing tells where that is"
        raise ModelUnavailable(
            f"the heads in {options.model} were trained on embeddings of {name}, {where}",
            fix="name the encoder's folder with --pretrained",
        )
    return str(folder)
