"""Unit rows, the column they are written as, and embedding tables with known truth as `embed` writes them."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor
from torch.nn.functional import normalize

MODEL = {"name": "test", "weight_hash": "abc", "activation": "gelu", "preprocessing": "p", "precision": "float32"}


def unit(x: np.ndarray) -> np.ndarray:
    """The rows, at length 1."""
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def random_unit(n: int, dims: int = 16, seed: int = 0) -> Tensor:
    """n unit rows in all directions."""
    return normalize(torch.randn(n, dims, generator=torch.Generator().manual_seed(seed)), dim=1)


def at(*degrees: float) -> Tensor:
    """Unit vectors in the plane: cosines are cosines of angle differences, so everything can be worked out by hand."""
    radians = torch.tensor(degrees).deg2rad()
    return torch.stack([radians.cos(), radians.sin()], dim=1)


def lists(x: np.ndarray, null: np.ndarray | None = None, *, dtype: npt.DTypeLike = np.float16) -> pa.Array:
    """(n, d) rows as the embedding column they are written as."""
    flat = pa.array(np.ascontiguousarray(x, dtype=dtype).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, x.shape[1], mask=None if null is None else pa.array(null))


def embedding_table(n: int, *, dims: int = 16, noise: float = 0.25, failed: int = 0, seed: int = 0) -> pa.Table:
    """n pairs, the first `noise` share with each other's captions, the last `failed` rows without embeddings."""
    draw = np.random.default_rng(seed)
    image = unit(draw.normal(size=(n, dims)))
    text = unit(image + 0.15 * draw.normal(size=(n, dims)))
    wrong = int(noise * n) if int(noise * n) > 1 else 0
    caption = np.array([f"caption {seed} {i}" for i in range(n)], dtype=object)
    text[:wrong], caption[:wrong] = np.roll(text[:wrong], 1, axis=0), np.roll(caption[:wrong], 1)
    bad = np.arange(n) >= n - failed
    return pa.table(
        {
            "pair_id": pa.array([f"{seed}/{i}" for i in range(n)], pa.string()),
            "shard": pa.array([f"{seed}.parquet"] * n, pa.string()),
            "row": pa.array(np.arange(n)),
            "status": pa.array(np.where(bad, "image_undecodable", "ok").tolist(), pa.string()),
            "image_embedding": lists(image, bad),
            "text_embedding": lists(text, bad),
            "image_hash": pa.array([bytes([seed % 256, *i.to_bytes(15, "big")]) for i in range(n)], pa.binary(16)),
            "caption": pa.array(caption.tolist(), pa.string()),
            "is_match": pa.array(np.arange(n) >= wrong),
        }
    )
