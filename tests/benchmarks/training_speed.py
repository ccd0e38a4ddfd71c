#!/usr/bin/env python3
"""How fast training goes beside the bare step that it cannot do without, measured in turn in the same run.

usage: python tests/benchmarks/training_speed.py [--rounds 5] [--only bare|objectives] [--json]

Heads: `train --tune heads` on 512 + 512 dimensions, batch 1,024, beside a loop over a batch at hand: the same maps and
similarities, the cross entropy of both directions, the same AdamW, in the same precision; no reading, masks, labels,
clipping or checks. Towers: `train` on the sample's images beside forward and backward of the same model on pixels at
hand, without an optimiser. Medians over the rounds; a share is the median of the rounds' own shares.
Objectives: linear heads as above, by each loss of pairs beside `infonce`, one after the other in every round, with
labels that are not all alike; and what --self-paced, --structure-weight and --negatives allowed cost.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import demo
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch.nn.functional import cross_entropy, normalize

import ncaudit
from ncaudit import objectives
from ncaudit.core.device import pick_precision
from ncaudit.encoders.captions import encode_trimmed, trimmable_tower
from ncaudit.encoders.decode_pool import DecodePool
from ncaudit.encoders.open_clip import load_encoder
from ncaudit.matchers.heads.projection import Heads, Side
from ncaudit.matchers.steps.optimisation import BETAS, EPSILON, low_precision
from ncaudit.matchers.towers.fine_tuning import set_training
from ncaudit.options import ModelOptions, Precision
from ncaudit.progress import SILENT
from ncaudit.verbs.demo import sample_folder
from ncaudit.verbs.train.data.decoded_pairs import open_training_set

Row = dict[str, Any]
DIMS, HEADS_BATCH, HEADS_PAIRS, TOWERS_BATCH = 512, 1_024, 8_192, 128
ASKED = {"linear": 0.80, "mlp": 0.80, "towers": 0.85}
SCALE = 14.0  # any: it costs the same
IGNORES_LABELS = ("infonce", "cmp", "rcl")
PLAIN = {"objective": "infonce"}
BESIDE: dict[str, Any] = {"objective": "weighted-infonce"}
ADDED: dict[str, Row] = {
    "rcl --doubted push": {"objective": "rcl", "doubted": "push"},
    "soft-infonce --spread similarity": {"objective": "soft-infonce", "spread": "similarity"},
    "weighted-infonce --self-paced 1": BESIDE | {"self_paced": 1.0},
    "weighted-infonce --negatives allowed": BESIDE | {"negatives": "allowed"},
    "weighted-infonce --structure-weight 1": BESIDE | {"structure_weight": 1.0},
}
OBJECTIVE_SHARE = 0.90  # of infonce's pairs/s, asked of every objective as it is without further settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=("bare", "objectives"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    bare = [] if options.only == "objectives" else measure(options.rounds)
    by_objective = [] if options.only == "bare" else measure_objectives(options.rounds)
    told = [*(lines(bare) if bare else []), *(objective_lines(by_objective) if by_objective else [])]
    print(json.dumps(bare + by_objective, indent=1) if options.json else "\n".join([str(demo.machine()), *told]))


def measure(rounds: int = 5) -> list[Row]:
    """One row per thing trained and device."""
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    return [measured(what, device, rounds) for device in devices for what in ASKED]


def lines(rows: list[Row]) -> list[str]:
    """The table."""
    told = [f"Speed, {rows[0]['rounds']} rounds in turn: pairs/s of train, of the bare step, share (asked)"]
    for row in rows:
        what = f"{row['device']:4}  {row['what']:6}  {row['precision']:8}"
        told.append(f"  {what}  {row['train']:9,.0f}  {row['bare']:9,.0f}  {row['share']:.2f} ({row['asked']:.2f})")
    return told if any(row["device"] == "cuda" for row in rows) else [*told, "  cuda  skipped: no GPU"]


def measure_objectives(rounds: int = 5) -> list[Row]:
    """One row per objective of pairs, and per addition: pairs/s of linear heads, and its share of infonce's."""
    names = [name for name in objectives.names() if name not in {*objectives.by_class.names(), "infonce"}]
    named = {"infonce": PLAIN, **{name: {"objective": name} for name in names}, **ADDED}
    cases = {name: {**asked, "epochs": 3} for name, asked in named.items()}  # of eight steps each
    with tempfile.TemporaryDirectory() as folder:
        write_pairs(Path(folder))
        train = head_trainer(Path(folder), "linear", "cpu", label_column="label")
        rates = [[train(own) for own in cases.values()] for _ in range(rounds + 1)][1:]  # the first round warms up
    return [
        {
            "what": name, "rounds": rounds, "train": statistics.median(one[i] for one in rates),
            "share": statistics.median(one[i] / one[0] for one in rates),
            "asked": None if name in ADDED else OBJECTIVE_SHARE,
        }
        for i, name in enumerate(cases)
    ]  # fmt: skip


def objective_lines(rows: list[Row]) -> list[str]:
    """The table of objectives."""
    title = f"Objectives, linear heads, {rows[0]['rounds']} rounds in turn: pairs/s, share of infonce's (asked)"
    asked = [f" ({row['asked']:.2f})" if row["asked"] else "" for row in rows]
    each = zip(rows, asked, strict=True)
    return [title, *(f"  {row['what']:38}  {row['train']:9,.0f}  {row['share']:.2f}{told}" for row, told in each)]


