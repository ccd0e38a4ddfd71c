"""The folder that training leaves: an open_clip model that stock open_clip and every ncaudit command load again.

Knows open_clip's file names and its config; nothing of training.
"""

import glob
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from tempfile import TemporaryDirectory
from typing import Any

import torch
from open_clip.constants import HF_CONFIG_NAME
from open_clip.transformer import QuickGELU
from safetensors.torch import save
from torch import Tensor, nn

from ncaudit.encoders.open_clip import HUB, ModelSource, fetched, model_config, tokenizer_of
from ncaudit.encoders.text_files import TOWER
from ncaudit.shards.files.locations import is_remote, join, names_in
from ncaudit.shards.files.writer import atomic_file
from ncaudit.shards.places import scratch

WEIGHTS = "open_clip_model.safetensors"
TOKENIZER_FILES = ("*.gz", "*.txt", "*.model", "*.spm", "*token*.json", "vocab*.json")  # never weights, never run.json
HUB_FILES = ("vocab.txt", "merges.txt", "*.model", "*.spm", "*token*.json", "vocab*.json")  # what tokenizers save


def save_description(model: nn.Module, source: ModelSource, out: str) -> None:
    """Everything but the weights: the config, with the activation and preprocessing in use, and what the captions need.

    model: as it was loaded from `source`. The tokenizer files of a folder are copied, a pruned vocabulary among them.
    """
    if is_remote(out):
        with TemporaryDirectory(dir=scratch.folder()) as here:
            save_description(model, source, here)
            for name in sorted(os.listdir(here)):
                _copy(os.path.join(here, name), join(out, name))
        return
    os.makedirs(out, exist_ok=True)
    source = fetched(source)
    if source.folder is not None:
        for name in _tokenizer_files(source.folder):
            shutil.copyfile(name, os.path.join(out, os.path.basename(name)))
    if source.folder is None or source.name.startswith(HUB):
        tokenizer = tokenizer_of(source)
        if hasattr(tokenizer, "save_pretrained"):  # open_clip's own needs no files: its vocabulary ships with it
            tokenizer.save_pretrained(out)
    _save_text_tower(model, out)
    with atomic_file(join(out, HF_CONFIG_NAME)) as file:
        file.write(json.dumps(_config(model, source), indent=2).encode())


def files_of_tokenizer(source: ModelSource, out: str) -> list[str]:
    """Names that `save_description` writes for the tokenizer; of one that is fetched, those there that it may write."""
    folder, patterns = (out, HUB_FILES) if source.folder is None else (source.folder, TOKENIZER_FILES)
    names = names_in(folder)
    return sorted({name for name in names for pattern in patterns if fnmatch(name, pattern)} - {HF_CONFIG_NAME})


def _copy(source: str, path: str) -> None:
    with open(source, "rb") as read, atomic_file(path) as file:
        shutil.copyfileobj(read, file)


def save_weights(tensors: Mapping[str, Tensor], out: str) -> None:
    """The weights, whole or not at all: a full disk or a kill leaves the file that was there."""
    with atomic_file(join(out, WEIGHTS)) as file:
        file.write(save(_unshared(tensors)))


def _save_text_tower(model: Any, out: str) -> None:
    """The configuration of a text tower of transformers, which open_clip would ask the hub for."""
    settings = getattr(getattr(model, "text", None), "config", None)
    if settings is not None:
        with atomic_file(join(out, TOWER)) as file:
            file.write(settings.to_json_string(use_diff=False).encode())


def _config(model: nn.Module, source: ModelSource) -> dict[str, Any]:
    described = model_config(source)
    # the activation is no weight: a tag may have forced it, and without this line it would be lost on loading
    quick = any(isinstance(module, QuickGELU) for module in model.modules())
    preprocess = dict(model.visual.preprocess_cfg)  # type: ignore[union-attr, arg-type]
    return {"model_cfg": {**described, "quick_gelu": quick}, "preprocess_cfg": preprocess}


def _tokenizer_files(folder: str) -> list[str]:
    return sorted(path for path in _matching(folder, TOKENIZER_FILES) if os.path.basename(path) != HF_CONFIG_NAME)


def _matching(folder: str, patterns: Sequence[str]) -> set[str]:
    return {path for pattern in patterns for path in glob.glob(os.path.join(glob.escape(folder), pattern))}


def _unshared(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous copies on the CPU: safetensors takes no channels_last tensors, and no two that share memory."""
    seen: set[int] = set()
    copies = {}
    for name, tensor in tensors.items():
        plain = tensor.detach().to("cpu", memory_format=torch.contiguous_format).contiguous()
        copies[name] = plain.clone() if plain.data_ptr() in seen else plain
        seen.add(plain.data_ptr())
    return copies
