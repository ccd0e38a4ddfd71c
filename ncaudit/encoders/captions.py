"""Captions at their own length: a text forward without padding, for the towers where that changes nothing.

Knows open_clip's text towers; nothing of tokenizers, files or batches. CLIP pads every caption to 77 tokens. In a
causal tower nothing after the pooled token can reach it, so padding is work for nothing: most captions need a quarter.
Not exact, and left to `encode_text`: towers that look both ways (SigLIP, MobileCLIP-S1), that pool the last position,
or that append a class token (CoCa) – cutting those gives cosines of .3 to .9.
"""

from typing import Any

import torch
from torch import Tensor, nn


def trimmable_tower(model: nn.Module) -> Any | None:
    """The part of an open_clip model that holds its text tower, if trimming is exact for its kind; else None."""
    tower: Any = getattr(model, "text", model)  # CustomTextCLIP keeps a tower, CLIP spreads it over itself
    parts = ("token_embedding", "positional_embedding", "transformer", "ln_final", "text_projection", "attn_mask")
    if not all(hasattr(tower, part) for part in parts):
        return None
    causal = tower.attn_mask is not None and getattr(tower, "cls_emb", None) is None
    return tower if causal and _pooling(tower) in ("argmax", "eos") else None


def pooled_position(tower: Any, tokens: Tensor) -> Tensor:
    """Where each caption ends for the tower: the token whose output becomes the embedding.

    tokens: (n, context) int64. Returns (n,) int64 in [0, context).
    """
    if _pooling(tower) == "argmax":
        return tokens.argmax(dim=-1)
    return (tokens == _eos(tower)).int().argmax(dim=-1)


def encode_trimmed(tower: Any, tokens: Tensor) -> Tensor:
    """What `encode_text` returns, computed at the batch's own longest length.

    tokens: (n, context) int64 on the tower's device. Returns (n, d), not yet unit rows, in the tower's precision.
    """
    end = pooled_position(tower, tokens)
    length = int(end.max()) + 1
    dtype = tower.transformer.get_cast_dtype()
    x = tower.token_embedding(tokens[:, :length]).to(dtype) + tower.positional_embedding[:length].to(dtype)
    x = tower.transformer(x, attn_mask=tower.attn_mask[:length, :length])
    x = tower.ln_final(x[torch.arange(len(x), device=x.device), end])
    return _project(tower.text_projection, x)


def _project(projection: Any, x: Tensor) -> Tensor:
    if projection is None:
        return x
    projected: Tensor = projection(x) if isinstance(projection, nn.Linear) else x @ projection
    return projected


def _pooling(tower: Any) -> str:
    return str(getattr(tower, "text_pool_type", None) or getattr(tower, "pool_type", "argmax"))


def _eos(tower: Any) -> int:
    eos = getattr(tower, "text_eos_id", None)
    return int(tower.eos_id if eos is None else eos)
