"""Small worlds that tests share: embedding tables with known truth, written as `embed` writes them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.encoders.open_clip import load_encoder
from ncaudit.options import ModelOptions, Precision
from ncaudit.verbs.embed import model_here
from tests.commands import SAMPLE

MODEL = {"name": "test", "weight_hash": "abc", "activation": "gelu", "preprocessing": "p", "precision": "float32"}

Write = Callable[..., Path]


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def halves(x: np.ndarray, null: np.ndarray | None = None) -> pa.Array:
    """(n, d) rows as the embedding column they are written as."""
    flat = pa.array(np.ascontiguousarray(x, dtype=np.float16).ravel())
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
            "image_embedding": halves(image, bad),
            "text_embedding": halves(text, bad),
            "image_hash": pa.array([bytes([seed % 256, *i.to_bytes(15, "big")]) for i in range(n)], pa.binary(16)),
            "caption": pa.array(caption.tolist(), pa.string()),
            "is_match": pa.array(np.arange(n) >= wrong),
        }
    )


@pytest.fixture
def write_embeddings(tmp_path: Path) -> Write:
    """Writes one shard of embeddings: `write("A/00000", n=200, …)` gives the folder that all its shards are in."""

    def write(stem: str = "00000", n: int = 200, *, folder: str = "embeddings", **world: float) -> Path:
        path = tmp_path / folder / f"{stem}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(embedding_table(n, **world), path)
        return tmp_path / folder

    return write


@pytest.fixture(scope="module")
def tiny_model():
    """Every embedding of the module's commands in this process is by the same encoder."""
    encoder = load_encoder(ModelOptions(model=str(SAMPLE / "tiny-clip"), device="cpu", precision=Precision.float32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_here, "load_encoder", lambda options: encoder)
        yield