def measured(what: str, name: str, rounds: int) -> Row:
    """One thing trained on one device: linear, mlp or towers."""
    device = torch.device(name)
    precision = pick_precision(device)
    with tempfile.TemporaryDirectory() as folder:
        prepare = _towers if what == "towers" else _heads
        train, bare = prepare(what, device, precision, Path(folder))
        rates = [(train(i), bare()) for i in range(rounds + 1)][1:]  # the first round warms up
    both = {"train": statistics.median(a for a, _ in rates), "bare": statistics.median(b for _, b in rates)}
    share = statistics.median(a / b for a, b in rates)
    told = {"what": what, "device": name, "precision": str(precision).removeprefix("torch."), "rounds": rounds}
    return {**told, **both, "share": share, "asked": ASKED[what]}


def _heads(
    what: str, device: torch.device, precision: torch.dtype, folder: Path
) -> tuple[Callable[[int], float], Callable[[], float]]:
    """What trains heads for some steps and tells pairs/s, and what makes as many bare steps."""
    image, text = write_pairs(folder)
    train = head_trainer(folder, what, str(device))
    heads = Heads(Side(DIMS), Side(DIMS), dims=DIMS, hidden=1_024 if what == "mlp" else None).to(device)
    adamw = torch.optim.AdamW(heads.parameters(), 1e-3, betas=BETAS, eps=EPSILON, fused=True)
    rows = [torch.from_numpy(side[:HEADS_BATCH]).float().to(device) for side in (image, text)]

    def step() -> None:
        adamw.zero_grad(set_to_none=True)
        with low_precision(device, precision):
            both = heads.image(rows[0]), heads.text(rows[1])
        _loss(*both).backward()
        adamw.step()

    return lambda number: train({}), lambda: _rate(step, HEADS_PAIRS // HEADS_BATCH, HEADS_BATCH, device)


def write_pairs(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """pairs.parquet: random embeddings with a label in [0, 1]; both sides of them."""
    draw = np.random.default_rng(0)
    image, text = (draw.standard_normal((HEADS_PAIRS, DIMS)).astype(np.float16) for _ in range(2))
    names = {"pair_id": [f"{i}" for i in range(HEADS_PAIRS)], "status": ["ok"] * HEADS_PAIRS}
    sides = {"image_embedding": _lists(image), "text_embedding": _lists(text)}
    label = {"label": draw.random(HEADS_PAIRS)}
    pq.write_table(pa.table({**names, **sides, **label}), folder / "pairs.parquet")
    return image, text


def head_trainer(folder: Path, head: str, device: str, **more: Any) -> Callable[[Row], float]:
    """What trains heads for some steps with further options, and tells pairs/s."""
    pace = {"epochs": 1, "batch_pairs": HEADS_BATCH, "val_share": 0.0}
    own = {"tune": "heads", "head": head, "head_start": "identity", "device": device, **pace}
    files = {"out": str(folder / "out"), "embeddings": [str(folder / "pairs.parquet")], "restart": True}

    def train(asked: Row) -> float:
        read = {} if asked.get("objective") in IGNORES_LABELS and "doubted" not in asked else more
        return ncaudit.train(ncaudit.TrainOptions(**(own | files | read | asked))).pairs_per_s

    return train


def _towers(
    what: str, device: torch.device, precision: torch.dtype, folder: Path
) -> tuple[Callable[[int], float], Callable[[], float]]:
    """What fine-tunes the sample's tiny model for an epoch and tells pairs/s, and what runs it forward and backward."""
    sample = sample_folder()
    own = {"model": f"local-dir:{sample}/tiny-clip", "device": str(device)}
    pace = {"epochs": 1, "batch_pairs": TOWERS_BATCH, "val_share": 0.0, "objective": "infonce"}
    options = ncaudit.TrainOptions(data=[f"{sample}/train.parquet"], out=str(folder / "out"), **own, **pace)

    def train(number: int) -> float:
        files = {"data": options.data, "out": str(folder / f"out-{number}")}
        return ncaudit.train(ncaudit.TrainOptions(**files, **own, **pace)).pairs_per_s

    encoder = load_encoder(ModelOptions(**own, precision=Precision.float32))
    with DecodePool(0) as pool:
        pairs = open_training_set(options, encoder, pool, objectives.get("infonce").trains_on, SILENT)
        batch = next(iter(pairs.train.batches(1, batch_pairs=TOWERS_BATCH, seed=0))).to(device)
    model: Any = encoder.model.requires_grad_(True)
    pixels, tokens = encoder.normalise(batch.image), batch.text.long()
    tower = trimmable_tower(model)  # train leaves out the padding, too
    set_training(model, train_batchnorm=False)

    def step() -> None:
        model.zero_grad(set_to_none=True)
        with low_precision(device, precision):
            both = model.encode_image(pixels), encode_trimmed(tower, tokens)
        _loss(*(normalize(rows.float(), dim=1) for rows in both)).backward()

    return train, lambda: _rate(step, len(pairs.train) // TOWERS_BATCH, TOWERS_BATCH, device)


def _loss(image: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    logits = SCALE * (image @ text.T)
    own = torch.arange(len(logits), device=logits.device)
    return (cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2


def _rate(step: Callable[[], None], steps: int, pairs: int, device: torch.device) -> float:
    begun = perf_counter()
    for _ in range(steps):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return steps * pairs / (perf_counter() - begun)


def _lists(rows: np.ndarray) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1])


if __name__ == "__main__":
    main()
