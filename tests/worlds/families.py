"""Every architecture of open_clip as a model folder with random weights, and what must hold once it is loaded.

What would come from the hub is small and made here: tokenizers of a few words, text towers of transformers with two
layers.
"""

import io
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from open_clip.factory import get_model_config
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from ncaudit.encoders import open_clip as ours
from ncaudit.encoders.open_clip import CONFIG, Encoder
from ncaudit.options import EmbedOptions, ModelOptions, Precision
from ncaudit.verbs.embed import model_here
from ncaudit.verbs.embed.embed import embed
from tests.worlds.images import drawn

CAPTIONS = ("a dog", "two red squares above a blue circle on grey paper", "x", "a cat beside a dog and a bird " * 3)
PREPROCESS = {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28]}
SAME = 1e-4  # largest difference of two unit rows' numbers that come from the same weights in float32
HALF = 1e-3  # and once they were written as float16
LAYERS = 2
WORDS = 96  # vocabulary of the small tokenizers

# What transformers would read of the hub, in small: as many layers and words as show that every part is used.
_BERT = {"hidden_size": 64, "num_attention_heads": 2, "num_hidden_layers": LAYERS, "intermediate_size": 128,
         "vocab_size": WORDS, "max_position_embeddings": 96, "bos_token_id": 0, "pad_token_id": 1,
         "eos_token_id": 2}  # fmt: skip
TOWERS: dict[str, dict[str, Any]] = {
    "roberta": {"model_type": "roberta", **_BERT},
    "xlm-roberta": {"model_type": "xlm-roberta", **_BERT},
    "mt5": {"model_type": "mt5", "d_model": 64, "d_kv": 32, "d_ff": 128, "num_heads": 2, "num_layers": LAYERS,
            "vocab_size": WORDS, "pad_token_id": 0, "eos_token_id": 1, "is_encoder_decoder": True},
    "nllb": {"model_type": "m2m_100", "d_model": 64, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
             "encoder_layers": LAYERS, "decoder_layers": LAYERS, "encoder_ffn_dim": 128, "decoder_ffn_dim": 128,
             "vocab_size": WORDS, "max_position_embeddings": 96, "bos_token_id": 0, "pad_token_id": 1,
             "eos_token_id": 2, "is_encoder_decoder": True},
}  # fmt: skip
NAMED = {"roberta": "roberta-base", "xlm-roberta": "xlm-roberta-base", "mt5": "google/mt5-base",
         "nllb": "facebook/nllb-200-distilled-600M"}  # fmt: skip


@dataclass(frozen=True)
class Built:
    """A folder, and what the model in it gives before it was ever saved: unit rows by stock open_clip."""

    folder: Path
    weight_hash: str
    images: Tensor
    texts: Tensor


@dataclass(frozen=True)
class Checked:
    """What a loaded folder was found to do; `faults` is empty when all is as it must be."""

    trims: bool
    image_dims: int
    text_dims: int
    worst: float  # largest difference to what was built
    trimmed: float  # largest difference between captions at their own length and padded ones
    faults: tuple[str, ...]


def needs_transformers(name: str) -> bool:
    """Whether captions of this configuration go through transformers."""
    text = get_model_config(name)["text_cfg"]
    return bool(text.get("hf_model_name") or text.get("hf_tokenizer_name"))


def weights_gib(name: str) -> float:
    """Size of its float32 weights, nothing of which is made; a text tower of transformers counts as small as here."""
    with _told(name, None) as changes, torch.device("meta"):
        model = open_clip.create_model(name, load_weights=False, pretrained_text=False, device="meta", **changes)
    return sum(tensor.numel() for tensor in model.state_dict().values()) * 4 / 2**30


def tiny_settings(kind: str, named: str | None = None) -> dict[str, Any]:
    """What stands in the folder of a tiny model with a text tower of this kind of `TOWERS`."""
    name = named or NAMED[kind]
    text = {"hf_model_name": name, "hf_tokenizer_name": name, "context_length": 16}
    vision = {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16}
    return {"model_cfg": {"embed_dim": 32, "vision_cfg": vision, "text_cfg": text}, "preprocess_cfg": PREPROCESS}


