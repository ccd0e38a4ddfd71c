"""What a text tower of transformers needs beside its weights: its configuration, and the files of its tokenizer.

Knows their names, where they may lie and that nothing is fetched for a folder; nothing of weights. open_clip asks the
hub for the configuration even where the weights lie in a folder: there it is read from that folder, or from the cache.
"""

import glob
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from huggingface_hub import constants, try_to_load_from_cache
from open_clip.hf_configs import arch_dict

from ncaudit.errors import ModelUnavailable

TOWER = "config.json"  # what transformers calls it
VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model", "*.spm")  # each has one of these
BESIDE = ("*token*.json", "merges.txt", "added_tokens.json")


def text_files(folder: str, model: dict[str, Any]) -> tuple[str, ...]:
    """The files of a model folder that decide on tokens and text tower, where those are of transformers; else none.

    model: its `model_cfg`. Raises ModelUnavailable when the folder lacks one.
    """
    text = model.get("text_cfg") or {}
    files = []
    if name := text.get("hf_tokenizer_name"):
        files += _tokenizer_files(folder, str(name))
    if name := text.get("hf_model_name"):
        files.append(_tower_file(folder, str(name))[0])
    return tuple(files)


@contextmanager
def tower_from_file(model: dict[str, Any], file: str) -> Iterator[dict[str, Any]]:
    """What `open_clip.create_model` must be told to take the text tower's configuration from `file`, untrained."""
    text = model.get("text_cfg") or {}
    with tempfile.TemporaryDirectory() as own:
        with open(os.path.join(own, TOWER), "w", encoding="utf-8") as copy:
            json.dump(_settings(file, str(text.get("hf_model_name"))), copy)
        yield {"text_cfg": {**text, "hf_model_name": own, "hf_model_pretrained": False}}


@contextmanager
def from_folder(folder: str, model: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The same for a model folder, whatever its text tower is; while it lasts, nothing is fetched from the hub."""
    name = (model.get("text_cfg") or {}).get("hf_model_name")
    with no_network():
        if not name:
            yield {}
            return
        with tower_from_file(model, _tower_file(folder, str(name))[0]) as changes:
            yield changes


@contextmanager
def no_network() -> Iterator[None]:
    """The hub's own switch, as HF_HUB_OFFLINE=1 would set it: a folder is whole, or said not to be."""
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _tokenizer_files(folder: str, name: str) -> list[str]:
    if not _found(folder, VOCABULARIES):
        raise ModelUnavailable(
            f"{folder} has no tokenizer files: it has none of {', '.join(VOCABULARIES)}",
            fix=f"copy those of {name} into it, as transformers saves them: "
            f"AutoTokenizer.from_pretrained({name!r}).save_pretrained({folder!r})",
        )
    return sorted({*_found(folder, VOCABULARIES), *_found(folder, BESIDE)})


def _found(folder: str, patterns: tuple[str, ...]) -> list[str]:
    return [path for pattern in patterns for path in glob.glob(os.path.join(glob.escape(folder), pattern))]


def _tower_file(folder: str, name: str) -> tuple[str, dict[str, Any]]:
    """Where the text tower's configuration lies, and what it says: below the folder, in it, or in the hub's cache."""
    places = [os.path.join(folder, name, TOWER), os.path.join(folder, TOWER)]
    cached = try_to_load_from_cache(name, TOWER) if name.count("/") <= 1 and not os.path.isabs(name) else None
    for path in (*places, cached if isinstance(cached, str) else ""):
        if os.path.isfile(path) and (settings := _understood(path)):
            return path, settings
    raise ModelUnavailable(
        f"{folder} has no {TOWER} of its text tower, {name} in transformers",
        fix=f"copy it into the folder, as transformers saves it: "
        f"AutoConfig.from_pretrained({name!r}).save_pretrained({folder!r})",
    )


def _settings(file: str, name: str) -> dict[str, Any]:
    if not (settings := _understood(file)):
        raise ModelUnavailable(
            f"{file} describes no text tower that open_clip knows ({', '.join(arch_dict)})",
            fix=f"put the {TOWER} of {name} there",
        )
    return settings


def _understood(file: str) -> dict[str, Any] | None:
    """The part of a transformers configuration that open_clip can build a text tower of."""
    try:
        with open(file, encoding="utf-8") as opened:
            whole = json.load(opened)
    except ValueError as error:
        raise ModelUnavailable(f"{file} is no JSON: {error}", fix="write or download it again") from error
    parts = (whole, whole.get("text_config")) if isinstance(whole, dict) else ()
    return next((part for part in parts if isinstance(part, dict) and part.get("model_type") in arch_dict), None)
