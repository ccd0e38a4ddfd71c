"""The folder in which the blocks of a page run, and how: in order, with small things in the place of a reader's own.

A page has a folder of its own. In it stand `data/` (192 pairs of the sample in two shards, with more columns), `tars/`
(256 pairs, with uids), `test/`, `products/` (with a class), `backwards/` (600 pairs with captions spelled backwards),
`metadata.parquet`, `img.npy` and `text.npy`; `test-embeddings/` and `product-embeddings/`; and, but for the README,
which makes them itself, `embeddings/` and `scores/` of `data/`. `sample_data/` is the real one. For `ViT-B-32`, which
would be fetched, stands the sample's own model. `FLAGS`, and for the pages of docs/ `QUICK`, are added where a line
does not give them itself: to compute alike on every machine, and quickly. After `ncaudit sample` somebody fills in the
verdicts: the truth.

Not run: lines that end in `# needs …` (one of `NEEDS`), and other programs than ncaudit (`OTHERS`).
"""

import csv
import hashlib
import re
import shlex
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.pages import ROOT, blocks, name_of
from tests.shell import run_line
from tests.worlds.tars import pair, samples, write_tar

NEEDS = {"the network", "GPUs"}
OTHERS = {
    "make": "installs ncaudit and runs it, or all tests",
    "torchrun": "starts processes; tests/cli/test_train_ranks.py runs it",
    "python": "starts processes; tests/docs/test_open_clip_training.py runs them",
}
EMBED = {"--device": "cpu", "--precision": "float32", "--workers": "0"}
FLAGS = {"audit": EMBED, "embed": EMBED, "score": {"--device": "cpu"}, "train": {"--device": "cpu", "--epochs": "1"}}
QUICK = {
    **FLAGS,
    "audit": {**EMBED, "--batch-pairs": "32", "--no-check": None},
    "embed": {**EMBED, "--batch-pairs": "32"},
    "train": {**FLAGS["train"], "--batch-pairs": "16"},
    "score": {"--device": "cpu", "--no-check": None},
    "bench": {"--seeds": "1", "--pairs": "128"},
}
MODEL = {"ViT-B-32": "local-dir:sample_data/tiny-clip"}
MADE = ("embeddings", "scores")
COLOURS = ("red", "green", "blue", "yellow", "black", "white")


def make_world(folder, patch):
    """What every page's folder is a copy of."""
    (folder / "sample_data").symlink_to(ROOT / "sample_data")
    _write_datasets(folder, pq.read_table(ROOT / "sample_data/train.parquet"))
    patch.chdir(folder)
    run_line("ncaudit embed data/ --model ViT-B-32 --out embeddings/", QUICK, MODEL)
    run_line("ncaudit embed test/ --model ViT-B-32 --out test-embeddings/", QUICK, MODEL)
    run_line("ncaudit embed products/ --model ViT-B-32 --out product-embeddings/", QUICK, MODEL)
    run_line("ncaudit score embeddings/ --out scores/", QUICK)
    table = pq.read_table(folder / "embeddings")
    for name, column in (("img.npy", "image_embedding"), ("text.npy", "text_embedding")):
        np.save(folder / name, np.array(table[column].to_pylist(), np.float32))


def _write_datasets(folder, sample):
    captions = sample["caption"].to_pylist()
    colour = [next((word for word in COLOURS if word in caption), "other") for caption in captions]
    rows = sample.append_column("category", pa.array(colour)).append_column("lang", pa.array(["en", "de"] * 1_000))
    for name in ("data", "test", "products", "backwards"):
        (folder / name).mkdir()
    plain = rows.drop_columns(["noise_type", "category"])
    pq.write_table(plain.slice(0, 96), folder / "data/00000.parquet")
    pq.write_table(plain.slice(96, 96), folder / "data/00001.parquet")
    pq.write_table(plain.slice(192, 96), folder / "test/0.parquet")
    pq.write_table(rows.select(["key", "jpg", "caption", "category"]).slice(0, 192), folder / "products/0.parquet")
    turned = pa.array([caption[::-1] for caption in captions])
    place = sample.column_names.index("caption")
    pq.write_table(sample.set_column(place, "caption", turned).slice(0, 600), folder / "backwards/0.parquet")
    _write_tars(folder / "tars", sample.slice(0, 256).to_pylist())
    prior = {"uid": sample["key"], "clip_l14_similarity_score": sample["truth"]}
    pq.write_table(pa.table(prior).slice(0, 192), folder / "metadata.parquet")


def _write_tars(folder, rows):
    for shard in range(2):
        own = rows[shard * 128 : (shard + 1) * 128]
        uids = [hashlib.md5(row["key"].encode()).hexdigest() for row in own]
        each = zip(own, uids, strict=True)
        files = samples(pair(row["key"], row["jpg"], row["caption"], uid=uid) for row, uid in each)
        write_tar(folder / f"{shard:05}.tar", files)


def in_a_copy(world, folder, patch, without=()):
    """Go to a copy of the world, in which a page's blocks can be run."""
    shutil.copytree(world, folder, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*without))
    patch.chdir(folder)


def runs_here(line):
    """Whether a line is run; one that is not must say why, or be known."""
    reason = re.search(r"# needs (.+)$", line)
    if reason:
        assert reason[1] in NEEDS, line
        return False
    return shlex.split(line)[0] not in OTHERS


def fill_in(review):
    """As a person would who knows the truth of the sample."""
    sample = pq.read_table(ROOT / "sample_data/train.parquet", columns=["key", "is_match"])
    truth = dict(zip(*(column.to_pylist() for column in sample.columns), strict=True))
    with open(review, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    with open(review, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({**row, "is_match": "yes" if truth[row["pair_id"]] else "no"} for row in rows)


def outputs(page, flags):
    """What each line of the page's shell blocks writes; its Python blocks are run between them, in one namespace."""
    told, names = {}, {}
    for block in blocks(page):
        if block.language == "python":
            exec(compile(block.text, name_of(page), "exec"), names)
        for line in block.lines() if block.language == "sh" else ():
            if runs_here(line):
                told[line] = run_line(line, flags, MODEL).decode()
                if line.startswith("ncaudit sample"):
                    fill_in(shlex.split(line)[-1])
    return told
