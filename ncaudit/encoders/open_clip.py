"""Loads an open_clip model with its weights, and turns images and captions into unit rows.

Knows open_clip and torch; nothing of files other than models, of shards or of tables.
"""

import glob
import hashlib
import importlib.util
import json
import logging
import math
import os
import pickle
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import copy, deepcopy
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from open_clip.factory import get_model_config
from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional

from ncaudit.core.device import pick_device, pick_precision
from ncaudit.core.parallel import by_rows
from ncaudit.core.transfers import Fetched, sent
from ncaudit.encoders.captions import encode_trimmed, pooled_position, trimmable_tower
from ncaudit.encoders.hub import AGAIN, fetch_weights, hub_folder, tower_file, why
from ncaudit.encoders.images import Preprocess
from ncaudit.encoders.model_folder import require_sound_weights, sound_settings, weight_bytes
from ncaudit.encoders.remote_folder import fetched_folder
from ncaudit.encoders.text_files import TOWER, from_folder, text_files, tower_from_file
from ncaudit.errors import ModelUnavailable, UsageError, lacks_memory
from ncaudit.options import USUAL_WEIGHTS, ModelOptions
from ncaudit.stores import is_remote
from ncaudit.stores import read as stores_read

Map = Callable[[Tensor], Tensor]

CONFIG = "open_clip_config.json"
LOCAL, HUB = "local-dir:", "hf-hub:"
WEIGHTS = (".safetensors", ".bin", ".pth")  # what open_clip looks for in a folder

# Characters of a caption that any tokenizer may still look at: 64 per token is more than a vocabulary's longest words.
# The rest only costs time, and a lot: the merging of byte pairs is quadratic in the length of a word.
CHARACTERS_PER_TOKEN = 64
WORDS_REMEMBERED = 50_000

LONGEST_REASON = 300  # characters; a state dict of another architecture lacks hundreds of names

TRIMMED_COSINE = 0.9999  # in float32; the two ways differ by rounding only, or by everything

# A part of a batch on a CPU, worked out by one thread: 32 images of 224 x 224. Fixed, as in other company an image may
# have other last bits. Smaller parts lay out the model's weights too often: 8 images at a time cost a third more.
PIXELS_AT_ONCE = 32 * 224 * 224
CAPTIONS_AT_ONCE = 64

_PROBES = (
    "a photo of a dog",
    "",
    "two red squares above a blue circle, drawn on grey paper",
    "x",
    "An old man and a child are walking along the river on a cold and rainy morning in late November",
    "ảnh chụp một cậu bé",
    "12345 67890",
    "A! B? C; (D) [E] – F / G & H: 'I' \"J\"",
)


@dataclass(frozen=True)
class ModelIdentity:
    """Which encoder made a table, without paths: tables used together must agree in all of it."""

    name: str
    weight_hash: str  # SHA-256 over the state dict as it was loaded, before any cast
    activation: str  # quickgelu or gelu: the same weights with the other one give different embeddings
    preprocessing: Preprocess
    precision: str
    image_dims: int
    text_dims: int
    heads: str | None = None  # weight hash of the heads behind it, whose dims are then told

    def as_dict(self) -> dict[str, Any]:
        """As it goes into a table's provenance, under `model`; without heads, nothing is said of any."""
        plain: dict[str, Any] = json.loads(self._written)
        return plain if self.heads else {name: value for name, value in plain.items() if name != "heads"}

    @cached_property
    def _written(self) -> str:
        return json.dumps(asdict(self))  # asked for every shard of a run

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ModelIdentity":
        """What `as_dict` wrote."""
        return cls(**{**values, "preprocessing": Preprocess.of(values["preprocessing"])})


