"""Photos and captions that repeat, and what a plain counter says of them."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.tables.embeddings import open_embeddings

# few distinct numbers, so that they repeat; far apart, so that they fall into several parts
NUMBERS = st.sampled_from([-(2**63), -(2**62) - 1, -5, 0, 3, 2**62, 2**63 - 1])


def arrays(pairs):
    return tuple(np.array([pair[side] for pair in pairs], dtype=np.int64) for side in (0, 1))


def all_counts(repeats, image, caption):
    return {
        "images": repeats.image_count(image).tolist(),
        "captions": repeats.caption_count(caption).tolist(),
        "captions of image": repeats.captions_of_image(image).tolist(),
        "images of caption": repeats.images_of_caption(caption).tolist(),
        "pairs": repeats.pair_count(image, caption).tolist(),
    }


def counted_plainly(pairs):
    images, captions, both = (
        Counter(image for image, _ in pairs), Counter(caption for _, caption in pairs), Counter(pairs)
    )  # fmt: skip
    captions_of, images_of = Counter(image for image, _ in both), Counter(caption for _, caption in both)
    return {
        "images": [images[image] for image, _ in pairs],
        "captions": [captions[caption] for _, caption in pairs],
        "captions of image": [captions_of[image] for image, _ in pairs],
        "images of caption": [images_of[caption] for _, caption in pairs],
        "pairs": [both[pair] for pair in pairs],
    }


def embedding_table(n, *, failed=0, seed=0):
    """n different pairs as `embed` writes them, the last `failed` without embeddings."""
    draw = np.random.default_rng(seed)
    kind = pa.list_(pa.float16(), 4)
    rows = [None if row >= n - failed else [float(x) for x in draw.normal(size=4)] for row in range(n)]
    return pa.table(
        {
            "pair_id": [f"{seed}/{row}" for row in range(n)],
            "status": ["ok" if row is not None else "image_undecodable" for row in rows],
            "image_hash": pa.array([bytes([seed, row] * 8) for row in range(n)], pa.binary(16)),
            "caption": [f"caption {seed} {row}" for row in range(n)],
            "image_embedding": pa.array(rows, kind),
            "text_embedding": pa.array(rows[::-1][failed:] + rows[n - failed :], kind),
        }
    )


def written_tables(folder, shards, rows=50, failed=2, named=None):
    """Embedding tables of another tool whose photos and captions repeat within and across shards."""
    folder.mkdir()
    chance = np.random.default_rng(0)
    for number in range(shards):
        table = embedding_table(rows, failed=failed, seed=number % 256)
        photos = [bytes([photo % 256, photo // 256] * 8) for photo in chance.integers(40 * shards, size=rows).tolist()]
        table = table.set_column(2, "image_hash", pa.array(photos, pa.binary(16)))
        captions = [f"caption {one}" for one in chance.integers(30 * shards, size=rows).tolist()]
        table = table.set_column(3, "caption", pa.array(captions))
        names = [f"{number}/{row}" if named is None else named(number, row) for row in range(rows)]
        pq.write_table(table.set_column(0, "pair_id", pa.array(names)), folder / f"{number:03}.parquet")
    return [open_embeddings(shard) for shard in find_shards([str(folder)])]