def save_tiny(folder: Path, kind: str, named: str | None = None) -> Any:
    """Its folder with random weights, in which nothing is missing; returns the model that they are of."""
    folder.mkdir(parents=True)
    settings = tiny_settings(kind, named)
    (folder / CONFIG).write_text(json.dumps(settings))
    _save_text_files({**settings["model_cfg"]["text_cfg"], "hf_model_name": NAMED[kind]}, folder)
    torch.manual_seed(0)
    text = {**settings["model_cfg"]["text_cfg"], "hf_model_name": str(folder), "hf_model_pretrained": False}
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False, pretrained_text=False, text_cfg=text)
    save_file(_separate(model.state_dict()), folder / "open_clip_model.safetensors")
    return model.eval()


def build(name: str, folder: Path, *, seed: int = 0) -> Built:
    """A folder for this configuration, with random weights."""
    folder.mkdir(parents=True)
    settings = {"model_cfg": get_model_config(name), "preprocess_cfg": PREPROCESS}
    (folder / CONFIG).write_text(json.dumps(settings))
    text = settings["model_cfg"]["text_cfg"]
    if text.get("hf_tokenizer_name"):
        _save_text_files(text, folder)
    torch.manual_seed(seed)
    with _told(name, folder) as changes:
        model = open_clip.create_model(
            name, load_weights=False, pretrained_text=False, force_preprocess_cfg=PREPROCESS, **changes
        ).eval()
    save_file(_separate(model.state_dict()), folder / "open_clip_model.safetensors")
    with torch.inference_mode():
        return Built(folder, ours._weight_hash(model), *_stock_rows(model, folder))


def check(built: Built, out: Path) -> Checked:
    """Loads the folder as every command does, embeds four pairs, and compares."""
    encoder = _embedded(built.folder, out)
    table = pq.read_table(out / "four.parquet")
    identity = encoder.identity
    if table["status"].to_pylist() != ["ok"] * 4:
        faults = tuple(map(str, table["detail"].to_pylist()))
        return Checked(encoder.trims, identity.image_dims, identity.text_dims, torch.nan, torch.nan, faults)
    rows = [_rows(table[name]) for name in ("image_embedding", "text_embedding")]
    worst = max(_apart(mine, theirs) for mine, theirs in zip(rows, (built.images, built.texts), strict=True))
    trimmed = _apart(encoder.encode_captions(CAPTIONS), _padded(encoder))
    faults = [] if identity.weight_hash == built.weight_hash else ["the loaded weights are not the saved ones"]
    faults += [] if worst <= HALF else [f"embeddings differ by {worst:.2g} from those of the model that was built"]
    faults += [] if trimmed <= SAME else [f"trimmed captions differ by {trimmed:.2g} from padded ones"]
    for kind, found in zip(("images", "texts"), rows, strict=True):
        faults += [] if _unit(found) else [f"{kind}: rows that are no unit rows"]
        faults += [] if _unequal(found) else [f"{kind}: equal rows"]
    return Checked(encoder.trims, identity.image_dims, identity.text_dims, worst, trimmed, tuple(faults))


def photos() -> list[bytes]:
    """The four that go with `CAPTIONS`."""
    return [drawn(seed, (90 + 20 * seed, 80)) for seed in range(4)]


def small_tower(name: str) -> dict[str, Any]:
    """The configuration of a text tower of transformers as the hub has it, but small."""
    kind = next(kind for kind in ("xlm-roberta", "roberta", "mt5", "nllb") if kind in name)
    return TOWERS[kind]


