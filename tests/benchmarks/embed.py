"""How fast embed is beside what the model alone could do, and what its shortcuts cost in accuracy.

    NCAUDIT_BENCH=/path/to/bench python tests/benchmarks/embed.py [--pairs 2400] [--clip-retrieval-python PATH] [--json]

Real photos and captions, repeated with distinct bytes so that nothing is remembered; ViT-B/32 with random but saved
weights, since speed does not depend on what they are. Rates are compared within one run: the machine may be busy.
"""

import argparse
import io
import json
import logging
import os
import platform
import re
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from figures import timed
from PIL import Image
from safetensors.torch import save_file

from ncaudit.encoders import images
from ncaudit.encoders.open_clip import Encoder, load_encoder
from ncaudit.options import EmbedOptions, ModelOptions
from ncaudit.verbs.embed.embed import EmbedResult, embed

ARCHITECTURE = "ViT-B-32"
PHOTOS = "sport/img2dataset_00000.parquet"
TARGETS = {"ratio_to_forward": 0.85, "lowest_cosine": 0.999, "lowest_centred_cosine": 0.99}


def photos(bench: Path) -> tuple[list[bytes], list[str]]:
    """The photos that were downloaded, and their captions."""
    table = pq.read_table(bench / PHOTOS, columns=["jpg", "caption"])
    pairs = [(i, c) for i, c in zip(*(table.column(n).to_pylist() for n in ("jpg", "caption")), strict=True) if i and c]
    return [image for image, _ in pairs], [caption for _, caption in pairs]


def save_model(folder: Path, architecture: str = ARCHITECTURE) -> None:
    """The architecture with random weights, as an open_clip folder and as the state dict that clip-retrieval takes."""
    torch.manual_seed(0)
    logging.getLogger().setLevel(logging.ERROR)  # open_clip warns that the weights are random; they are meant to be
    model = open_clip.create_model(architecture)
    config = {
        "model_cfg": open_clip.get_model_config(architecture),
        "preprocess_cfg": open_clip.get_model_preprocess_cfg(model),
    }
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    torch.save(state, folder.parent / "w.pt")


def write_dataset(path: Path, data: tuple[list[bytes], list[str]], pairs: int) -> None:
    """`pairs` pairs, every copy with bytes of its own: JPEG readers ignore what follows the picture."""
    path.parent.mkdir()
    rounds = [divmod(i, len(data[0])) for i in range(pairs)]
    jpg = [data[0][i] + f"copy {n}".encode() for n, i in rounds]
    caption = [f"{data[1][i]} {n}" if n else data[1][i] for n, i in rounds]
    pq.write_table(pa.table({"jpg": jpg, "caption": caption}), path, row_group_size=100)