class Encoder:
    """A frozen open_clip model on its device: images and captions in, unit rows out."""

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        identity: ModelIdentity,
        device: torch.device,
        dtype: torch.dtype,
        *,
        trim: bool,
    ) -> None:
        self.model: Any = model
        self.identity = identity
        self.preprocess = identity.preprocessing
        self.device = device
        self.dtype = dtype
        self.trims = trim  # whether captions are encoded at their own length
        self._tokenizer = tokenizer
        self._image_map: Map | None = None
        self._text_map: Map | None = None
        self._mean = torch.tensor(self.preprocess.mean, device=device).mul(255).view(1, 3, 1, 1)
        self._scale = torch.tensor(self.preprocess.std, device=device).mul(255).reciprocal().view(1, 3, 1, 1)

    def followed_by(self, image: Map, text: Map, identity: ModelIdentity) -> "Encoder":
        """This encoder with a map behind each tower, on its device: (n, d) float32 unit rows -> (n, d') float32.

        identity: of the whole.
        """
        whole = copy(self)
        whole._image_map, whole._text_map, whole.identity = image, text, identity
        return whole

    def called(self, name: str) -> "Encoder":
        """This encoder under another name."""
        whole = copy(self)
        whole.identity = replace(self.identity, name=name)
        return whole

    def frozen(self, dtype: torch.dtype) -> "Encoder":
        """This encoder in eval mode, its weights as they are now and cast once to `dtype`: a copy if that differs."""
        frozen = copy(self)
        if dtype != self.dtype:
            frozen.model = deepcopy(self.model).requires_grad_(False).to(dtype)
            frozen.dtype, precision = dtype, str(dtype).removeprefix("torch.")
            frozen.identity = replace(self.identity, precision=precision)
        frozen.model.eval()
        return frozen

    def tokenize(self, captions: Sequence[str]) -> Tensor:
        """(n, context length) int64 on the CPU, padded as the model wants it."""
        return _tokenize(self._tokenizer, captions)

    def lengths(self, tokens: Tensor) -> Tensor:
        """(n,) int64: tokens that the tower must look at; the context length where captions stay padded."""
        tower = trimmable_tower(self.model) if self.trims else None
        if tower is None:
            return torch.full((len(tokens),), tokens.shape[1])
        return pooled_position(tower, tokens) + 1

    def begin_images(self, pixels: Tensor | NDArray[np.uint8]) -> Fetched:
        """What `encode_images` gives, on its way: a GPU is asked for it, and nobody waits yet."""
        with torch.inference_mode():
            there = sent(torch.as_tensor(pixels), self.device)
            return Fetched(by_rows(self._images, there, rows=self._images_at_once))

    def begin_tokens(self, tokens: Tensor) -> Fetched:
        """What `encode_tokens` gives, on its way."""
        tower = trimmable_tower(self.model) if self.trims else None

        def encode(some: Tensor) -> Tensor:
            rows = self.model.encode_text(some) if tower is None else encode_trimmed(tower, some)
            return _mapped(_unit_rows(rows), self._text_map)

        with torch.inference_mode():
            return Fetched(by_rows(encode, sent(tokens, self.device), rows=CAPTIONS_AT_ONCE))

    def encode_images(self, pixels: Tensor | NDArray[np.uint8]) -> Tensor:
        """pixels: (n, height, width, 3) uint8, as `images.decode` gives them.

        Returns (n, image_dims) float32 unit rows on the CPU; a row that came out as zero or not finite is NaN.
        """
        return self.begin_images(pixels).wait()

    def encode_tokens(self, tokens: Tensor) -> Tensor:
        """tokens: (n, context length) int64. Returns (n, text_dims) float32 unit rows on the CPU; NaN as above."""
        return self.begin_tokens(tokens).wait()

    def _images(self, pixels: Tensor) -> Tensor:
        return _mapped(_unit_rows(self.model.encode_image(self.normalise(pixels))), self._image_map)

    @property
    def _images_at_once(self) -> int:
        """Of one thread on a CPU, whatever the batch and the threads."""
        height, width = self.preprocess.size
        return max(1, PIXELS_AT_ONCE // (height * width))

    def encode_captions(self, captions: Sequence[str]) -> Tensor:
        """(n, text_dims) float32 unit rows on the CPU; NaN as above."""
        return self.encode_tokens(self.tokenize(captions))

    def normalise(self, pixels: Tensor | NDArray[np.uint8]) -> Tensor:
        """(n, height, width, 3) uint8 to (n, 3, height, width) in the model's precision on its device.

        The bytes travel to the device, not the floats; the result lies channels last in memory, as they came.
        """
        images = sent(torch.as_tensor(pixels), self.device).permute(0, 3, 1, 2).float()
        return ((images - self._mean) * self._scale).to(self.dtype)


def load_encoder(options: ModelOptions) -> Encoder:
    """The model that `options` name, with its weights, ready to encode.

    Raises ModelUnavailable when the model or its weights cannot be had, never falling back to random weights.
    """
    device = pick_device(options.device)
    dtype = pick_precision(device, str(options.precision))
    source = model_source(options)
    model, tokenizer = _load(source)
    try:
        return _ready(source, model, tokenizer, device, dtype)
    except (RuntimeError, ValueError, TypeError, AssertionError, LookupError, AttributeError, ArithmeticError) as error:
        if source.folder is None or lacks_memory(error):
            raise
        raise _unavailable(source, error) from error  # settings that only turn out wrong when the model computes


@dataclass(frozen=True)
class ModelSource:
    """Where a model comes from: its portable name, what open_clip calls it, and the files that decide on it."""

    name: str
    model: str  # open_clip's own notation
    pretrained: str | None
    folder: str | None = None
    files: tuple[str, ...] = ()
    address: str | None = None  # of a folder in a store, of which `folder` is a copy

    @property
    def place(self) -> str | None:
        """Where its folder is, for records and for whoever looks for it later."""
        return self.address or (self.folder and os.path.abspath(self.folder))

    def fingerprint(self) -> str | None:
        """A hash of the local files that define the model; None where open_clip fetches it by name.

        A rerun that finds all shards finished compares this, and need not build the model to hash its weights.
        """
        if not self.files:
            return None
        digest = hashlib.sha256()
        for path in self.files:
            try:
                digest.update(_digest(path))
            except FileNotFoundError as error:
                raise ModelUnavailable(f"{path} is not there any more", fix="fetch the model again") from error
        return digest.hexdigest()


def _digest(path: str) -> bytes:
    if is_remote(path):  # heads, which are small
        return hashlib.sha256(stores_read(path)).digest()
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def model_source(options: ModelOptions) -> ModelSource:
    """What `--model` and `--pretrained` mean. Raises ModelUnavailable for names and folders that cannot be meant."""
    name, pretrained = options.model, options.pretrained or USUAL_WEIGHTS
    if name.startswith(HUB):
        return ModelSource(name, name, None)
    if is_remote(name.removeprefix(LOCAL)):
        return replace(_folder(fetched_folder(name.removeprefix(LOCAL))), address=name.removeprefix(LOCAL))
    if name.startswith(LOCAL):
        return _folder(name.removeprefix(LOCAL))
    known = get_model_config(name.replace("/", "-")) is not None
    if os.path.isdir(name) and not (known and not os.path.isfile(os.path.join(name, CONFIG))):
        if options.pretrained is not None:
            raise UsageError(f"--pretrained names weights, and --model {name} has its own", fix="leave it out")
        return _folder(name)
    if not known:
        raise ModelUnavailable(
            f"no model is called {name}", fix="give an open_clip name such as ViT-B-32, hf-hub:NAME, or local-dir:PATH"
        )
    if os.path.isfile(pretrained):
        weight_bytes(pretrained)
        return ModelSource(f"{name}/{os.path.basename(pretrained)}", name, pretrained, files=(pretrained,))
    if not get_pretrained_cfg(name.replace("/", "-"), pretrained):
        tags = ", ".join(list_pretrained_tags_by_model(name.replace("/", "-"))) or "none"
        raise ModelUnavailable(
            f"{name} has no weights called {pretrained!r} (known: {tags})",
            fix="name a tag or a weights file with --pretrained, or a folder with --model local-dir:PATH",
        )
    return ModelSource(f"{name}/{pretrained}", name, pretrained)


def _folder(path: str) -> ModelSource:
    config = os.path.join(path, CONFIG)
    if not os.path.isfile(config):
        raise ModelUnavailable(
            f"{path} is no model folder: it has no {CONFIG}",
            fix="name a folder that open_clip or `ncaudit train` wrote",
        )
    there = sorted(file for file in os.listdir(path) if file.endswith(WEIGHTS))
    weights = [file for file in there if os.path.isfile(os.path.join(path, file))]
    if not weights:
        # open_clip would go on with random weights, and the scores would look like scores
        raise ModelUnavailable(
            f"{path} holds no weights (*{', *'.join(WEIGHTS)})", fix="put the weights beside the configuration"
        )
    held, merges = [os.path.join(path, file) for file in weights], _merges(path)
    settings = sound_settings(config)
    text = text_files(path, settings)
    require_sound_weights(config, settings, held, merges)
    files = (config, *held, *merges, *text)
    name = os.path.basename(os.path.abspath(path))
    return ModelSource(f"{LOCAL}{name}", f"{LOCAL}{path}", None, folder=path, files=files)


def _merges(folder: str) -> list[str]:
    """The folder's own byte-pair merges, for a model with a vocabulary of its own."""
    return sorted(glob.glob(os.path.join(glob.escape(folder), "*.txt.gz")))


def _load(source: ModelSource) -> tuple[Any, Any]:
    """The model in float32 on the CPU with its weights, and its tokenizer."""
    quick = _needs_quick_gelu(source)
    try:
        with _silence():
            return _whole(fetched(source), quick)
    except ModelUnavailable:
        raise
    except Exception as error:  # open_clip, the hub, torch and safetensors raise what they like for the same few causes
        if lacks_memory(error):
            raise
        raise _unavailable(source, error) from error


def fetched(source: ModelSource) -> ModelSource:
    """The same model; one of the hub with its files in the hub's cache, as the folder that they are in."""
    if not source.model.startswith(HUB):
        _refuse_without_transformers(source, source)
        return source
    repo = source.model.removeprefix(HUB)
    folder = hub_folder(repo)
    found = replace(source, model=f"{LOCAL}{folder}", folder=folder)
    _refuse_without_transformers(source, found)
    fetch_weights(repo, folder)
    return found


def _whole(source: ModelSource, quick: bool) -> tuple[Any, Any]:
    with _untouched_text(source) as changes:
        model = open_clip.create_model(
            source.model, source.pretrained, require_pretrained=True, force_quick_gelu=quick, weights_only=True,
            **changes,
        )  # fmt: skip
        return model.eval().requires_grad_(False), tokenizer_of(source)


def tokenizer_of(source: ModelSource) -> Any:
    """The tokenizer of a model that was `fetched`: a folder's own merges or files; the hub's for a model of the hub."""
    if _text(source).get("hf_tokenizer_name"):
        # a model's settings must not decide that code which came with it is run
        name = source.name if source.name.startswith(HUB) else source.model
        return open_clip.get_tokenizer(name, trust_remote_code=False)
    merges = _merges(source.folder) if source.folder else []
    return open_clip.get_tokenizer(source.model, **({"bpe_path": merges[0]} if merges else {}))


def _untouched_text(source: ModelSource) -> AbstractContextManager[dict[str, Any]]:
    """What open_clip is told, so that a text tower of transformers is built from the files of this model."""
    name = _text(source).get("hf_model_name")
    if source.folder is None or (source.name.startswith(HUB) and not name):
        return nullcontext({})
    if source.name.startswith(HUB):
        return tower_from_file(model_config(source), tower_file(str(name), TOWER))
    return from_folder(source.folder, model_config(source))


def _ready(source: ModelSource, model: Any, tokenizer: Any, device: torch.device, dtype: torch.dtype) -> Encoder:
    hashed = _weight_hash(model)
    trim = _trims_exactly(model, tokenizer)
    model = _settle(model, device, dtype)
    preprocess = Preprocess.of(model.visual.preprocess_cfg)
    image_dims, text_dims = _dims(model, tokenizer, preprocess, device, dtype)
    identity = ModelIdentity(
        source.name, hashed, _activation(model), preprocess, str(dtype).removeprefix("torch."), image_dims, text_dims
    )
    return Encoder(model, tokenizer, identity, device, dtype, trim=trim)


def _needs_quick_gelu(source: ModelSource) -> bool:
    """Whether weights behind a tag were trained with QuickGELU: open_clip only warns, and the embeddings are wrong."""
    tag = get_pretrained_cfg(source.model.replace("/", "-"), source.pretrained) if source.pretrained else {}
    if not tag:
        return False
    wanted, built = bool(tag.get("quick_gelu")), bool(model_config(source).get("quick_gelu"))
    if built and not wanted:
        raise ModelUnavailable(
            f"{source.model} computes QuickGELU, but the weights {source.pretrained} were trained with GELU",
            fix=f"give --model {source.model.removesuffix('-quickgelu')}",
        )
    return wanted


def _unavailable(source: ModelSource, error: Exception) -> ModelUnavailable:
    if _is_pickled(source) and not _is_of_the_weights(error) and isinstance(error, _OF_PICKLES):
        # not in torch's words: it goes on to tell how to load them all the same
        return ModelUnavailable(
            f"{source.name} cannot be loaded: its pickled weights are damaged, for another model, or hold more than "
            "weights, which could run programs",
            fix="ask for the weights as .safetensors",
        )
    if "transformers" in str(error) and importlib.util.find_spec("transformers") is None:
        return _lacks_transformers(source)
    known = why(error)
    if known is None and (source.files or _is_of_the_weights(error)):
        return ModelUnavailable(
            f"{source.name} cannot be loaded: {_reason(error)}", fix="check the weights and their configuration"
        )
    reason, fix = known or (_reason(error).rpartition("Last error: ")[2], AGAIN)  # open_clip wraps the hub's words
    return ModelUnavailable(f"{source.name} cannot be downloaded: {reason}", fix=fix)


def _is_of_the_weights(error: Exception) -> bool:
    """Whether they came, but are damaged or another architecture's."""
    return isinstance(error, StopIteration | SafetensorError) or "state_dict" in str(error)


def _reason(error: Exception) -> str:
    """The first line of an error, and what follows where that only announces it: which tensors a state dict lacks."""
    if isinstance(error, StopIteration):
        return "the weights hold no tensors"  # open_clip asks for the name of the first
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = lines[0] if lines else type(error).__name__
    if not first.endswith(":") or len(lines) < 2:
        return first
    whole = " ".join([first, *lines[1:]])
    return whole if len(whole) <= LONGEST_REASON else whole[:LONGEST_REASON] + "…"


_OF_PICKLES = (pickle.UnpicklingError, EOFError, KeyError, RuntimeError)


def _is_pickled(source: ModelSource) -> bool:
    weights = [file for file in source.files if file.endswith((*WEIGHTS, ".pt"))]
    return bool(weights) and not any(file.endswith(".safetensors") for file in weights)


def _lacks_transformers(source: ModelSource) -> ModelUnavailable:
    return ModelUnavailable(
        f"{source.name} needs transformers, which is not installed", fix="pip install 'ncaudit[hf]'"
    )


def _refuse_without_transformers(source: ModelSource, found: ModelSource) -> None:
    """Before some GiB are downloaded, where the configuration already says it."""
    if importlib.util.find_spec("transformers") is not None:
        return
    text = _text(found)
    if text.get("hf_model_name") or text.get("hf_tokenizer_name"):
        raise _lacks_transformers(source)


def _text(source: ModelSource) -> dict[str, Any]:
    return model_config(source).get("text_cfg") or {}


def model_config(source: ModelSource) -> dict[str, Any]:
    """What a model's configuration says of it. Raises ModelUnavailable for a folder's that is damaged by now."""
    if source.folder is not None and source.name.startswith(LOCAL):
        return sound_settings(os.path.join(source.folder, CONFIG))
    config: dict[str, Any] = get_model_config(source.model if source.folder else source.model.replace("/", "-")) or {}
    return config


@contextmanager
def _silence() -> Iterator[None]:
    """open_clip logs to the root logger, which would configure it, and warns of what is settled here."""
    root, null = logging.getLogger(), logging.NullHandler()
    disabled = root.manager.disable
    root.addHandler(null)
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        root.removeHandler(null)


def _settle(model: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """The model on its device, cast once: autocast casts the weights in every call, at a third of the speed."""
    model = model.to(device=device, dtype=dtype)
    if not isinstance(model.visual, open_clip.transformer.VisionTransformer):
        model.visual = model.visual.to(memory_format=torch.channels_last)  # 1.6 times as fast for convolutional towers
    return model


def _weight_hash(model: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _activation(model: nn.Module) -> str:
    quick = any(type(module).__name__ == "QuickGELU" for module in model.modules())
    return "quickgelu" if quick else "gelu"


def _tokenize(tokenizer: Any, captions: Sequence[str]) -> Tensor:
    keep = CHARACTERS_PER_TOKEN * int(tokenizer.context_length)
    _forget_words(tokenizer)
    tokens: Tensor = tokenizer([caption if len(caption) <= keep else _head(caption, keep) for caption in captions])
    return tokens


def _forget_words(tokenizer: Any) -> None:
    """open_clip's tokenizer remembers every word it has ever seen: over millions of captions that is its own GiB."""
    if isinstance(tokenizer, open_clip.SimpleTokenizer) and len(tokenizer.cache) > WORDS_REMEMBERED:
        special = (tokenizer.decoder[i] for i in tokenizer.all_special_ids)
        tokenizer.cache = {token: token for token in special}


def _head(caption: str, keep: int) -> str:
    """The part of an endless caption that tokens can come from; every tokenizer takes runs of white space for one."""
    return " ".join(caption.split())[:keep]


def _trims_exactly(model: Any, tokenizer: Any) -> bool:
    """Whether the trimmed forward gives what `encode_text` gives, measured in float32 on captions of many lengths."""
    tower = trimmable_tower(model)
    if tower is None:
        return False
    with torch.inference_mode():
        tokens = _tokenize(tokenizer, _PROBES)
        padded, trimmed = model.encode_text(tokens).float(), encode_trimmed(tower, tokens).float()
        return bool(functional.cosine_similarity(padded, trimmed).min() > TRIMMED_COSINE)


def _dims(
    model: Any, tokenizer: Any, preprocess: Preprocess, device: torch.device, dtype: torch.dtype
) -> tuple[int, int]:
    """Widths of the two embeddings, by asking the towers."""
    height, width = preprocess.size
    with torch.inference_mode():
        image = model.encode_image(torch.zeros(1, 3, height, width, device=device, dtype=dtype))
        text = model.encode_text(_tokenize(tokenizer, _PROBES[:1]).to(device))
    return int(image.shape[-1]), int(text.shape[-1])


def _mapped(rows: Tensor, then: Map | None) -> Tensor:
    return rows if then is None else _unit_rows(then(rows))


def _unit_rows(rows: Tensor) -> Tensor:
    """(n, d) float32 rows of length 1; NaN where the length is zero or not finite."""
    rows = rows.float()
    length = rows.norm(dim=-1, keepdim=True)
    sound = (length > 0) & length.isfinite()
    return torch.where(sound, rows / length, math.nan)
