"""Makes every file of this folder: `python sample_data/make.py`. A few minutes on one idle core, from seeds alone."""

import argparse
import io
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tiny_clip
import torch
from drawing import jpeg, render
from grammar import text
from noise import BOILERPLATE, Pair, add_noise, caption_of, clean_pairs
from numpy.typing import NDArray
from PIL import Image
from scenes import Scene, split_scenes
from sklearn.metrics import roc_auc_score

HERE = Path(__file__).parent
SEED = 0
SPLITS = {"train": 2_000, "heldout": 1_000, "world": 30_000, "validation": 1_000}
CAPTIONS = 8  # of each scene in the world that the model learns from
SCHEMA = pa.schema([
    pa.field("key", pa.string(), nullable=False), pa.field("jpg", pa.binary()), pa.field("caption", pa.string()),
    pa.field("is_match", pa.bool_()), pa.field("noise_type", pa.string()), pa.field("truth", pa.float32()),
])  # fmt: skip


def main() -> None:
    """Write the two tables and the model, and print what the model reaches on them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write into")
    parser.add_argument("--steps", type=int, default=tiny_clip.STEPS, help="training steps of the model")
    options = parser.parse_args()
    scenes = split_scenes(SEED, **SPLITS)
    tables = make_tables(scenes)
    for name, table in tables.items():
        write_table(table, options.out / f"{name}.parquet")
    make_model(scenes["world"], options.out / "tiny-clip", options.steps)
    report(options.out, clean_pairs(scenes["validation"], "validation"))


def make_tables(scenes: dict[str, list[Scene]]) -> dict[str, pa.Table]:
    """The noisy sample and the clean held-out pairs."""
    train = add_noise(clean_pairs(scenes["train"], "train"), "train")
    heldout = clean_pairs(scenes["heldout"], "heldout")
    return {"train": table_of(train, first_key=0), "heldout": table_of(heldout, first_key=1_000_000)}


def table_of(pairs: list[Pair], first_key: int) -> pa.Table:
    """Pairs as an Arrow table, keys counted from `first_key`."""
    columns = [
        [f"{first_key + i:09d}" for i in range(len(pairs))], [pair.image() for pair in pairs],
        [text(pair.caption) for pair in pairs], [pair.is_match for pair in pairs],
        [pair.noise_type for pair in pairs], np.array([pair.truth for pair in pairs], np.float32),
    ]  # fmt: skip
    return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)


def write_table(table: pa.Table, path: Path) -> None:
    """Write as parquet. JPEGs of one size share their headers, so that zstd takes off half of such small ones."""
    pq.write_table(table, path, compression="zstd", compression_level=19, row_group_size=500)


def make_model(scenes: list[Scene], folder: Path, steps: int) -> None:
    """Train the model on the world's scenes, which no row of the tables shares."""
    folder.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    captions = [text(caption_of(scene, "world", i, nth)) for i, scene in enumerate(scenes) for nth in range(CAPTIONS)]
    pixels = np.stack([decode(jpeg(render(scene, seed))) for seed, scene in enumerate(scenes)])
    print(f"drew {len(scenes)} pictures and {len(captions)} captions in {time.perf_counter() - start:.0f} s")
    tiny_clip.write_tokenizer_and_config(folder, [*captions, *BOILERPLATE])
    tokenizer = tiny_clip.load(folder, with_weights=False)[1]
    tokens = tokenizer(captions).view(len(scenes), CAPTIONS, -1)
    start = time.perf_counter()
    loss = tiny_clip.train(folder, pixels, tokens, steps=steps, seed=SEED)
    print(f"trained {steps} steps in {time.perf_counter() - start:.0f} s, last loss {loss:.2f}")


def decode(data: bytes) -> NDArray[np.uint8]:
    """Pixels of a JPEG."""
    return np.asarray(Image.open(io.BytesIO(data)))


def report(folder: Path, validation: list[Pair]) -> None:
    """Print sizes, retrieval of the clean pairs and how well plain cosine tells matches from the rest."""
    for path in sorted(path for pattern in ("*.parquet", "tiny-clip/*") for path in folder.glob(pattern)):
        print(f"{path.relative_to(folder)}: {path.stat().st_size / 1e6:.2f} MB")
    heldout, train = (read(folder / f"{name}.parquet") for name in ("heldout", "train"))
    print(f"validation: {retrieval_line(folder, table_of(validation, 0))}")
    print(f"heldout: {retrieval_line(folder, heldout)}")
    cosine = (lambda image, caption: (image * caption).sum(dim=1))(*embed_table(folder, train))
    print(f"train: {is_match_line(train, cosine)}")


def read(path: Path) -> pa.Table:
    """One of the two tables."""
    return pq.read_table(path)


def embed_table(folder: Path, table: pa.Table) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings of a table's pairs."""
    pixels = np.stack([decode(data) for data in table["jpg"].to_pylist()])
    return tiny_clip.embed(folder / "tiny-clip", pixels, table["caption"].to_pylist())


def recall(image: torch.Tensor, caption: torch.Tensor, k: int) -> float:
    """Percent of pairs found among the first k of all, mean of both directions; a tie counts against the model."""
    similarity = image @ caption.T
    own = similarity.diagonal()
    ranks = [(similarity >= own[:, None]).sum(dim=1), (similarity >= own[None, :]).sum(dim=0)]
    return 100 * torch.cat(ranks).le(k).float().mean().item()


def retrieval_line(folder: Path, table: pa.Table) -> str:
    """Recall at 1 and 10 of a table's pairs, as a line."""
    image, caption = embed_table(folder, table)
    return f"R@1 {recall(image, caption, 1):.1f}, R@10 {recall(image, caption, 10):.1f} of {len(table)} pairs"


def is_match_line(table: pa.Table, cosine: torch.Tensor) -> str:
    """AUROC of cosine for is_match, over all rows and for each kind of noise against the clean rows, as a line."""
    match, kind = np.array(table["is_match"]), np.array(table["noise_type"])
    parts = [f"plain cosine AUROC {roc_auc_score(match, cosine):.3f}"]
    for name in dict.fromkeys(kind[~match]):
        rows = (kind == "none") | ((kind == name) & ~match)
        parts.append(f"{name} {roc_auc_score(match[rows], cosine[rows]):.3f}")
    return f"{match.mean():.1%} match; " + ", ".join(parts)


if __name__ == "__main__":
    main()