class Watch:
    """Notes when each batch of images was done, and keeps the batches for the forward pass alone."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, torch.Tensor]] = []
        self.first_done = self.first_pairs = 0.0

    def __enter__(self) -> "Watch":
        names = ("begin_images", "begin_tokens")
        if not hasattr(Encoder, names[0]):  # of older code
            names = ("encode_images", "encode_tokens")
        self._originals = {name: getattr(Encoder, name) for name in names}
        for name, original in self._originals.items():
            setattr(Encoder, name, self._watched(name, original))
        return self

    def __exit__(self, *_: object) -> None:
        for name, original in self._originals.items():
            setattr(Encoder, name, original)

    def _watched(self, name: str, original: Any) -> Any:
        def call(encoder: Encoder, batch: torch.Tensor) -> torch.Tensor:
            rows = original(encoder, batch)
            if not self.batches:
                self.first_done, self.first_pairs = time.monotonic(), len(batch)
            self.batches.append((name, batch))
            return rows

        return call


def one_round(options: EmbedOptions, encoder: Encoder, pairs: int) -> dict[str, float]:
    """embed, and directly after it the same batches through the model and nothing else."""
    results: list[EmbedResult] = []
    with Watch() as watch:
        spent = timed(lambda: results.append(embed(options)))
        ended = time.monotonic()
    begun = time.monotonic()
    for name, batch in watch.batches:
        getattr(encoder, name.replace("begin", "encode"))(batch)
    forward = pairs / (time.monotonic() - begun)
    steady = (pairs - watch.first_pairs) / (ended - watch.first_done)
    whole = pairs / results[0].seconds
    rates = {"steady": steady, "forward": forward, "ratio": steady / forward, "whole": whole}
    return {**rates, "wall": spent.wall, "cpu": spent.cpu}


def agreement(out: Path, model: str, data: tuple[list[bytes], list[str]], rows: int) -> dict[str, float]:
    """Cosine of every row to float32, captions padded and images at full scale; plain and centred."""
    exact = load_encoder(ModelOptions(model=model, precision="float32"))
    table = pq.read_table(out, columns=["image_embedding", "text_embedding"]).slice(0, rows)
    n = len(table)
    scale, images.DRAFT_SCALE = images.DRAFT_SCALE, 10**6
    pixels = np.stack([images.decode(image, exact.preprocess, 10**9).pixels for image in data[0][:n]])
    images.DRAFT_SCALE = scale
    exact.trims = False
    expected = {
        "image_embedding": torch.cat([exact.encode_images(part) for part in np.array_split(pixels, max(1, n // 32))]),
        "text_embedding": torch.cat([exact.encode_captions(data[1][i : min(i + 32, n)]) for i in range(0, n, 32)]),
    }
    lowest = {"lowest_cosine": 1.0, "lowest_centred_cosine": 1.0}
    for column, reference in expected.items():
        flat = table.column(column).combine_chunks().flatten().to_numpy().astype(np.float32)
        ours, mean = torch.from_numpy(flat.reshape(n, -1)), reference.mean(dim=0)
        plain = torch.cosine_similarity(ours, reference).min()
        centred = torch.cosine_similarity(ours - mean, reference - mean).min()
        lowest["lowest_cosine"] = min(lowest["lowest_cosine"], float(plain))
        lowest["lowest_centred_cosine"] = min(lowest["lowest_centred_cosine"], float(centred))
    return lowest


def large_jpegs(encoder: Encoder, data: tuple[list[bytes], list[str]], count: int = 40) -> dict[str, float]:
    """JPEGs of 1,500 pixels and more at reduced scale against full scale: speed, and cosine of the embeddings."""
    files = [_enlarged(image) for image in data[0][:count]]
    scale = images.DRAFT_SCALE
    timed: dict[int, float] = {}
    rows: dict[int, torch.Tensor] = {}
    for draft in (scale, 10**6):
        images.DRAFT_SCALE = draft
        begun = time.monotonic()
        pixels = np.stack([images.decode(file, encoder.preprocess, 10**9).pixels for file in files])
        timed[draft], rows[draft] = time.monotonic() - begun, encoder.encode_images(pixels)
    images.DRAFT_SCALE = scale
    cosine = torch.cosine_similarity(rows[scale], rows[10**6])
    return {"reduced_decode_speedup": timed[10**6] / timed[scale], "reduced_lowest_cosine": float(cosine.min())}


def _enlarged(data: bytes) -> bytes:
    image = Image.open(io.BytesIO(data)).convert("RGB")
    factor = 1500 / min(image.size)
    buffer = io.BytesIO()
    image.resize([round(side * factor) for side in image.size], Image.Resampling.LANCZOS).save(
        buffer, "JPEG", quality=90
    )
    return buffer.getvalue()


def clip_retrieval(python: str, work: Path, data: tuple[list[bytes], list[str]]) -> dict[str, float]:
    """clip-retrieval on the same photos and weights, and `python -m ncaudit embed` as a whole process beside it."""
    with tarfile.open(work / "00000.tar", "w") as tar:
        for i, (image, caption) in enumerate(zip(*data, strict=True)):
            for suffix, content in (("jpg", image), ("txt", caption.encode())):
                member = tarfile.TarInfo(f"{i:09}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    n = len(data[0])
    flags = {
        "input_dataset": "00000.tar", "output_folder": "out_cr", "input_format": "webdataset",
        "clip_model": f"open_clip:{ARCHITECTURE}/w.pt", "batch_size": 64, "num_prepro_workers": 1,
        "enable_wandb": False, "use_jit": False, "wds_number_file_per_input_file": n, "output_partition_count": 1,
    }  # fmt: skip
    theirs = [str(Path(python).parent / "clip-retrieval"), "inference", *(f"--{k}={v}" for k, v in flags.items())]
    their_s, words = _timed(theirs, work)
    write_dataset(work / "same" / "00000.parquet", data, n)
    ours = [sys.executable, "-m", "ncaudit", "embed", "same", "--out", "out_same", "--model", "model"]
    our_s, _ = _timed(ours, work)
    told = [float(rate) for rate in re.findall(r"sample_per_sec (\d+(?:\.\d+)?)", words)]
    whole = {"clip_retrieval_whole_s": their_s, "ncaudit_whole_s": our_s, "whole_ratio": their_s / our_s}
    return {**whole, "clip_retrieval_steady": max(told, default=n / their_s)}


def _timed(command: list[str], folder: Path) -> tuple[float, str]:
    begun = time.monotonic()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return time.monotonic() - begun, done.stdout + done.stderr


def measure(arguments: argparse.Namespace, bench: Path, work: Path) -> dict[str, Any]:
    data = photos(bench)
    save_model(work / "model")
    write_dataset(work / "data" / "00000.parquet", data, arguments.pairs)
    model = str(work / "model")
    encoder = load_encoder(ModelOptions(model=model, precision=arguments.precision))
    rounds = []
    for i in range(arguments.rounds):
        options = EmbedOptions(
            sources=[str(work / "data")], out=str(work / f"out{i}"), model=model, precision=encoder.identity.precision,
            workers=arguments.workers,
        )  # fmt: skip
        rounds.append(one_round(options, encoder, arguments.pairs))
    median = {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}
    found: dict[str, Any] = {
        "pairs": arguments.pairs,
        "precision": encoder.identity.precision,
        "steady_pairs_per_s": median["steady"],
        "forward_pairs_per_s": median["forward"],
        "ratio_to_forward": median["ratio"],
        **agreement(work / "out0" / "00000.parquet", model, data, arguments.check_rows),
        **large_jpegs(encoder, data),
    }
    if arguments.clip_retrieval_python:
        found |= clip_retrieval(arguments.clip_retrieval_python, work, data)
        found["steady_ratio"] = found["steady_pairs_per_s"] / found["clip_retrieval_steady"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pairs", type=int, default=2400)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--check-rows", type=int, default=590, help="rows compared with float32")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--clip-retrieval-python", help="python of a venv with clip-retrieval 2.45 and setuptools<80")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    bench = os.environ.get("NCAUDIT_BENCH")
    if not bench or not (Path(bench) / PHOTOS).is_file():
        print(f"skipped: NCAUDIT_BENCH names no folder with {PHOTOS}")
        return
    machine = {
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
    }
    with tempfile.TemporaryDirectory() as work:
        found = {**machine, **measure(arguments, Path(bench), Path(work))}
    if arguments.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        target = f"   (target {TARGETS[name]})" if name in TARGETS else ""
        print(f"{name:26} {value:.5g}{target}" if isinstance(value, float) else f"{name:26} {value}")


if __name__ == "__main__":
    main()
