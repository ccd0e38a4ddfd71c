"""A stranger's model folder, looked at before anything of it is loaded: numbers that fit its weights, and no programs.

Knows open_clip's folders as JSON, safetensors, zips and gzip; nothing of models that are built, or of torch.
"""

import gzip
import json
import math
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from ncaudit.errors import ModelUnavailable

MIB = 2**20
CONFIG_BYTES = MIB  # those of open_clip have less than 2 KiB
HEADER_BYTES = 100 * MIB  # of safetensors, which allows no longer ones itself
MERGES_BYTES = 64 * MIB  # unpacked: the largest vocabularies have some 10
ZIPPED_TIMES = 4  # weights do not compress: a zip that unpacks to more than this is none that torch wrote
SPARE_PARAMETERS = 2**24  # beside what the weights hold: what is counted here is rough
MOST_POSITIONS = 2**16  # patches of an image
_MOST = {
    "layers": 1_000, "width": 2**16, "embed_dim": 2**16, "image_size": 4_096, "size": 4_096, "heads": 4_096,
    "context_length": 2**13, "vocab_size": 2**23, "patch_size": 4_096, "head_width": 2**16, "mlp_ratio": 64,
    "n_queries": 2**13,
}  # fmt: skip
_MOST_OTHERWISE = 2**24
_CHOICES = {"mode": ("RGB",), "resize_mode": ("shortest", "longest", "squash")}
_TOWERS = ("text_cfg", "vision_cfg")
_ASK = "fetch the folder again, or ask its author for one that open_clip wrote"


def sound_settings(config: str) -> dict[str, Any]:
    """What the folder's configuration says of the model, its `model_cfg`. config: its path.

    Raises ModelUnavailable where it is none that open_clip wrote, or holds numbers that no model has.
    """
    model: dict[str, Any] = _settings(config)["model_cfg"]
    if not all(isinstance(model.get(part), dict) for part in _TOWERS):
        raise _damaged(config, f"it has no model_cfg with {' and '.join(_TOWERS)}")
    return model


def require_sound_weights(config: str, model: Mapping[str, Any], weights: list[str], merges: list[str]) -> None:
    """Raises ModelUnavailable for files that cannot be loaded, or that are none of such a model.

    config, weights, merges: paths of the folder's files. model: what `sound_settings` gave.
    """
    held = sum(weight_bytes(path) for path in weights)
    asked = _parameters(model)
    if asked > 4 * held + SPARE_PARAMETERS:  # a weight has a byte or more, and no model is four times what is counted
        raise _damaged(config, f"it asks for some {asked:,} weights, and the files beside it hold {held:,} bytes")
    for path in merges:
        _require_small(path)


def _settings(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            text = file.read(CONFIG_BYTES + 1)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise _damaged(path, f"it is not there any more ({error.strerror})") from error
    if len(text) > CONFIG_BYTES:
        raise _damaged(path, f"it is longer than {CONFIG_BYTES:,} bytes")
    try:
        settings = json.loads(text)
    except RecursionError:
        raise _damaged(path, "it is nested too deeply") from None
    except ValueError as error:
        raise _damaged(path, f"it is no JSON: {error}") from error
    if not isinstance(settings, dict):
        raise _damaged(path, "it is no object")
    for name in ("model_cfg", "preprocess_cfg"):
        if not isinstance(settings.get(name), dict):
            raise _damaged(path, f"it has no {name}")
        for place, number in _numbers(settings[name], name):
            _require_within(path, place, number)
    for name, known in _CHOICES.items():
        if settings["preprocess_cfg"].get(name, known[0]) not in known:
            raise _damaged(path, f"preprocess_cfg.{name} is none of {', '.join(known)}")
    return settings


def _numbers(value: Any, place: str) -> Iterator[tuple[str, float]]:
    """Every number below, with its place: names with dots between."""
    if isinstance(value, Mapping):
        for name, entry in value.items():
            yield from _numbers(entry, f"{place}.{name}")
    elif isinstance(value, list):
        for entry in value:
            yield from _numbers(entry, place)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield place, value


def _require_within(path: str, place: str, number: float) -> None:
    name = place.rpartition(".")[2]
    most = _MOST.get(name, _MOST_OTHERWISE)
    fits = 0 < number <= most if name in _MOST else abs(number) <= most  # both false for NaN
    if not fits:
        raise _damaged(path, f"{place} is {str(number)[:20]}, and no model has that")


def _parameters(model: Mapping[str, Any]) -> int:
    """About how many weights the configuration asks for; what is no plain transformer or ResNet counts for little."""
    found = 0
    for name in ("vision_cfg", "text_cfg", "multimodal_cfg"):
        tower = model.get(name)
        if isinstance(tower, Mapping) and not any(str(key).startswith(("timm_", "hf_")) for key in tower):
            found += _of_tower(tower)
    return found


def _of_tower(tower: Mapping[str, Any]) -> int:
    layers, width = tower.get("layers", 12), _whole(tower.get("width", 512))
    if isinstance(layers, list):
        return sum(17 * _whole(count) * (width << stage) ** 2 for stage, count in enumerate(layers[:8]))
    blocks = _whole(layers) * 12 * width**2
    side = tower.get("image_size", 0)
    patches = math.prod(-(-_whole(s) // max(1, _whole(tower.get("patch_size", 16)))) for s in _pair(side))
    if patches > MOST_POSITIONS:
        raise ModelUnavailable(f"a model that cuts an image into {patches:,} patches cannot be computed", fix=_ASK)
    return blocks + width * (patches + _whole(tower.get("vocab_size", 0)) + _whole(tower.get("context_length", 0)))


def _pair(side: Any) -> tuple[Any, Any]:
    return (side[0], side[-1]) if isinstance(side, list) and side else (side, side)


def _whole(value: Any) -> int:
    return int(value) if isinstance(value, (int, float)) else 0  # of another type: open_clip will say so


def weight_bytes(path: str) -> int:
    """Bytes of a file of weights. Raises ModelUnavailable when it is shorter, or unpacks to more, than it may."""
    size = os.path.getsize(path)
    if path.endswith(".safetensors"):
        _require_safetensors(path, size)
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as packed:
            unpacked = sum(entry.file_size for entry in packed.infolist())
        if unpacked > ZIPPED_TIMES * size + MIB:
            raise _damaged(path, f"it unpacks to {unpacked:,} bytes, from {size:,}")
    return size


def _require_safetensors(path: str, size: int) -> None:
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, HEADER_BYTES):
            raise _damaged(path, "it was cut, or is no safetensors file")
        text = file.read(length)
    try:
        header = json.loads(text)
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        whole = 8 + length + max(ends, default=0) <= size
    except (ValueError, RecursionError, TypeError, KeyError, IndexError, AttributeError):
        raise _damaged(path, "its header is damaged") from None
    if not whole:
        raise _damaged(path, "it was cut: some weights lie behind its end")


def _require_small(path: str) -> None:
    try:
        with gzip.open(path) as file:
            left = MERGES_BYTES
            while piece := file.read(MIB):
                left -= len(piece)
                if left < 0:
                    raise _damaged(path, f"it unpacks to more than {MERGES_BYTES // MIB} MiB")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: str, why: str) -> ModelUnavailable:
    return ModelUnavailable(f"{path} cannot be loaded: {why}", fix=_ASK)
