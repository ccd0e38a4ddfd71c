#!/usr/bin/env python3
"""What soft labels are worth in training: heads on real features, towers on the sample; and how fast training goes.

usage: python tests/benchmarks/training.py [--seeds 3] [--kinds shuffle topic near] [--noise 0.4] [--captions 5]
       [--rows ROW ...] [--head mlp] [--epochs 10] [--batch-pairs 1024] [--learning-rate 1e-3] [--split test]
       [--skip-heads] [--skip-sample] [--skip-speed] [--json]

Heads: tables by $NCAUDIT_BENCH/make_tables.py, photos and captions of two encoders that know nothing of each other.
They learn from the noisy train split; the epoch to keep is chosen on clean pairs of the val split, for every row
alike (but "last epoch", where nothing is validated, as with users who have no clean pairs), and rSum is told on clean
pairs of the test split. Every row has the same head, epochs, batch and learning rate.
Settings are compared with --split val, which leaves the test split alone. Sample: see demo.py. One process per core,
one thread each; all but the speeds is deterministic for a seed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any

import demo
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import training_speed

import ncaudit
from ncaudit.core.metrics.detection import auroc
from ncaudit.judging import fit_sample, mismatches
from ncaudit.matchers.heads.projection import Heads, save_head_description, save_head_weights
from ncaudit.matchers.heads.starts import cca_start
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.tables.embeddings import open_embeddings

BENCH = os.environ.get("NCAUDIT_BENCH", "")
KINDS = ("shuffle", "topic", "near")
START, PLAIN, ORACLE, STAGED, UNSTAGED = "start", "infonce", "clean pairs only", "recipe bicro", "bicro, labels all 1"
LABELLED = ("weighted-infonce", "soft-infonce", "drop", "bicro", "rcl")
STAGED_WEIGHTED, RELABELLED = "recipe bicro, weighted", "weighted, relabelled"
PERMUTED, BY_COSINE = "weighted, permuted labels", "drop by the start's cosine"
LAST = ", last epoch"  # no validation: nothing chooses the epoch
WITHOUT = {"val_data": None, "val_share": 0.0}
UNLABELLED: dict[str, dict[str, Any]] = {
    PLAIN: {"objective": "infonce"},
    UNSTAGED: {"objective": "bicro"},
    STAGED: {"recipe": "bicro"},
    STAGED_WEIGHTED: {"recipe": "bicro", "objective": "weighted-infonce"},
}
WITH_SCORES: dict[str, dict[str, Any]] = {
    **{name: {"objective": name} for name in LABELLED},
    RELABELLED: {"objective": "weighted-infonce", "relabel_every": 2},
    PERMUTED: {"objective": "weighted-infonce", "label_column": "permuted"},
    BY_COSINE: {"objective": "drop", "label_column": "cosine"},
    ORACLE: {"objective": "drop", "label_column": "is_match"},
}
TO_THE_END = (PLAIN, UNSTAGED, STAGED, "weighted-infonce", "drop", ORACLE)
for table in (UNLABELLED, WITH_SCORES):
    table |= {name + LAST: {**table[name], **WITHOUT} for name in TO_THE_END if name in table}
FEW = (START, PLAIN, "weighted-infonce", "drop", BY_COSINE, PERMUTED, ORACLE)  # of topic and near: half the time
Row = dict[str, Any]


def main() -> None:
    options = _arguments()
    if not options.skip_heads and not Path(BENCH or "?", "make_tables.py").is_file():
        sys.exit("NCAUDIT_BENCH names no folder with make_tables.py: --skip-heads leaves out what needs it")
    report: dict[str, Any] = {"machine": demo.machine(), "settings": vars(options)}
    jobs = (
        [] if options.skip_heads else [(_world, (k, s, options)) for s in range(options.seeds) for k in options.kinds]
    )
    jobs += [] if options.skip_sample else [(demo.run, (seed,)) for seed in range(options.seeds)]
    if jobs:
        with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn"), initializer=_one_thread) as pool:
            found = [future.result() for future in [pool.submit(do, *given) for do, given in jobs]]
        worlds = len(jobs) if options.skip_sample else len(jobs) - options.seeds
        report |= {"heads": [row for rows in found[:worlds] for row in rows], "sample": found[worlds:]}
    if not options.skip_speed:
        report["speed"] = training_speed.measure()
    print(json.dumps(report, indent=1) if options.json else "\n".join(_lines(report, options)))


def _one_thread() -> None:
    torch.set_num_threads(1)


def _world(kind: str, seed: int, options: argparse.Namespace) -> list[Row]:
    """Every row of one draw of noise."""
    with tempfile.TemporaryDirectory() as folder:
        world = _World(Path(folder), kind, seed, options)
        names = (START, *UNLABELLED, *WITH_SCORES) if kind == "shuffle" else FEW
        return [world.row(name) for name in names if not options.rows or name in options.rows]


class _World:
    """Tables of one draw, their scores, and what is trained on them."""

    def __init__(self, root: Path, kind: str, seed: int, options: argparse.Namespace) -> None:
        self._root, self._kind, self._seed, self._options = root, kind, seed, options
        self._noisy()
        for split in {"val", options.split}:
            _make(root / split, split, 5, 0.0, 0)
        scored = ncaudit.ScoreOptions(embeddings=[self._at("train")], out=self._at("scores"), seed=seed, check=False)
        ncaudit.score(scored)
        self._start()
        self.facts = self._with_controls()

    def row(self, name: str) -> Row:
        """One row of the table: recalls on the clean pairs that nobody trained on."""
        begun = perf_counter()
        kept = 0 if name == START else self._train(name)
        model = self._at(START if name == START else "out")
        asked = ncaudit.EvalRetrievalOptions(embeddings=[self._at(self._options.split)], model=model, device="cpu")
        found = ncaudit.eval_retrieval(asked).metrics
        told = {"row": name, "kind": self._kind, "seed": self._seed, "rsum": found.rsum, "kept_epoch": kept}
        sizes = {"photos": found.images, "captions": found.captions, "seconds": perf_counter() - begun}
        return {**told, **sizes, "r1": (found.i2t_r1 + found.t2i_r1) / 2, **self.facts}

    def _at(self, name: str) -> str:
        return str(self._root / name)

    def _train(self, name: str) -> int:
        options = self._options
        labels = {} if name in UNLABELLED else {"scores": [self._at("scores")]}
        pace = {"epochs": options.epochs, "batch_pairs": options.batch_pairs, "learning_rate": options.learning_rate}
        common = {"tune": "heads", "head": options.head, "seed": self._seed, "restart": True}
        common |= {"device": "cpu", "precision": "float32"}  # auto may pick another on a busy machine
        files = {"out": self._at("out"), "embeddings": [self._at("train")], "val_data": [self._at("val")]}
        own = UNLABELLED.get(name) or WITH_SCORES[name]
        return ncaudit.train(ncaudit.TrainOptions(**{**common, **files, **pace, **labels, **own})).kept_epoch

    def _noisy(self) -> None:
        """The train split with mismatched captions, in `train`."""
        options, out = self._options, self._root / "train"
        _make(out, "train", options.captions, options.noise if self._kind == "shuffle" else 0.0, self._seed)
        if self._kind != "shuffle":
            table = pq.read_table(out / "pairs.parquet")
            pq.write_table(_swapped(table, str(out), self._kind, options.noise, self._seed), out / "pairs.parquet")

    def _start(self) -> None:
        """Heads of the canonical directions of all pairs alike, untrained."""
        self._table = pq.read_table(self._root / "train" / "pairs.parquet")
        image, text = (_rows(self._table, name) for name in ("image_embedding", "text_embedding"))
        heads = cca_start(image, text, torch.ones(len(image)))
        widths = {"image_width": image.shape[1], "text_width": text.shape[1]}
        save_head_description(heads, self._at(START), {"model": None, **widths})
        save_head_weights(heads.state_dict(), self._at(START))
        self._cosine = _cosine(heads, image, text)

    def _with_controls(self) -> Row:
        """Put the labels of the controls beside the score table's own; how good the labels are, in numbers."""
        path = next((self._root / "scores").glob("*.parquet"))
        table = pq.read_table(path)
        match = torch.from_numpy(table["is_match"].to_numpy(zero_copy_only=False).astype(bool))
        label = torch.from_numpy(table["soft_label"].to_numpy().copy())
        kept = label >= 0.5
        lowest = self._cosine.sort(descending=True).values[int(kept.sum()) - 1]
        permuted = np.random.default_rng([self._seed, 1]).permutation(label.numpy())
        assert table["pair_id"].equals(self._table["pair_id"])  # score tables keep the order
        table = table.append_column("permuted", pa.array(permuted))
        pq.write_table(table.append_column("cosine", pa.array((self._cosine >= lowest).numpy())), path)
        precision = float(match[kept].double().mean())
        facts = {"auroc": auroc(label, match), "auroc_cosine": auroc(self._cosine, match), "precision": precision}
        return {**facts, "kept": float(kept.double().mean()), "pairs": len(match), "matches": int(match.sum())}


