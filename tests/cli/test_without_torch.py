"""`inspect`, `filter` and `show` never load torch, whatever they are given: each verb in one process, run after run."""

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

import ncaudit
from tests.worlds.sample import SAMPLE, TINY

ROWS = 60
RUNS = """
import json, sys
from ncaudit.cli.app import app
for words in json.loads(sys.argv[1]):
    try:
        app(["-q", *words], prog_name="ncaudit")
    except SystemExit as end:
        assert end.code == 0, (end.code, words)
    loaded = {name.split(".")[0] for name in sys.modules}
    assert not loaded & {"torch", "open_clip", "transformers", "faiss", "sklearn", "scipy", "pandas"}, words
"""
KEPT = ["--keep-share", ".5"]
COMMANDS = {
    "inspect": [
        ["parquet"], ["tar"], ["csv", "--image-root", "csv"], ["parquet", "tar", "--json"], ["npy"], ["embeddings"],
        ["embeddings-tar", "--json"], ["scores"], ["scores/_fit"], ["labels"], ["model"], ["heads"],
    ],
    "filter": [
        ["scores", "--min-soft-label", ".3", "--out", "f1"],
        ["scores", "--kept-precision", ".9", "--out", "f2.parquet"],
        ["scores", "--data", "parquet", *KEPT, "--out", "f3", "--dropped", "d3", "--json"],
        ["scores-tar", "--data", "tar", *KEPT, "--out", "f4"], ["scores", *KEPT, "--out", "-"],
        ["scores-csv", *KEPT, "--out", "-", "--format", "csv"], ["scores", *KEPT, "--out", "f5", "--dry-run"],
        ["scores", "--verdict", "clean", "--as", "ids", "--out", "f6.txt"],
        ["scores-tar", "--verdict", "clean", "--as", "datacomp-uids", "--out", "f7.npy"],
        ["scores", *KEPT, "--as", "weights", "--out", "f8.parquet"],
        ["scores", "--where", "similarity > -1 and caption is not null", *KEPT, "--keep-share-by", "noise_type",
         "--out", "f9"],
    ],
    "show": [
        ["scores"], ["scores", "--json"], ["scores", "--unsure", "--data", "parquet", "--images", "p1"],
        ["scores-tar", "--data", "tar", "--images", "p2"], ["scores", "--against", "similarity"],
        ["scores-csv", "--data", "csv", "--image-root", "csv", "--images", "p3"], ["labels"], ["labels", "--json"],
        ["scores", "--dry-run"],
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Datasets of three formats, and all that the other verbs make of them."""
    folder = tmp_path_factory.mktemp("places")
    pairs = pq.read_table(SAMPLE / "train.parquet").slice(0, ROWS)
    _datasets(folder, pairs)
    for data, suffix in (("parquet", ""), ("tar", "-tar"), ("csv", "-csv")):
        root = str(folder / "csv") if data == "csv" else None
        tables, scores = str(folder / f"embeddings{suffix}"), str(folder / f"scores{suffix}")
        settings = {"model": f"local-dir:{TINY}", "device": "cpu", "precision": "float32", "workers": 0}
        ncaudit.embed(sources=[str(folder / data)], out=tables, image_root=root, batch_pairs=32, **settings)
        ncaudit.score(embeddings=[tables], out=scores, device="cpu", check=False)
    tables, heads = [str(folder / "embeddings")], str(folder / "heads")
    ncaudit.labels(embeddings=tables, label_column="noise_type", out=str(folder / "labels"), device="cpu")
    ncaudit.train(tune="heads", embeddings=tables, out=heads, epochs=1, batch_pairs=16, device="cpu")
    (folder / "model").symlink_to(TINY)
    return folder


def _datasets(folder: Path, pairs: pa.Table) -> None:
    for name in ("parquet", "tar", "csv", *(f"npy/{part}" for part in ("img_emb", "text_emb", "metadata"))):
        (folder / name).mkdir(parents=True)
    pq.write_table(pairs, folder / "parquet" / "a.parquet")
    images, captions = pairs["jpg"].to_pylist(), pairs["caption"].to_pylist()
    with tarfile.open(folder / "tar" / "00000.tar", "w") as tar:
        for i, (image, caption) in enumerate(zip(images, captions, strict=True)):
            uid = json.dumps({"uid": f"{i:032x}"}).encode()
            for suffix, content in (("jpg", image), ("txt", caption.encode()), ("json", uid)):
                member = tarfile.TarInfo(f"{i:05d}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    for i, image in enumerate(images):
        (folder / "csv" / f"{i}.jpg").write_bytes(image)
    paths = [f"{i}.jpg" for i in range(ROWS)]
    pc.write_csv(pa.table({"image_path": paths, "caption": captions}), folder / "csv" / "x.csv")
    rows = np.random.default_rng(0).normal(size=(ROWS, 16)).astype(np.float16)
    np.save(folder / "npy/img_emb/img_emb_0.npy", rows)
    np.save(folder / "npy/text_emb/text_emb_0.npy", rows)
    pq.write_table(pa.table({"caption": captions}), folder / "npy/metadata/metadata_0.parquet")


@pytest.mark.slow
@pytest.mark.parametrize("verb", COMMANDS)
def test_it_never_loads_torch(place, verb):
    every = json.dumps([[verb, *words] for words in COMMANDS[verb]])
    command = [sys.executable, "-c", RUNS, every]
    ran = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=place, check=False)
    assert ran.returncode == 0, ran.stderr[-3_000:]


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ulimit -v")
def test_filter_asks_for_no_memory_that_torch_would_need(place):
    words = f"{sys.executable} -m ncaudit -q filter scores --keep-share .5 --out under-a-limit"
    ran = subprocess.run(
        ["bash", "-c", f"ulimit -v 3000000; exec {words}"], capture_output=True, text=True, cwd=place, check=False
    )
    assert ran.returncode == 0, ran.stderr