def save_tokenizer(folder: Path, *, pad: int = 0, eos: int = 2) -> None:
    """A tokenizer of single letters and a few words, as transformers saves it, with these two ids."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = {pad: "<pad>", eos: "</s>"}
    for word in ("<unk>", "<s>", "<cls>"):
        special[next(i for i in range(9) if i not in special)] = word
    words = sorted({*" ".join(CAPTIONS).split(), *"abcdefghijklmnopqrstuvwxyz"})
    vocabulary = {word: i for i, word in special.items()} | {word: 10 + i for i, word in enumerate(words)}
    assert max(vocabulary.values()) < WORDS
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", eos)])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", sep_token="</s>", unk_token="<unk>",
        bos_token="<s>", cls_token="<cls>", padding_side="right",
    ).save_pretrained(folder)  # fmt: skip


def _save_text_files(text: dict[str, Any], folder: Path) -> None:
    if name := text.get("hf_model_name"):
        tower = small_tower(name)
        (folder / "config.json").write_text(json.dumps(tower))
        save_tokenizer(folder, pad=tower["pad_token_id"], eos=tower["eos_token_id"])
    else:
        save_tokenizer(folder, pad=text.get("pad_id", 0), eos=text.get("eos_id", 2))


@contextmanager
def _told(name: str, folder: Path | None) -> Iterator[dict[str, Any]]:
    """What open_clip must be told to build the text tower from its small configuration."""
    text = get_model_config(name)["text_cfg"]
    if not text.get("hf_model_name"):
        yield {}
        return
    with _tower_folder(small_tower(text["hf_model_name"]), folder) as place:
        yield {"text_cfg": {**text, "hf_model_name": str(place), "hf_model_pretrained": False}}


@contextmanager
def _tower_folder(tower: dict[str, Any], folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory() as own:
        (Path(own) / "config.json").write_text(json.dumps(tower))
        yield Path(own)


def _separate(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """safetensors takes no two that share memory."""
    seen: set[int] = set()
    kept = {}
    for name, tensor in state.items():
        kept[name] = tensor.clone() if tensor.data_ptr() in seen else tensor.contiguous()
        seen.add(tensor.data_ptr())
    return kept


def _stock_rows(model: Any, folder: Path) -> tuple[Tensor, Tensor]:
    """Unit rows of the four pairs by open_clip's own preprocessing, tokenizer and forward passes."""
    prepare = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
    pixels = torch.stack([prepare(Image.open(io.BytesIO(photo))) for photo in photos()])
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    images = torch.cat([model.encode_image(one[None]) for one in pixels])  # one by one: little memory at 512 pixels
    texts = model.encode_text(tokenizer(list(CAPTIONS)))
    return functional.normalize(images, dim=-1), functional.normalize(texts, dim=-1)


def _embedded(folder: Path, out: Path) -> Encoder:
    """`ncaudit embed` of the four pairs with the model in the folder, and the encoder that did it."""
    used: list[Encoder] = []
    load = model_here.load_encoder

    def remembered(options: ModelOptions) -> Encoder:
        used.append(load(options))
        return used[-1]

    out.mkdir(parents=True)
    data = out.parent / "four.parquet"
    pq.write_table(pa.table({"image": photos(), "caption": list(CAPTIONS)}), data)
    model_here.load_encoder = remembered
    try:
        embed(EmbedOptions(sources=[str(data)], out=str(out), model=f"local-dir:{folder}", device="cpu",
                           precision=Precision.float32, batch_pairs=4, workers=0))  # fmt: skip
    finally:
        model_here.load_encoder = load
    return used[0]


def _padded(encoder: Encoder) -> Tensor:
    with torch.inference_mode():
        return functional.normalize(encoder.model.encode_text(encoder.tokenize(CAPTIONS)), dim=-1)


def _rows(column: pa.ChunkedArray) -> Tensor:
    return torch.from_numpy(np.stack([np.asarray(row, np.float32) for row in column.to_pylist()]))


def _apart(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max())


def _unit(rows: Tensor) -> bool:
    return bool(rows.isfinite().all()) and _apart(rows.norm(dim=-1), torch.ones(len(rows))) < HALF


def _unequal(rows: Tensor) -> bool:
    """Whether the four can be told apart: a tower that gives one row for everything would pass any comparison."""
    return all(_apart(rows[i], rows[j]) > 0 for i in range(len(rows)) for j in range(i))