def _make(out: Path, split: str, captions: int, noise: float, seed: int) -> None:
    script, shares = str(Path(BENCH, "make_tables.py")), ["--noise", str(noise), "--seed", str(seed)]
    words = ["--scenario", "unaligned", "--split", split, "--captions-per-photo", str(captions), *shares]
    subprocess.run([sys.executable, script, str(out), *words], check=True, stdout=subprocess.DEVNULL)


def _swapped(table: pa.Table, folder: str, kind: str, noise: float, seed: int) -> pa.Table:
    """A share of the captions replaced by one of the same image cluster, or by one of the 10 nearest captions."""
    pairs = fit_sample.draw([open_embeddings(shard) for shard in find_shards([folder])], pairs=len(table), seed=0).pairs
    place = {pair_id: row for row, pair_id in enumerate(table["pair_id"].to_pylist())}
    row = np.array([place[pair_id] for pair_id in pairs.pair_id])
    images, captions = (rows.numpy() for rows in mismatches.injected(pairs, seed, made=len(pairs))[kind])
    chosen = np.random.default_rng(seed).permutation(len(images))[: round(noise * len(table))]
    source, match = np.arange(len(table)), np.ones(len(table), dtype=bool)
    source[row[images[chosen]]], match[row[images[chosen]]] = row[captions[chosen]], False
    new = {name: table[name].take(pa.array(source)) for name in ("text_embedding", "caption", "caption_of")}
    for name, column in {**new, "is_match": pa.chunked_array([pa.array(match)])}.items():
        table = table.set_column(table.schema.names.index(name), name, column)
    return table


