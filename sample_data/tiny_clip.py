"""Trains a very small open_clip model on clean scenes and writes it as a folder that stock open_clip can load."""

import gzip
import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from open_clip.tokenizer import SimpleTokenizer, default_bpe, whitespace_clean
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

CONTEXT, BATCH, WARMUP, LEARNING_RATE, WEIGHT_DECAY, LOGIT_SCALE = 32, 256, 20, 2e-3, 0.05, 12.0
# Stopped early in a long schedule, while the rate is still high: fine-tuning such a model on 1,443 clean pairs gained
# 7 points of R@1; one whose rate had fallen to 0 within 300 steps was as good at the start and gained nothing.
STEPS, SCHEDULE = 250, 1_300
MEAN = STD = (0.5, 0.5, 0.5)
MERGES, CONFIG, WEIGHTS = "bpe_merges.txt.gz", "open_clip_config.json", "open_clip_model.safetensors"


def used_merges(texts: list[str]) -> list[str]:
    """The lines of the stock merges file that some word of the texts needs, in stock order.

    Words of the texts come out in the same pieces as with all 48,894 merges; other words fall back to letters.
    """
    stock = SimpleTokenizer()
    words = {word for line in texts for word in stock.pat.findall(whitespace_clean(line.lower()))}
    spelled = ("".join(stock.byte_encoder[byte] for byte in word.encode()) for word in words)
    pieces = {piece for word in spelled for piece in _all_pieces(stock, word)}
    lines = gzip.open(default_bpe(), "rt", encoding="utf-8").read().split("\n")
    return [line for line in lines[1 : 49152 - 256 - 2 + 1] if line.replace(" ", "") in pieces]


def _all_pieces(stock: SimpleTokenizer, word: str) -> set[str]:
    """Every intermediate piece on the way from letters to the word's tokens."""
    parts, seen = [*word[:-1], word[-1] + "</w>"], set()
    while len(parts) > 1:
        ranks = [stock.bpe_ranks.get(pair, math.inf) for pair in pairwise(parts)]
        best = min(range(len(ranks)), key=ranks.__getitem__)
        if ranks[best] == math.inf:
            break
        parts[best : best + 2] = ["".join(parts[best : best + 2])]
        seen.add(parts[best])
    return seen


def write_tokenizer_and_config(folder: Path, texts: list[str]) -> None:
    """Write the pruned merges and the model's configuration."""
    merges = used_merges(texts)
    # The first line is skipped by open_clip, and a newline at the end would be read as an empty merge. mtime=0: the
    # bytes stay the same whenever the file is made.
    (folder / MERGES).write_bytes(gzip.compress("\n".join(["#version: 0.2", *merges]).encode(), mtime=0))
    config = {"model_cfg": _model_config(512 + len(merges) + 2), "preprocess_cfg": {"mean": MEAN, "std": STD}}
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")


def _model_config(vocabulary: int) -> dict[str, object]:
    return {
        "embed_dim": 96,
        "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16, "head_width": 64},
        "text_cfg": {"context_length": CONTEXT, "vocab_size": vocabulary, "width": 96, "heads": 4, "layers": 2},
    }


def load(folder: Path, *, with_weights: bool = True) -> tuple[torch.nn.Module, SimpleTokenizer]:
    """The model in `folder` and its tokenizer. Without weights it is random; with them, their absence is an error."""
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=with_weights, require_pretrained=with_weights)
    return model, open_clip.get_tokenizer(f"local-dir:{folder}", bpe_path=str(folder / MERGES))


def as_input(pixels: NDArray[np.uint8] | Tensor) -> Tensor:
    """(n, 64, 64, 3) uint8 → (n, 3, 64, 64) float32, normalised; channels last in memory, as convolutions like it."""
    images = torch.as_tensor(pixels).permute(0, 3, 1, 2).float() / 255
    return (images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def train(folder: Path, pixels: NDArray[np.uint8], tokens: Tensor, *, steps: int = STEPS, seed: int = 0) -> float:
    """Train on images (n, 64, 64, 3) and their captions' tokens (n, captions, 32); write the weights; last loss."""
    torch.set_num_threads(1)  # sums then come in the same order on any number of cores
    torch.manual_seed(seed)
    model, _ = load(folder, with_weights=False)
    model = model.to(memory_format=torch.channels_last).train()
    torch.nn.init.constant_(model.logit_scale, math.log(LOGIT_SCALE))
    optimizer = torch.optim.AdamW(_groups(model), lr=LEARNING_RATE, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, max(steps, SCHEDULE)))
    losses = []
    for step in range(steps):
        rows, nth = torch.randint(len(tokens), (BATCH,)), torch.randint(tokens.shape[1], (BATCH,))
        loss = _loss(model, as_input(pixels[rows.numpy()]), tokens[rows, nth])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % 50 == 49:
            print(f"step {step + 1}: loss {sum(losses[-50:]) / 50:.2f}", flush=True)
    save(model, folder)
    return sum(losses[-10:]) / len(losses[-10:])


def _groups(model: torch.nn.Module) -> list[dict[str, object]]:
    """Weight decay for matrices only: gains, biases and the logit scale keep their size."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    return [{"params": matrices, "weight_decay": WEIGHT_DECAY},
            {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0}]  # fmt: skip


def _rate(step: int, steps: int) -> float:
    """Cosine from 1 to 0, after a short climb."""
    return min(1.0, (step + 1) / WARMUP) * (1 + math.cos(math.pi * step / steps)) / 2


def _loss(model: torch.nn.Module, images: Tensor, tokens: Tensor) -> Tensor:
    """Symmetric InfoNCE."""
    with torch.autocast("cpu", torch.bfloat16):
        image = model.encode_image(images)
    caption = model.encode_text(tokens)  # so small that autocast costs time here: 0.31 s a step without, 0.74 s with
    image, caption = functional.normalize(image.float(), dim=-1), functional.normalize(caption, dim=-1)
    logits = model.logit_scale.exp() * image @ caption.T
    target = torch.arange(len(logits))
    return (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2


def save(model: torch.nn.Module, folder: Path) -> None:
    """Write the weights as float16; whole-number buffers (BatchNorm's counters) must stay what they are."""
    state = {name: value.half() if value.is_floating_point() else value for name, value in model.state_dict().items()}
    save_file({name: value.contiguous() for name, value in state.items()}, folder / WEIGHTS)


@torch.no_grad()
def embed(folder: Path, pixels: NDArray[np.uint8], captions: list[str]) -> tuple[Tensor, Tensor]:
    """Unit image and caption embeddings (n, 96) of the model in `folder`."""
    model, tokenizer = load(folder)
    model = model.to(memory_format=torch.channels_last).eval()  # BatchNorm would mix the batch's pictures otherwise
    image = torch.cat([model.encode_image(as_input(part), normalize=True) for part in np.array_split(pixels, 8)])
    return image, model.encode_text(tokenizer(captions), normalize=True)