def _rows(table: pa.Table, name: str) -> torch.Tensor:
    column = table[name].combine_chunks()
    return torch.from_numpy(column.flatten().to_numpy().astype(np.float32).reshape(len(table), -1))


@torch.no_grad()
def _cosine(heads: Heads, image: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    return (heads.image(image) * heads.text(text)).sum(dim=1)


def _lines(report: dict[str, Any], options: argparse.Namespace) -> list[str]:
    lines = [str(report["machine"])]
    for kind in options.kinds if report.get("heads") else ():
        lines += _heads_table([row for row in report["heads"] if row["kind"] == kind], options)
    lines += demo.table(report["sample"]) if report.get("sample") else []
    return lines + (training_speed.lines(report["speed"]) if "speed" in report else [])


def _heads_table(rows: list[Row], options: argparse.Namespace) -> list[str]:
    first = rows[0]
    lines = [
        f"Heads: {options.head}, {options.epochs} epochs, batch {options.batch_pairs}, rate {options.learning_rate:g}; "
        f"{first['kind']} noise {options.noise:g}, {options.seeds} seeds: {first['pairs']:,} pairs, of which "
        f"{first['matches']:,} match",
        f"  soft label: AUROC {_mean(rows, 'auroc'):.3f} (the start's cosine {_mean(rows, 'auroc_cosine'):.3f}), "
        f"{_mean(rows, 'kept'):.1%} from .5 up, {_mean(rows, 'precision'):.1%} of these match",
        f"  rSum on {first['photos']} photos and {first['captions']:,} captions of the {options.split} split, clean: "
        "mean ± sd; beside the oracle; R@1; kept epoch; seconds",
    ]
    for name in dict.fromkeys(row["row"] for row in rows):
        own = [row for row in rows if row["row"] == name]
        spread = statistics.pstdev(row["rsum"] for row in own)
        words = f"{_mean(own, 'rsum'):6.1f} ± {spread:4.1f}  {_against(rows, name):+7.1%}  {_mean(own, 'r1'):5.1f}"
        lines.append(f"  {name:28} {words}  {_mean(own, 'kept_epoch'):4.1f}  {_mean(own, 'seconds'):4.0f}")
    whole = first["kind"] == "shuffle" and not options.rows
    return [*lines, *(_asked(rows) if whole else [])]


def _asked(rows: list[Row]) -> list[str]:
    """Targets beside what was measured."""
    labelled = [
        name for name in (*LABELLED, RELABELLED, STAGED, STAGED_WEIGHTED) if name != "rcl"
    ]  # rcl looks at no label
    best = max(labelled, key=lambda name: _against(rows, name))
    return [
        f"  best row beside the oracle: {_against(rows, best):+.1%} ({best}); asked -1 % or better",
        f"  plain beside the oracle: {_against(rows, PLAIN):+.1%}; at the last epoch "
        f"{_against(rows, PLAIN + LAST):+.1%}; asked -8 % or worse",
        f"  recipe bicro less its unstaged objective: {_gain(rows, '')}; the last epochs: {_gain(rows, LAST)}; asked: "
        "clearly above",
    ]


def _against(rows: list[Row], name: str) -> float:
    """How much better than the oracle of the same seed, as a share, mean over seeds; nan without the oracle.

    Last epochs are held against the oracle's last epoch.
    """
    oracle = _of(rows, ORACLE + LAST if name.endswith(LAST) else ORACLE)
    if not oracle:
        return float("nan")
    return statistics.mean(own["rsum"] / best["rsum"] - 1 for own, best in zip(_of(rows, name), oracle, strict=True))


def _gain(rows: list[Row], epoch: str) -> str:
    pairs = zip(_of(rows, STAGED + epoch), _of(rows, UNSTAGED + epoch), strict=True)
    gains = [staged["rsum"] - unstaged["rsum"] for staged, unstaged in pairs]
    return f"{statistics.mean(gains):+.1f}, above in {sum(gain > 0 for gain in gains)} of {len(gains)}"


def _of(rows: list[Row], name: str) -> list[Row]:
    return [row for row in rows if row["row"] == name]


def _mean(rows: list[Row], name: str) -> float:
    return statistics.mean(row[name] for row in rows)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--noise", type=float, default=0.4)
    parser.add_argument("--captions", type=int, default=5, choices=(1, 5), help="per photo")
    parser.add_argument("--rows", nargs="+", default=[], help="only these, and without what compares them")
    parser.add_argument("--head", default="mlp", choices=("linear", "mlp"))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-pairs", type=int, default=1_024)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--split", default="test", choices=("val", "test"), help="that the rows are told on")
    for part in ("heads", "sample", "speed"):
        parser.add_argument(f"--skip-{part}", action="store_true")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
